# SPDX-License-Identifier: MIT OR Apache-2.0
"""Queues in shared memory: the classes of :mod:`multiprocessing.queues`.

An item is pickled by :meth:`Queue.put` and is in the queue when that returns: no thread feeds a pipe, so a program
may end, or be killed, without losing what it has put, and what is done to an object after ``put`` no longer changes
what is received. ``put`` of an unbounded queue never blocks.

A class of a program's own that overrides what the standard classes are made of inside, or makes use of it, is derived
from the standard class instead: loky's queues are.
"""

from __future__ import annotations

import operator
import os
import pickle
import resource
from collections.abc import Callable, Iterable
from multiprocessing import reduction
from queue import Empty, Full

from carrick import _carrick
from carrick._standard import queues as _standard
from carrick.multiprocessing import _inside, _pickling
from carrick.multiprocessing._feeder import Feeder
from carrick.multiprocessing._handover import check_spawning, heed_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, TypeVar

    _T = TypeVar("_T")

del TYPE_CHECKING, annotations  # No names of the standard module.

__all__ = ["JoinableQueue", "Queue", "SimpleQueue"]

_ForkingPickler = reduction.ForkingPickler
_loads: Callable[[Any], Any] = pickle.loads

_LARGE = 16 << 10
"""From this length on a bytes object goes into the queue without being copied into a pickle first."""

_LARGEST = 0xFFFF_FFFF

_load_parts = _pickling.load_parts


