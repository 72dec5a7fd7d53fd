# SPDX-License-Identifier: MIT OR Apache-2.0
"""Workers in three languages take numbers from one queue in shared memory and put their squares into another.

Arguments: the worker in C, the worker in Rust. The one in Python is a process of multiprocessing.
"""

import subprocess
import sys

import carrick.multiprocessing as multiprocessing


def work(tasks, results):
    results.put(b"Python")
    for item in iter(tasks.get, b""):
        results.put(b"%d" % (int(item) ** 2))


def main():
    tasks, results = multiprocessing.Queue(codec="bytes"), multiprocessing.Queue(codec="bytes")
    here = multiprocessing.Process(target=work, args=(tasks, results))
    here.start()
    handed_on = [*tasks.descriptors(), *results.descriptors()]
    others = [
        subprocess.Popen([program, *map(str, handed_on)], pass_fds=handed_on) for program in sys.argv[1:]
    ]
    names = sorted(results.get(timeout=30).decode() for _ in range(1 + len(others)))
    print("workers:", ", ".join(names))
    tasks.put_many(b"%d" % number for number in range(1, 1001))
    print("sum of squares:", sum(int(results.get(timeout=30)) for _ in range(1000)))
    tasks.put_many([b""] * len(names))
    here.join()
    print("exit codes:", [here.exitcode, *(other.wait() for other in others)])


if __name__ == "__main__":
    main()
