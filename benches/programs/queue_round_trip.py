# SPDX-License-Identifier: MIT OR Apache-2.0
"""Small ints to a child process and back through two queues. Arguments: SIDE PAIRS COUNT; SIDE may be faster-fifo.

PAIRS of processes do so at the same time. Prints the microseconds of a round trip, the mean of all pairs'.
"""

import statistics
import sys
import time
from typing import Any

import side

multiprocessing = side.processes()
pairs, count = int(sys.argv[2]), int(sys.argv[3])


def echo(there: Any, back: Any) -> None:
    while (item := there.get()) is not None:
        side.put(back, item)


def ask(there: Any, back: Any, results: Any, start: Any) -> None:
    side.put(there, 0)
    back.get()
    start.wait()
    started = time.perf_counter()
    for number in range(count):
        side.put(there, number)
        back.get()
    results.send((time.perf_counter() - started) / count * 1e6)
    side.put(there, None)


reader, writer = multiprocessing.Pipe(duplex=False)
start = multiprocessing.Barrier(pairs)
children = []
for _ in range(pairs):
    there, back = side.queue(multiprocessing), side.queue(multiprocessing)
    for target, arguments in ((echo, (there, back)), (ask, (there, back, writer, start))):
        children.append(multiprocessing.Process(target=target, args=arguments, daemon=True))
for child in children:
    child.start()
times = [reader.recv() for _ in range(pairs)]
for child in children:
    child.join()
side.finish(statistics.mean(times))
