# SPDX-License-Identifier: MIT OR Apache-2.0
"""The exceptions: held equal to the core's table, each provoked, with its code, picklable and exported."""

from __future__ import annotations

import copy
import errno
import importlib
import os
import pickle
import socket
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, Background

import carrick
import carrick.multiprocessing.connection as connection
from carrick import _carrick, _errors, multiprocessing
from carrick.multiprocessing import queues, synchronize

TABLE = _carrick.error_table()
CODES = {name: code for name, code, *_ in TABLE}

CLASSES = [
    getattr(carrick, name)
    for name in carrick.__all__
    if isinstance(getattr(carrick, name), type) and issubclass(getattr(carrick, name), carrick.Error)
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in TABLE])
def test_every_code_has_a_class_that_is_the_standard_one_of_the_table(row: Any) -> None:
    name, code, text, number, standard = row
    cls = _errors._BY_NAME[name]
    module, _, wanted = standard.rpartition(".")
    assert issubclass(cls, getattr(importlib.import_module(module), wanted))
    error = _errors._from_core(code, number, f"operation: {text}")
    assert isinstance(error, cls) and error.code == code
    assert text in str(error)
    if isinstance(error, OSError) and number is not None:
        assert error.errno == number


def test_the_table_of_classes_has_no_row_that_the_core_has_not() -> None:
    assert set(_errors._BY_NAME) == set(CODES)
    assert all(code < 0 for code in CODES.values()) and len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_is_exported_and_documented_and_has_the_name_of_the_standard_one(cls: Any) -> None:
    assert cls.__doc__
    own = {
        carrick.Error,
        carrick.StateError,
        carrick.OwnerDiedError,
        carrick.WorkerDiedError,
        carrick.HandlerError,
        carrick.CorruptError,
    }
    name = next(name for name in carrick.__all__ if getattr(carrick, name) is cls)
    if cls in own:
        assert (cls.__module__, cls.__name__) == ("carrick", name)
        return
    named = [base for base in cls.__mro__[1:] if base.__module__ != "carrick" and base not in CLASSES]
    standard = next(base for base in named if base.__name__ == cls.__name__)
    assert (cls.__module__, cls.__qualname__) == (standard.__module__, standard.__qualname__)
    # The names that a traceback, a log and an interactive prompt show.
    ours, theirs = cls("text"), standard("text")
    assert traceback.format_exception_only(ours) == traceback.format_exception_only(theirs)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_class_survives_pickling_and_copying(cls: Any, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(cls, protocol)) is cls
    assert copy.copy(cls) is copy.deepcopy(cls) is cls


class OfAProgram(carrick.FullError):
    """A program's own."""


def test_an_exception_derived_from_ours_is_pickled_by_its_own_name() -> None:
    assert pickle.loads(pickle.dumps(OfAProgram)) is OfAProgram
    error = OfAProgram("text")
    error.code = -77
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is OfAProgram and (twin.args, twin.code) == (("text",), -77)


def test_no_class_is_left_out_of_the_package() -> None:
    made = {cls for cls in vars(_errors).values() if isinstance(cls, type) and issubclass(cls, carrick.Error)}
    assert made == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_of_one_kind_has_its_code(cls: Any) -> None:
    own = [CODES[name] for name, by_name in _errors._BY_NAME.items() if by_name is cls]
    several = {carrick.Error, carrick.InvalidError, carrick.StateError}
    assert (len(own) > 1 or cls is carrick.Error) == (cls in several)
    # Those that the table has not are of an errno each.
    wanted = 0 if cls in several else own[0] if own else CODES["E_OS"]
    assert cls.code == wanted and cls("text").code == wanted


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_every_exception_survives_pickling_and_copying(cls: Any, again: Callable[[Any], Any]) -> None:
    error = cls(5, "operation: text") if issubclass(cls, OSError) else cls("operation: text")
    error.code = -77
    twin = again(error)
    assert type(twin) is type(error)
    assert (twin.args, twin.code, str(twin)) == (error.args, -77, str(error))


def pair() -> tuple[Any, Any]:
    """Two ends of a connection."""
    return connection.Pipe()


def closed_inside_a_frame() -> None:
    left, right = pair()
    with right:
        with left:
            left._send(b"\0\0\0\5ab")
        right.recv_bytes()


def end_of_stream() -> None:
    left, right = pair()
    left.close()
    with right:
        right.recv_bytes()


def frame_too_large() -> None:
    import carrick.socket

    left, right = carrick.socket.socketpair()
    with left, right:
        left.send_frame(b"12", max_frame=1)


