# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard modules that the drop-ins stand on, as they were before :func:`carrick.patch`.

Each is imported when a drop-in first asks for it: a program pays for those that it uses.
"""

import os
from _thread import RLock

from carrick import _patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hmac
    import multiprocessing
    import queue
    import socket
    import socketserver
    from multiprocessing import (
        connection,
        forkserver,
        popen_fork,
        popen_forkserver,
        popen_spawn_posix,
        queues,
        shared_memory,
        synchronize,
    )

__all__ = [
    "connection",
    "forkserver",
    "hmac",
    "multiprocessing",
    "popen_fork",
    "popen_forkserver",
    "popen_spawn_posix",
    "queue",
    "queues",
    "shared_memory",
    "socket",
    "socketserver",
    "synchronize",
]


_importing: "dict[str, RLock]" = {}
"""The lock that a thread holds while it imports a module, by name. One for all would be a deadlock: the modules import
one another."""


def _forget_threads() -> None:
    """In the child of a fork: other threads that import are not here, and their numbers are used again."""
    _importing.clear()
    _patch.forget_threads()


os.register_at_fork(after_in_child=_forget_threads)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _importing.setdefault(name, RLock()):
        module = globals().get(name)
        if module is None:
            module = globals()[name] = _patch.import_standard(
                f"multiprocessing.{name}" if name in _patch.LEAVES else name
            )
    return module
