# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.MessageServer: every option, handlers that misbehave, and its end."""

from __future__ import annotations

import contextlib
import inspect
import os
import select
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, Background, run, unraisable

import carrick
from carrick._message import _Options
from carrick.multiprocessing.connection import Client
from carrick.socket import create_connection

ADDRESS = ("127.0.0.1", 0)
KEY = b"a key of the tests"


def upper(request: carrick.Request) -> bytes:
    """A handler that answers in capitals."""
    return request.body.upper()


def test_requests_are_answered() -> None:
    with carrick.MessageServer(ADDRESS, upper) as server, Client(server.address) as client:
        for body in (b"hello", b"", b"x" * 100_000):
            client.send_bytes(body)
            assert client.recv_bytes() == body.upper()


def test_a_request_tells_body_peer_and_connection() -> None:
    seen: list[Any] = []

    def look(request: carrick.Request) -> bytes:
        seen.append((type(request.body), request.peer, request.connection))
        assert "5 bytes" in repr(request)
        return b""

    with carrick.MessageServer(ADDRESS, look) as server:
        with create_connection(server.address) as one, create_connection(server.address) as two:
            for client in (one, two, one):
                client.send_frame(b"hello", "multiprocessing")
                client.recv_frame("multiprocessing")
            peers = [one.getsockname(), two.getsockname(), one.getsockname()]
    assert [peer for _, peer, _ in seen] == peers
    assert seen[0][0] is bytes and seen[0][2] == seen[2][2] != seen[1][2]


def test_a_handler_may_reply_several_times_or_not_at_all() -> None:
    def handle(request: carrick.Request) -> bytes | None:
        for i in range(int(request.body)):
            request.reply(bytearray(b"%d" % i))
        return None if request.body == b"0" else memoryview(b"end")  # type: ignore[return-value]

    with carrick.MessageServer(ADDRESS, handle) as server, Client(server.address) as client:
        client.send_bytes(b"0")
        client.send_bytes(b"2")
        assert [client.recv_bytes() for _ in range(3)] == [b"0", b"1", b"end"]


def test_a_handler_may_close_the_connection_after_its_replies() -> None:
    def handle(request: carrick.Request) -> bytes:
        request.close()
        return b"bye"

    with carrick.MessageServer(ADDRESS, handle) as server, Client(server.address) as client:
        client.send_bytes(b"x")
        assert client.recv_bytes() == b"bye"
        with pytest.raises(EOFError):
            client.recv_bytes()


def test_an_exception_of_a_handler_is_reported_and_ends_that_connection_only() -> None:
    def handle(request: carrick.Request) -> bytes:
        if request.body == b"fail":
            raise ZeroDivisionError("of the handler")
        if request.body == b"exit":
            raise SystemExit(3)
        if request.body == b"not bytes":
            return "text"  # type: ignore[return-value]
        if request.body == b"bad reply":
            request.reply("text")  # type: ignore[arg-type]
        return b"fine"

    with unraisable() as errors, carrick.MessageServer(ADDRESS, handle) as server:
        with Client(server.address) as other:
            for body in (b"fail", b"exit", b"not bytes", b"bad reply"):
                with Client(server.address) as client:
                    client.send_bytes(body)
                    with pytest.raises(EOFError):
                        client.recv_bytes()
            other.send_bytes(b"x")
            assert other.recv_bytes() == b"fine"
        assert server.stats()["failures"] == 4
    assert [type(error) for error in errors] == [ZeroDivisionError, SystemExit, TypeError, TypeError]
    assert [str(error) for error in errors[2:]] == [
        "handler returned str: return a bytes-like object or None",
        "request.reply() was given str: give a bytes-like object",
    ]


def test_handlers_that_block_stop_no_other_up_to_max_threads() -> None:
    barrier = threading.Barrier(4)

    def meet(request: carrick.Request) -> bytes:
        carrick.about_to_block()
        return b"%d" % (barrier.wait(WAIT) >= 0)

    with carrick.MessageServer(ADDRESS, meet, max_threads=4) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server.address)) for _ in range(4)]
        for client in clients:
            client.send_bytes(b"")
        assert [client.recv_bytes() for client in clients] == [b"1"] * 4


