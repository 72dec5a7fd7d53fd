# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which library a program of the benchmarks uses: its first argument is ``stock``, ``carrick`` or, for a queue of
processes, ``faster-fifo``.
"""

import importlib
import os
import sys
import time
from typing import Any

BODY = b"x" * 64
KEY = b"benchmark key"
MEBIBYTE = 1 << 20


def load(name: str) -> Any:
    """The module ``name`` of the standard library, or carrick's in its place."""
    side = sys.argv[1]
    if side not in ("stock", "carrick"):
        sys.exit(f"the side is 'stock' or 'carrick', not {side!r}")
    return importlib.import_module(name if side == "stock" else f"carrick.{name}")


def processes() -> Any:
    """The package ``multiprocessing``, with children by fork."""
    package = (
        importlib.import_module("multiprocessing")
        if sys.argv[1] == "faster-fifo"
        else load("multiprocessing")
    )
    return package.get_context("fork")


def queue(multiprocessing: Any, maxsize: int = 0) -> Any:
    """A queue of processes; 0 is no limit, which faster-fifo has not."""
    if sys.argv[1] != "faster-fifo":
        return multiprocessing.Queue(maxsize)
    faster_fifo = importlib.import_module("faster_fifo")
    # Memory enough that bytes are no limit; its own default is 1 MB, and it waits for ten seconds at most.
    return faster_fifo.Queue(64 * MEBIBYTE, maxsize=maxsize or 1_000_000_000)


def put(queue: Any, item: Any) -> None:
    """Put an item, waiting for room for as long as it takes."""
    if sys.argv[1] == "faster-fifo":
        queue.put(item, True, 1e6)
    else:
        queue.put(item)


def announce(port: int) -> None:
    """Tell the benchmark that the server listens."""
    print(port, flush=True)


def finish(value: float) -> None:
    """Print the result and end the process, with whatever children are its own."""
    print(value, flush=True)
    os._exit(0)


def per_second(count: int, work: Any) -> float:
    """How often a second ``work()`` can be called, from ``count`` calls after a warm-up."""
    for _ in range(max(1, count // 10)):
        work()
    started = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - started)
