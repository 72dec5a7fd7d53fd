# SPDX-License-Identifier: MIT OR Apache-2.0
"""Names of drop-in classes are the program's, and a thread that is kept is as fresh as a new one."""

from __future__ import annotations

import contextlib
import contextvars
import decimal
import queue as standard_queue
import socket
import socketserver as standard
import ssl
import sys
import threading
from multiprocessing import connection as standard_connection
from typing import Any

import pytest
from support import CERTIFICATE, WAIT, serving
from test_socketserver import ADDRESS, Echo, ask, connect

import carrick
import carrick.multiprocessing.connection as connection
import carrick.queue
import carrick.socket
import carrick.socketserver as socketserver

STREAM = ["TCPServer", "ThreadingTCPServer"]
OPTIONS = {"max_threads", "overload", "request_timeout", "handshake_timeout", "ssl_context"}
FRAMES = {"send_frame", "recv_frame", "authenticate"}
KNOWN = {"_BaseServer__shutdown_request"}
"""Names of the standard class's instances."""


def pairs() -> list[Any]:
    """Our classes that stand for a standard one, with that one."""
    found = []
    for ours, theirs in (
        (socketserver, standard),
        (carrick.queue, standard_queue),
        (carrick.socket, socket),
        (connection, standard_connection),
    ):
        for name, cls in vars(ours).items():
            same = getattr(theirs, name, None)
            if isinstance(cls, type) and isinstance(same, type) and cls is not same:
                found.append(pytest.param(cls, same, id=f"{ours.__name__}.{name}"))
    return found


@pytest.mark.parametrize(("ours", "theirs"), pairs())
def test_every_name_that_a_drop_in_class_adds_is_documented_or_has_our_prefix(ours: Any, theirs: Any) -> None:
    added = set(dir(ours)) - set(dir(theirs)) - {"__slots__", "__module__"}
    instance = (
        {"queue", "mutex", "not_empty", "not_full", "all_tasks_done"}
        if issubclass(ours, standard_queue.Queue)
        else set()
    )
    later = {"shutdown", "is_shutdown", "maxsize", "unfinished_tasks"}
    odd = (
        {name for name in added if not name.startswith(("_carrick_", "__"))}
        - OPTIONS
        - FRAMES
        - KNOWN
        - instance
    )
    assert odd <= (later if issubclass(ours, standard_queue.Queue) else set())


def test_objects_have_no_attribute_of_ours_without_the_prefix() -> None:
    server = socketserver.TCPServer(ADDRESS, Echo)
    other = standard.TCPServer(ADDRESS, Echo)
    added = set(vars(server)) - set(vars(other))
    server.server_close()
    other.server_close()
    assert {name for name in added if not name.startswith("_carrick_")} == set()
    for key in (None, b"key"):
        with (
            connection.Listener(ADDRESS, authkey=key) as listener,
            standard_connection.Listener(ADDRESS) as plain,
        ):
            added = set(vars(listener)) - set(vars(plain))
            added |= set(vars(listener._listener)) - set(vars(plain._listener))
        assert {name for name in added if not name.startswith("_carrick_")} == set()
    names = set(vars(carrick.MessageServer)) - set(vars(carrick.MessageServer.__mro__[1]))
    assert {
        name for name in names if name.startswith("_") and not name.startswith(("_carrick_", "__"))
    } == set()


@pytest.mark.parametrize("name", STREAM)
def test_options_of_the_wrong_type_are_the_programs_own(name: str) -> None:
    def method(self: Any) -> str:
        return "mine"

    for value in ("auto", method, object(), 1.5, True, [1]):
        attributes = dict.fromkeys(OPTIONS, value)
        attributes["overload"] = object() if isinstance(value, str) else value
        if isinstance(value, float):
            # That is a number of seconds.
            del attributes["request_timeout"], attributes["handshake_timeout"]
        server = type("Own", (getattr(socketserver, name),), attributes)(ADDRESS, Echo)
        with serving(server):
            assert [ask(server) for _ in range(3)] == [b"HELLO\n"] * 3