def _codec_of_pickles() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The pickler and unpickler: of a class that the program has put in place of the standard one, here or there."""
    for pickler in (_ForkingPickler, reduction.ForkingPickler):
        if pickler.__module__ != reduction.__name__:
            return pickler.dumps, pickler.loads
    return _pickling.dumps, _loads


class _End:
    """An end of a queue, as far as something that expects a Connection can make use of it."""

    def __init__(self, queue: _carrick.SharedQueue) -> None:
        self._carrick_queue = queue
        dumps, self._carrick_loads = _codec_of_pickles()
        self._carrick_dumps = _pickling.dumps_here if dumps is _pickling.dumps else dumps
        self.closed = False

    def close(self) -> None:
        """The end is no longer used."""
        self.closed = True

    def check_open(self) -> None:
        """Raise OSError if the end is closed."""
        if self.closed:
            raise OSError("handle is closed")


class _Reader(_End):
    def fileno(self) -> int:
        """A descriptor that is readable while an item is in the queue."""
        return self._carrick_queue.event_fileno()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether an item is in the queue; waits for at most ``timeout`` seconds, None is for ever."""
        return self._carrick_queue.poll(timeout)

    def recv(self) -> Any:
        """Wait for an item and take it."""
        return self._carrick_queue.get(self._carrick_loads)

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Wait for an item and take it as it is."""
        body: bytes = self._carrick_queue.get(bytes)
        return _pickling.plain(body) if self._carrick_loads is _loads else body


class _Writer(_End):
    def send(self, obj: Any) -> None:
        """Put an item."""
        self._carrick_queue.put(self._carrick_dumps(obj))

    def send_bytes(self, buf: Any, offset: int = 0, size: int | None = None) -> None:
        """Put an item as it is."""
        view = memoryview(buf).cast("B")[offset:]
        self._carrick_queue.put(view if size is None else view[:size])


def _dump_bytes(obj: Any) -> memoryview:
    try:
        return memoryview(obj)
    except TypeError:
        kind = type(obj).__name__
        raise TypeError(
            f"{kind}: a queue of codec 'bytes' takes bytes-like objects; encode it, or give another codec"
        ) from None


def _dump_json(obj: Any) -> bytes:
    import json

    return json.dumps(obj, allow_nan=False).encode()


def _load_json(body: bytes) -> Any:
    import json

    return json.loads(body)


_CODECS: dict[str, Callable[[], tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "pickle": _codec_of_pickles,
    "bytes": lambda: (_dump_bytes, bytes),
    "json": lambda: (_dump_json, _load_json),
}


_OURS: dict[type, type] = {}
"""For each class of this module the standard one."""

_ENOUGH = 64 << 30
"""A process that may not make so long a file (RLIMIT_FSIZE) gets standard queues: no limit is to be met in ours."""


def _is_limited() -> bool:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return limit != resource.RLIM_INFINITY and limit < _ENOUGH


@_inside.with_parts(_inside.OF_QUEUE)
class Queue(_standard.Queue):  # type: ignore[type-arg]
    """A queue for processes, first in, first out, of at most ``maxsize`` items; 0 and less is no limit.

    ``codec`` says what an item is between processes: "pickle", "bytes" (any bytes-like object is put, bytes are
    taken: C and Rust see the same) or "json". ``max_bytes`` is the most bytes of items in the queue; 0 is no limit.
    With a ``name`` other programs of the user :meth:`open` it, until :func:`carrick.remove_name`; such a queue has no
    descriptor for ``select`` and the like.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _inside.stand_on_standard(cls, _OURS)

    def __init__(
        self,
        maxsize: int = 0,
        *,
        ctx: Any,
        codec: str = "pickle",
        max_bytes: int = 0,
        name: str | None = None,
    ) -> None:
        if type(self) in _OURS and (codec, max_bytes, name) == ("pickle", 0, None) and _is_limited():
            self.__class__ = _OURS[type(self)]
            self.__init__(maxsize, ctx=ctx)  # type: ignore[misc]
            return
        try:
            self._maxsize = max(operator.index(maxsize), 0)
        except TypeError:
            raise TypeError(f"maxsize {maxsize!r}; give an int, 0 or less for no limit") from None
        self._carrick_is_fork_ctx = heed_context(ctx)
        self._ignore_epipe = False
        self._opid = os.getpid()
        self._carrick_set_codec(codec)
        self._carrick_set(_carrick.SharedQueue(self._maxsize, max_bytes, name=name))

    def _carrick_set_codec(self, codec: str) -> None:
        if codec not in _CODECS:
            raise ValueError(f"codec {codec!r}; it is one of {', '.join(map(repr, _CODECS))}")
        self._carrick_codec = codec
        self._carrick_dumps, self._carrick_loads = _CODECS[codec]()
        self._carrick_pickles = codec == "pickle"
        self._carrick_pickles_bytes_itself = self._carrick_dumps is _pickling.dumps

    def _carrick_set(self, queue: _carrick.SharedQueue) -> None:
        self._carrick_queue = queue
        self._reader = _Reader(queue)
        self._writer = _Writer(queue)
        self._poll = self._reader.poll
        self._closed = False
        self._thread = None
        self._carrick_used = False
        self._carrick_feeder: Feeder | None = None
        if type(self) not in _OURS:
            _inside.note_made(type(self))

    def __getstate__(self) -> Any:
        check_spawning(self)
        queue, bell = self._carrick_queue.descriptors()
        descriptors = reduction.DupFd(queue), None if bell == -1 else reduction.DupFd(bell)
        return (self._ignore_epipe, self._maxsize, self._opid, self._carrick_codec, *descriptors)

    def __setstate__(self, state: Any) -> None:
        self._ignore_epipe, self._maxsize, self._opid, codec, queue, bell = state
        self._carrick_set_codec(codec)
        self._carrick_set(_carrick.SharedQueue.attach(queue.detach(), -1 if bell is None else bell.detach()))

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item at the end.

        Raises :exc:`queue.Full` where there is no room, with ``block`` after ``timeout`` seconds (None is for
        ever). An object that cannot be pickled is reported by a traceback and left out, as in the standard library;
        what another codec cannot say is an exception of that codec, TypeError as a rule.
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        self._carrick_used = True
        if self._carrick_feeder is not None and self._carrick_feed(obj, block, timeout):
            return
        if self._writer.closed:
            self._on_queue_feeder_error(OSError("handle is closed"), obj)
            return
        if self._carrick_pickles_bytes_itself and type(obj) is bytes and _LARGE <= len(obj) <= _LARGEST:
            self._carrick_queue.put_bytes(obj, block, timeout)
            return
        try:
            body = self._carrick_dumps(obj)
        except _pickling.Waiting as waiting:
            self._carrick_feeder = Feeder(self)
            self._carrick_feed(obj, block, timeout, waiting.reduced)
            return
        except MemoryError:
            raise  # The object is not to blame.
        except Exception as error:
            if not self._carrick_pickles:
                raise
            self._on_queue_feeder_error(error, obj)
            return
        self._carrick_queue.put(body, block, timeout)

    def _carrick_feed(
        self, obj: Any, block: bool, timeout: float | None, reduced: tuple[Any, Any] = (None, None)
    ) -> bool:
        """Have a thread put an item, behind those that it has to put already; False: it has put them all."""
        feeder = self._carrick_feeder
        if feeder is not None and feeder.is_alive():
            if not feeder.room(self._maxsize, block, timeout):
                raise Full
            if feeder.put(obj, reduced):
                return True
        self._carrick_feeder = None
        return False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the item at the beginning.

        Raises :exc:`queue.Empty` where there is none, with ``block`` after ``timeout`` seconds (None is for ever).
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        try:
            return self._carrick_queue.get(self._carrick_loads, block, timeout)
        except (pickle.UnpicklingError, ValueError) as error:
            self._carrick_note_codec(error)
            raise

    def _carrick_note_codec(self, error: Exception) -> None:
        if self._carrick_codec == "json" or isinstance(error, pickle.UnpicklingError):
            error.add_note(
                f"The item came from a queue of codec={self._carrick_codec!r}: was it put by a process that opened "
                "the queue, or attached to it, with another codec?"
            )

    def put_many(self, items: Iterable[Any], block: bool = True, timeout: float | None = None) -> None:
        """Put items one after the other, each as :meth:`put` does; ``timeout`` is for each."""
        for item in items:
            self.put(item, block, timeout)

    def get_many(
        self, max_items: int = 1 << 30, block: bool = True, timeout: float | None = None
    ) -> list[Any]:
        """Take what is in the queue, at most ``max_items``; waits, as :meth:`get` does, for the first one only.

        If one cannot be unpickled the exception has those before it as its attribute ``taken``.
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        try:
            return self._carrick_queue.get_many(self._carrick_loads, max_items, block, timeout)
        except (pickle.UnpicklingError, ValueError) as error:
            self._carrick_note_codec(error)
            raise

    def get_in_place(
        self, read: Callable[[memoryview], _T], block: bool = True, timeout: float | None = None
    ) -> _T:
        """Take the item at the beginning without copying it: call ``read`` with it and return what that returns.

        For a queue of codec "bytes". ``read`` has the item as a memoryview of the queue's memory, which it must not
        keep (BufferError); it is taken when ``read`` returns or raises. If the process is killed before, the item is
        the next consumer's. Meanwhile other consumers wait, and producers go on: ``read`` is best a quick one. It
        may put into the queue where there is room, but not take from it (:exc:`carrick.StateError`). Where it
        forks, the child has the same item, and the parent is the one that takes it.

        Raises :exc:`queue.Empty` as :meth:`get` does.
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        if self._carrick_codec != "bytes":
            raise ValueError(
                f"get_in_place() of a queue of codec {self._carrick_codec!r}: make it with codec='bytes'"
            )
        return self._carrick_queue.get_in_place(read, block, timeout)

    def descriptors(self) -> tuple[int, int]:
        """The two descriptors to hand to a program in another language, which attaches to the queue by them.

        They stay the queue's: pass them on with ``subprocess.Popen(pass_fds=)`` or over a Unix socket. A queue with a
        name has no second one: -1.
        """
        return self._carrick_queue.descriptors()

    @classmethod
    def attach(cls, fd: int, bell_fd: int = -1, *, codec: str = "pickle") -> Self:
        """The queue that a program in another language made, from what its descriptors are; -1: it is not selectable.

        They stay the caller's. The items in the queue must be what ``codec`` says.
        """
        return cls._carrick_over(os.dup(fd), bell_fd if bell_fd == -1 else os.dup(bell_fd), codec)

    @classmethod
    def open(cls, name: str, *, codec: str = "pickle") -> Self:
        """The queue that a program of the user, in whatever language, gave this name.

        The items in the queue must be what ``codec`` says.
        """
        return cls._carrick_over(_carrick.open_name(name), -1, codec)

    @classmethod
    def _carrick_over(cls, fd: int, bell_fd: int, codec: str) -> Self:
        queue = _carrick.SharedQueue.attach(fd, bell_fd)
        found = cls.__new__(cls)
        found._ignore_epipe = False
        found._opid = os.getpid()
        found._carrick_set_codec(codec)
        found._carrick_set(queue)
        found._maxsize = queue.max_items()
        return found

    def qsize(self) -> int:
        """How many items are in the queue, at this moment."""
        feeder = self._carrick_feeder
        waiting = len(feeder) if feeder is not None and feeder.is_alive() else 0
        return self._carrick_queue.qsize() + waiting

    def empty(self) -> bool:
        """Whether no item is in the queue, at this moment."""
        if self._closed and self._carrick_used:
            raise OSError("handle is closed")
        return self._carrick_queue.qsize() == 0

    def full(self) -> bool:
        """Whether the queue has as many items as it may have, at this moment."""
        return 0 < self._maxsize <= self.qsize()

    def close(self) -> None:
        """This process puts and takes no more."""
        self._closed = True
        if self._carrick_feeder is not None and self._carrick_feeder.is_alive():
            return
        if self._carrick_used:
            self._reader.close()
            self._writer.close()

    def join_thread(self) -> None:
        """Wait for what was put to be in the queue, where it is already as a rule."""
        assert self._closed, f"Queue {self!r} not closed"
        if self._carrick_feeder is not None and not self._joincancelled:
            self._carrick_feeder.join()

    def cancel_join_thread(self) -> None:
        """Keep :meth:`join_thread`, and the end of the process, from waiting."""
        self._joincancelled = True
        if self._carrick_feeder is not None:
            self._carrick_feeder.cancel()

    def _terminate_broken(self) -> None:
        self._reader.close()
        self.close()
        self.join_thread()

    @staticmethod
    def _on_queue_feeder_error(e: BaseException, obj: Any) -> None:
        import traceback

        traceback.print_exception(e)