def test_a_handler_that_blocks_without_telling_stops_no_other() -> None:
    leave = threading.Event()

    def handle(request: carrick.Request) -> bytes:
        if request.body == b"wait":
            assert leave.wait(WAIT)
        return request.body

    with carrick.MessageServer(ADDRESS, handle) as server:
        with Client(server.address) as stuck, Client(server.address) as other:
            stuck.send_bytes(b"wait")
            other.send_bytes(b"quick")
            assert other.recv_bytes() == b"quick"
            leave.set()
            assert stuck.recv_bytes() == b"wait"


@pytest.mark.parametrize("scheme", ["multiprocessing", "course"])
@pytest.mark.parametrize("digest", ["sha256", "sha384"])
def test_authkey_authenticates_each_connection(scheme: Any, digest: str) -> None:
    options: Any = {"authkey": KEY, "scheme": scheme, "digest": digest}
    with carrick.MessageServer(ADDRESS, upper, **options) as server:
        with create_connection(server.address) as client:
            client.authenticate(KEY, "client", scheme=scheme, digest=digest)
            client.send_frame(b"in", "multiprocessing")
            assert client.recv_frame("multiprocessing") == b"IN"
        with create_connection(server.address) as client:
            with contextlib.suppress(carrick.AuthenticationError):
                client.authenticate(b"another", "client", scheme=scheme, digest=digest)
            with pytest.raises((EOFError, ConnectionResetError)):
                client.recv_frame("multiprocessing")
        assert server.stats()["auth_failures"] == 1


def test_min_digest_keeps_weaker_clients_out() -> None:
    import hmac

    with carrick.MessageServer(ADDRESS, upper, authkey=KEY, min_digest="sha256") as server:
        with create_connection(server.address) as client:
            challenge = client.recv_frame("multiprocessing").removeprefix(b"#CHALLENGE#")
            client.send_frame(hmac.digest(KEY, challenge, "md5"), "multiprocessing")
            assert client.recv_frame("multiprocessing") == b"#FAILURE#"


def test_a_silent_client_is_cut_off_at_the_handshake_timeout() -> None:
    with carrick.MessageServer(ADDRESS, upper, authkey=KEY, handshake_timeout=0.05) as server:
        with create_connection(server.address) as silent:
            assert silent.recv_frame("multiprocessing").startswith(b"#CHALLENGE#")
            assert silent.recv(1) == b""
        with Client(server.address, authkey=KEY) as client:
            client.send_bytes(b"x")
            assert client.recv_bytes() == b"X"


@pytest.mark.parametrize("format", ["multiprocessing", "course", (2, "big", False), (8, "little", True)])
def test_frame_format_says_what_a_frame_is(format: Any) -> None:
    with carrick.MessageServer(ADDRESS, upper, frame_format=format) as server:
        with create_connection(server.address) as client:
            client.send_frame(b"hello", format)
            assert client.recv_frame(format) == b"HELLO"


def test_a_frame_over_max_frame_ends_the_connection() -> None:
    with carrick.MessageServer(ADDRESS, upper, max_frame=10) as server:
        with Client(server.address) as client:
            client.send_bytes(b"x" * 10)
            assert client.recv_bytes() == b"X" * 10
            client.send_bytes(b"x" * 11)
            with pytest.raises((EOFError, ConnectionResetError)):
                client.recv_bytes()


def test_a_negative_length_ends_the_connection() -> None:
    with carrick.MessageServer(ADDRESS, upper) as server, create_connection(server.address) as client:
        client.sendall(struct.pack("!i", -2))
        assert client.recv(1) == b""


def test_max_connections_rejects_or_blocks() -> None:
    with carrick.MessageServer(ADDRESS, upper, max_connections=1, overload="reject") as server:
        with Client(server.address) as first:
            first.send_bytes(b"x")
            assert first.recv_bytes() == b"X"
            with create_connection(server.address) as second, contextlib.suppress(ConnectionResetError):
                assert second.recv(1) == b""
            assert server.stats()["rejected"] == 1
    with carrick.MessageServer(ADDRESS, upper, max_connections=1, overload="block") as server:
        with Client(server.address) as second_client:
            second_client.send_bytes(b"x")
            assert second_client.recv_bytes() == b"X"
            waiting = create_connection(server.address)
            waiting.send_frame(b"y", "multiprocessing")
            waiting.settimeout(0.05)
            with pytest.raises(TimeoutError):
                waiting.recv_frame("multiprocessing")
        waiting.settimeout(WAIT)
        assert waiting.recv_frame("multiprocessing") == b"Y"
        waiting.close()


