# SPDX-License-Identifier: MIT OR Apache-2.0
"""Locks and what is built of them, in shared memory: the classes of :mod:`multiprocessing.synchronize`.

None has a descriptor of its own, nor a name in a file system unless it is given one, and no tracker process is told
of them. Other programs of the user find one with a ``name`` by ``open``, until :func:`carrick.remove_name`.
A waiter for a :class:`Lock` or :class:`RLock` whose holder has died gets it within 100 ms, with a
:class:`carrick.OwnerDiedWarning`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from carrick import _carrick
from carrick._standard import synchronize as _standard
from carrick.multiprocessing._handover import check_spawning, give, heed_context, take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, TypeVar

    _T = TypeVar("_T")

del TYPE_CHECKING, annotations  # No names of the standard module.

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

RECURSIVE_MUTEX, SEMAPHORE = 0, 1
SEM_VALUE_MAX = _carrick.SemLock.SEM_VALUE_MAX


def _open(name: str, attach: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
    """Attach to what has a name."""
    fd = _carrick.open_name(name)
    try:
        return attach(fd, 0, *arguments, **options)
    finally:
        os.close(fd)


class SemLock(_standard.SemLock):
    """The base of locks and semaphores."""

    # A with statement looks for these on the class. As slots they hold methods of the primitive itself, so that it
    # calls those and nothing in between.
    __slots__ = ("__enter__", "__exit__")

    def __init__(
        self,
        kind: int,
        value: int,
        maxvalue: int,
        *,
        ctx: Any,
        on_owner_death: str | None = None,
        name: str | None = None,
    ) -> None:
        self._is_fork_ctx = heed_context(ctx)
        self._carrick_set(_carrick.SemLock(kind, value, maxvalue, on_owner_death, name))

    def _carrick_set(self, semlock: _carrick.SemLock) -> None:
        self._semlock = semlock
        self.acquire = semlock.acquire  # type: ignore[method-assign]
        self.release = semlock.release  # type: ignore[method-assign]
        self.__enter__ = semlock.__enter__  # type: ignore[method-assign]
        self.__exit__ = semlock.__exit__  # type: ignore[method-assign]

    def __getstate__(self) -> Any:
        check_spawning(self)
        return give(self._semlock), self._semlock._state()

    def __setstate__(self, state: Any) -> None:
        self._carrick_set(take(_carrick.SemLock._attach, *state))

    def place(self) -> tuple[int, int]:
        """The descriptor and the number that a program in another language attaches with.

        The descriptor stays the primitive's, and others have the same one: pass it on with
        ``subprocess.Popen(pass_fds=)`` or over a Unix socket.
        """
        return self._semlock._place()[:2]

    @classmethod
    def _carrick_attach(cls, fd: int, slot: int, kind: int, on_owner_death: str | None) -> Self:
        found = cls.__new__(cls)
        found._carrick_set(_carrick.SemLock._attach(fd, slot, 0, (kind, on_owner_death)))
        return found


class Semaphore(SemLock, _standard.Semaphore):
    """A semaphore with ``value`` units."""

    __slots__ = ()

    def __init__(self, value: int = 1, *, ctx: Any, name: str | None = None) -> None:
        SemLock.__init__(self, SEMAPHORE, value, SEM_VALUE_MAX, ctx=ctx, name=name)

    @classmethod
    def attach(cls, fd: int, slot: int) -> Self:
        """The one that another program made, from what its ``place`` gave; the descriptor stays the caller's."""
        return cls._carrick_attach(fd, slot, SEMAPHORE, None)

    @classmethod
    def open(cls, name: str) -> Self:
        """The one that another program of the user gave this name."""
        return _open(name, cls.attach)


class BoundedSemaphore(Semaphore, _standard.BoundedSemaphore):
    """A semaphore that never has more than ``value`` units."""

    __slots__ = ()

    def __init__(self, value: int = 1, *, ctx: Any, name: str | None = None) -> None:
        SemLock.__init__(self, SEMAPHORE, value, value, ctx=ctx, name=name)


