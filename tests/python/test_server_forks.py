# SPDX-License-Identifier: MIT OR Apache-2.0
"""Servers and forks: a child touches nothing of its parent's, and processes that share a listening socket do not meet."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, Background, run, serving
from test_socketserver import ADDRESS, DATAGRAM, FORKS, STREAM, Echo, ask, connect, made

import carrick
import carrick.socketserver as socketserver
from carrick.multiprocessing.connection import Client, Listener

pytestmark = FORKS


def in_child(call: Any) -> None:
    """Run ``call`` in a child made by fork, which ends at once; what it raises fails the test."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            call()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class Shout(socketserver.DatagramRequestHandler):
    """Sends a datagram back."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


def answers(server: Any, scratch: Path) -> bool:
    """Whether the server answers a request."""
    if server.socket_type == socket.SOCK_STREAM:
        return ask(server) == b"HELLO\n"
    family = server.socket.family
    mine: Any = str(scratch / "client") if family == socket.AF_UNIX else ADDRESS
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.bind(mine)
        client.settimeout(WAIT)
        client.sendto(b"word", server.server_address)
        answer = client.recv(10)
    if family == socket.AF_UNIX:
        os.unlink(mine)
    return answer == b"WORD"


def stays_asleep() -> bool:
    """Whether all other threads of this process sleep, and do so for a while without being woken."""

    def switches() -> list[str]:
        found = []
        for task in sorted(os.listdir("/proc/self/task")):
            if int(task) != threading.get_native_id():
                with (
                    contextlib.suppress(OSError),
                    open(f"/proc/self/task/{task}/status", encoding="ascii") as file,
                ):
                    found += [line for line in file if line.startswith(("Pid", "voluntary", "nonvoluntary"))]
        return found

    # A thread may be on its way to its sleep, or out.
    for _ in range(100):
        before = switches()
        time.sleep(0.01)
        if switches() == before:
            return True
    return False


CALLS = {
    "shutdown": lambda server: server.shutdown(WAIT),
    "server_close": lambda server: server.server_close(),
    "both": lambda server: (server.shutdown(WAIT), server.server_close()),
    "the flag": lambda server: setattr(server, "_BaseServer__shutdown_request", True),
    "the end of the interpreter": lambda server: threading._shutdown(),  # type: ignore[attr-defined]
    "nothing": lambda server: None,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
@pytest.mark.parametrize("name", STREAM + DATAGRAM)
def test_what_a_child_does_with_a_server_does_not_reach_its_parent(
    name: str, call: Any, scratch: Path
) -> None:
    with made(name, Echo if name in STREAM else Shout, scratch) as server:
        assert answers(server, scratch)
        in_child(lambda: call(server))
        assert [answers(server, scratch) for _ in range(3)] == [True] * 3
        # A descriptor that the child has left readable would have the server's thread spin.
        assert stays_asleep()


def test_a_child_closes_a_server_whose_thread_was_about_to_be_started() -> None:
    # Another thread of the parent's may be at this point when one forks.
    with made("ThreadingTCPServer", Echo, Path()) as server:
        assert answers(server, Path())
        server._threads.append(threading.Thread())
        in_child(server.server_close)
        del server._threads[-1]


@pytest.mark.parametrize("name", STREAM)
def test_a_child_that_closes_a_server_has_none_of_its_descriptors_left(name: str, scratch: Path) -> None:
    def sockets(inode: int) -> int:
        found = 0
        for number in os.listdir("/proc/self/fd"):
            try:
                found += os.stat(int(number)).st_ino == inode
            except OSError:
                pass
        return found

    with made(name, Echo, scratch) as server:
        assert answers(server, scratch)
        inode = os.fstat(server.fileno()).st_ino

        def close() -> None:
            server.server_close()
            assert sockets(inode) == 0

        in_child(close)
        assert answers(server, scratch)


def test_a_child_may_serve_with_the_server_that_its_parent_serves_with() -> None:
    for cls in (socketserver.TCPServer, socketserver.ThreadingTCPServer):
        with serving(cls(ADDRESS, Echo)) as server:
            assert ask(server) == b"HELLO\n"

            def serve(server: Any = server) -> None:
                own = Background(server.serve_forever)
                ask(server)
                server.shutdown(WAIT)
                own.result()

            in_child(serve)
            assert ask(server) == b"HELLO\n"


def test_the_interpreter_of_a_child_ends_at_once_and_the_parents_server_goes_on() -> None:
    run(
        """
        import os, socket, sys, threading, time
        import carrick; carrick.patch()
        import http.server, multiprocessing, socketserver, warnings
        from concurrent.futures import ProcessPoolExecutor
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads is the point

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200); self.end_headers(); self.wfile.write(b"page")
            def log_message(self, *args): pass

        def get(server):
            with socket.create_connection(server.server_address, timeout=30) as client:
                client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
                data = b""
                while piece := client.recv(1000):
                    data += piece
            assert data.endswith(b"page"), data

        fork = multiprocessing.get_context("fork")
        for cls in (http.server.HTTPServer, http.server.ThreadingHTTPServer):
            with cls(("127.0.0.1", 0), Page) as server:
                thread = threading.Thread(target=server.serve_forever, daemon=True)
                thread.start()
                get(server)
                child = fork.Process(target=os.getpid)
                child.start(); child.join()
                assert child.exitcode == 0
                get(server)
                with ProcessPoolExecutor(2, mp_context=fork) as pool:
                    assert list(pool.map(abs, [-1, -2])) == [1, 2]
                get(server)
                if not os.fork():
                    sys.exit(0)
                os.wait()
                get(server)
                server.shutdown()
                thread.join()
        """
    )


@pytest.mark.parametrize("end", ["shutdown", "request_shutdown", "with"])
def test_a_message_server_goes_on_whatever_a_child_does_with_it(end: str) -> None:
    with carrick.MessageServer(ADDRESS, lambda request: request.body) as server:

        def call() -> None:
            if end == "shutdown":
                server.shutdown(WAIT)
            elif end == "request_shutdown":
                server.request_shutdown()
            else:
                with server:
                    pass

        with Client(server.address) as client:
            for _ in range(3):
                in_child(call)
                client.send_bytes(b"word")
                assert client.recv_bytes() == b"word"


@pytest.mark.parametrize("end", ["shutdown", "with"])
def test_a_child_ends_a_message_server_whose_thread_was_about_to_serve(end: str) -> None:
    for _ in range(100):
        with carrick.MessageServer(ADDRESS, lambda request: request.body) as server:
            in_child(server.shutdown if end == "shutdown" else partial(server.__exit__, None, None, None))


def test_a_listener_that_a_child_closes_goes_on_accepting_in_the_parent() -> None:
    for key in (None, b"key"):
        with Listener(ADDRESS, authkey=key) as listener:
            accepting = Background(listener.accept)
            in_child(listener.close)
            with Client(listener.address, authkey=key) as client, accepting.result() as accepted:
                accepted.send_bytes(b"word")
                assert client.recv_bytes() == b"word"


# Processes that share a listening socket


class Number(socketserver.BaseRequestHandler):
    """Tells which process answers."""

    def handle(self) -> None:
        self.request.sendall(b"%d" % os.getpid())


def number(server: Any) -> int:
    """The process that answers."""
    received = b""
    with connect(server) as client:
        while piece := client.recv(20):
            received += piece
    return int(received)


def fork_worker(server: Any) -> int:
    """A process that serves until SIGTERM."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        with open(read, "rb") as ready:
            assert ready.read(1) == b"x"
        return pid
    code = 1
    try:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        os.write(write, b"x")
        server.serve_forever()
        code = 0
    finally:
        os._exit(code)


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "not blocking"])
@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ThreadingUnixStreamServer"])
def test_processes_that_share_a_listening_socket_stop_one_by_one(
    name: str, blocking: bool, scratch: Path
) -> None:
    path = str(scratch / "s")
    server = getattr(socketserver, name)(path if "Unix" in name else ADDRESS, Number, False)
    server.request_queue_size = 50
    server.server_bind()
    server.server_activate()
    server.socket.setblocking(blocking)
    workers = [fork_worker(server) for _ in range(3)]
    try:
        for left in (3, 2, 1):
            assert all(number(server) in workers for _ in range(20))
            os.kill(workers[0], signal.SIGTERM)
            _, status = os.waitpid(workers[0], 0)
            assert os.waitstatus_to_exitcode(status) == 0, f"with {left} left"
            workers.pop(0)
            assert os.get_blocking(server.fileno()) == blocking
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        server.server_close()
        if "Unix" in name:
            os.unlink(path)


