# SPDX-License-Identifier: MIT OR Apache-2.0
"""Bad input that concerns Python: each gets its documented error, and nothing stops serving."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket as standard
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, Background, environment, run, serving
from test_socketserver import ADDRESS, Echo

import carrick
import carrick.multiprocessing.connection as connection
import carrick.socket as socket
import carrick.socketserver as socketserver


@pytest.mark.parametrize("port", [-1, 65536])
@pytest.mark.parametrize("make", ["TCPServer", "UDPServer", "ThreadingTCPServer"])
def test_a_port_out_of_range_is_an_overflow_and_leaves_no_descriptor(make: str, port: int) -> None:
    with pytest.raises(OverflowError):
        getattr(socketserver, make)(("127.0.0.1", port), Echo)


@pytest.mark.parametrize("port", [-1, 65536])
def test_listeners_clients_and_sockets_refuse_a_port_out_of_range(port: int) -> None:
    with pytest.raises(OverflowError):
        connection.Listener(("127.0.0.1", port))
    with pytest.raises(OverflowError):
        connection.Client(("127.0.0.1", port))
    with socket.socket() as one, pytest.raises(OverflowError):
        one.bind(("127.0.0.1", port))


def test_an_over_long_unix_path_is_refused() -> None:
    path = "/tmp/" + "x" * 120
    for make in (
        lambda: connection.Listener(path),
        lambda: socketserver.UnixStreamServer(path, Echo),
        lambda: carrick.MessageServer(path, lambda request: None),
    ):
        with pytest.raises((OSError, ValueError), match=r"path too long|108|107"):
            make()
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("options", "kind", "named"),
    [
        ({"address": "127.0.0.1:0"}, ValueError, r"\('127.0.0.1', 0\)"),
        ({"address": ("127.0.0.1",)}, TypeError, "host, port"),
        ({"address": ("127.0.0.1", "0")}, TypeError, "host, port"),
        ({"address": 80}, TypeError, "host, port"),
        ({"authkey": "text"}, TypeError, "authkey.* not str"),
        ({"scheme": "kerberos"}, ValueError, "kerberos"),
        ({"digest": "sha999"}, ValueError, "sha999"),
        ({"overload": "panic"}, ValueError, "panic"),
    ],
)
def test_a_message_server_names_the_argument_that_makes_no_sense(
    options: dict[str, Any], kind: type[Exception], named: str
) -> None:
    arguments = {"address": ADDRESS, "handler": lambda request: None} | options
    with pytest.raises(kind, match=named):
        carrick.MessageServer(**arguments)


def test_a_path_with_a_colon_is_a_path_where_it_looks_like_one(tmp_path: Path) -> None:
    with carrick.MessageServer(f"{tmp_path}/127.0.0.1:0", lambda request: None) as server:
        assert server.address == f"{tmp_path}/127.0.0.1:0"


def test_a_port_in_use_is_eaddrinuse() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:

        class NoReuse(socketserver.TCPServer):
            allow_reuse_address = False

        with pytest.raises(OSError) as caught:
            NoReuse(taken.getsockname(), Echo)
        assert caught.value.errno == errno.EADDRINUSE


def test_a_datagram_over_the_limit_is_emsgsize() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        one.bind(ADDRESS)
        one.settimeout(WAIT)
        with pytest.raises(OSError) as caught:
            two.sendto(bytes(65508), one.getsockname())
        assert caught.value.errno == errno.EMSGSIZE
        two.sendto(bytes(65507), one.getsockname())
        assert len(one.recv(65535)) == 65507


@contextlib.contextmanager
def descriptors(limit: int) -> Iterator[None]:
    """A limit on descriptors meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def starve() -> list[int]:
    """Take every descriptor that is left."""
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    return taken


def sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


@pytest.mark.parametrize("kind", ["TCPServer", "ThreadingTCPServer", "hooked", "MessageServer"])
def test_a_server_that_has_run_out_of_descriptors_serves_again_when_there_are_some(kind: str) -> None:
    class Hooked(socketserver.ThreadingTCPServer):
        def service_actions(self) -> None:
            pass

    if kind == "MessageServer":
        server: Any = carrick.MessageServer(ADDRESS, lambda request: request.body.upper())
        running: Any = server
        address = server.address
    else:
        server = Hooked(ADDRESS, Echo) if kind == "hooked" else getattr(socketserver, kind)(ADDRESS, Echo)
        running = serving(server)
        address = server.server_address
    with running, standard.socket() as client, descriptors(256):
        with standard.create_connection(address, WAIT) as first:
            first.sendall(b"\0\0\0\1x")
            assert first.recv(5)  # it serves
            before = sockets() - 2  # less both ends of this connection
        limit = time.monotonic() + WAIT
        while sockets() != before:  # the server's end of it is closed by now
            assert time.monotonic() < limit
            os.sched_yield()
        client.settimeout(WAIT)
        taken = starve()
        try:
            client.connect(address)
            client.sendall(b"\0\0\0\1x" if kind == "MessageServer" else b"x")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)
        finally:
            for one in taken:
                os.close(one)
        client.settimeout(WAIT)
        assert client.recv(5).endswith(b"X")


def test_serving_without_descriptors_raises_and_does_not_hang() -> None:
    server = carrick.MessageServer(ADDRESS, lambda request: None)
    with descriptors(256):
        taken = starve()
        try:
            with pytest.raises(carrick.OSError) as caught:
                server.serve_forever()
        finally:
            for one in taken:
                os.close(one)
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize("bad", [None, 3, ("127.0.0.1",), ("127.0.0.1", "http"), (1, 2), object()])
def test_an_address_that_is_none_is_refused(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError, IndexError)):
        carrick.MessageServer(bad, lambda request: None)


def test_hundreds_of_connections_at_once_are_served() -> None:
    with serving(socketserver.ThreadingTCPServer(ADDRESS, Echo)) as server, contextlib.ExitStack() as stack:
        server.socket.listen(512)
        clients = [
            stack.enter_context(standard.create_connection(server.server_address, WAIT)) for _ in range(200)
        ]
        for client in clients:
            client.sendall(b"x")
        assert [client.recv(1) for client in clients] == [b"X"] * len(clients)


def test_one_byte_at_a_time_is_still_a_frame() -> None:
    left, right = socket.socketpair()
    with left, right:
        receiving = Background(right.recv_frame, "multiprocessing")
        for byte in b"\0\0\0\3abc":
            left.sendall(bytes([byte]))
        assert receiving.result() == b"abc"


def test_the_version_is_printed_by_the_module() -> None:
    command = [sys.executable, "-m", "carrick", "--version"]
    answer = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=WAIT, check=True
    )
    assert answer.stdout == f"carrick {carrick.__version__}\n"


def test_an_unknown_option_of_the_module_is_refused() -> None:
    command = [sys.executable, "-m", "carrick", "--no-such"]
    answer = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert answer.returncode == 2 and "--no-such" in answer.stderr


def test_importing_starts_no_thread_and_opens_nothing(tmp_path: Path) -> None:
    run(
        """
        import os
        before = set(os.listdir("/proc/self/fd"))
        import carrick, carrick.socket, carrick.socketserver, carrick.hmac, carrick.multiprocessing.connection
        assert len(os.listdir("/proc/self/task")) == 1
        assert set(os.listdir("/proc/self/fd")) == before
        """
    )
