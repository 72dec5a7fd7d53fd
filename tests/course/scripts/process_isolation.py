# SPDX-License-Identifier: MIT OR Apache-2.0
# A process changes its own memory only. No part of this is kept from the children, so they must be
# made by fork.
# Start methods: fork.
from multiprocessing import Process

n = 100


def func():
    global n
    n -= 1
    print('in a child:', n)


li = []
for i in range(10):
    p = Process(target=func)
    p.start()
    li.append(p)
for p in li:
    p.join()
print('in the main process:', n)
