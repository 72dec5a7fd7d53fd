# SPDX-License-Identifier: MIT OR Apache-2.0
"""Framed sockets, HMAC authentication, servers, processes, and queues and locks in shared memory.

The interfaces are the standard library's, on a Rust core.

Import a drop-in instead of its standard module::

    import carrick.socketserver as socketserver
    import carrick.multiprocessing.connection as connection

or put all of them in place of the standard ones, in this process and its children, with :func:`patch`.
"""

from carrick._patch import is_patched, patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrick._carrick import Request, __version__, about_to_block, remove_name
    from carrick._errors import (
        AuthenticationError,
        BadFrameError,
        BlockingIOError,
        BrokenError,
        BrokenPipeError,
        BufferTooShort,
        ClosedError,
        ConnectionAbortedError,
        ConnectionError,
        ConnectionRefusedError,
        ConnectionResetError,
        CorruptError,
        EmptyError,
        EndOfStreamError,
        Error,
        FileExistsError,
        FileNotFoundError,
        FrameTooLargeError,
        FullError,
        HandlerError,
        InterruptedError,
        InvalidError,
        MemoryError,
        OSError,
        OwnerDiedError,
        OwnerDiedWarning,
        PermissionError,
        StateError,
        TimeoutError,
        WorkerDiedError,
    )
    from carrick._message import MessageServer

__all__ = [
    "AuthenticationError",
    "BadFrameError",
    "BlockingIOError",
    "BrokenError",
    "BrokenPipeError",
    "BufferTooShort",
    "ClosedError",
    "ConnectionAbortedError",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "CorruptError",
    "EmptyError",
    "EndOfStreamError",
    "Error",
    "FileExistsError",
    "FileNotFoundError",
    "FrameTooLargeError",
    "FullError",
    "HandlerError",
    "InterruptedError",
    "InvalidError",
    "MemoryError",
    "MessageServer",
    "OSError",
    "OwnerDiedError",
    "OwnerDiedWarning",
    "PermissionError",
    "Request",
    "StateError",
    "TimeoutError",
    "WorkerDiedError",
    "__version__",
    "about_to_block",
    "is_patched",
    "patch",
    "remove_name",
]


_HOMES = {
    "MessageServer": "_message",
    "Request": "_carrick",
    "__version__": "_carrick",
    "about_to_block": "_carrick",
    "remove_name": "_carrick",
}


def __getattr__(name: str) -> object:
    # A program pays for what it uses: most import a drop-in and nothing of this.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"carrick.{_HOMES.get(name, '_errors')}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
