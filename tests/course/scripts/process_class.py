# SPDX-License-Identifier: MIT OR Apache-2.0
# A process as a class: run() is what it does, and __init__ takes what it needs.
# Start methods: fork, spawn.
import os
from multiprocessing import Process


class MyProcess(Process):
    def __init__(self, x, y):
        super().__init__()
        self.x = x
        self.y = y

    def run(self):
        print(self.x, '+', self.y, '=', self.x + self.y)
        print('in a process of its own:', os.getpid() == self.pid)


if __name__ == '__main__':
    mp = MyProcess(1, 2)
    mp.start()
    mp.join()
    print(type(mp).__name__, mp.exitcode, mp.is_alive())
