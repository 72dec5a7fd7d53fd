# SPDX-License-Identifier: MIT OR Apache-2.0
"""Processes and a Queue(). Arguments: SIDE int|dict|large|bounded|two COUNT; SIDE may be faster-fifo.

Prints the messages per second that the parent takes from one child (``two``: from two of them), or for ``large`` the
megabytes per second of bytes objects of 1 MiB. ``bounded`` is a queue of at most 10.
"""

import sys
import time
from typing import Any

import side

multiprocessing = side.processes()
what, count = sys.argv[2], int(sys.argv[3])
producers = 2 if what == "two" else 1


def pour(queue: Any, messages: int) -> None:
    message = {"dict": {"key": 1, "other": [2, 3]}, "large": bytes(side.MEBIBYTE)}.get(what)
    for number in range(messages):
        side.put(queue, number if message is None else message)
    side.put(queue, None)


queue = side.queue(multiprocessing, 10 if what == "bounded" else 0)
get = queue.get
each = count // producers
children = [multiprocessing.Process(target=pour, args=(queue, each), daemon=True) for _ in range(producers)]
for child in children:
    child.start()
get()
started = time.perf_counter()
taken, ended = 0, 0
while ended < producers:
    if get() is None:
        ended += 1
    else:
        taken += 1
elapsed = time.perf_counter() - started
if taken != each * producers - 1:
    sys.exit(f"{taken} messages arrived")
side.finish(taken * side.MEBIBYTE / 1e6 / elapsed if what == "large" else taken / elapsed)
