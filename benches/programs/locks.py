# SPDX-License-Identifier: MIT OR Apache-2.0
"""Locks of multiprocessing. Arguments: SIDE alone|calls|with|two|make|event COUNT.

Prints nanoseconds: of acquire and release of a free Lock() (``with``: in a with statement), of two calls of a built-in
method that does next to nothing (``calls``), of acquire and release where two processes do nothing else with one
lock, of making and dropping one of 1,000 locks; ``event`` is the round trip between two processes by two Event()s.
"""

import sys
import threading
import time
from typing import Any

import side

multiprocessing = side.load("multiprocessing").get_context("fork")
what, count = sys.argv[2], int(sys.argv[3])


def pairs(lock: Any, times: int) -> None:
    acquire, release = lock.acquire, lock.release
    for _ in range(times):
        acquire()
        release()


def calls(lock: Any, times: int) -> None:
    locked = threading.Lock().locked
    for _ in range(times):
        locked()
        locked()


def withs(lock: Any, times: int) -> None:
    for _ in range(times):
        with lock:
            pass


def hammer(lock: Any, start: Any, times: int) -> None:
    start.wait()
    pairs(lock, times)


def answer(there: Any, back: Any, times: int) -> None:
    for _ in range(times):
        there.wait()
        there.clear()
        back.set()


def nanoseconds(work: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    work(*arguments)
    return (time.perf_counter() - started) * 1e9


def alone(work: Any) -> float:
    lock = multiprocessing.Lock()
    work(lock, count // 10)
    return nanoseconds(work, lock, count) / count


def two() -> float:
    lock, start = multiprocessing.Lock(), multiprocessing.Barrier(2)
    other = multiprocessing.Process(target=hammer, args=(lock, start, count), daemon=True)
    other.start()
    start.wait()

    def both() -> None:
        pairs(lock, count)
        other.join()

    return nanoseconds(both) / (2 * count)


def make() -> float:
    def thousand() -> None:
        locks = [multiprocessing.Lock() for _ in range(1000)]
        del locks

    thousand()
    return sum(nanoseconds(thousand) for _ in range(count)) / (1000 * count)


def event() -> float:
    there, back = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.Process(target=answer, args=(there, back, count + 10), daemon=True)
    other.start()

    def rounds(times: int) -> None:
        for _ in range(times):
            there.set()
            back.wait()
            back.clear()

    rounds(10)
    return nanoseconds(rounds, count) / count


WORK = {
    "alone": lambda: alone(pairs),
    "calls": lambda: alone(calls),
    "with": lambda: alone(withs),
    "two": two,
    "make": make,
    "event": event,
}
side.finish(WORK[what]())
