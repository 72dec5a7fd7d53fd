# SPDX-License-Identifier: MIT OR Apache-2.0
# A JoinableQueue: the producer waits until all it made is used, and the consumers, daemons, end with the main process.
# Start methods: fork, spawn. The order of the lines is not determined.
from multiprocessing import JoinableQueue, Process


def producer(q, name, what):
    for i in range(10):
        q.put('%s%s' % (what, i))
    q.join()
    print(name, 'knows that all is used')


def consumer(q):
    while True:
        what = q.get()
        print('used', what, flush=True)
        q.task_done()


if __name__ == '__main__':
    jq = JoinableQueue()
    for i in range(2):
        c = Process(target=consumer, args=(jq,))
        c.daemon = True
        c.start()
    p = Process(target=producer, args=(jq, 'henry', 'sheet'))
    p.start()
    p.join()
    try:
        jq.task_done()
    except ValueError as e:
        print(type(e).__name__, e)
