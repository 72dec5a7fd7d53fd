# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.socketserver: requests of every kind of server, its limits, its end, and handlers that misbehave."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver as standard
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, Background, run, serving, thread_errors

import carrick.socketserver as socketserver

ADDRESS = ("127.0.0.1", 0)


class Echo(socketserver.BaseRequestHandler):
    """Sends back, in capitals, each piece that it receives."""

    def handle(self) -> None:
        while data := self.request.recv(1024):
            self.request.sendall(data.upper())


class EchoLine(socketserver.StreamRequestHandler):
    """The same by lines."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


def connect(server: Any) -> socket.socket:
    """A client of a stream server."""
    family = socket.AF_UNIX if isinstance(server.server_address, (str, bytes)) else server.address_family
    client = socket.socket(family)
    client.settimeout(WAIT)
    client.connect(server.server_address)
    return client


def ask(server: Any, data: bytes = b"hello\n") -> bytes:
    """One request to a stream server, to its end."""
    received = b""
    with connect(server) as client, contextlib.suppress(OSError):
        # A server that does not read all of it resets the connection.
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(1024):
            received += piece
    return received


STREAM = ["TCPServer", "ThreadingTCPServer", "UnixStreamServer", "ThreadingUnixStreamServer"]
FORKING = ["ForkingTCPServer"] + (["ForkingUnixStreamServer"] if sys.version_info >= (3, 12) else [])
DATAGRAM = ["UDPServer", "ThreadingUDPServer", "UnixDatagramServer", "ThreadingUnixDatagramServer"]

# A server that forks from a process with threads: in these tests nothing else runs in the child.
FORKS = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


@contextlib.contextmanager
def made(name: str, handler: Any, scratch: Path) -> Iterator[Any]:
    """A server of the class of this name that serves; its socket file is removed."""
    path = str(scratch / "s")
    server = getattr(socketserver, name)(path if "Unix" in name else ADDRESS, handler)
    try:
        with serving(server):
            yield server
    finally:
        if "Unix" in name:
            os.unlink(path)


@pytest.mark.parametrize("handler", [Echo, EchoLine])
@pytest.mark.parametrize("name", STREAM)
def test_stream_servers_serve_several_clients(name: str, handler: Any, scratch: Path) -> None:
    with made(name, handler, scratch) as server:
        assert [ask(server) for _ in range(5)] == [b"HELLO\n"] * 5


@FORKS
@pytest.mark.parametrize("name", FORKING)
def test_forking_servers_serve_several_clients(name: str, scratch: Path) -> None:
    class Pid(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(str(os.getpid()).encode())

    with made(name, Pid, scratch) as server:
        pids = {ask(server) for _ in range(3)}
        assert len(pids) == 3 and str(os.getpid()).encode() not in pids


@pytest.mark.parametrize("name", DATAGRAM)
def test_datagram_servers_answer_each_datagram(name: str, scratch: Path) -> None:
    class Shout(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.read().upper())

    with made(name, Shout, scratch) as server:
        family = socket.AF_UNIX if "Unix" in name else socket.AF_INET
        mine = str(scratch / "c")
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.bind(mine if "Unix" in name else ADDRESS)
            client.settimeout(WAIT)
            for text in (b"one", b"two"):
                client.sendto(text, server.server_address)
                assert client.recv(100) == text.upper()
        if "Unix" in name:
            os.unlink(mine)


@FORKS
def test_a_forking_udp_server_answers() -> None:
    class Shout(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.read().upper())

    with serving(socketserver.ForkingUDPServer(ADDRESS, Shout)) as server:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(WAIT)
            client.sendto(b"fork", server.server_address)
            assert client.recv(100) == b"FORK"


def test_clients_of_a_threading_server_do_not_wait_for_one_another() -> None:
    with serving(socketserver.ThreadingTCPServer(ADDRESS, Echo)) as server:
        clients = [connect(server) for _ in range(20)]
        for turn in (b"a", b"b"):
            for client in reversed(clients):
                client.sendall(turn)
                assert client.recv(10) == turn.upper()
        for client in clients:
            client.close()


def test_the_request_of_a_handler_is_one_of_our_sockets() -> None:
    seen = []

    class Look(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            seen.append((type(self.request), self.client_address, self.request.getpeername()))

    for cls in (socketserver.TCPServer, socketserver.ThreadingTCPServer):
        with serving(cls(ADDRESS, Look)) as server:
            assert ask(server) == b""
    import carrick.socket

    for kind, address, peer in seen:
        assert kind is carrick.socket.socket and address == peer
    assert len(seen) == 2


def test_ipv6_is_served() -> None:
    class Six(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6

    with serving(Six(("::1", 0), Echo)) as server:
        assert ask(server) == b"HELLO\n"


def test_handle_request_serves_one(scratch: Path) -> None:
    with socketserver.TCPServer(ADDRESS, Echo) as server:
        server.timeout = WAIT
        answer = Background(ask, server)
        server.handle_request()
        assert answer.result() == b"HELLO\n"
        server.timeout = 0.01
        told = []
        server.handle_timeout = lambda: told.append(True)  # type: ignore[method-assign]
        server.handle_request()
        assert told == [True]


# Limits


class Gate(socketserver.BaseRequestHandler):
    """Tells that it has begun and goes on when it may."""

    entered: threading.Semaphore
    leave: threading.Event

    def handle(self) -> None:
        type(self).entered.release()
        assert type(self).leave.wait(WAIT)
        self.request.sendall(b"done")


def gate() -> type[Gate]:
    """A handler class with a gate of its own."""
    return type("Gate", (Gate,), {"entered": threading.Semaphore(0), "leave": threading.Event()})


def test_no_more_requests_than_max_threads_run_at_a_time() -> None:
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
        max_threads = 2

    with serving(Limited(ADDRESS, Count)) as server:
        clients = [connect(server) for _ in range(8)]
        for client in clients:
            client.sendall(b"x")
        for client in clients:
            assert client.recv(1) == b""
            client.close()
    assert 1 <= most[0] <= 2


def test_overload_block_leaves_the_connection_in_the_queue() -> None:
    handler = gate()

    class Limited(socketserver.ThreadingTCPServer):
        max_threads = 1
        overload = "block"

    with serving(Limited(ADDRESS, handler)) as server:
        first = connect(server)
        assert handler.entered.acquire(timeout=WAIT)
        second = connect(server)
        second.settimeout(0.05)
        with pytest.raises(TimeoutError):
            second.recv(1)
        second.settimeout(WAIT)
        handler.leave.set()
        assert first.recv(10) == second.recv(10) == b"done"
        first.close()
        second.close()


def test_overload_reject_closes_the_connection() -> None:
    handler = gate()

    class Limited(socketserver.ThreadingTCPServer):
        max_threads = 1
        overload = "reject"

    with serving(Limited(ADDRESS, handler)) as server:
        first = connect(server)
        assert handler.entered.acquire(timeout=WAIT)
        for _ in range(3):
            with connect(server) as other:
                try:
                    assert other.recv(1) == b""
                except ConnectionResetError:
                    pass
        handler.leave.set()
        assert first.recv(10) == b"done"
        first.close()


def test_an_overload_policy_that_is_none_is_refused() -> None:
    class Limited(socketserver.ThreadingTCPServer):
        overload = "panic"  # type: ignore[assignment]

    with Limited(ADDRESS, Echo) as server, pytest.raises(ValueError, match="block"):
        server.serve_forever()


@pytest.mark.parametrize("cls", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_request_timeout_ends_a_request_whose_client_is_silent(cls: Any) -> None:
    errors = []

    class Limited(cls):  # type: ignore[misc]
        request_timeout = 0.02

        def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(sys.exc_info()[1])

    with serving(Limited(ADDRESS, Echo)) as server:
        with connect(server) as silent:
            assert silent.recv(1) == b""
        assert ask(server) == b"HELLO\n"
    assert len(errors) == 1 and isinstance(errors[0], TimeoutError)


# The end


@pytest.mark.parametrize("name", STREAM + DATAGRAM)
def test_shutdown_wakes_an_idle_server(name: str, scratch: Path) -> None:
    with made(name, Echo, scratch) as server:
        server.shutdown(WAIT)


def test_shutdown_before_serving_ends_it_as_it_begins() -> None:
    with socketserver.ThreadingTCPServer(ADDRESS, Echo) as server:
        server.shutdown(WAIT)
        server.serve_forever()
    with socketserver.TCPServer(ADDRESS, Echo) as server:
        server.shutdown(WAIT)
        server.serve_forever()


def test_a_server_can_serve_again() -> None:
    for cls in (socketserver.TCPServer, socketserver.ThreadingTCPServer):
        server = cls(ADDRESS, Echo)
        for _ in range(2):
            serve = Background(server.serve_forever)
            assert ask(server) == b"HELLO\n"
            server.shutdown(WAIT)
            serve.result()
        server.server_close()


@pytest.mark.parametrize("name", STREAM)
def test_several_threads_may_serve_one_server_and_shutdown_stops_them_all(name: str, scratch: Path) -> None:
    with made(name, Echo, scratch) as server:
        others = [Background(server.serve_forever) for _ in range(3)]
        assert [ask(server) for _ in range(8)] == [b"HELLO\n"] * 8
        server.shutdown(WAIT)
        for other in others:
            other.result()


def test_a_handler_cannot_serve_its_own_server() -> None:
    raised: list[Any] = []

    class Nested(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with pytest.raises(RuntimeError, match="serving already") as caught:
                self.server.serve_forever()  # type: ignore[attr-defined]
            raised.append(caught.value)

    with serving(socketserver.TCPServer(ADDRESS, Nested)) as server:
        assert ask(server) == b""
    assert raised


def test_shutdown_from_a_handler_does_not_wait_for_itself() -> None:
    class Stop(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.server.shutdown()  # type: ignore[attr-defined]

    for cls in (socketserver.TCPServer, socketserver.ThreadingTCPServer):
        server = cls(ADDRESS, Stop)
        serve = Background(server.serve_forever)
        assert ask(server) == b""
        serve.result()
        server.server_close(WAIT)


def test_shutdown_gives_up_at_its_timeout() -> None:
    handler = gate()
    server = socketserver.TCPServer(ADDRESS, handler)
    serve = Background(server.serve_forever)
    client = connect(server)
    assert handler.entered.acquire(timeout=WAIT)
    with pytest.raises(TimeoutError, match="0.01"):
        server.shutdown(0.01)
    handler.leave.set()
    assert client.recv(10) == b"done"
    serve.result()
    client.close()
    server.server_close()


def test_shutdown_lets_requests_of_threads_go_on_and_server_close_waits_for_them() -> None:
    handler = gate()
    server = socketserver.ThreadingTCPServer(ADDRESS, handler)
    serve = Background(server.serve_forever)
    client = connect(server)
    assert handler.entered.acquire(timeout=WAIT)
    server.shutdown(WAIT)
    serve.result()
    with pytest.raises(TimeoutError, match="still run"):
        server.server_close(0.01)
    handler.leave.set()
    server.server_close(WAIT)
    assert client.recv(10) == b"done"
    client.close()


@FORKS
def test_server_close_of_a_forking_server_gives_up_at_its_timeout_and_can_be_called_again() -> None:
    class Wait(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"in")
            self.request.recv(1)

    server = socketserver.ForkingTCPServer(ADDRESS, Wait)
    serve = Background(server.serve_forever)
    client = connect(server)
    assert client.recv(2) == b"in"
    server.shutdown(WAIT)
    serve.result()
    with pytest.raises(TimeoutError, match="still run"):
        server.server_close(0.01)
    client.shutdown(socket.SHUT_RDWR)  # the child has the descriptor too, so that closing it is not enough
    client.close()
    server.server_close(WAIT)
    assert not server.active_children


@FORKS
def test_server_close_of_a_forking_server_that_does_not_block_on_close_returns() -> None:
    class Wait(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"in")
            self.request.recv(1)

    server = socketserver.ForkingTCPServer(ADDRESS, Wait)
    server.block_on_close = False
    serve = Background(server.serve_forever)
    client = connect(server)
    assert client.recv(2) == b"in"
    server.shutdown(WAIT)
    serve.result()
    server.server_close(0.01)
    [child] = server.active_children
    client.shutdown(socket.SHUT_RDWR)
    client.close()
    os.waitpid(child, 0)


def test_server_close_does_not_wait_where_block_on_close_is_false() -> None:
    handler = gate()

    class Careless(socketserver.ThreadingTCPServer):
        block_on_close = False

    server = Careless(ADDRESS, handler)
    serve = Background(server.serve_forever)
    client = connect(server)
    assert handler.entered.acquire(timeout=WAIT)
    server.shutdown(WAIT)
    serve.result()
    server.server_close()
    handler.leave.set()
    assert client.recv(10) == b"done"
    client.close()


def test_a_with_statement_closes_the_server() -> None:
    with socketserver.TCPServer(ADDRESS, Echo) as server:
        assert server.fileno() >= 0
    assert server.fileno() == -1


def test_the_interpreter_ends_while_servers_serve() -> None:
    run(
        """
        import socket, threading, warnings
        import carrick.socketserver as socketserver
        warnings.simplefilter("ignore", ResourceWarning)  # the servers are left open, that is the point

        class Echo(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(self.request.recv(10))

        for cls in (socketserver.TCPServer, socketserver.ThreadingTCPServer):
            server = cls(("127.0.0.1", 0), Echo)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with socket.create_connection(server.server_address) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        """
    )


# Handlers that misbehave


def test_an_exception_of_a_handler_goes_to_handle_error_and_serving_goes_on() -> None:
    class Fail(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            raise ZeroDivisionError("of the handler")

    for base in (socketserver.TCPServer, socketserver.ThreadingTCPServer):
        seen: list[Any] = []

        class Server(base):  # type: ignore[misc, valid-type]
            errors = seen

            def handle_error(self, request: Any, client_address: Any) -> None:
                try:
                    raise  # runs inside the except block, as in the standard library
                except ZeroDivisionError as error:
                    self.errors.append(error)

        with serving(Server(ADDRESS, Fail)) as server:
            assert [ask(server) for _ in range(3)] == [b""] * 3
        assert len(seen) == 3


def test_the_standard_handle_error_prints_and_serving_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    class Fail(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            raise ZeroDivisionError("of the handler")

    with serving(socketserver.ThreadingTCPServer(ADDRESS, Fail)) as server:
        ask(server)
    assert "of the handler" in capfd.readouterr().err


def test_exit_in_a_handler_of_a_thread_ends_that_request_only() -> None:
    class Exit(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(10) == b"exit":
                sys.exit(3)
            self.request.sendall(b"stays")

    with thread_errors() as errors:
        with serving(socketserver.ThreadingTCPServer(ADDRESS, Exit)) as server:
            assert ask(server, b"exit") == b""
            assert ask(server, b"x") == b"stays"
    assert [type(error) for error in errors] == [SystemExit], "as in the standard library"


def test_a_handler_may_close_its_own_socket() -> None:
    class Close(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.close()

    class Detach(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            os.close(self.request.detach())

    for cls in (socketserver.TCPServer, socketserver.ThreadingTCPServer):
        for handler in (Close, Detach):
            with serving(cls(ADDRESS, handler)) as server:
                assert [ask(server, b"") for _ in range(3)] == [b""] * 3


def test_a_handler_that_does_not_return_stops_no_other() -> None:
    handler = gate()

    class Mixed(handler):  # type: ignore[misc, valid-type]
        def handle(self) -> None:
            if self.request.recv(10) == b"wait":
                super().handle()
            else:
                self.request.sendall(b"at once")

    with serving(socketserver.ThreadingTCPServer(ADDRESS, Mixed)) as server:
        stuck = connect(server)
        stuck.sendall(b"wait")
        assert Mixed.entered.acquire(timeout=WAIT)
        assert [ask(server, b"x") for _ in range(5)] == [b"at once"] * 5
        Mixed.leave.set()
        assert stuck.recv(10) == b"done"
        stuck.close()


def test_a_client_that_resets_stops_no_other() -> None:
    import struct

    with serving(socketserver.ThreadingTCPServer(ADDRESS, Echo)) as server:
        server.handle_error = lambda request, address: None
        for _ in range(5):
            client = connect(server)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"x")
            client.close()
        assert ask(server) == b"HELLO\n"


def test_the_classes_are_subclasses_of_the_standard_ones() -> None:
    for name in standard.__all__:
        ours, theirs = getattr(socketserver, name), getattr(standard, name)
        parts = [cls for cls in theirs.__mro__ if cls.__name__.endswith(("MixIn", "BaseServer"))]
        plain = name.removeprefix("Threading").removeprefix("Forking")
        if not name.endswith("MixIn"):
            parts.append(getattr(standard, plain))
        assert all(issubclass(ours, part) for part in parts), name
