# SPDX-License-Identifier: MIT OR Apache-2.0
"""Pickles of items: what an object sees of the pickler, what comes out, and arrays that go beside the pickle."""

from __future__ import annotations

import multiprocessing as standard
import pickle
import struct
import subprocess
import sys
from typing import Any

import pytest
from support import WAIT

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import _pickling, queues

LARGE = 100_000
EVERY_METHOD = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


class Frame:
    """As numpy's arrays: its bytes before protocol 5, and a PickleBuffer from then on."""

    def __init__(self, data: Any, protocol: int = -1) -> None:
        self.data, self.protocol = data, protocol

    def __reduce_ex__(self, protocol: Any) -> Any:
        if protocol >= 5:
            return Frame, (pickle.PickleBuffer(self.data), protocol)
        return _copied, (bytes(self.data), protocol)


def _copied(data: bytes, protocol: int) -> Frame:
    return Frame(bytearray(data), protocol)


def back(there: Any, here: Any) -> None:
    here.put(there.get())


@EVERY_METHOD
@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
def test_an_object_sees_the_protocol_and_comes_out_as_with_the_standard_library(
    method: str, kind: str
) -> None:
    context = multiprocessing.get_context(method)
    there, here = getattr(context, kind)(), getattr(context, kind)()
    process = context.Process(target=back, args=(there, here))
    process.start()
    sources = [
        data for size in (100, LARGE) for data in (bytes(size), bytearray(size), memoryview(bytes(size)))
    ]
    there.put([Frame(data) for data in sources])
    for source, frame in zip(sources, here.get(), strict=True):
        wanted = pickle.loads(standard.reduction.ForkingPickler.dumps(Frame(source)))
        assert (frame.protocol, type(frame.data)) == (pickle.DEFAULT_PROTOCOL, type(wanted.data))
        assert bytes(frame.data) == bytes(source)
        assert memoryview(frame.data).readonly == memoryview(wanted.data).readonly
    process.join(WAIT)
    assert process.exitcode == 0


class Loud:
    """An object that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise ValueError("not this one")


def test_what_comes_after_an_object_that_cannot_be_pickled_is_not_disturbed() -> None:
    q = multiprocessing.Queue()
    reported: list[Any] = []
    q._on_queue_feeder_error = lambda error, obj: reported.append(error)  # type: ignore[method-assign]
    q.put([Frame(bytearray(LARGE)), Loud()])
    assert [type(error) for error in reported] == [ValueError]
    q.put([Frame(bytearray(LARGE)), 1])
    frame, one = q.get()
    assert (len(frame.data), one) == (LARGE, 1) and q.empty()


def test_several_at_a_time_and_bounds() -> None:
    q = multiprocessing.Queue(max_bytes=4 * LARGE)
    q.put_many([Frame(bytearray(LARGE)), "between", Frame(bytearray(LARGE))])
    with pytest.raises(carrick.FullError):
        q.put(Frame(bytearray(3 * LARGE)), block=False)
    with pytest.raises(carrick.FrameTooLargeError):
        q.put(Frame(bytearray(4 * LARGE)))
    first, between, last = q.get_many()
    assert (len(first.data), between, len(last.data)) == (LARGE, "between", LARGE)


def test_lengths_that_make_no_sense_are_corrupt() -> None:
    raw = multiprocessing.Queue(codec="bytes")
    fd, bell = raw.descriptors()
    q = queues.Queue.attach(fd, bell)
    for lengths in ((), (5, 1 << 60), (5, 1, 1 << 60), (LARGE, 0), (1 << 63, 1, 5)):
        head = _pickling.BUFFERS + struct.pack(f"<{len(lengths)}Q", *lengths)
        raw.put(head.ljust(LARGE, b"\xff"))
        with pytest.raises(carrick.CorruptError):
            q.get()
    raw.put(b"as it is" * LARGE)
    assert raw.get() == b"as it is" * LARGE
    # For a codec that is not pickle's the same bytes mean nothing.
    raw.put(_pickling.BUFFERS * LARGE)
    assert raw.get() == _pickling.BUFFERS * LARGE


STAND_IN = """
import pickle, sys, types

class dtype:
    hasobject = False

class ndarray:
    # The little of numpy that matters here: a one-dimensional array of bytes.
    def __init__(self, data):
        self.data, self.dtype, self.shape = data, dtype, (len(data),)
        self.nbytes = len(data)
        self.flags = types.SimpleNamespace(
            c_contiguous=True, f_contiguous=True, writeable=not memoryview(data).readonly
        )
    def reshape(self, shape):
        return self
    def view(self, kind):
        return memoryview(self.data)
    def __reduce_ex__(self, protocol):
        return ndarray, (bytearray(self.data),)

numpy = types.ModuleType("numpy")
numpy.ndarray, numpy.frombuffer = ndarray, lambda buffer, dtype: ndarray(buffer)
ndarray.__module__ = dtype.__module__ = "numpy"
ndarray.__qualname__, dtype.__qualname__ = "ndarray", "dtype"
numpy.dtype = dtype
sys.modules["numpy"] = numpy

import carrick.multiprocessing as multiprocessing

q = multiprocessing.Queue()
sizes = [100_000, 1 << 20, (32 << 10) + 1, 32 << 10, 100]
arrays = [ndarray(bytearray([number] * size)) for number, size in enumerate(sizes)]
q.put({"arrays": [*arrays, arrays[0]], "other": 5})
got = q.get()
assert got["other"] == 5 and got["arrays"][0] is got["arrays"][-1]
assert [bytes(array.data) for array in got["arrays"][:-1]] == [bytes(array.data) for array in arrays]
large = [array.data for array in got["arrays"][:4]]
# Beside the pickle: in one piece of memory, where they arrived.
assert len({id(view.obj) for view in large}) == 1 and not any(view.readonly for view in large)
assert type(got["arrays"][4].data) is bytearray
# A reader of the bytes has what the standard library would have put.
q.put(arrays[1])
assert bytes(pickle.loads(q._reader.recv_bytes()).data) == bytes(arrays[1].data)
# A reducer of the program's own comes first.
import copyreg
copyreg.pickle(ndarray, lambda array: (str, ("reduced",)))
q.put(arrays[0])
assert q.get() == "reduced"
print("done")
"""


def test_large_arrays_go_beside_the_pickle_and_nobody_sees_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STAND_IN], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
