# SPDX-License-Identifier: MIT OR Apache-2.0
# A daemon must not have children, and what is a daemon is settled before it starts.
# Start methods: fork, spawn.
from multiprocessing import Process


def grandson():
    print('this is never printed')


def son():
    try:
        Process(target=grandson).start()
    except AssertionError as e:
        print(type(e).__name__, e)


if __name__ == '__main__':
    p = Process(target=son)
    p.daemon = True
    p.start()
    try:
        p.daemon = False
    except AssertionError as e:
        print('too late:', type(e).__name__, e)
    p.join()
    print('exit code', p.exitcode)