def timeout() -> None:
    import carrick.socket

    left, right = carrick.socket.socketpair()
    with left, right:
        left.settimeout(0.01)
        left.recv_frame()


def would_block() -> None:
    import carrick.socket

    left, right = carrick.socket.socketpair()
    with left, right:
        left.setblocking(False)
        left.recv_frame()


def authentication() -> None:
    left, right = pair()
    with left, right:
        left.send_bytes(b"garbage")
        connection.answer_challenge(right, b"key")


def unknown_digest() -> None:
    _carrick.Answer(b"key", "sha257")


def invalid() -> None:
    import carrick.socket

    left, right = carrick.socket.socketpair()
    with left, right:
        left.send_frame(b"", (3, "big", True))


def state() -> None:
    server = carrick.MessageServer(("127.0.0.1", 0), lambda request: None)
    server.request_shutdown()
    server.serve_forever()
    server.serve_forever()


def in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        carrick.MessageServer(taken.getsockname(), lambda request: None)


PROVOKED = {
    "E_INVALID": invalid,
    "E_STATE": state,
    "E_TIMEOUT": timeout,
    "E_WOULD_BLOCK": would_block,
    "E_EOF": end_of_stream,
    "E_BAD_FRAME": closed_inside_a_frame,
    "E_FRAME_TOO_LARGE": frame_too_large,
    "E_AUTH_FAILED": authentication,
    "E_UNKNOWN_DIGEST": unknown_digest,
    "E_OS": in_use,
}

NOT_PROVOKED = {
    "E_NULL": "Python has no NULL",
    "E_VERSION": "Python has no options structs",
    "E_BUFFER": "recv_bytes_into raises the standard class with the message, see test_connection.py",
    "E_NOMEMORY": "MemoryError is raised by the interpreter's allocator, see test_connection.py",
    "E_PANIC": "no panic is known",
    "E_REENTRANT": "shutdown in a handler is allowed in Python",
    "E_FORKED": "belongs to the C face",
    "E_CLOSED": "the drop-ins say closed in the standard library's words",
    "E_INTERRUPTED": "what the signal handler raised is raised, see test_signals.py",
    "E_FULL": "queues come with a later issue",
    "E_EMPTY": "queues come with a later issue",
    "E_OWNER_DIED": "locks come with a later issue",
    "E_CORRUPT": "queues come with a later issue",
    "E_WORKER_DIED": "pools come with a later issue",
    "E_BROKEN": "barriers come with a later issue",
    "E_HANDLER": "what a handler raised is reported itself, see test_message_server.py",
}


def test_a_server_that_is_started_twice_has_the_code_of_one_that_serves_twice() -> None:
    with carrick.MessageServer(("127.0.0.1", 0), lambda request: None) as server:
        for again in (server.start, server.serve_forever):
            with pytest.raises(carrick.StateError, match="make another") as caught:
                again()
            assert caught.value.code == CODES["E_STATE"]


@pytest.mark.parametrize("name", sorted(PROVOKED))
def test_every_code_that_python_can_see_is_provoked(name: str) -> None:
    with pytest.raises(carrick.Error) as caught:
        PROVOKED[name]()
    assert caught.value.code == CODES[name]
    assert isinstance(caught.value, _errors._BY_NAME[name])


def test_every_code_is_provoked_or_has_a_reason() -> None:
    assert set(PROVOKED) | set(NOT_PROVOKED) == set(CODES)
    assert not set(PROVOKED) & set(NOT_PROVOKED)


def test_an_errno_gets_its_own_class() -> None:
    code = CODES["E_OS"]
    for number, cls in {
        errno.EPIPE: carrick.BrokenPipeError,
        errno.ECONNRESET: carrick.ConnectionResetError,
        errno.ECONNREFUSED: carrick.ConnectionRefusedError,
        errno.ECONNABORTED: carrick.ConnectionAbortedError,
        errno.ENOENT: carrick.FileNotFoundError,
        errno.EACCES: carrick.PermissionError,
        errno.EADDRINUSE: carrick.OSError,
    }.items():
        error = _errors._from_core(code, number, "text")
        assert type(error) is cls and error.errno == number  # type: ignore[attr-defined]


def refused_by_the_system(module: Any, case: str) -> Any:
    """The error of a call of ``multiprocessing.connection``, the standard one or ours."""
    reading, writing = module.Pipe(duplex=case != "one way")
    if case == "reset":
        # A peer that goes without having read all resets the connection.
        writing.send_bytes(b"unread")
    fd = writing.fileno()
    with reading, writing, pytest.raises(OSError) as caught:
        if case == "no descriptor":
            os.close(fd)
            try:
                writing.send_bytes(b"refused")
            finally:
                os.dup2(reading.fileno(), fd)
        reading.close()
        if case == "reset":
            writing.recv_bytes()
        writing.send_bytes(b"refused")
    return caught.value


