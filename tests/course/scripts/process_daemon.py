# SPDX-License-Identifier: MIT OR Apache-2.0
# A daemon ends with the code of the main process; a process that is none is waited for.
# Start methods: fork, spawn. The order of the lines is not determined.
import time
from multiprocessing import Pipe, Process


def son1(con):
    con.send('the daemon is alive')
    while True:
        time.sleep(0.01)


def son2(con):
    try:
        con.recv()
    except EOFError:
        print('the daemon is gone, and son2 is still here')


if __name__ == '__main__':
    left, right = Pipe(duplex=False)
    p1 = Process(target=son1, args=(right,))
    p1.daemon = True
    p1.start()
    right.close()
    print(left.recv())
    p2 = Process(target=son2, args=(left,))
    p2.start()
    left.close()
    print('daemon:', p1.daemon, p2.daemon)
    print('the code of the main process ends')
