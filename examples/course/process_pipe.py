# SPDX-License-Identifier: MIT OR Apache-2.0
# Two ends of a Pipe talk to each other; when one is closed everywhere the other one is told.
# Start methods: fork, spawn.
from carrick.multiprocessing import Pipe, Process


def func(left, con):
    left.close()
    while True:
        try:
            msg = con.recv()
        except EOFError:
            print('child: nobody is there any more')
            break
        con.send(msg.upper())
    con.close()


if __name__ == '__main__':
    left, right = Pipe()
    p = Process(target=func, args=(left, right))
    p.start()
    right.close()
    for msg in ('belay', 'haul in'):
        left.send(msg)
        print(left.recv())
    print('something to read:', left.poll())
    left.close()
    p.join()
    print('exit code', p.exitcode)