def test_a_slow_request_is_cut_off_at_request_timeout() -> None:
    with carrick.MessageServer(ADDRESS, upper, request_timeout=0.05) as server:
        with create_connection(server.address) as slow:
            slow.sendall(b"\0\0")
            assert slow.recv(1) == b""


def test_a_quiet_connection_is_closed_at_idle_timeout() -> None:
    with carrick.MessageServer(ADDRESS, upper, idle_timeout=0.05) as server:
        with create_connection(server.address) as idle:
            assert idle.recv(1) == b""


def test_a_client_that_never_reads_is_not_read_from_beyond_max_unsent_and_stops_no_other() -> None:
    answer = bytes(1 << 20)
    count = 50
    with carrick.MessageServer(ADDRESS, lambda request: answer, max_unsent=1 << 16) as server:
        with create_connection(server.address) as greedy, Client(server.address) as other:
            for _ in range(count):
                greedy.send_frame(b"more", "multiprocessing")
            other.send_bytes(b"x")
            assert other.recv_bytes() == answer
            assert server.stats()["requests"] < count, "not all were taken"
            for _ in range(count):
                assert greedy.recv_frame("multiprocessing") == answer


def test_reuse_port_lets_two_servers_share_a_port() -> None:
    with carrick.MessageServer(ADDRESS, upper, reuse_port=True) as one:
        with carrick.MessageServer(one.address, upper, reuse_port=True, backlog=5) as two:
            assert one.address == two.address


def test_a_port_in_use_is_refused() -> None:
    with carrick.MessageServer(ADDRESS, upper) as server, pytest.raises(carrick.OSError, match="in use"):
        carrick.MessageServer(server.address, upper)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"overload": "panic"}, ValueError),
        ({"scheme": "cause", "authkey": b""}, ValueError),
        ({"digest": "sha257", "authkey": b""}, ValueError),
        ({"frame_format": "curse"}, ValueError),
        ({"request_timeout": float("nan")}, ValueError),
        ({"max_frame": -1}, OverflowError),
        ({"max_connections": -1}, OverflowError),
        ({"authkey": "text"}, TypeError),
        ({"no_such": 1}, TypeError),
    ],
)
def test_options_that_mean_nothing_are_refused(options: Any, error: Any) -> None:
    with pytest.raises(error):
        carrick.MessageServer(ADDRESS, upper, **options)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_is_an_overflow(port: int) -> None:
    with pytest.raises(OverflowError, match="0-65535"):
        carrick.MessageServer(("127.0.0.1", port), upper)


def test_a_handler_that_is_not_callable_is_refused() -> None:
    with pytest.raises(TypeError, match="callable"):
        carrick.MessageServer(ADDRESS, b"bytes")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["path", "abstract", "ipv6"])
def test_addresses_of_every_kind(kind: str, scratch: Path) -> None:
    address = {
        "path": str(scratch / "s"),
        "abstract": b"\0carrick-message-%d" % os.getpid(),
        "ipv6": ("::1", 0),
    }[kind]
    with carrick.MessageServer(address, upper) as server:
        family = socket.AF_INET6 if kind == "ipv6" else socket.AF_UNIX
        with socket.socket(family) as client:
            client.connect(server.address)
            client.sendall(b"\0\0\0\1x")
            assert client.recv(5, socket.MSG_WAITALL) == b"\0\0\0\1X"
    if kind == "path":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(str(address))


def test_stats_count_what_was_done() -> None:
    with carrick.MessageServer(ADDRESS, upper) as server:
        with Client(server.address) as client:
            for _ in range(3):
                client.send_bytes(b"12345")
                client.recv_bytes()
            assert server.stats()["active"] == 1
    stats = server.stats()  # events after an answer has left are counted by now
    assert stats["connections"] == 1 and stats["active"] == 0
    assert stats["requests"] == 3
    assert stats["bytes_received"] == stats["bytes_sent"] == 27
    assert stats["handler_nanos"] > 0 and stats["failures"] == 0