@_inside.with_parts(_inside.OF_JOINABLE)
class JoinableQueue(Queue):
    """A queue that can be waited for until all that was put is done."""

    def task_done(self) -> None:
        """Say that an item taken from the queue is done; ValueError when that was said too often."""
        self._carrick_queue.task_done()

    def join(self, timeout: float | None = None) -> None:
        """Wait until every item that was put is done.

        Raises TimeoutError when it is not after ``timeout`` seconds; None is for ever. An item taken by a process that
        was killed before it called :meth:`task_done` is never done.
        """
        self._carrick_queue.join(timeout)


_PIPE = 1 << 20
"""How many bytes of items a SimpleQueue has before put waits, as it does when a pipe is full."""


class _Emptying:
    """A stand-in for the lock of a queue's readers, which a pool takes before it empties the queue.

    From then on ``recv`` of the queue's reader does not wait: a worker may have been quicker.
    """

    def __init__(self, reader: _SimpleReader) -> None:
        self._reader = reader

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        self._reader.waits = False
        return True

    def release(self) -> None:
        self._reader.waits = True

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *args: object) -> None:
        self.release()


class _SimpleReader(_Reader):
    waits = True

    def recv(self) -> Any:
        """Wait for an item and take it."""
        try:
            return self._carrick_queue.get(self._carrick_loads, self.waits)
        except Empty:
            return None