class Lock(SemLock, _standard.Lock):
    """A lock that any thread and process may release.

    ``on_owner_death`` says what :meth:`acquire` does where the process that held the lock died while holding it:
    "warn" takes it with a :class:`carrick.OwnerDiedWarning`, "raise" leaves it free and raises
    :exc:`carrick.OwnerDiedError`, "wait" waits for somebody else to release it, as the standard library does.
    """

    __slots__ = ()

    def __init__(self, *, ctx: Any, on_owner_death: str = "warn", name: str | None = None) -> None:
        SemLock.__init__(self, SEMAPHORE, 1, 1, ctx=ctx, on_owner_death=on_owner_death, name=name)

    @classmethod
    def attach(cls, fd: int, slot: int, *, on_owner_death: str = "warn") -> Self:
        """The one that another program made, from what its ``place`` gave; the descriptor stays the caller's."""
        return cls._carrick_attach(fd, slot, SEMAPHORE, on_owner_death)

    @classmethod
    def open(cls, name: str, *, on_owner_death: str = "warn") -> Self:
        """The one that another program of the user gave this name."""
        return _open(name, cls.attach, on_owner_death=on_owner_death)


class RLock(SemLock, _standard.RLock):
    """A lock that the thread that holds it may take again. ``on_owner_death`` is as for :class:`Lock`."""

    __slots__ = ()

    def __init__(self, *, ctx: Any, on_owner_death: str = "warn", name: str | None = None) -> None:
        SemLock.__init__(self, RECURSIVE_MUTEX, 1, 1, ctx=ctx, on_owner_death=on_owner_death, name=name)

    @classmethod
    def attach(cls, fd: int, slot: int, *, on_owner_death: str = "warn") -> Self:
        """The one that another program made, from what its ``place`` gave; the descriptor stays the caller's."""
        return cls._carrick_attach(fd, slot, RECURSIVE_MUTEX, on_owner_death)

    @classmethod
    def open(cls, name: str, *, on_owner_death: str = "warn") -> Self:
        """The one that another program of the user gave this name."""
        return _open(name, cls.attach, on_owner_death=on_owner_death)


class _Count:
    """A number that the standard condition keeps in a semaphore."""

    def __init__(self, value: Callable[[], int]) -> None:
        self.get_value = self._get_value = value
        self._semlock = self


class Condition(_standard.Condition):
    """A condition variable. ``lock`` is a lock of this module; None makes an RLock.

    One with a ``name`` is of use to others with a lock that has a name, too.
    """

    __slots__ = ("__enter__", "__exit__")

    def __init__(self, lock: Any = None, *, ctx: Any, name: str | None = None) -> None:
        self._carrick_is_fork_ctx = heed_context(ctx)
        if lock is None and name is not None:
            raise ValueError(f"condition {name!r} without a lock: give it one with a name of its own")
        if lock is None:
            lock = RLock(ctx=ctx)
        if not isinstance(lock, (Lock, RLock)):
            raise TypeError(f"{lock!r}: a condition needs a Lock or RLock of {__name__}, or None")
        self._carrick_set(lock, _carrick.SharedCondition(name))

    def _carrick_set(self, lock: Any, condition: _carrick.SharedCondition) -> None:
        self._lock = lock
        self._carrick_condition = condition
        self._sleeping_count: Any = _Count(condition.waiting)
        self._woken_count: Any = _Count(int)
        self._wait_semaphore: Any = _Count(int)
        self.acquire = lock.acquire  # type: ignore[method-assign]
        self.release = lock.release  # type: ignore[method-assign]
        self.__enter__ = lock.__enter__  # type: ignore[method-assign]
        self.__exit__ = lock.__exit__  # type: ignore[method-assign]

    def __getstate__(self) -> Any:
        check_spawning(self)
        return self._lock, give(self._carrick_condition)

    def __setstate__(self, state: Any) -> None:
        lock, place = state
        self._carrick_set(lock, take(_carrick.SharedCondition._attach, place))

    def place(self) -> tuple[int, int]:
        """The descriptor and the number that a program in another language attaches with; its lock has its own."""
        return self._carrick_condition._place()[:2]

    @classmethod
    def attach(cls, fd: int, slot: int, lock: Lock | RLock) -> Self:
        """The one that another program made, from what its ``place`` gave; the descriptor stays the caller's."""
        found = cls.__new__(cls)
        found._carrick_set(lock, _carrick.SharedCondition._attach(fd, slot, 0))
        return found

    @classmethod
    def open(cls, name: str, lock: Lock | RLock) -> Self:
        """The one that another program of the user gave this name; ``lock`` is the one it is notified under."""
        return _open(name, cls.attach, lock)

    def wait(self, timeout: float | None = None) -> bool:
        """Let the lock go, wait to be notified and take the lock again; False when ``timeout`` seconds passed first."""
        assert self._lock._semlock._is_mine(), "must acquire() condition before using wait()"
        return self._carrick_condition.wait(self._lock._semlock, timeout)

    def notify(self, n: int = 1) -> None:
        """Wake up to ``n`` of those who wait, the one that has waited longest first."""
        assert self._lock._semlock._is_mine(), "lock is not owned"
        self._carrick_condition.notify(max(0, min(n, sys.maxsize)))

    def notify_all(self) -> None:
        """Wake all who wait."""
        assert self._lock._semlock._is_mine(), "lock is not owned"
        self._carrick_condition.notify_all()


