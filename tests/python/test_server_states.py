# SPDX-License-Identifier: MIT OR Apache-2.0
"""Servers in every state, and their calls in every order, do what the standard module's do; a stop is seen at once."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import socketserver as standard
import sys
import threading
from typing import Any

import pytest
from support import WAIT, Background, asleep, run, running, serving
from test_socketserver import ADDRESS, Echo, ask, connect

import carrick.socketserver as socketserver

STREAM = ["TCPServer", "ThreadingTCPServer"]
EVERY = [*STREAM, "UDPServer", "ThreadingUDPServer"]
FLAG = "_BaseServer__shutdown_request"


def fresh_socket(server: Any) -> None:
    """Put another listening socket in place of the server's, as werkzeug's reloader does."""
    server.server_close()
    server.socket = socket.create_server(ADDRESS)
    server.server_address = server.socket.getsockname()


def serve_once(server: Any) -> str:
    """Serve until one request has been answered, and stop."""
    serve = Background(server.serve_forever)
    answered = ask(server)
    server.shutdown()
    serve.result()
    return str(answered)


def handle_one(server: Any) -> str:
    """One request, without serving."""
    server.timeout = WAIT
    answer = Background(ask, server)
    server.handle_request()
    return str(answer.result())


def stopped(server: Any) -> str:
    """``shutdown`` after serving, which ends the next serving as it begins."""
    server.shutdown()
    return str(Background(server.serve_forever).result())


CALLS: dict[str, Any] = {
    "serve": serve_once,
    "close": lambda server: str(server.server_close()),
    "fresh socket": lambda server: str(fresh_socket(server)),
    "handle_request": handle_one,
    "flag off": lambda server: str(setattr(server, FLAG, False)),
    "flag": lambda server: str(getattr(server, FLAG)),
}


def outcome(module: Any, name: str, calls: tuple[str, ...]) -> list[str]:
    """The result or exception of each call of a sequence."""
    found = []
    server = getattr(module, name)(ADDRESS, Echo)
    try:
        for call in calls:
            # The client of a closed server would be refused before the server says anything.
            if call in ("serve", "handle_request") and server.fileno() < 0:
                try:
                    (server.serve_forever if call == "serve" else server.handle_request)()
                except ValueError as error:
                    found.append(type(error).__name__)
                    continue
            found.append(CALLS[call](server))
    finally:
        server.server_close()
    return found


@pytest.mark.parametrize("name", STREAM)
def test_calls_in_every_order_do_what_the_standard_ones_do(name: str) -> None:
    for calls in itertools.product(CALLS, repeat=3):
        if calls[-1] in ("serve", "handle_request", "flag"):
            assert outcome(socketserver, name, calls) == expected(calls), calls


def expected(calls: tuple[str, ...]) -> list[str]:
    """The standard module's outcome of such a sequence; see the test below."""
    found, is_open = [], True
    for call in calls:
        if call in ("serve", "handle_request"):
            found.append("b'HELLO\\n'" if is_open else "ValueError")
        elif call == "flag":
            found.append("False")
        else:
            is_open = call == "fresh socket" or (is_open and call != "close")
            found.append("None")
    return found


def test_the_standard_module_is_what_the_orders_of_calls_are_held_against() -> None:
    for calls in (
        ("close", "serve"),
        ("close", "fresh socket", "serve"),
        ("serve", "close", "handle_request"),
    ):
        assert outcome(standard, "TCPServer", calls) == expected(calls)


@pytest.mark.parametrize("name", STREAM)
def test_shutdown_after_serving_ends_the_next_serving_as_on_the_standard_module(name: str) -> None:
    server = getattr(socketserver, name)(ADDRESS, Echo)
    serve_once(server)
    assert stopped(server) == "None"
    assert serve_once(server) == "b'HELLO\\n'"
    server.server_close()


@pytest.mark.parametrize("name", EVERY)
def test_a_server_that_is_closed_while_it_serves_goes_on_until_it_is_shut_down(name: str) -> None:
    server = getattr(socketserver, name)(ADDRESS, Echo)
    serve = Background(server.serve_forever)
    if name in STREAM:
        assert ask(server) == b"HELLO\n"
    address = server.server_address
    server.server_close()
    asleep(serve)
    assert not serve.done
    # The port is free at once.
    kind = server.socket_type
    with socket.socket(type=kind) as next_one:
        next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        next_one.bind(address)
    server.shutdown(WAIT)
    serve.result()


