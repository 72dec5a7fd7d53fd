# SPDX-License-Identifier: MIT OR Apache-2.0
"""Exceptions: the standard library's classes, each also a :class:`Error` with a ``code``.

The table of kinds is the core's (``_carrick.error_table()``); here each kind gets its class. A test holds
the two equal.

A class in whose place the standard library has one has that one's name and module, so tracebacks and logs of a program
say what they always said. Programs find it by the name that it has here, in the package; so does pickle.
"""

from __future__ import annotations

import builtins
import copyreg
import multiprocessing.context as context
import os
import queue
import threading

from carrick import _carrick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Class(type):
    """The class of the exceptions: pickle finds them by the names that they have in the package."""


def _reduce_class(cls: _Class) -> Any:
    name = _NAMES.get(cls)
    return cls.__qualname__ if name is None else (_class, (name,))


copyreg.pickle(_Class, _reduce_class)


def _class(name: str) -> type[Error]:
    """The class of this name in the package."""
    found: type[Error] = globals()[name]
    return found


def _made(name: str, *args: Any) -> Error:
    """An exception as pickle has it."""
    return _class(name)(*args)


class Error(Exception, metaclass=_Class):
    """The base of every exception that carrick raises by itself.

    ``code`` is the number of the error in the C face, always negative; docs/errors.md lists them. A class of one kind
    has it, too; 0 is for those of several, InvalidError and StateError, and for this one.
    """

    code: int = 0

    def __reduce__(self) -> Any:
        reduced: Any = super().__reduce__()
        state = {**((reduced[2] if len(reduced) > 2 else None) or {}), "code": self.code}
        name = _NAMES.get(type(self))
        return (*reduced[:2], state) if name is None else (_made, (name, *reduced[1]), state)


class InvalidError(Error, ValueError):
    """An argument is out of its range; the message names it, its value and the range."""


class BufferTooShort(Error, context.BufferTooShort):
    """The caller's buffer is too small."""


class MemoryError(Error, builtins.MemoryError):
    """Memory could not be had."""


class StateError(Error, RuntimeError):
    """The call does not fit the state of the object, for example a server started twice."""


class OSError(Error, builtins.OSError):
    """The operating system refused; ``errno`` says why."""


class ClosedError(OSError):
    """The object was closed, by this caller or by another thread."""


class TimeoutError(Error, builtins.TimeoutError):
    """The deadline passed."""


class BlockingIOError(Error, builtins.BlockingIOError):
    """Nothing can be done at once and the caller asked not to wait."""


class InterruptedError(Error, builtins.InterruptedError):
    """A signal ended the wait."""


class FullError(Error, queue.Full):
    """There is no room for one more."""


class EmptyError(Error, queue.Empty):
    """There is nothing to take."""


class EndOfStreamError(Error, EOFError):
    """The peer closed the connection between two frames."""


class BadFrameError(OSError, EOFError):
    """The peer closed the connection inside a frame, or the frame's head makes no sense."""


class FrameTooLargeError(OSError):
    """The frame is longer than the cap."""


class AuthenticationError(Error, context.AuthenticationError):
    """The peer could not prove that it has the key, or broke the exchange."""


class OwnerDiedError(OSError):
    """The process that held this died while holding it."""


class OwnerDiedWarning(RuntimeWarning):
    """A lock was taken over from a process that died while holding it: what it guards may be half changed."""


class WorkerDiedError(Error, RuntimeError):
    """The worker that ran this task died."""


class BrokenError(Error, threading.BrokenBarrierError):
    """The object was broken by somebody's failure or abort."""


class HandlerError(Error, RuntimeError):
    """A handler raised."""


class CorruptError(Error, builtins.OSError):
    """Memory that processes share holds what no program of this library writes."""


class ConnectionError(Error, builtins.ConnectionError):
    """A connection failed."""


class BrokenPipeError(Error, builtins.BrokenPipeError):
    """The peer has closed the connection that was written to."""


class ConnectionAbortedError(Error, builtins.ConnectionAbortedError):
    """The connection was aborted."""


class ConnectionRefusedError(Error, builtins.ConnectionRefusedError):
    """Nobody listens at the address."""


class ConnectionResetError(Error, builtins.ConnectionResetError):
    """The peer has reset the connection."""


class FileExistsError(Error, builtins.FileExistsError):
    """The path exists already."""


class FileNotFoundError(Error, builtins.FileNotFoundError):
    """The path does not exist."""


class PermissionError(Error, builtins.PermissionError):
    """The operating system does not allow it."""


