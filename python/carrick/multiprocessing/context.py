# SPDX-License-Identifier: MIT OR Apache-2.0
"""The start methods, with carrick's queues and pipes.

The classes have the names of the standard ones, because others tell them by name: ``concurrent.futures`` and
PyTorch accept them. Which method is the default is the standard package's to know.
"""

from multiprocessing import context as _standard
from typing import Any

from carrick._standard import multiprocessing as _package

__all__ = ()


class _Leaves:
    def Queue(self, maxsize: int = 0, *, codec: str = "pickle", max_bytes: int = 0) -> Any:
        """A queue in shared memory, of at most ``maxsize`` items; 0 and less is no limit."""
        from carrick.multiprocessing.queues import Queue

        return Queue(maxsize, ctx=self, codec=codec, max_bytes=max_bytes)

    def JoinableQueue(self, maxsize: int = 0, *, codec: str = "pickle", max_bytes: int = 0) -> Any:
        """A queue that can be waited for until all that was put is done."""
        from carrick.multiprocessing.queues import JoinableQueue

        return JoinableQueue(maxsize, ctx=self, codec=codec, max_bytes=max_bytes)

    def Pipe(self, duplex: bool = True) -> Any:
        """Two connected connections."""
        from carrick.multiprocessing.connection import Pipe

        return Pipe(duplex)

    def get_context(self, method: str | None = None) -> Any:
        """The context of a start method; None is this one."""
        return self if method is None else get_context(method)


class ForkContext(_Leaves, _standard.ForkContext):
    """Children are forks of this process."""


class SpawnContext(_Leaves, _standard.SpawnContext):
    """Children are fresh interpreters."""


class ForkServerContext(_Leaves, _standard.ForkServerContext):
    """Children are forks of a server process."""


_CONTEXTS: dict[str, Any] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}


def get_context(method: str | None = None) -> Any:
    """The context of a start method; None is the default one."""
    standard = _package.get_context(method)
    return _CONTEXTS[standard.get_start_method()]


def Pipe(duplex: bool = True) -> Any:
    """Two connected connections, or the first for reading and the second for writing."""
    from carrick.multiprocessing.connection import Pipe

    return Pipe(duplex)


def Queue(maxsize: int = 0, *, codec: str = "pickle", max_bytes: int = 0) -> Any:
    """A queue in shared memory, of at most ``maxsize`` items; 0 and less is no limit."""
    return get_context().Queue(maxsize, codec=codec, max_bytes=max_bytes)


def JoinableQueue(maxsize: int = 0, *, codec: str = "pickle", max_bytes: int = 0) -> Any:
    """A queue that can be waited for until all that was put is done."""
    return get_context().JoinableQueue(maxsize, codec=codec, max_bytes=max_bytes)


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