@pytest.mark.parametrize("name", STREAM)
def test_a_handler_may_close_its_server(name: str) -> None:
    class Close(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.server.server_close()
            self.request.sendall(b"closed")

    server = getattr(socketserver, name)(ADDRESS, Close)
    # One that waits for its threads would wait for the handler itself.
    server.daemon_threads = True
    serve = Background(server.serve_forever)
    with connect(server) as client:
        assert client.recv(10) == b"closed"
    assert server.fileno() == -1
    server.shutdown(WAIT)
    serve.result()


# Stopping


@pytest.mark.parametrize("name", EVERY)
def test_the_standard_flag_stops_a_server_from_a_handler(name: str) -> None:
    class Stop(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            setattr(self.server, FLAG, True)

    server = getattr(socketserver, name)(ADDRESS, Stop)
    serve = Background(server.serve_forever)
    with socket.socket(type=server.socket_type) as client:
        client.connect(server.server_address)
        client.send(b"x")
        serve.result()
    assert getattr(server, FLAG) is False
    assert server._BaseServer__is_shut_down.is_set()
    server.server_close()


@pytest.mark.parametrize("name", EVERY)
def test_the_standard_flag_stops_a_server_from_another_thread_and_before_it_serves(name: str) -> None:
    server = getattr(socketserver, name)(ADDRESS, Echo)
    setattr(server, FLAG, True)
    assert getattr(server, FLAG) is True
    server.serve_forever()
    serve = Background(server.serve_forever)
    asleep(serve)
    setattr(server, FLAG, True)
    serve.result()
    server.server_close()


@pytest.mark.parametrize("name", EVERY)
def test_the_standard_flag_stops_a_server_from_a_signal_handler(name: str) -> None:
    server = getattr(socketserver, name)(ADDRESS, Echo)
    before = signal.signal(signal.SIGALRM, lambda *_: setattr(server, FLAG, True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        server.serve_forever()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    server.server_close()


def test_a_stop_does_not_wait_for_a_connection_that_is_open() -> None:
    class Wait(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"in")
            self.request.recv(1)

    class Careless(socketserver.ThreadingTCPServer):
        daemon_threads = True

    spent = []
    for _ in range(5):
        server = Careless(ADDRESS, Wait)
        serve = Background(server.serve_forever)
        with connect(server) as client:
            assert client.recv(2) == b"in"
            # A wait for the handler to end ends at half a second, in another thread: none such is begun.
            stats = server_stats(server)
            server.shutdown(WAIT)
            serve.result()
            spent.append(stats["active"])
        server.server_close()
    assert spent == [1] * 5


def server_stats(server: Any) -> dict[str, int]:
    """The counters of a server that serves on threads."""
    [state] = server.__dict__["_carrick_states"].values()
    return dict(state.native.stats())


def test_ctrl_c_ends_a_server_with_a_connection_open() -> None:
    source = """
        import signal, socket, sys
        import carrick.socketserver as socketserver

        class Wait(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(b"in")
                self.request.recv(1)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        server = Server(("127.0.0.1", 0), Wait)
        print(server.server_address[1], flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        server.server_close()
        """
    with running(source) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert client.recv(2) == b"in"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert process.wait(WAIT) == 0


def test_a_server_on_a_thread_that_is_no_daemon_serves_on_when_the_main_thread_has_ended() -> None:
    source = """
        import threading
        import carrick.socketserver as socketserver
        kind, daemon = {kind!r}, {daemon}

        class Echo(socketserver.BaseRequestHandler):
            def handle(self):
                data = self.request.recv(10)
                self.request.sendall(data)
                if data == b"stop":
                    done.set()

        def stop():
            done.wait()
            server.shutdown()

        done = threading.Event()
        server = getattr(socketserver, kind)(("127.0.0.1", 0), Echo)
        threading.Thread(target=server.serve_forever, daemon=daemon).start()
        threading.Thread(target=stop).start()  # the interpreter waits for it
        print(server.server_address[1], flush=True)
        """
    # 3.12.0 and 3.12.1 start no thread once the main thread has ended: threading servers answer nobody there.
    no_threads = (3, 12) <= sys.version_info < (3, 12, 2)
    for kind in STREAM:
        if no_threads and kind.startswith("Threading"):
            continue
        for daemon in (False, True):
            with running(source.format(kind=kind, daemon=daemon)) as process:
                assert process.stdout is not None
                port = int(process.stdout.readline())
                for word in (b"one", b"two", b"three", b"stop"):
                    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client:
                        client.sendall(word)
                        assert client.recv(10) == word
                assert process.wait(WAIT) == 0


def test_the_interpreter_ends_while_handlers_of_daemon_threads_wait() -> None:
    run(
        """
        import socket, threading, warnings
        import carrick.socketserver as socketserver
        warnings.simplefilter("ignore", ResourceWarning)  # the servers are left open, that is the point

        class Wait(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(b"in")
                threading.Event().wait()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        server = Server(("127.0.0.1", 0), Wait)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        clients = [socket.create_connection(server.server_address) for _ in range(3)]
        for client in clients:
            assert client.recv(2) == b"in"
            client.close()
        """
    )


def test_several_servers_in_one_thread_after_another_leave_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in STREAM:
        for _ in range(3):
            server = getattr(socketserver, name)(ADDRESS, Echo)
            serve_once(server)
            server.server_close()
    with serving(socketserver.TCPServer(ADDRESS, Echo)):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() >= 1