def test_a_server_leaves_the_flags_of_its_socket_alone() -> None:
    for cls in (socketserver.TCPServer, socketserver.ThreadingTCPServer, socketserver.UDPServer):
        for blocking in (True, False):
            server = cls(ADDRESS, Echo)
            server.socket.setblocking(blocking)
            serve = Background(server.serve_forever)
            if cls is not socketserver.UDPServer:
                assert ask(server) == b"HELLO\n"
            assert os.get_blocking(server.fileno()) == blocking
            server.shutdown(WAIT)
            serve.result()
            assert os.get_blocking(server.fileno()) == blocking
            server.server_close()


@pytest.mark.parametrize("cls", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_the_facts_of_a_request_are_its_sockets_not_the_classes(cls: Any, scratch: Path) -> None:
    seen: list[Any] = []

    class Look(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = self.request
            seen.append((request.family, request.getpeername(), request.getsockname(), self.client_address))

    for family, address in ((socket.AF_UNIX, str(scratch / "s")), (socket.AF_INET6, ("::1", 0))):
        # As from a service manager: the class knows nothing of it, nor does the object.
        given = socket.socket(family)
        given.bind(address)
        given.listen()
        server = cls(ADDRESS, Look, bind_and_activate=False)
        server.socket.close()
        server.socket = socket.fromfd(given.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        server.server_address = given.getsockname()
        with given, serving(server), socket.socket(family) as client:
            client.settimeout(WAIT)
            client.connect(given.getsockname())
            assert client.recv(1) == b""
            mine = client.getsockname()
        assert seen == [(family, mine, server.server_address, mine)]
        seen.clear()
        if family == socket.AF_UNIX:
            os.unlink(address)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_forking_server_at_max_children_takes_the_exit_codes_of_its_own_children_only(limit: int) -> None:
    class Few(socketserver.ForkingTCPServer):
        max_children = limit

    with serving(Few(ADDRESS, Number)) as server:
        strangers = []
        for code in range(1, 4):
            pid = os.fork()
            if pid == 0:
                os._exit(code)
            strangers.append((pid, code))
        for _ in range(3 * limit):
            assert number(server) > 0
        for pid, code in strangers:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code


def test_children_are_waited_for_where_no_descriptor_of_them_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(pid: int) -> int:
        raise PermissionError(1, "refused")

    monkeypatch.setattr(os, "pidfd_open", refused)

    class Few(socketserver.ForkingTCPServer):
        max_children = 1

    with serving(Few(ADDRESS, Number)) as server:
        assert len({number(server) for _ in range(4)}) == 4


def test_a_child_does_not_wait_for_its_parents_requests() -> None:
    class Wait(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"in")
            self.request.recv(1)

    with serving(socketserver.ForkingTCPServer(ADDRESS, Wait)) as server:
        client = connect(server)
        assert client.recv(2) == b"in"
        in_child(lambda: server.server_close())
        client.shutdown(socket.SHUT_RDWR)
        client.close()
