# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard modules that the drop-ins stand on, as they were before :func:`carrick.patch`.

Each is imported when a drop-in first asks for it: a program pays for those that it uses.
"""

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


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = globals()[name] = _patch.import_standard(
        f"multiprocessing.{name}" if name in _patch.LEAVES else name
    )
    return module
