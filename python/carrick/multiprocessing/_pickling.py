# SPDX-License-Identifier: MIT OR Apache-2.0
"""Pickles of the items of queues.

They are made at the default protocol of this Python, which objects see that look at it (``__reduce_ex__``), as the
standard library's are. Large arrays of numpy are the exception that nobody sees: their memory goes beside the pickle.

``put`` pickles at once, in the thread that calls it, where the standard library has another thread do it later. A
``__getstate__`` or the like that takes a lock of the program's would wait for ever where the caller holds that lock, so
what may take one (:mod:`._waits`) is called in another thread, and :exc:`Waiting` is raised where it does not end.
"""

from __future__ import annotations

import copyreg
import importlib
import io
import pickle
import struct
import sys
import threading
from collections.abc import Callable
from multiprocessing import reduction

from carrick._errors import CorruptError
from carrick.multiprocessing import _waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, annotations

__all__ = ()

_ForkingPickler: Any = reduction.ForkingPickler
_extra: dict[type, Any] = _ForkingPickler._extra_reducers
_registered: dict[type, Any] = copyreg.dispatch_table

_PLAIN = frozenset((bool, bytes, float, int, str, type(None)))
"""Types that no reducer can be registered for: they need no pickler of one's own."""

_LARGE = 16 << 10
"""A pickler that has written so much is not kept."""

BUFFERS = b"\0carrik5"
"""The first bytes of an item that is a pickle and the buffers that belong to it."""

_BUFFER = 32 << 10
"""From this length on an array goes beside the pickle. No shorter item has any."""

_ALIGNED = 64
"""The offset of a buffer in an item is a multiple of this."""

_DIRECT, _CAREFUL, _ARRAY = range(3)
"""How objects of a class are reduced: as pickle does it, in another thread, as an array of numpy."""

_known: dict[type, tuple[Any, int]] = {}
"""For each class that was met its registered reducer, and how its objects are reduced."""

if "carrick.socket" in sys.modules:
    sys.modules["carrick.socket"]._register()

_arrived = threading.local()
"""``buffers``: those of the item that this thread unpickles."""


class Waiting(Exception):
    """An object of the item cannot be reduced before the caller of ``put`` has gone on."""

    def __init__(self, obj: Any, call: Any) -> None:
        super().__init__()
        self.reduced = (obj, call)


def _kind(cls: type, reducer: Any) -> int:
    if reducer is None:
        numpy = sys.modules.get("numpy")
        if numpy is not None and cls is getattr(numpy, "ndarray", None):
            return _ARRAY
        return _CAREFUL if _waits.class_may_wait(cls) else _DIRECT
    return _CAREFUL if _waits.may_wait(reducer) else _DIRECT


class _Reducers:
    """The dispatch table of a pickler: it finds what :class:`ForkingPickler`'s finds, and large arrays."""

    def __init__(
        self, large: list[memoryview], careful: bool, reduced: tuple[Any, Any] = (None, None)
    ) -> None:
        self._large = large
        self._careful = careful
        self._reduced = reduced

    def __getitem__(self, cls: type) -> Callable[[Any], Any]:
        reducer = _extra.get(cls)
        if reducer is None:
            reducer = _registered.get(cls)
        known = _known.get(cls)
        if known is None or known[0] is not reducer:
            if len(_known) > 10_000:
                _known.clear()
            known = _known[cls] = (reducer, _kind(cls, reducer))
        kind = known[1]
        if kind == _CAREFUL:
            return self._reduce_elsewhere if self._careful else self._reduce_here
        if kind == _ARRAY:
            return self._reduce_array
        if reducer is None:
            raise KeyError(cls)
        found: Callable[[Any], Any] = reducer
        return found

    @staticmethod
    def _reduce(obj: Any) -> Any:
        cls = type(obj)
        reducer = _extra.get(cls) or _registered.get(cls)
        return obj.__reduce_ex__(pickle.DEFAULT_PROTOCOL) if reducer is None else reducer(obj)

    def _reduce_elsewhere(self, obj: Any) -> Any:
        call = _waits.Call(self._reduce, obj)
        if not call.ended():
            raise Waiting(obj, call)
        return call.result()

    def _reduce_here(self, obj: Any) -> Any:
        found, call = self._reduced
        # Begun by the caller of put: once is enough.
        return call.result() if call is not None and obj is found else self._reduce(obj)

    def _reduce_array(self, array: Any) -> Any:
        protocol, flags = pickle.DEFAULT_PROTOCOL, array.flags
        contiguous = flags.c_contiguous or flags.f_contiguous
        # At protocol 5 an array that is read-only stays so.
        if (
            array.nbytes < _BUFFER
            or array.dtype.hasobject
            or not contiguous
            or (protocol >= 5 and not flags.writeable)
        ):
            return array.__reduce_ex__(protocol)
        fortran = not flags.c_contiguous
        flat = (array.T if fortran else array).reshape(-1).view("u1")
        self._large.append(memoryview(flat))
        return _array, (len(self._large) - 1, array.dtype, array.shape, fortran)


