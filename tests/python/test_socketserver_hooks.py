# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every hook of socketserver that a subclass or an instance overrides is called."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from support import WAIT, serving
from test_socketserver import ADDRESS, FORKS, Echo, ask

import carrick.socketserver as socketserver

BASES = [socketserver.TCPServer, socketserver.ThreadingTCPServer]

# The hooks of a stream server that run where a request is served, and how many arguments each takes.
HOOKS = [
    "get_request",
    "verify_request",
    "process_request",
    "finish_request",
    "shutdown_request",
    "close_request",
    "service_actions",
    "fileno",
    "_handle_request_noblock",
]


def recording(base: Any, hook: str, calls: list[Any]) -> Any:
    """A subclass that overrides a hook, notes each call, and does what the base does."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(threading.get_ident())
        return getattr(super(cls, self), hook)(*args, **kwargs)

    cls = type(f"With_{hook}", (base,), {hook: method})
    return cls


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("base", BASES)
def test_a_hook_that_a_subclass_overrides_is_called(base: Any, hook: str) -> None:
    calls: list[Any] = []
    with serving(recording(base, hook, calls)(ADDRESS, Echo)) as server:
        before = len(calls)
        assert [ask(server) for _ in range(3)] == [b"HELLO\n"] * 3
    assert len(calls) - before >= (3 if hook != "fileno" else 0) and calls


@pytest.mark.parametrize("hook", [h for h in HOOKS if h != "fileno"])
@pytest.mark.parametrize("base", BASES)
def test_a_hook_that_is_put_on_the_instance_is_called(base: Any, hook: str) -> None:
    calls = []
    server = base(ADDRESS, Echo)
    original = getattr(server, hook)

    def replaced(*args: Any) -> Any:
        calls.append(args)
        return original(*args)

    setattr(server, hook, replaced)
    with serving(server):
        assert ask(server) == b"HELLO\n"
    assert calls


@pytest.mark.parametrize("hook", ["process_request_thread", "process_request"])
def test_the_hooks_of_the_threading_mixin_are_called(hook: str) -> None:
    calls: list[Any] = []
    with serving(recording(socketserver.ThreadingTCPServer, hook, calls)(ADDRESS, Echo)) as server:
        assert [ask(server) for _ in range(3)] == [b"HELLO\n"] * 3
    assert len(calls) == 3


@FORKS
@pytest.mark.parametrize("hook", ["process_request", "collect_children", "verify_request", "close_request"])
def test_the_hooks_of_the_forking_mixin_are_called(hook: str) -> None:
    calls: list[Any] = []
    with serving(recording(socketserver.ForkingTCPServer, hook, calls)(ADDRESS, Echo)) as server:
        assert [ask(server) for _ in range(2)] == [b"HELLO\n"] * 2
    assert calls


@pytest.mark.parametrize("base", BASES)
def test_server_bind_activate_and_close_are_called(base: Any) -> None:
    for hook in ("server_bind", "server_activate", "server_close"):
        calls: list[Any] = []
        with recording(base, hook, calls)(ADDRESS, Echo):
            pass
        assert len(calls) == 1, hook


@pytest.mark.parametrize("base", BASES)
def test_a_request_that_verify_request_refuses_is_shut_down(base: Any) -> None:
    shut = []

    class Picky(base):  # type: ignore[misc]
        def verify_request(self, request: Any, client_address: Any) -> bool:
            return False

        def shutdown_request(self, request: Any) -> None:
            shut.append(request)
            super().shutdown_request(request)

    with serving(Picky(ADDRESS, Echo)) as server:
        assert ask(server, b"") == b""
    assert len(shut) == 1


@pytest.mark.parametrize("base", BASES)
def test_a_get_request_that_wraps_the_socket_is_honoured(base: Any) -> None:
    class Wrapped:
        def __init__(self, inner: socket.socket) -> None:
            self.inner = inner

        def recv(self, size: int) -> bytes:
            return self.inner.recv(size)

        def sendall(self, data: bytes) -> None:
            self.inner.sendall(b"wrapped " + data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    class Wrapping(base):  # type: ignore[misc]
        def get_request(self) -> tuple[Any, Any]:
            request, address = super().get_request()
            return Wrapped(request), address

    with serving(Wrapping(ADDRESS, Echo)) as server:
        assert ask(server) == b"wrapped HELLO\n"


@pytest.mark.parametrize("base", BASES)
def test_service_actions_run_while_nothing_comes(base: Any) -> None:
    acted = threading.Event()

    class Busy(base):  # type: ignore[misc]
        def service_actions(self) -> None:
            acted.set()

        def serve_forever(self, poll_interval: float = 0.01) -> None:
            super().serve_forever(poll_interval)

    with serving(Busy(ADDRESS, Echo)):
        assert acted.wait(WAIT)


@pytest.mark.parametrize("base", BASES)
def test_a_get_request_that_raises_stops_nothing(base: Any) -> None:
    class Flaky(base):  # type: ignore[misc]
        count = 0

        def get_request(self) -> tuple[Any, Any]:
            request, address = super().get_request()
            self.count += 1
            if self.count == 1:
                request.close()
                raise OSError("the first is lost")
            return request, address

    with serving(Flaky(ADDRESS, Echo)) as server:
        assert ask(server, b"") == b""
        assert ask(server) == b"HELLO\n"


def test_a_mixin_of_the_users_own_runs_before_ours() -> None:
    order = []

    class Logging:
        def process_request(self, request: Any, client_address: Any) -> None:
            order.append("logging")
            super().process_request(request, client_address)  # type: ignore[misc]

    class Server(Logging, socketserver.ThreadingTCPServer):
        pass

    with serving(Server(ADDRESS, Echo)) as server:
        assert ask(server) == b"HELLO\n"
    assert order == ["logging"]


def test_max_threads_also_holds_where_a_hook_is_overridden() -> None:
    running, most, lock = [0], [0], threading.Lock()

    class Count(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            self.request.recv(10)
            with lock:
                running[0] -= 1

    class Limited(socketserver.ThreadingTCPServer):
        max_threads = 1

        def service_actions(self) -> None:
            pass

    with serving(Limited(ADDRESS, Count)) as server:
        clients = [socket.create_connection(server.server_address, WAIT) for _ in range(4)]
        for client in clients:
            client.sendall(b"x")
        for client in clients:
            assert client.recv(1) == b""
            client.close()
    assert most[0] == 1


def test_handler_hooks_run_in_order() -> None:
    order = []

    class Steps(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            order.append("setup")
            super().setup()

        def handle(self) -> None:
            order.append("handle")
            raise ZeroDivisionError

        def finish(self) -> None:
            order.append("finish")
            super().finish()

    server = socketserver.ThreadingTCPServer(ADDRESS, Steps)
    server.handle_error = lambda request, address: None  # type: ignore[method-assign]
    with serving(server):
        assert ask(server) == b""
    assert order == ["setup", "handle", "finish"]


def test_the_list_of_threads_stays_short() -> None:
    with serving(socketserver.ThreadingTCPServer(ADDRESS, Echo)) as server:
        for _ in range(50):
            ask(server)
        assert len(server._threads) < 20
