# SPDX-License-Identifier: MIT OR Apache-2.0
"""Processes by fork beside others that live. Arguments: SIDE LIVING COUNT.

Prints the microseconds that starting and joining one takes while so many other children of this process wait.
"""

import sys

import side

multiprocessing = side.processes()
living, count = int(sys.argv[2]), int(sys.argv[3])


def nothing() -> None:
    pass


stay = multiprocessing.Event()
others = [multiprocessing.Process(target=stay.wait, daemon=True) for _ in range(living)]
for other in others:
    other.start()


def start_and_join() -> None:
    process = multiprocessing.Process(target=nothing)
    process.start()
    process.join()


each = 1e6 / side.per_second(count, start_and_join)
for other in others:
    other.kill()
side.finish(each)