@_inside.with_parts(_inside.OF_SIMPLE)
class SimpleQueue(_standard.SimpleQueue):  # type: ignore[type-arg]
    """A queue for processes, first in, first out; ``put`` waits when 1 MiB is in it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _inside.stand_on_standard(cls, _OURS)

    def __init__(self, *, ctx: Any) -> None:
        if type(self) in _OURS and _is_limited():
            self.__class__ = _OURS[type(self)]
            self.__init__(ctx=ctx)  # type: ignore[misc]
            return
        self._carrick_is_fork_ctx = heed_context(ctx)
        self._carrick_set(_carrick.SharedQueue(0, _PIPE, True))

    def _carrick_set(self, queue: _carrick.SharedQueue) -> None:
        self._carrick_queue = queue
        self._reader = _SimpleReader(queue)
        self._writer = _Writer(queue)
        self._poll = self._reader.poll
        dumps, self._carrick_loads = _codec_of_pickles()
        self._carrick_dumps = _pickling.dumps_here if dumps is _pickling.dumps else dumps
        self._rlock = _Emptying(self._reader)
        if type(self) not in _OURS:
            _inside.note_made(type(self))

    def __getstate__(self) -> Any:
        check_spawning(self)
        return tuple(map(reduction.DupFd, self._carrick_queue.descriptors()))

    def __setstate__(self, state: Any) -> None:
        queue, bell = state
        self._carrick_set(_carrick.SharedQueue.attach(queue.detach(), bell.detach()))

    def close(self) -> None:
        """This process puts and takes no more."""
        self._reader.close()
        self._writer.close()

    def empty(self) -> bool:
        """Whether no item is in the queue, at this moment."""
        self._reader.check_open()
        return self._carrick_queue.qsize() == 0

    def get(self) -> Any:
        """Wait for an item and take it."""
        self._reader.check_open()
        return self._carrick_queue.get(self._carrick_loads)

    def put(self, obj: Any) -> None:
        """Put an item at the end."""
        self._writer.check_open()
        self._carrick_queue.put(self._carrick_dumps(obj))


_OURS.update({cls: getattr(_standard, cls.__name__) for cls in (Queue, JoinableQueue, SimpleQueue)})


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
