# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.socket: the module socket with a better class; ssl, asyncio and selectors take it."""

from __future__ import annotations

import asyncio
import builtins
import errno
import hmac
import os
import pickle
import selectors
import socket as standard
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from support import CERTIFICATE, WAIT, Background, records, run, unhex

import carrick
import carrick.socket as socket

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(WAIT)
        right.settimeout(WAIT)
        yield left, right


def test_star_import_gives_the_whole_module() -> None:
    run(
        """
        from carrick.socket import *
        import carrick.socket, socket as standard
        assert socket is carrick.socket.socket and issubclass(socket, standard.socket)
        missing = [name for name in standard.__all__ if name not in globals()]
        assert not missing, missing
        s = socket(AF_INET, SOCK_STREAM)
        s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        s.listen()
        c = create_connection(s.getsockname())
        a, _ = s.accept()
        a.sendall(b"x")
        assert c.recv(1) == b"x" and type(c) is type(a) is socket
        for one in (s, c, a):
            one.close()
        """
    )


def test_every_name_of_the_standard_module_is_there() -> None:
    missing = [name for name in dir(standard) if not hasattr(socket, name)]
    assert not missing
    assert socket.error is OSError and socket.timeout is TimeoutError
    assert socket._LOCALHOST == standard._LOCALHOST  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = socket.no_such_name  # type: ignore[attr-defined]


def test_whatever_makes_a_socket_makes_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname(), timeout=WAIT) as client:
            assert client.gettimeout() == WAIT
            served, address = listener.accept()
            with served, client.dup() as copied, socket.fromfd(client.fileno(), 2, 1) as adopted:
                made = [listener, client, served, copied, adopted]
                assert {type(one) for one in made} == {socket.socket}
                assert address == client.getsockname()
    left, right = socket.socketpair()
    with left, right:
        assert type(left) is type(right) is socket.socket


def test_recv_send_and_sendall_do_what_the_standard_ones_do(pair: Pair) -> None:
    left, right = pair
    assert left.send(b"hello") == 5
    assert right.recv(2) == b"he"
    assert right.recv(0) == b""
    assert right.recv(100) == b"llo"
    left.sendall(b"")
    left.sendall(bytearray(b"abc"))
    assert right.recv(1, socket.MSG_PEEK) == b"a"
    assert right.recv(100) == b"abc"
    left.shutdown(socket.SHUT_WR)
    assert right.recv(100) == b""
    for bad in (-1, "x", None):
        with pytest.raises((ValueError, TypeError)):
            right.recv(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        left.send("text")  # type: ignore[arg-type]


def test_megabytes_are_sent_whole(pair: Pair) -> None:
    left, right = pair
    body = bytes(range(256)) * 40_000
    sending = Background(left.sendall, body)
    received = bytearray()
    while len(received) < len(body):
        received += right.recv(1 << 20)
    assert received == body
    sending.result()


def test_timeouts_are_the_standard_ones(pair: Pair) -> None:
    left, _ = pair
    left.settimeout(0.01)
    with pytest.raises(TimeoutError) as caught:
        left.recv(1)
    assert isinstance(caught.value, socket.timeout)
    with pytest.raises(TimeoutError):
        while True:
            left.sendall(bytes(1 << 20))


def test_not_blocking_is_the_standard_one(pair: Pair) -> None:
    left, right = pair
    left.setblocking(False)
    with pytest.raises(BlockingIOError) as caught:
        left.recv(1)
    assert caught.value.errno == errno.EAGAIN
    with pytest.raises(BlockingIOError):
        while True:
            left.send(bytes(65536))
    with pytest.raises(BlockingIOError):
        left.sendall(b"x")
    assert right.recv(1) == b"\0"


@pytest.mark.parametrize(
    "call",
    [lambda s: s.recv(1), lambda s: s.send(b"x"), lambda s: s.sendall(b"x")],
    ids=["recv", "send", "sendall"],
)
def test_errors_are_equal_to_the_standard_ones(call: Any) -> None:
    def outcome(module: Any, prepare: Any) -> tuple[Any, ...]:
        left, right = module.socketpair()
        with left, right:
            prepare(left, right)
            try:
                return ("returned", call(left))
            except OSError as error:
                # Ours has the name of the standard one, which is the first that is really builtin.
                builtin = next(
                    cls for cls in type(error).__mro__ if getattr(builtins, cls.__name__, None) is cls
                )
                return (builtin, error.args, error.errno)

    def closed(left: Any, right: Any) -> None:
        left.close()

    def peer_closed(left: Any, right: Any) -> None:
        right.close()

    def no_waiting(left: Any, right: Any) -> None:
        left.setblocking(False)

    def short_waiting(left: Any, right: Any) -> None:
        left.settimeout(0.01)

    for prepare in (closed, peer_closed, no_waiting, short_waiting):
        assert outcome(socket, prepare) == outcome(standard, prepare), prepare


def test_a_closed_socket_is_ebadf(pair: Pair) -> None:
    pair[0].close()
    for call in (lambda: pair[0].send(b"x"), lambda: pair[0].sendall(b"x"), lambda: pair[0].recv(1)):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            call()
        assert caught.value.errno == errno.EBADF


def test_a_socket_cannot_be_pickled(pair: Pair) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(pair[0])


def test_selectors_take_it(pair: Pair) -> None:
    left, right = pair
    with selectors.DefaultSelector() as selector:
        selector.register(right, selectors.EVENT_READ, "right")
        assert selector.select(0) == []
        left.send(b"x")
        [(key, events)] = selector.select(WAIT)
        assert key.data == "right" and events == selectors.EVENT_READ


def test_asyncio_takes_it() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main() -> bytes:
        listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(handle, sock=listener)
        client = socket.socket()
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, listener.getsockname())
        await loop.sock_sendall(client, b"hello\n")
        answer = await loop.sock_recv(client, 100)
        client.close()
        server.close()
        await server.wait_closed()
        return answer

    assert asyncio.run(asyncio.wait_for(main(), WAIT)) == b"HELLO\n"


