# SPDX-License-Identifier: MIT OR Apache-2.0
# A Queue of three: put_nowait when it is full, get_nowait when it is empty.
# Start methods: fork, spawn.
import carrick.queue as queue
from carrick.multiprocessing import Queue

if __name__ == '__main__':
    q = Queue(3)
    for i in range(3):
        q.put(i)
    print('full:', q.full())
    try:
        q.put_nowait(3)
    except queue.Full:
        print('no room for', 3)
    try:
        q.put(3, timeout=0.01)
    except queue.Full:
        print('no room for', 3, 'in time')
    print(q.get(), q.get(), q.get())
    try:
        q.get_nowait()
    except queue.Empty:
        print('nothing to get')
    try:
        q.get(timeout=0.01)
    except queue.Empty:
        print('nothing to get in time')
