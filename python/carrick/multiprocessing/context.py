# SPDX-License-Identifier: MIT OR Apache-2.0
"""The start methods, with carrick's processes, queues, locks and pipes.

The classes have the names of the standard ones, because others tell them by name: ``concurrent.futures`` and
PyTorch accept them. Which method is the default is the standard package's to know.
"""

from multiprocessing import context as _standard

from carrick._standard import multiprocessing as _package

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ()


class _Leaves:
    # A ``name`` makes what other programs of the user open by it (see the classes' ``open``).

    def Queue(
        self, maxsize: int = 0, *, codec: str = "pickle", max_bytes: int = 0, name: str | None = None
    ) -> "Any":
        """A queue in shared memory, of at most ``maxsize`` items; 0 and less is no limit."""
        from carrick.multiprocessing import queues

        return queues.Queue(maxsize, ctx=self.get_context(), codec=codec, max_bytes=max_bytes, name=name)

    def JoinableQueue(
        self, maxsize: int = 0, *, codec: str = "pickle", max_bytes: int = 0, name: str | None = None
    ) -> "Any":
        """A queue that can be waited for until all that was put is done."""
        from carrick.multiprocessing import queues

        return queues.JoinableQueue(
            maxsize, ctx=self.get_context(), codec=codec, max_bytes=max_bytes, name=name
        )

    def SimpleQueue(self) -> "Any":
        """A queue that has nothing but put, get and empty."""
        from carrick.multiprocessing import queues

        return queues.SimpleQueue(ctx=self.get_context())

    def Lock(self, *, on_owner_death: str = "warn", name: str | None = None) -> "Any":
        """A lock; ``on_owner_death`` is "warn", "raise" or "wait"."""
        from carrick.multiprocessing import synchronize

        return synchronize.Lock(ctx=self.get_context(), on_owner_death=on_owner_death, name=name)

    def RLock(self, *, on_owner_death: str = "warn", name: str | None = None) -> "Any":
        """A lock that its holder may take again; ``on_owner_death`` is "warn", "raise" or "wait"."""
        from carrick.multiprocessing import synchronize

        return synchronize.RLock(ctx=self.get_context(), on_owner_death=on_owner_death, name=name)

    def Condition(self, lock: "Any" = None, *, name: str | None = None) -> "Any":
        """A condition variable, with a new RLock unless there is one."""
        from carrick.multiprocessing import synchronize

        return synchronize.Condition(lock, ctx=self.get_context(), name=name)

    def Semaphore(self, value: int = 1, *, name: str | None = None) -> "Any":
        """A semaphore with ``value`` units."""
        from carrick.multiprocessing import synchronize

        return synchronize.Semaphore(value, ctx=self.get_context(), name=name)

    def BoundedSemaphore(self, value: int = 1, *, name: str | None = None) -> "Any":
        """A semaphore that never has more than ``value`` units."""
        from carrick.multiprocessing import synchronize

        return synchronize.BoundedSemaphore(value, ctx=self.get_context(), name=name)

    def Event(self, *, name: str | None = None) -> "Any":
        """A flag that can be waited for."""
        from carrick.multiprocessing import synchronize

        return synchronize.Event(ctx=self.get_context(), name=name)

    def Barrier(
        self, parties: int, action: "Any" = None, timeout: float | None = None, *, name: str | None = None
    ) -> "Any":
        """A meeting point for ``parties`` processes and threads."""
        from carrick.multiprocessing import synchronize

        return synchronize.Barrier(parties, action, timeout, ctx=self.get_context(), name=name)

    def Pipe(self, duplex: bool = True) -> "Any":
        """Two connected connections."""
        from carrick.multiprocessing.connection import Pipe

        return Pipe(duplex)

    def set_forkserver_preload(self, module_names: list[str]) -> None:
        """Name modules that the fork server is to import for its children, before it starts."""
        from carrick.multiprocessing.forkserver import set_forkserver_preload

        set_forkserver_preload(module_names)

    def get_context(self, method: str | None = None) -> "Any":
        """The context of a start method; None is this one."""
        return self if method is None else get_context(method)


# Where Python complains about arguments it calls a method by this name.
for _name, _method in list(vars(_Leaves).items()):
    if not _name.startswith("_"):
        _method.__qualname__ = f"multiprocessing.{_name}"
del _name, _method


class ForkProcess(_standard.ForkProcess):
    """A process that is a fork of this one."""

    @staticmethod
    def _Popen(process_obj: "Any") -> "Any":
        from carrick.multiprocessing.popen_fork import Popen

        return Popen(process_obj)


class SpawnProcess(_standard.SpawnProcess):
    """A process that is a fresh interpreter."""

    @staticmethod
    def _Popen(process_obj: "Any") -> "Any":
        from carrick.multiprocessing.popen_spawn_posix import Popen

        return Popen(process_obj)


class ForkServerProcess(_standard.ForkServerProcess):
    """A process that is a fork of a server process."""

    @staticmethod
    def _Popen(process_obj: "Any") -> "Any":
        from carrick.multiprocessing.popen_forkserver import Popen

        return Popen(process_obj)


class Process(_standard.Process):
    """A process of the default start method."""

    @staticmethod
    def _Popen(process_obj: "Any") -> "Any":
        return get_context().Process._Popen(process_obj)


class ForkContext(_Leaves, _standard.ForkContext):
    """Children are forks of this process."""

    Process = ForkProcess


class SpawnContext(_Leaves, _standard.SpawnContext):
    """Children are fresh interpreters."""

    Process = SpawnProcess


class ForkServerContext(_Leaves, _standard.ForkServerContext):
    """Children are forks of a server process."""

    Process = ForkServerProcess


_CONTEXTS: "dict[str, Any]" = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}


def get_context(method: str | None = None) -> "Any":
    """The context of a start method; None is the default one."""
    standard = _package.get_context(method)
    return _CONTEXTS[standard.get_start_method()]


class DefaultContext(_Leaves):
    """The context that the standard package's default is at the moment."""

    def get_context(self, method: str | None = None) -> "Any":
        """The context of a start method; None is the default one."""
        return get_context(method)


default_context = DefaultContext()


def __getattr__(name: str) -> "Any":
    return getattr(_standard, name)