class Event(_standard.Event):
    """A flag that can be waited for."""

    def __init__(self, *, ctx: Any, name: str | None = None) -> None:
        self._carrick_is_fork_ctx = heed_context(ctx)
        self._carrick_set_event(_carrick.SharedEvent(name))

    def _carrick_set_event(self, event: _carrick.SharedEvent) -> None:
        self._carrick_event = event

    # Methods of this class, not the primitive's: a process may be given one as its target.
    def is_set(self) -> bool:
        """Whether it is set."""
        return self._carrick_event.is_set()

    def set(self) -> None:
        """Set it, which wakes all who wait."""
        self._carrick_event.set()

    def clear(self) -> None:
        """Unset it."""
        self._carrick_event.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; False when ``timeout`` seconds passed first, None is for ever."""
        return self._carrick_event.wait(timeout)

    def __getstate__(self) -> Any:
        check_spawning(self)
        return give(self._carrick_event)

    def __setstate__(self, place: Any) -> None:
        self._carrick_set_event(take(_carrick.SharedEvent._attach, place))

    def place(self) -> tuple[int, int]:
        """The descriptor and the number that a program in another language attaches with."""
        return self._carrick_event._place()[:2]

    @classmethod
    def attach(cls, fd: int, slot: int) -> Self:
        """The one that another program made, from what its ``place`` gave; the descriptor stays the caller's."""
        found = cls.__new__(cls)
        found._carrick_set_event(_carrick.SharedEvent._attach(fd, slot, 0))
        return found

    @classmethod
    def open(cls, name: str) -> Self:
        """The one that another program of the user gave this name."""
        return _open(name, cls.attach)


class Barrier(_standard.Barrier):
    """A meeting point for ``parties`` processes and threads.

    A party that is killed while it waits breaks the barrier for the others.
    """

    def __init__(
        self,
        parties: int,
        action: Any = None,
        timeout: float | None = None,
        *,
        ctx: Any,
        name: str | None = None,
    ) -> None:
        if isinstance(parties, int) and parties < 1:
            raise ValueError("parties must be > 0")
        self._carrick_is_fork_ctx = heed_context(ctx)
        self._carrick_set(_carrick.SharedBarrier(parties, name), action, timeout)

    def _carrick_set(self, barrier: _carrick.SharedBarrier, action: Any, timeout: float | None) -> None:
        self._carrick_barrier = barrier
        self._parties = barrier.parties
        self._action = action
        self._timeout = timeout

    def __getstate__(self) -> Any:
        check_spawning(self)
        return give(self._carrick_barrier), self._action, self._timeout

    def __setstate__(self, state: Any) -> None:
        place, action, timeout = state
        self._carrick_set(take(_carrick.SharedBarrier._attach, place), action, timeout)

    def place(self) -> tuple[int, int]:
        """The descriptor and the number that a program in another language attaches with."""
        return self._carrick_barrier._place()[:2]

    @classmethod
    def attach(cls, fd: int, slot: int, action: Any = None, timeout: float | None = None) -> Self:
        """The one that another program made, from what its ``place`` gave; the descriptor stays the caller's."""
        found = cls.__new__(cls)
        found._carrick_set(_carrick.SharedBarrier._attach(fd, slot, 0), action, timeout)
        return found

    @classmethod
    def open(cls, name: str, action: Any = None, timeout: float | None = None) -> Self:
        """The one that another program of the user gave this name."""
        return _open(name, cls.attach, action, timeout)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the others. Returns the place in the order of arrival, from 0.

        Raises :exc:`threading.BrokenBarrierError` when ``timeout`` seconds passed first, which breaks the barrier,
        and when it is broken or reset.
        """
        return self._carrick_barrier.wait(self._action, self._timeout if timeout is None else timeout)

    def reset(self) -> None:
        """Make the barrier fit for the next meeting; those who wait have a BrokenBarrierError."""
        self._carrick_barrier.reset()

    def abort(self) -> None:
        """Break the barrier: those who wait, and all who come until it is reset, have a BrokenBarrierError."""
        self._carrick_barrier.abort()

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        return self._carrick_barrier.waiting

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
        return self._carrick_barrier.broken


BrokenBarrierError = threading.BrokenBarrierError


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