@pytest.mark.parametrize("case", ["both ways", "one way", "reset", "no descriptor"])
def test_an_error_of_the_system_reads_as_in_the_standard_library(case: str) -> None:
    import multiprocessing.connection

    stock = refused_by_the_system(multiprocessing.connection, case)
    ours = refused_by_the_system(connection, case)
    assert (str(ours), ours.args, ours.errno, ours.strerror) == (
        str(stock),
        stock.args,
        stock.errno,
        stock.strerror,
    )
    assert (type(stock) is ConnectionResetError) == (case == "reset")
    assert isinstance(ours, type(stock)) and ours.code == CODES["E_OS"]
    (note,) = ours.__notes__
    assert note.startswith(("send: ", "receive: ", "read: ", "write: ")) and note.endswith(
        f"(os error {stock.errno})"
    )


def test_a_note_says_which_address_the_system_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(carrick.OSError) as caught:
        address = "{}:{}".format(*taken.getsockname())
        carrick.MessageServer(taken.getsockname(), lambda request: None)
    error: Any = caught.value
    assert str(error) == f"[Errno {errno.EADDRINUSE}] Address already in use: '{address}'"
    for same in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert address in same.__notes__[0]
        assert same.__notes__[0] in "".join(traceback.format_exception(same))


def test_errors_of_two_threads_are_their_own() -> None:
    barrier = threading.Barrier(2)

    def fail(header: bytes) -> str:
        left, right = pair()
        with left, right:
            left._send(header)
            barrier.wait(WAIT)
            with pytest.raises(carrick.Error) as caught:
                right.recv_bytes()
        return str(caught.value)

    one, two = Background(fail, b"\xff\xff\xff\xfe"), Background(fail, b"\x80\0\0\0")
    assert "-2" in one.result() and "-2147483648" in two.result()


def test_an_error_of_the_system_names_what_it_is_about_and_the_remedy(tmp_path: Path) -> None:
    name, missing = f"errors.{os.getpid()}", f"errors.missing.{os.getpid()}"
    nowhere = str(tmp_path / "no" / "socket")
    taken = carrick.MessageServer(("127.0.0.1", 0), len)
    host, port = taken.address
    shared = [
        multiprocessing.Lock,
        multiprocessing.RLock,
        multiprocessing.Semaphore,
        multiprocessing.Event,
        multiprocessing.Queue,
    ]
    cases: list[tuple[Callable[[], Any], int, Any, str]] = [
        (lambda: carrick.MessageServer(taken.address, len), errno.EADDRINUSE, f"{host}:{port}", "listen"),
        (lambda: carrick.MessageServer(nowhere, len), errno.ENOENT, nowhere, "listen"),
        (lambda: connection.Client(nowhere), errno.ENOENT, nowhere, "a listener must be there first"),
        (lambda: connection.Listener(nowhere), errno.ENOENT, nowhere, "that nobody uses"),
        (lambda: connection.Client(("127.0.0.1", 1)), errno.ECONNREFUSED, None, "('127.0.0.1', 1)"),
        (lambda: connection.Listener((host, port)), errno.EADDRINUSE, None, f"('{host}', {port})"),
        (lambda: queues.Queue.open(missing), errno.ENOENT, missing, "create it first"),
        (lambda: synchronize.Lock.open(missing), errno.ENOENT, missing, "create it first"),
        (lambda: synchronize.Event.open(missing), errno.ENOENT, missing, "create it first"),
        (lambda: synchronize.Semaphore.open(missing), errno.ENOENT, missing, "create it first"),
    ]
    for make in shared:
        made: Any = make(name=name)  # type: ignore[call-arg]
        try:
            with pytest.raises(OSError) as caught:
                make(name=name)  # type: ignore[call-arg]
            assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, name), make
            assert "remove it first" in "".join(caught.value.__notes__), make
        finally:
            carrick.remove_name(name)
            del made
    for call, number, filename, remedy in cases:
        with pytest.raises(OSError) as caught:
            call()
        error = caught.value
        assert (error.errno, error.strerror, error.filename) == (number, os.strerror(number), filename), error
        assert remedy in "".join(error.__notes__), error.__notes__
        again = pickle.loads(pickle.dumps(error))
        assert (again.errno, again.filename, str(again)) == (number, filename, str(error))
    taken.shutdown()