def _array(number: int, dtype: Any, shape: tuple[int, ...], fortran: bool) -> Any:
    """The array whose memory is this buffer of the item that is being unpickled."""
    numpy: Any = importlib.import_module("numpy")
    flat = numpy.frombuffer(_arrived.buffers[number], dtype=dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


_Pickler = tuple["Any", io.BytesIO, list[memoryview]]

_picklers: list[_Pickler] = []
_quick_picklers: list[_Pickler] = []
"""Picklers that nobody uses now, for :func:`dumps` and :func:`dumps_here`. Making one takes longer than a pickle."""


def _pickler(careful: bool, reduced: tuple[Any, Any] = (None, None)) -> _Pickler:
    """A pickler, where it writes to, and the large arrays that it leaves out."""
    buffer, large = io.BytesIO(), list[memoryview]()
    pickler = _ForkingPickler(buffer)
    pickler.dispatch_table = _Reducers(large, careful, reduced)
    return pickler, buffer, large


def dumps(obj: Any) -> Any:
    """The pickle of an object, or a list of parts that are to be put one behind the other.

    Raises :exc:`Waiting` where that would wait for a lock.
    """
    return pickle.dumps(obj) if type(obj) in _PLAIN else _dumps(obj, True, _picklers)


def dumps_here(obj: Any) -> Any:
    """The same, where the standard library pickles in the calling thread, too."""
    return pickle.dumps(obj) if type(obj) in _PLAIN else _dumps(obj, False, _quick_picklers)


def dumps_later(obj: Any, reduced: tuple[Any, Any]) -> Any:
    """The same, in a thread that may wait; ``reduced`` is that of :exc:`Waiting`."""
    return _dumps(obj, False, [_pickler(False, reduced)])


def _dumps(obj: Any, careful: bool, unused: list[_Pickler]) -> Any:
    try:
        pickler, buffer, large = unused.pop()
    except IndexError:
        pickler, buffer, large = _pickler(careful)
    # One that failed is not used again.
    pickler.dump(obj)
    body: Any = buffer.getvalue()
    pickler.clear_memo()
    if large:
        return _parts(body, large)
    if len(body) < _LARGE:
        buffer.seek(0)
        buffer.truncate()
        unused.append((pickler, buffer, large))
    return body


def _parts(body: bytes, buffers: list[memoryview]) -> list[Any]:
    """An item of a pickle and buffers: how long each is, the pickle, the buffers."""
    lengths = [len(body), len(buffers), *(view.nbytes for view in buffers)]
    parts: list[Any] = [BUFFERS, struct.pack(f"<{len(lengths)}Q", *lengths), body]
    offset = sum(map(len, parts))
    for view in buffers:
        padding = -offset % _ALIGNED
        parts += (bytes(padding), view)
        offset += padding + view.nbytes
    return parts


def load_parts(body: Any) -> Any:
    """The object of an item of :func:`_parts`. It refers to the buffers where they are."""
    view, buffers = memoryview(body), []
    try:
        length, count = struct.unpack_from("<2Q", body, len(BUFFERS))
        lengths = struct.unpack_from(f"<{count}Q", body, len(BUFFERS) + 16)
    except struct.error:
        raise CorruptError("an item with buffers that says no lengths") from None
    begin = len(BUFFERS) + 16 + 8 * count
    offset = begin + length
    for size in lengths:
        offset += -offset % _ALIGNED
        buffers.append(view[offset : offset + size])
        offset += size
    if offset != len(body):
        raise CorruptError(f"an item with buffers of {offset} bytes that has {len(body)}")
    before = getattr(_arrived, "buffers", None)
    _arrived.buffers = buffers
    try:
        return pickle.loads(view[begin : begin + length])
    finally:
        _arrived.buffers = before


def plain(body: bytes) -> bytes:
    """An item as the standard library has it: a pickle and nothing else."""
    return pickle.dumps(load_parts(bytearray(body))) if body.startswith(BUFFERS) else body
