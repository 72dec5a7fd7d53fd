# SPDX-License-Identifier: MIT OR Apache-2.0
# Producers and consumers about a queue of limited size. None says that there is no more; each consumer leaves it to the
# next one.
# Start methods: fork, spawn. The order of the lines is not determined.
from multiprocessing import Process, Queue


def producer(q, name, what):
    for i in range(10):
        q.put('%s%s' % (what, i))
        print('%s made %s%s' % (name, what, i))


def consumer(q):
    while True:
        what = q.get()
        if what is None:
            q.put(None)
            break
        print('used', what)


def cp(num1, num2):
    q = Queue(10)
    producers = [Process(target=producer, args=(q, 'henry', 'rope%s-' % i)) for i in range(num1)]
    consumers = [Process(target=consumer, args=(q,)) for i in range(num2)]
    for p in producers + consumers:
        p.start()
    for p in producers:
        p.join()
    q.put(None)
    for p in consumers:
        p.join()
    print('the last None is still there:', q.get())


if __name__ == '__main__':
    cp(2, 4)