_BY_NAME: dict[str, type[Error]] = {
    "E_INVALID": InvalidError,
    "E_NULL": InvalidError,
    "E_BUFFER": BufferTooShort,
    "E_VERSION": InvalidError,
    "E_NOMEMORY": MemoryError,
    "E_PANIC": StateError,
    "E_REENTRANT": StateError,
    "E_FORKED": StateError,
    "E_STATE": StateError,
    "E_CLOSED": ClosedError,
    "E_TIMEOUT": TimeoutError,
    "E_WOULD_BLOCK": BlockingIOError,
    "E_INTERRUPTED": InterruptedError,
    "E_FULL": FullError,
    "E_EMPTY": EmptyError,
    "E_EOF": EndOfStreamError,
    "E_BAD_FRAME": BadFrameError,
    "E_FRAME_TOO_LARGE": FrameTooLargeError,
    "E_AUTH_FAILED": AuthenticationError,
    "E_UNKNOWN_DIGEST": InvalidError,
    "E_OWNER_DIED": OwnerDiedError,
    "E_WORKER_DIED": WorkerDiedError,
    "E_BROKEN": BrokenError,
    "E_HANDLER": HandlerError,
    "E_CORRUPT": CorruptError,
    "E_OS": OSError,
}
"""The class of each kind of the core's table."""

_CODES = {row[0]: row[1] for row in _carrick.error_table()}

_BY_CODE = {code: _BY_NAME[name] for name, code in _CODES.items()}

_OS_CLASSES: dict[type[builtins.OSError], type[Error]] = {
    base: cls
    for cls in (
        BlockingIOError,
        BrokenPipeError,
        ConnectionAbortedError,
        ConnectionRefusedError,
        ConnectionResetError,
        FileExistsError,
        FileNotFoundError,
        InterruptedError,
        PermissionError,
        TimeoutError,
    )
    for base in cls.__mro__
    if base.__module__ == "builtins" and issubclass(base, builtins.OSError) and base is not builtins.OSError
}
_OS_CLASSES.pop(builtins.ConnectionError, None)

_OWN = {Error, StateError, OwnerDiedError, WorkerDiedError, HandlerError, CorruptError}
"""The classes without a counterpart in the standard library."""

_STANDARD: dict[type[Error], type[BaseException]] = {
    BufferTooShort: context.BufferTooShort,
    AuthenticationError: context.AuthenticationError,
    FullError: queue.Full,
    EmptyError: queue.Empty,
    BrokenError: threading.BrokenBarrierError,
    EndOfStreamError: EOFError,
    InvalidError: ValueError,
    ClosedError: builtins.OSError,
    BadFrameError: builtins.OSError,
    FrameTooLargeError: builtins.OSError,
}
"""The standard class in whose place one is; others have the name of a builtin one."""

_NAMES: dict[type, str] = {}
"""The name in the package of each class that has another one in tracebacks."""


def _dress() -> None:
    """Give each class the name that tracebacks show, and its code."""
    for public in (Error, OwnerDiedWarning, ConnectionError, *_BY_NAME.values(), *_OS_CLASSES.values()):
        public.__module__ = "carrick"
    renamed: set[type[Error]] = {ConnectionError, *_BY_NAME.values(), *_OS_CLASSES.values()}
    for cls in renamed - _OWN:
        standard: type[BaseException] = _STANDARD.get(cls) or getattr(builtins, cls.__name__)
        _NAMES[cls] = cls.__name__
        cls.__module__, cls.__name__, cls.__qualname__ = (
            standard.__module__,
            standard.__name__,
            standard.__qualname__,
        )
    of_system: list[type[Error]] = [ConnectionError, *_OS_CLASSES.values()]
    for cls in of_system:
        cls.code = _CODES["E_OS"]
    for name, cls in _BY_NAME.items():
        cls.code = _CODES[name] if list(_BY_NAME.values()).count(cls) == 1 else 0


_dress()


def _of_kind(name: str, text: str) -> Error:
    """The exception for an error of a kind, by its name, that Python finds itself."""
    return _from_core(_CODES[name], None, text)


def _from_core(code: int, errno: int | None, text: str, subject: str | None = None) -> Error:
    """The exception for an error of the core, about a file, name or address or about none."""
    cls = _BY_CODE.get(code, Error)
    if cls is not OSError or errno is None:
        error = cls(errno, text) if issubclass(cls, builtins.OSError) and errno is not None else cls(text)
        error.code = code
        return error
    # The standard library says no more than strerror, and some programs compare; which call it was, is in a note.
    standard = os.strerror(errno)
    # OSError picks the subclass for an errno; ours is found through it.
    error = _OS_CLASSES.get(type(builtins.OSError(errno, "")), OSError)(errno, standard)
    if subject is not None:
        # As the standard library says which file it was.
        error.filename = subject  # type: ignore[attr-defined]
    if text != standard:
        error.add_note(text)
    error.code = code
    return error
