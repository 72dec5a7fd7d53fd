# SPDX-License-Identifier: MIT OR Apache-2.0
"""The cost of waiting. Arguments: SIDE idle|one KIND WAITERS COUNT, or SIDE timeout KIND MICROSECONDS COUNT.

So many processes wait for one object: a Lock, an RLock, a Semaphore, a Condition, an Event, a Barrier, or an item of a
Queue. Prints the processor time of all of them, in milliseconds a second, over COUNT tenths of a second in which
nothing happens (``idle``); or the microseconds of processor time that one more wait takes, which has no time to wait
(``one``), or that a wait takes that ends by its timeout where nobody else waits (``timeout``), on average over COUNT.
"""

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import side

multiprocessing = side.processes()
what, kind, waiters, count = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])

SHORTLY = 1e-6
if what == "timeout":
    waiters, SHORTLY = 0, waiters / 1e6


def make() -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The call of a waiter, and that of one more."""
    if kind in ("Lock", "RLock", "Semaphore"):
        thing = getattr(multiprocessing, kind)()
        thing.acquire()
        if kind == "RLock":
            # A recursive lock is there for the thread that has it.
            return thing.acquire, lambda: in_thread(lambda: thing.acquire(timeout=SHORTLY))
        return thing.acquire, lambda: thing.acquire(timeout=SHORTLY)
    if kind == "Condition":
        condition = multiprocessing.Condition()

        def wait(timeout: float | None = None) -> None:
            with condition:
                condition.wait(timeout)

        return wait, lambda: wait(SHORTLY)
    if kind == "Event":
        event = multiprocessing.Event()
        return event.wait, lambda: event.wait(SHORTLY)
    if kind == "Barrier":
        barrier = multiprocessing.Barrier(waiters + 1)

        def party() -> None:
            # At the end the first one that is killed breaks it.
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait()

        return party, lambda: None
    items = multiprocessing.Queue()

    def get() -> None:
        with contextlib.suppress(queue.Empty):
            items.get(timeout=SHORTLY)

    return items.get, get


def in_thread(call: Callable[[], Any]) -> None:
    """Call in a thread of its own, which is most of what this costs on either side."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def used(pids: list[int]) -> int:
    """Nanoseconds of processor time that the processes have used, of one thread each."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def settle(pids: list[int]) -> None:
    """Wait until all sleep, and have slept through what spinning there is."""
    time.sleep(0.2)
    for pid in pids:
        while True:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "S":
                    break
            time.sleep(0.01)


wait, one_more = make()
children = [multiprocessing.Process(target=wait, daemon=True) for _ in range(waiters)]
for child in children:
    child.start()
pids = [child.pid for child in children]
settle(pids)
if what == "idle":
    # Those of carrick's who leave checks to others have found their pace by then.
    time.sleep(0 if sys.argv[1] == "stock" else count * 0.4)
    before, started = used(pids), time.perf_counter()
    time.sleep(count / 10)
    result = (used(pids) - before) / (time.perf_counter() - started) / 1e6
else:
    before_one = time.process_time()
    for _ in range(count):
        one_more()
    result = (time.process_time() - before_one) / count * 1e6
for child in children:
    child.kill()
print(result, flush=True)
os._exit(0)
