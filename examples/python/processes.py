# SPDX-License-Identifier: MIT OR Apache-2.0
"""A chapter on processes: starting and joining, many, a process as an object, isolation, terminating, tickets under a
lock."""

import os
import tempfile

import carrick.multiprocessing as multiprocessing

mp = multiprocessing.get_context("fork")
count = 100


def started(target, *args):
    process = mp.Process(target=target, args=args)
    process.start()
    return process


def ended(process):
    process.join()
    return process.exitcode


def look(parent):
    os._exit(0 if os.getppid() == parent else 1)


def square(number):
    os._exit(number * number)


class Sum(mp.Process):
    """A process as an object: __init__ takes what it needs, and run is what it does."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def run(self):
        os._exit(self.x + self.y)


def forget():
    global count
    count = 0
    os._exit(count)


def buy(lock, tickets):
    with lock:  # held to read, count and write
        left = int(os.pread(tickets, 8, 0))
        if left > 0:
            os.pwrite(tickets, b"%d" % (left - 1), 0)
    os._exit(0 if left > 0 else 1)


process = started(look, os.getpid())
number = "its own" if process.pid != os.getpid() else "the same"
print(f"start: a process with {number} number, exit code {ended(process)}")

print("many:", *map(ended, [started(square, number) for number in range(10)]))

process = Sum(1, 2)
process.start()
print(f"object: {process.x} + {process.y} = {ended(process)}")

print(f"isolation: {ended(started(forget))} there, {count} here")

process = started(mp.Event().wait)
before = "alive" if process.is_alive() else "dead"
process.terminate()  # asks for its end, and does not wait for it
code = ended(process)
print(f"terminate: {before}, then {'alive' if process.is_alive() else 'dead'} with {code}")

with tempfile.TemporaryFile() as file:
    os.pwrite(file.fileno(), b"3", 0)
    lock = mp.Lock()
    codes = list(map(ended, [started(buy, lock, file.fileno()) for _ in range(10)]))
    print(f"tickets: {codes.count(0)} sold, {codes.count(1)} refused")