@pytest.mark.parametrize("name", STREAM)
def test_attributes_with_names_that_a_server_might_use_are_the_programs_own(name: str) -> None:
    names = [
        "_state",
        "_serve",
        "_wrap",
        "_uses",
        "_attend",
        "_handshake",
        "_thread_list",
        "_start_thread",
        "state",
    ]
    server = type("Own", (getattr(socketserver, name),), dict.fromkeys(names, 7))(ADDRESS, Echo)
    for attribute in names:
        setattr(server, attribute, "mine")
    with serving(server):
        assert ask(server) == b"HELLO\n"
    assert {getattr(server, attribute) for attribute in names} == {"mine"}


@pytest.mark.parametrize("where", ["listener", "get_request", "after"])
@pytest.mark.parametrize("name", STREAM)
def test_a_server_that_does_tls_itself_may_call_its_context_ssl_context(name: str, where: str) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(CERTIFICATE)
    mine = ssl.create_default_context(cafile=CERTIFICATE)

    class Own(getattr(socketserver, name)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(ADDRESS, Echo)
            self.ssl_context = theirs
            if where == "listener":
                self.socket = theirs.wrap_socket(self.socket, server_side=True)

        def get_request(self) -> Any:
            request, address = super().get_request()
            return (
                (theirs.wrap_socket(request, server_side=True), address)
                if where == "get_request"
                else (request, address)
            )

    with serving(Own()) as server, connect(server) as plain:
        with mine.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"hello")
            assert client.recv(10) == b"HELLO"


# Fresh threads


user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
local = threading.local()


class Stained(socketserver.StreamRequestHandler):
    """Tells what it finds, and leaves something of each kind."""

    def handle(self) -> None:
        self.rfile.readline()
        thread = threading.current_thread()
        found = (
            user.get(),
            decimal.getcontext().prec,
            sys.gettrace() is threading.gettrace(),
            sys.getprofile() is threading.getprofile(),
            hasattr(thread, "stain"),
            "stained" in thread.name,
            hasattr(local, "stain") if sys.version_info < (3, 13) else False,
        )
        user.set("somebody")
        decimal.getcontext().prec = 5
        thread.stain = True  # type: ignore[attr-defined]
        thread.name = "stained"
        local.stain = True
        self.wfile.write(repr(found).encode())
        sys.settrace(lambda *_: None)
        sys.setprofile(lambda *_: None)


def test_a_request_finds_nothing_of_an_earlier_one_on_its_thread() -> None:
    fresh = repr(("nobody", 28, True, True, False, False, False)).encode()
    with serving(socketserver.ThreadingTCPServer(ADDRESS, Stained)) as server:
        assert {ask(server) for _ in range(30)} == {fresh}


def test_a_trace_function_that_is_set_later_traces_requests_on_kept_threads() -> None:
    seen: list[str] = []

    def trace(frame: Any, event: str, argument: Any) -> None:
        seen.append(frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name)

    before = threading.gettrace()
    with serving(socketserver.ThreadingTCPServer(ADDRESS, Echo)) as server:
        ask(server)
        threading.settrace(trace)
        try:
            ask(server)
        finally:
            threading.settrace(before)  # type: ignore[arg-type]
        ask(server)
        assert seen.count("Echo.handle") == 1


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads inherit no context before 3.14")
def test_a_request_has_a_copy_of_the_servers_context_where_threads_inherit_it() -> None:
    inherits = sys.flags.thread_inherit_context  # type: ignore[attr-defined]

    class Tell(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(user.get().encode())
            user.set("another")

    with socketserver.ThreadingTCPServer(ADDRESS, Tell) as server:
        context = contextvars.copy_context()
        context.run(user.set, "the server's")
        thread = threading.Thread(target=context.run, args=(server.serve_forever,))
        thread.start()
        assert {ask(server, b"") for _ in range(5)} == {b"the server's" if inherits else b"nobody"}
        server.shutdown(WAIT)
        thread.join(WAIT)


def test_a_handler_that_forgets_nothing_keeps_the_identity_of_its_thread() -> None:
    seen = []

    class Look(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            seen.append((threading.current_thread().name, threading.current_thread().daemon))

    with serving(socketserver.ThreadingTCPServer(ADDRESS, Look)) as server:
        for _ in range(3):
            with contextlib.suppress(OSError):
                ask(server)
    assert all("process_request_thread" in name and not daemon for name, daemon in seen)