def test_shutdown_before_serving_is_quiet() -> None:
    for _ in range(20):
        with carrick.MessageServer(ADDRESS, upper):
            pass
    server = carrick.MessageServer(ADDRESS, upper)
    server.shutdown()
    server.serve_forever()
    with pytest.raises(ConnectionRefusedError):
        create_connection(server.address)


def test_a_server_serves_once() -> None:
    with carrick.MessageServer(ADDRESS, upper) as server:
        with Client(server.address) as client:
            client.send_bytes(b"x")
            client.recv_bytes()
        with pytest.raises(carrick.StateError):
            server.serve_forever()
        with pytest.raises(carrick.StateError):
            server.start()
    with pytest.raises(carrick.StateError):
        server.serve_forever()


def test_shutdown_lets_a_handler_finish() -> None:
    entered, leave = threading.Event(), threading.Event()

    def handle(request: carrick.Request) -> bytes:
        entered.set()
        assert leave.wait(WAIT)
        return b"done"

    server = carrick.MessageServer(ADDRESS, handle).start()
    with Client(server.address) as client:
        client.send_bytes(b"")
        assert entered.wait(WAIT)
        closing = Background(server.shutdown, WAIT)
        leave.set()
        assert client.recv_bytes() == b"done"
    closing.result()


def test_shutdown_gives_up_on_a_handler_that_does_not_return() -> None:
    entered, leave = threading.Event(), threading.Event()

    def handle(request: carrick.Request) -> None:
        entered.set()
        leave.wait(WAIT)

    server = carrick.MessageServer(ADDRESS, handle).start()
    with Client(server.address) as client:
        client.send_bytes(b"")
        assert entered.wait(WAIT)
        with pytest.raises(carrick.TimeoutError):
            server.shutdown(0.01)
        leave.set()
        with pytest.raises((EOFError, ConnectionResetError)):
            client.recv_bytes()


def test_request_shutdown_returns_at_once_from_a_handler() -> None:
    holder: list[carrick.MessageServer] = []

    def handle(request: carrick.Request) -> bytes:
        holder[0].request_shutdown()
        return b"last"

    server = carrick.MessageServer(ADDRESS, handle)
    holder.append(server)
    serving = Background(server.serve_forever)
    with Client(server.address) as client:
        client.send_bytes(b"")
        assert client.recv_bytes() == b"last"
    serving.result()
    holder.clear()


def test_the_typed_options_are_those_of_the_extension() -> None:
    parameters = inspect.signature(carrick._carrick.MessageServer).parameters.values()
    keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert keywords == set(_Options.__annotations__)
    assert all(p.default is not ... for p in parameters)


def test_room_for_descriptors_is_made_before_anybody_connects() -> None:
    told = run(
        """
        import resource, socket
        import carrick, carrick.multiprocessing.connection

        def room():
            with open("/proc/self/status", encoding="ascii") as status:
                [size] = [int(line.split()[1]) for line in status if line.startswith("FDSize")]
            return size

        most = min(5000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        before = room()
        with carrick.MessageServer(("127.0.0.1", 0), lambda request: request.body) as server:
            with carrick.multiprocessing.connection.Client(server.address) as client:
                client.send_bytes(b"word")
                assert client.recv_bytes() == b"word"
                made = room()
                assert made >= most > before, (before, made, most)
                clients = [socket.create_connection(server.address) for _ in range(most // 2 - 50)]
                assert room() == made
                for one in clients:
                    one.close()
        """
    )
    assert told == ""


def test_the_backlog_is_as_long_as_the_system_allows() -> None:
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        allowed = min(4096, int(file.read()))
    listening = carrick.MessageServer(("127.0.0.1", 0), upper)
    clients = []
    try:
        for _ in range(min(allowed, 2000)):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listening.address)
            clients.append(client)
        poller = select.poll()
        for client in clients:
            poller.register(client, select.POLLOUT)
        # Each is connected although nobody accepts.
        assert len(poller.poll(WAIT * 1000)) == len(clients)
    finally:
        for client in clients:
            client.close()
        listening.shutdown()
