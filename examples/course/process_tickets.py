# SPDX-License-Identifier: MIT OR Apache-2.0
# Ten people and three tickets in a file: who reads, counts and writes must hold the lock.
# Start methods: fork, spawn. The order of the lines is not determined.
import json
import os
import tempfile
from carrick.multiprocessing import Lock, Process


def search_ticket(path):
    with open(path) as f:
        return json.load(f)['count']


def buy_ticket(path, lock):
    with lock:
        count = search_ticket(path)
        if count > 0:
            print('got a ticket,', count - 1, 'left')
            count -= 1
        else:
            print('sold out')
        with open(path, 'w') as f:
            json.dump({'count': count}, f)


if __name__ == '__main__':
    lock = Lock()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'tickets.txt')
        with open(path, 'w') as f:
            json.dump({'count': 3}, f)
        print('tickets:', search_ticket(path))
        li = [Process(target=buy_ticket, args=(path, lock)) for i in range(10)]
        for p in li:
            p.start()
        for p in li:
            p.join()
        print('tickets:', search_ticket(path))
