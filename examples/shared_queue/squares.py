# SPDX-License-Identifier: MIT OR Apache-2.0
"""Workers in three languages share a queue of numbers, one of squares, a lock, and an event that starts them all.

The lock is around a ledger, a file in which each worker counts what it has done: read, add one, write.
Arguments: the worker in C, the worker in Rust. The one in Python is a process of multiprocessing.
"""

import os
import subprocess
import sys
import tempfile

import carrick.multiprocessing as multiprocessing


def work(tasks, results, lock, go, ledger):
    results.put(b"Python")
    go.wait()
    for item in iter(tasks.get, b""):
        with lock:
            count = int(os.pread(ledger, 32, 0))
            os.pwrite(ledger, b"%d" % (count + 1), 0)
        results.put(b"%d" % (int(item) ** 2))


def main():
    tasks, results = multiprocessing.Queue(codec="bytes"), multiprocessing.Queue(codec="bytes")
    lock, go = multiprocessing.Lock(), multiprocessing.Event()
    with tempfile.TemporaryFile() as file:
        ledger = file.fileno()
        os.pwrite(ledger, b"0", 0)
        here = multiprocessing.get_context("fork").Process(
            target=work, args=(tasks, results, lock, go, ledger)
        )
        here.start()
        handed_on = [*tasks.descriptors(), *results.descriptors(), *lock.place(), *go.place(), ledger]
        others = [
            subprocess.Popen([program, *map(str, handed_on)], pass_fds=descriptors(handed_on))
            for program in sys.argv[1:]
        ]
        names = sorted(results.get(timeout=30).decode() for _ in range(1 + len(others)))
        print("workers:", ", ".join(names))
        tasks.put_many(b"%d" % number for number in range(1, 1001))
        go.set()
        print("sum of squares:", sum(int(results.get(timeout=30)) for _ in range(1000)))
        tasks.put_many([b""] * len(names))
        here.join()
        print("exit codes:", [here.exitcode, *(other.wait() for other in others)])
        print("ledger:", os.pread(ledger, 32, 0).decode())


def descriptors(handed_on):
    # A lock and an event are a descriptor and a number each; many share a descriptor.
    queues, (lock, _, event, _), ledger = handed_on[:4], handed_on[4:8], handed_on[8]
    return {*queues, lock, event, ledger}


if __name__ == "__main__":
    main()