def test_ssl_takes_it(pair: Pair) -> None:
    left, right = pair
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.create_default_context(cafile=CERTIFICATE)
    client.check_hostname = False

    def serve() -> bytes:
        with server.wrap_socket(left, server_side=True) as secured:
            data = secured.recv(100)
            secured.sendall(data.upper())
            return data

    serving = Background(serve)
    with client.wrap_socket(right) as secured:
        secured.sendall(b"hello")
        assert secured.recv(100) == b"HELLO"
    assert serving.result() == b"hello"


def test_makefile_reads_and_writes(pair: Pair) -> None:
    left, right = pair
    with left.makefile("w", encoding="utf-8") as writer:
        writer.write("one\ntwo\n")
    with right.makefile("r", encoding="utf-8") as reader:
        assert [reader.readline(), reader.readline()] == ["one\n", "two\n"]


def test_udp_sends_and_receives() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        one.bind(("127.0.0.1", 0))
        one.settimeout(WAIT)
        two.sendto(b"ahoy", one.getsockname())
        data, address = one.recvfrom(100)
        two.connect(one.getsockname())
        assert data == b"ahoy" and address[1] == two.getsockname()[1]
        two.send(b"")
        assert one.recv(100) == b"", "an empty datagram is one"


def test_a_subclass_may_override_recv(pair: Pair) -> None:
    class Shouting(socket.socket):
        def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
            return super().recv(bufsize, flags).upper()

    shouting = Shouting(fileno=os.dup(pair[1].fileno()))
    with shouting:
        pair[0].send(b"hello")
        assert shouting.recv(100) == b"HELLO"


# Authentication


def both(
    left: socket.socket, right: socket.socket, left_key: Any, right_key: Any, **options: Any
) -> list[Any]:
    """The exceptions of both ends of a handshake, or None."""
    serving = Background(lambda: left.authenticate(left_key, "server", **options))
    try:
        right.authenticate(right_key, "client", **options)
        client: BaseException | None = None
    except BaseException as error:
        client = error
    if client is not None:
        right.close()
    return [serving.error(), client]


NEGOTIATED = ["md5", "sha256", "sha384", "sha3_256", "sha3_384"]


