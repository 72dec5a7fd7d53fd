# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two processes and a Pipe(). Arguments: SIDE roundtrip|stream COUNT.

``roundtrip`` prints the microseconds of an echo of 64 bytes, ``stream`` the megabytes per second of messages of
1 MiB from the child to the parent.
"""

import multiprocessing
import sys
import time
from typing import Any

import side

connection = side.load("multiprocessing.connection")
what, count = sys.argv[2], int(sys.argv[3])


def answer(peer: Any) -> None:
    try:
        while True:
            peer.send_bytes(peer.recv_bytes())
    except EOFError:
        pass


def pour(peer: Any) -> None:
    message = bytes(range(256)) * (side.MEBIBYTE // 256)
    while True:
        peer.send_bytes(message)


def echo() -> None:
    here.send_bytes(side.BODY)
    if here.recv_bytes() != side.BODY:
        sys.exit("the echo is not what was sent")


def take(messages: int) -> None:
    for _ in range(messages):
        if len(here.recv_bytes()) != side.MEBIBYTE:
            sys.exit("a message has the wrong length")


here, there = connection.Pipe()
child = multiprocessing.get_context("fork").Process(
    target=answer if what == "roundtrip" else pour, args=(there,)
)
child.daemon = True
child.start()
there.close()
try:
    if what == "roundtrip":
        result = 1e6 / side.per_second(count, echo)
    else:
        take(max(4, count // 10))
        started = time.perf_counter()
        take(count)
        result = count * side.MEBIBYTE / (time.perf_counter() - started) / 1e6
finally:
    child.kill()
    child.join()
side.finish(result)
