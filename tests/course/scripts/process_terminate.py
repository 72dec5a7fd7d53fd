# SPDX-License-Identifier: MIT OR Apache-2.0
# terminate() asks for the end of a process and does not wait for it; is_alive() says whether it is over.
# Start methods: fork, spawn.
import signal
import time
from multiprocessing import Pipe, Process


def son(con):
    con.send('working')
    while True:
        time.sleep(0.01)


if __name__ == '__main__':
    left, right = Pipe()
    p = Process(target=son, args=(right,))
    print('not started:', p.is_alive())
    p.start()
    print(left.recv(), p.is_alive())
    p.terminate()
    while p.is_alive():
        time.sleep(0.01)
    print('ended:', p.is_alive(), p.exitcode == -signal.SIGTERM)
    p.join()
    for con in (left, right):
        con.close()
