# SPDX-License-Identifier: MIT OR Apache-2.0
"""The start methods, with carrick's processes, queues, locks and pipes.

The classes have the names of the standard ones, because others tell them by name: ``concurrent.futures`` and
PyTorch accept them. Which method is the default is the standard package's to know.
"""

import sys
from multiprocessing import context as _standard

from carrick._standard import multiprocessing as _package

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ()


class BaseContext(_standard.BaseContext):
    """The base of all contexts: all that they make is carrick's."""

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

    def Pool(
        self,
        processes: int | None = None,
        initializer: "Any" = None,
        initargs: "Any" = (),
        maxtasksperchild: int | None = None,
    ) -> "Any":
        """A pool of processes."""
        from carrick.multiprocessing.pool import Pool

        return Pool(processes, initializer, initargs, maxtasksperchild, context=self.get_context())

    def Manager(self) -> "Any":
        """A manager, whose server process has been started."""
        from carrick.multiprocessing.managers import SyncManager

        manager: Any = SyncManager(ctx=self.get_context())
        manager.start()
        return manager

    def Value(self, typecode_or_type: "Any", *args: "Any", lock: "Any" = True) -> "Any":
        """An object of ctypes in shared memory, with a lock."""
        from carrick.multiprocessing.sharedctypes import Value

        return Value(typecode_or_type, *args, lock=lock, ctx=self.get_context())

    def Array(self, typecode_or_type: "Any", size_or_initializer: "Any", *, lock: "Any" = True) -> "Any":
        """An array of ctypes in shared memory, with a lock."""
        from carrick.multiprocessing.sharedctypes import Array

        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self.get_context())

    def allow_connection_pickling(self) -> None:
        """Does nothing: connections and sockets can be sent between processes as it is."""
        from carrick.multiprocessing import connection  # noqa: F401

    def Pipe(self, duplex: bool = True) -> "Any":
        """Two connected connections."""
        from carrick.multiprocessing.connection import Pipe

        return Pipe(duplex)

    if sys.version_info >= (3, 15):

        def set_forkserver_preload(self, module_names: list[str], *, on_error: str = "ignore") -> None:
            """Name modules that the fork server is to import for its children, before it starts.

            ``on_error`` says what comes of modules that cannot be imported: "ignore", "warn", "fail".
            """
            from carrick.multiprocessing.forkserver import set_forkserver_preload

            set_forkserver_preload(module_names, on_error=on_error)

    else:

        def set_forkserver_preload(self, module_names: list[str]) -> None:
            """Name modules that the fork server is to import for its children, before it starts."""
            from carrick.multiprocessing.forkserver import set_forkserver_preload

            set_forkserver_preload(module_names)

    def get_context(self, method: str | None = None) -> "Any":
        """The context of a start method; None is this one."""
        return self if method is None else get_context(method)


# Where Python complains about arguments it calls a method by this name.
for _name, _method in list(vars(BaseContext).items()):
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


class ForkContext(BaseContext, _standard.ForkContext):
    """Children are forks of this process."""

    Process = ForkProcess


class SpawnContext(BaseContext, _standard.SpawnContext):
    """Children are fresh interpreters."""

    Process = SpawnProcess


class ForkServerContext(BaseContext, _standard.ForkServerContext):
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


class DefaultContext(BaseContext):
    """The context that the standard package's default is at the moment."""

    Process = Process
    get_all_start_methods: "Any" = staticmethod(_package.get_all_start_methods)
    get_start_method: "Any" = staticmethod(_package.get_start_method)
    set_start_method: "Any" = staticmethod(_package.set_start_method)

    def get_context(self, method: str | None = None) -> "Any":
        """The context of a start method; None is the default one."""
        return get_context(method)


default_context = DefaultContext()


def __getattr__(name: str) -> "Any":
    return getattr(_standard, name)
