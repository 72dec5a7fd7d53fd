# SPDX-License-Identifier: MIT OR Apache-2.0
# A function in a process of its own: start() does not wait, join() waits for the end.
# Start methods: fork, spawn.
import os
from carrick.multiprocessing import Process


def func(parent):
    print('child starts')
    print('its parent is the main process:', os.getppid() == parent)
    print('child ends')


if __name__ == '__main__':
    p = Process(target=func, args=(os.getpid(),))
    print('before start:', p.pid, p.exitcode)
    p.start()
    print('it has a number of its own:', p.pid != os.getpid())
    p.join()
    print('after join:', p.exitcode)
