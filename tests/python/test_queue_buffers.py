# SPDX-License-Identifier: MIT OR Apache-2.0
"""Buffers of pickle protocol 5 in queues: they go once in and once out, beside the pickle that they belong to."""

from __future__ import annotations

import os
import pickle
import struct
from typing import Any

import pytest
from support import WAIT

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import queues

LARGE = 100_000
EVERY_METHOD = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


class Array:
    """What numpy's arrays are to a pickler."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def __reduce_ex__(self, protocol: Any) -> Any:
        assert protocol >= 5
        return Array, (pickle.PickleBuffer(self.memory),)


class Loud:
    """An object that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise ValueError("not this one")


def swap(there: Any, back: Any) -> None:
    first, second = there.get()
    first.memory[0] = 7
    back.put((second, first))


@EVERY_METHOD
@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue"])
def test_arrays_go_to_another_process_and_back(method: str, kind: str) -> None:
    context = multiprocessing.get_context(method)
    there, back = getattr(context, kind)(), getattr(context, kind)()
    process = context.Process(target=swap, args=(there, back))
    process.start()
    one, other = os.urandom(LARGE), os.urandom(LARGE + 1)
    there.put((Array(bytearray(one)), Array(other)))
    second, first = back.get()
    assert second.memory == other and first.memory == b"\x07" + one[1:]
    assert second.memory.readonly and not first.memory.readonly
    process.join(WAIT)
    assert process.exitcode == 0


def test_what_is_received_lies_in_one_piece_of_memory_and_is_not_copied_again() -> None:
    q = multiprocessing.Queue()
    lengths = [LARGE, 1 << 20, (32 << 10) + 1, 32 << 10]
    q.put(
        {"arrays": [Array(bytearray([number] * length)) for number, length in enumerate(lengths)], "other": 5}
    )
    got = q.get()
    assert got["other"] == 5
    owners = {id(array.memory.obj) for array in got["arrays"]}
    assert len(owners) == 1 and isinstance(got["arrays"][0].memory.obj, bytearray)
    assert [bytes(array.memory) for array in got["arrays"]] == [
        bytes([number]) * length for number, length in enumerate(lengths)
    ]


def test_small_and_scattered_buffers_are_in_the_pickle() -> None:
    q = multiprocessing.Queue()
    q.put([Array(b"small"), Array(bytearray(100))])
    small, other = q.get()
    assert (small.memory, other.memory) == (b"small", bytearray(100))
    # A buffer that is not in one piece no pickler takes; what comes after it is not disturbed.
    reported: list[Any] = []
    q._on_queue_feeder_error = lambda error, obj: reported.append(error)  # type: ignore[method-assign]
    q.put(Array(memoryview(bytearray(3 * LARGE))[::3]))
    q.put([Array(bytearray(LARGE)), Loud()])
    assert [type(error) for error in reported] == [pickle.PicklingError, ValueError]
    q.put([Array(bytearray(LARGE)), 1])
    array, one = q.get()
    assert (len(array.memory), one) == (LARGE, 1) and q.empty()


def test_several_at_a_time_and_bounds() -> None:
    q = multiprocessing.Queue(max_bytes=4 * LARGE)
    q.put_many([Array(bytearray(LARGE)), "between", Array(bytearray(LARGE))])
    with pytest.raises(carrick.FullError):
        q.put(Array(bytearray(3 * LARGE)), block=False)
    with pytest.raises(carrick.FrameTooLargeError):
        q.put(Array(bytearray(4 * LARGE)))
    first, between, last = q.get_many()
    assert (len(first.memory), between, len(last.memory)) == (LARGE, "between", LARGE)


def test_lengths_that_make_no_sense_are_corrupt() -> None:
    raw = multiprocessing.Queue(codec="bytes")
    fd, bell = raw.descriptors()
    q = queues.Queue.attach(fd, bell)
    for lengths in ((), (5, 1 << 60), (5, 1, 1 << 60), (LARGE, 0), (1 << 63, 1, 5)):
        head = queues._BUFFERS + struct.pack(f"<{len(lengths)}Q", *lengths)
        raw.put(head.ljust(LARGE, b"\xff"))
        with pytest.raises(carrick.CorruptError):
            q.get()
    raw.put(b"as it is" * LARGE)
    assert raw.get() == b"as it is" * LARGE
    # For a codec that is not pickle's the same bytes mean nothing.
    raw.put(queues._BUFFERS * LARGE)
    assert raw.get() == queues._BUFFERS * LARGE
