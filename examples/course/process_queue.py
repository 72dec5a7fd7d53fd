# SPDX-License-Identifier: MIT OR Apache-2.0
# A result comes back through a Queue.
# Start methods: fork, spawn.
from carrick.multiprocessing import Process, Queue


def func(exp, q):
    q.put((exp, eval(exp)))


if __name__ == '__main__':
    q = Queue()
    for exp in ('1+2+3', '"sheet" * 2', '[2 ** i for i in range(8)]'):
        p = Process(target=func, args=(exp, q))
        p.start()
        print(q.get())
        p.join()
    print('empty:', q.empty())
