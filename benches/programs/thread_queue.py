# SPDX-License-Identifier: MIT OR Apache-2.0
"""A queue for threads. Arguments: SIDE Queue|PriorityQueue|SimpleQueue WHAT COUNT.

Prints the items per second that go through it. WHAT is ``alone`` or ``priority`` (one thread puts and gets), ``pair``,
``timeout`` (get with a time limit) or ``bounded`` (at most 10) for a thread at each end, ``crowd`` for four;
``turns`` is there and back through two queues.
"""

import sys
import threading
import time
from typing import Any

import side

kind, what, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
make = getattr(side.load("queue"), kind)
threads = 4 if what == "crowd" else 1
each = count // threads


def alone(queue: Any) -> float:
    put, get = queue.put, queue.get

    def work() -> None:
        put(1)
        get()

    return side.per_second(count, work)


def produce(queue: Any) -> None:
    for number in range(each):
        queue.put(number)
    queue.put(None)


def turns(there: Any, back: Any) -> float:
    def answer() -> None:
        while (number := there.get()) is not None:
            back.put(number)

    def ask() -> None:
        there.put(1)
        back.get()

    answering = threading.Thread(target=answer)
    answering.start()
    rate = side.per_second(count, ask)
    there.put(None)
    answering.join()
    return rate


def consume(queue: Any) -> None:
    if what == "timeout":
        while queue.get(timeout=10) is not None:
            pass
    else:
        while queue.get() is not None:
            pass


if what in ("alone", "priority"):
    side.finish(alone(make()))
if what == "turns":
    side.finish(turns(make(), make()))
queue = make(10) if what == "bounded" else make()
crowd = [threading.Thread(target=call, args=(queue,)) for call in (produce, consume) for _ in range(threads)]
started = time.perf_counter()
for thread in crowd:
    thread.start()
for thread in crowd:
    thread.join()
side.finish(each * threads / (time.perf_counter() - started))
