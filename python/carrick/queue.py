# SPDX-License-Identifier: MIT OR Apache-2.0
"""Queues for threads: the module :mod:`queue`, kept in Rust.

The classes are the standard ones', with the same methods to override, and ``shutdown`` on every version of Python.
A queue whose class overrides none of them, and whose ``queue``, ``mutex`` and conditions nobody looks at, runs no
Python code; others do as far as they must. ``SimpleQueue`` is the standard one, which is C code already and nothing
here is quicker.

gevent, eventlet and the like exchange the classes of the standard module and the locks of :mod:`threading` for ones
that give way to other coroutines. Whether that is done before this module is imported or after, a queue that is made
then has such locks and the standard methods, which wait in them; ``SimpleQueue`` is what the standard module has at the
moment.

>>> queue = Queue(10)
>>> queue.put("item")
>>> queue.get()
'item'
"""

from __future__ import annotations

import threading
from functools import partial as _partial
from types import SimpleNamespace as _Namespace

from carrick._carrick import QueueMutex, ThreadQueue
from carrick._standard import queue as _visible

Empty = _visible.Empty
Full = _visible.Full

if hasattr(_visible, "ShutDown"):
    ShutDown = _visible.ShutDown
else:

    class ShutDown(Exception):  # type: ignore[no-redef]
        """Raised by put and get of a queue that has been shut down."""


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, annotations  # No names of the standard module.

__all__ = sorted({*_visible.__all__, "ShutDown"})


def _as_it_came() -> Any:
    """The classes that the standard module defines itself, also where others have been put in their place."""
    names = ("Queue", "LifoQueue", "PriorityQueue")
    module: Any = _visible
    if any(getattr(module, name).__module__ != "queue" for name in names):
        from importlib.util import module_from_spec

        spec = _visible.__spec__
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        # Its own methods raise what everybody catches.
        for name in ("Empty", "Full", "ShutDown"):
            if hasattr(_visible, name):
                setattr(module, name, getattr(_visible, name))
    return _Namespace(**{name: getattr(module, name) for name in names})


# Kept: what is put in place of the classes later is not to be called with queues of ours. Rust looks here, too.
_standard = _as_it_came()

_SIDES = {"not_empty": 0, "not_full": 1, "all_tasks_done": 2}
_EVERYBODY = (1 << 63) - 1


class _Condition(threading.Condition):
    """A condition of a queue: a notification wakes those who wait in the queue's methods, too."""

    def __init__(self, mutex: QueueMutex, side: int) -> None:
        super().__init__(mutex)  # type: ignore[arg-type]
        self._mutex = mutex
        self._side = side
        self._born = mutex._generation()

    def _those_here(self) -> Any:
        """Those who wait in the condition itself, without those who did in the parent of a fork."""
        waiters: Any = self._waiters  # type: ignore[attr-defined]
        if self._born != self._mutex._generation():
            self._born = self._mutex._generation()
            waiters.clear()
        return waiters

    def wait(self, timeout: float | None = None) -> bool:
        self._those_here()
        return super().wait(timeout)

    def _tell(self, n: int) -> None:
        super().notify(min(n, len(self._those_here())))

    def notify(self, n: int = 1) -> None:
        self._tell(n)
        self._mutex._wake(self._side, max(n, 0))

    def notify_all(self) -> None:
        self.notify(_EVERYBODY)


class _Sight:
    """An attribute that is made when it is looked at, and from then on is the object's own."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, queue: Any, owner: type) -> Any:
        if queue is None:
            return self
        if self._name == "queue":
            queue._carrick_open()
        else:
            mutex = queue.__dict__.setdefault("mutex", queue._carrick_expose())
            for name, side in _SIDES.items():
                queue.__dict__.setdefault(name, _Condition(mutex, side))
        try:
            return queue.__dict__[self._name]
        except KeyError:
            text = f"{type(queue).__name__!r} object has no attribute {self._name!r}"
            raise AttributeError(text, name=self._name, obj=queue) from None


class Queue(ThreadQueue, _standard.Queue):  # type: ignore[misc, type-arg]
    """A queue of at most ``maxsize`` items, first in, first out; 0 and less is no limit."""

    queue = _Sight()
    mutex = _Sight()
    not_empty = _Sight()
    not_full = _Sight()
    all_tasks_done = _Sight()

    def __init__(self, maxsize: int = 0) -> None:
        cls = type(self)
        order = _ORDERS.get((cls._init, cls._qsize, cls._put, cls._get), 2)
        was_open, is_open = self._carrick_set_up(maxsize, order)
        if was_open:
            # It is initialized again.
            for name in (*_LOCKS, "queue"):
                self.__dict__.pop(name, None)
        if is_open:
            self._init(maxsize)
        if threading.Lock.__module__ != "_thread":
            # A thread that waits in Rust would stop all coroutines of this one.
            self.mutex = threading.Lock()
            for name in _SIDES:
                setattr(self, name, threading.Condition(self.mutex))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _LOCKS:
            # The standard methods look all of them up.
            self.mutex  # noqa: B018
            super().__setattr__(name, value)
            self._carrick_give_away()
            return
        if name in _HOOKS or name == "queue":
            self._carrick_open()
        super().__setattr__(name, value)

    def _carrick_notify(self, name: str, everybody: bool) -> None:
        condition = self.__dict__.get(name)
        if condition is not None:
            condition._tell(_EVERYBODY if everybody else 1)


class LifoQueue(Queue, _standard.LifoQueue):  # type: ignore[misc, type-arg]
    """A queue of at most ``maxsize`` items, last in, first out; 0 and less is no limit."""


class PriorityQueue(Queue, _standard.PriorityQueue):  # type: ignore[misc, type-arg]
    """A queue of at most ``maxsize`` items, the lowest first out; 0 and less is no limit.

    Entries are typically tuples of the form ``(priority number, data)``.
    """


_LOCKS = frozenset({"mutex", *_SIDES})
_HOOKS = frozenset({"_init", "_qsize", "_put", "_get"})
_ORDERS: dict[tuple[Any, ...], int] = {
    (cls._init, cls._qsize, cls._put, cls._get): order
    for order, cls in enumerate((_standard.Queue, _standard.LifoQueue))
}
"""The order in which a queue with these methods works, as Rust knows it."""


# Without a frame of its own: the standard module may warn of a name, and whoever used it is to be named.
__getattr__ = _partial(getattr, _visible)
