# SPDX-License-Identifier: MIT OR Apache-2.0
"""Private parts of the standard queues, for programs that name them.

A class that overrides one, or names one anywhere in its code, is derived from the standard class instead and works as
with that. Where that cannot be told, as in code outside the class, a queue of ours has something in their place that
answers as the standard part would: nothing waits in the buffer, the semaphore has the value of the free places.
"""

from __future__ import annotations

import collections
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")

del annotations

__all__ = ()

_STANDARD_PARTS = frozenset(
    (
        "_rlock",
        "_wlock",
        "_sem",
        "_buffer",
        "_notempty",
        "_joincancelled",
        "_jointhread",
        "_close",
        "_send_bytes",
        "_recv_bytes",
        "_cond",
        "_unfinished_tasks",
        "_feed",
        "_start_thread",
        "_reset",
        "_after_fork",
        "_finalize_join",
        "_finalize_close",
    )
)
"""The parts that the standard classes have inside, and ours make do without."""

_made: set[type] = set()
"""Classes of the program's, and their bases, of which there has been a queue of ours."""


def note_made(cls: type) -> None:
    """There is a queue of this class: what it is derived from stays."""
    _made.update(cls.__mro__)


def _names(value: Any, seen: set[int]) -> Iterator[str]:
    """Names in the code of a member of a class: a function, also inside a property, a decorator, a lambda."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.CodeType):
        yield from value.co_names
        for constant in value.co_consts:
            if isinstance(constant, types.CodeType):
                yield from _names(constant, seen)
            elif isinstance(constant, str):
                # As in getattr(self, "_buffer").
                yield constant
        return
    if isinstance(value, types.FunctionType):
        yield from _names(value.__code__, seen)
        for cell in value.__closure__ or ():
            try:
                yield from _names(cell.cell_contents, seen)
            except ValueError:
                continue
    for name in ("__func__", "__wrapped__", "fget", "fset", "fdel", "func", "args"):
        inner = None if isinstance(value, type) else getattr(value, name, None)
        if isinstance(inner, tuple):
            for one in inner:
                yield from _names(one, seen)
        elif inner is not None and (callable(inner) or isinstance(inner, (classmethod, staticmethod))):
            yield from _names(inner, seen)


def stand_on_standard(cls: type, ours: dict[type, type]) -> None:
    """Derive a class that overrides, or names, what only the standard classes have from those.

    ``ours`` has the standard class for each of our own. The bases of a class go with it, except one of which there is a
    queue already: that one has the parts of :func:`with_parts`.
    """
    family = [base for base in cls.__mro__ if issubclass(base, tuple(ours)) and base not in ours]
    known: set[type] = set(ours).union(*(base.__mro__ for base in ours.values()))
    names: set[str] = set()
    for base in cls.__mro__:
        if base not in known:
            names.update(vars(base))
            for member in vars(base).values():
                names.update(_names(member, set()))
    if names.isdisjoint(_STANDARD_PARTS) or not _made.isdisjoint(family):
        return
    for base in reversed(family):
        if not ours.keys().isdisjoint(base.__bases__):
            base.__bases__ = tuple(ours.get(parent, parent) for parent in base.__bases__)


class _Free:
    """In place of the semaphore: it has the value of the free places, which ``put`` and ``get`` see to."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._semlock = self
        self.maxvalue: int = queue._maxsize or (1 << 31) - 1

    def get_value(self) -> int:
        size: int = self._queue.qsize()
        return max(self.maxvalue - size, 0)

    _get_value = get_value

    def _is_zero(self) -> bool:
        return self.get_value() == 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while self._is_zero():
            if not block or (end is not None and time.monotonic() >= end):
                return False
            time.sleep(0.005)
        return True

    def release(self) -> None:
        """The place is free when the item is taken."""

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *args: object) -> None:
        self.release()


class _Done:
    """In place of a JoinableQueue's condition: to wait is to wait until all is done."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def wait(self, timeout: float | None = None) -> bool:
        try:
            self._queue.join(timeout)
        except TimeoutError:
            return False
        return True

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        result = predicate()
        if not result:
            self.wait(timeout)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Do nothing: the last ``task_done`` wakes the waiters."""

    def notify_all(self) -> None:
        """The same."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        return True

    def release(self) -> None:
        """Nothing was acquired."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *args: object) -> None:
        self.release()


class _Unfinished:
    """In place of the semaphore of what is not done."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._semlock = self

    def _is_zero(self) -> bool:
        return _Done(self._queue).wait(0)

    def get_value(self) -> int:
        return int(self._queue._carrick_queue.unfinished())

    _get_value = get_value

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Say that an item is done, as the standard class does with this."""
        try:
            self._queue._carrick_queue.task_done()
        except ValueError:
            return False
        return True

    def release(self) -> None:
        """``put`` counts by itself."""


def _lock(queue: Any) -> Any:
    """Its holders exclude each other; ``put`` and ``get`` need none."""
    from multiprocessing import context

    from carrick.multiprocessing.synchronize import Lock

    return Lock(ctx=context._default_context.get_context())


OF_QUEUE: dict[str, Callable[[Any], Any]] = {
    "_buffer": lambda queue: collections.deque(),
    "_notempty": lambda queue: threading.Condition(threading.Lock()),
    "_rlock": _lock,
    "_wlock": _lock,
    "_sem": _Free,
    "_jointhread": lambda queue: None,
    "_joincancelled": lambda queue: False,
    "_close": lambda queue: None,
    "_send_bytes": lambda queue: queue._writer.send_bytes,
    "_recv_bytes": lambda queue: queue._reader.recv_bytes,
}

_KEPT = frozenset(("_buffer", "_notempty", "_rlock", "_wlock"))

OF_JOINABLE: dict[str, Callable[[Any], Any]] = {"_cond": _Done, "_unfinished_tasks": _Unfinished}
"""Those that a JoinableQueue has besides."""

OF_SIMPLE: dict[str, Callable[[Any], Any]] = {"_rlock": _lock, "_wlock": _lock}


class _Part:
    """The replacement in a queue for a part of the standard class.

    It is an attribute of the class for each name, since a ``__getattr__`` of the class would slow down every attribute.
    """

    def __init__(self, name: str, make: Callable[[Any], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, queue: Any, owner: type) -> Any:
        if queue is None or "_carrick_queue" not in vars(queue):
            what = f"type object {owner.__name__!r}" if queue is None else f"{owner.__name__!r} object"
            raise AttributeError(f"{what} has no attribute {self._name!r}")
        made = self._make(queue)
        # A part that refers to the queue is made each time, or the queue would outlive its last user.
        if self._name in _KEPT:
            vars(queue)[self._name] = made
        return made


def with_parts(parts: dict[str, Callable[[Any], Any]]) -> Callable[[type[_T]], type[_T]]:
    """Give a class of queues these parts of the standard class."""

    def give(cls: type[_T]) -> type[_T]:
        for name, make in parts.items():
            setattr(cls, name, _Part(name, make))
        return cls

    return give