@pytest.mark.parametrize(
    ("scheme", "digest"),
    [
        *(("multiprocessing", digest) for digest in NEGOTIATED),
        *(("course", d) for d in [*NEGOTIATED, "sha512"]),
    ],
)
def test_both_schemes_accept_the_right_key(pair: Pair, scheme: str, digest: str) -> None:
    assert both(*pair, b"key", b"key", scheme=scheme, digest=digest) == [None, None]
    pair[0].send_frame(b"then frames")
    assert pair[1].recv_frame() == b"then frames"


def test_both_ends_refuse_another_key(pair: Pair) -> None:
    server, client = both(*pair, b"key", b"another", scheme="multiprocessing")
    for error in (server, client):
        assert isinstance(error, carrick.AuthenticationError)
        assert "key" not in str(error).replace("the key", "").replace("another key", ""), (
            "no key byte is shown"
        )


def test_the_course_server_refuses_another_key(pair: Pair) -> None:
    server, client = both(*pair, b"a secret", b"another", scheme="course")
    assert isinstance(server, carrick.AuthenticationError) and client is None
    assert "secret" not in str(server)


@pytest.mark.parametrize(
    ("algorithm", "key", "nonce", "digest"),
    [pytest.param(*one[2:], id=one[1]) for one in records("course_auth.txt", "course")],
)
def test_the_course_client_answers_as_the_vectors_say(
    pair: Pair, algorithm: str, key: str, nonce: str, digest: str
) -> None:
    left, right = pair
    left.sendall(unhex(nonce))
    right.authenticate(unhex(key), "client", digest=algorithm)
    expected = unhex(digest)
    assert left.recv(len(expected), socket.MSG_WAITALL) == expected


def test_the_course_server_takes_what_the_courses_client_sends(pair: Pair) -> None:
    left, right = pair
    serving = Background(left.authenticate, b"key", "server")
    nonce = right.recv(32, socket.MSG_WAITALL)
    assert len(nonce) == 32
    right.sendall(hmac.new(b"key", nonce, "sha256").digest())
    serving.result()


@pytest.mark.parametrize("what", ["nonce", "zeros", "flipped"])
def test_the_course_server_refuses_a_forged_answer(pair: Pair, what: str) -> None:
    left, right = pair
    serving = Background(left.authenticate, b"key", "server")
    nonce = right.recv(32, socket.MSG_WAITALL)
    right_answer = hmac.new(b"key", nonce, "sha256").digest()
    forged = {
        "nonce": nonce,
        "zeros": bytes(32),
        "flipped": right_answer[:-1] + bytes([right_answer[-1] ^ 1]),
    }
    right.sendall(forged[what])
    assert isinstance(serving.error(), carrick.AuthenticationError)


@pytest.mark.parametrize("scheme", ["course", "multiprocessing"])
@pytest.mark.parametrize("role", ["server", "client"])
def test_a_silent_peer_is_a_timeout(pair: Pair, scheme: Any, role: Any) -> None:
    with pytest.raises(TimeoutError):
        pair[0].authenticate(b"key", role, scheme=scheme, timeout=0.02)


def test_a_digest_below_the_policy_is_refused(pair: Pair) -> None:
    left, right = pair
    serving = Background(lambda: left.authenticate(b"key", "server", scheme="multiprocessing", digest="md5"))
    with pytest.raises(carrick.AuthenticationError):
        right.authenticate(b"key", "client", scheme="multiprocessing", min_digest="sha256")
    right.close()
    assert serving.error() is not None


@pytest.mark.parametrize(
    "options",
    [
        {"role": "servant"},
        {"scheme": "cause"},
        {"digest": "sha257"},
        {"min_digest": "sha257"},
        {"timeout": float("nan")},
    ],
)
def test_arguments_that_mean_nothing_are_refused(pair: Pair, options: dict[str, Any]) -> None:
    role = options.pop("role", "server")
    with pytest.raises(ValueError, match=r"."):
        pair[0].authenticate(b"key", role, **options)


def test_a_key_that_is_not_bytes_is_refused(pair: Pair) -> None:
    with pytest.raises(TypeError):
        pair[0].authenticate("text", "server")  # type: ignore[arg-type]
