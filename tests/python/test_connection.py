# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.multiprocessing.connection: listeners, clients, pipes, and the handshake against every vector."""

from __future__ import annotations

import errno
import multiprocessing.connection as standard
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, Background, asleep, records, run, unhex

import carrick
import carrick.multiprocessing.connection as connection

Ends = tuple[connection.Connection, connection.Connection]
KEY = b"a key of the tests"


@pytest.fixture(params=[True, False], ids=["duplex", "one-way"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A reading and a writing end."""
    reading, writing = connection.Pipe(request.param)
    with reading, writing:
        yield reading, writing


@pytest.fixture
def duplex() -> Iterator[Ends]:
    left, right = connection.Pipe()
    with left, right:
        yield left, right


def test_objects_and_bytes_pass_through_a_pipe(pipe: Ends) -> None:
    reading, writing = pipe
    for thing in (None, 1, "text", {"a": [1, 2]}, b"x" * 40_000, Path("p")):
        sending = Background(writing.send, thing)
        assert reading.recv() == thing
        sending.result()
    for body in (b"", b"x", bytes(16384), bytes(16385), bytes(3 << 20)):
        sending = Background(writing.send_bytes, body)
        assert reading.recv_bytes() == body
        sending.result()


def test_ends_of_a_one_way_pipe_refuse_the_other_direction() -> None:
    reading, writing = connection.Pipe(False)
    with reading, writing:
        assert (reading.readable, reading.writable) == (True, False)
        with pytest.raises(OSError, match="read-only"):
            reading.send(1)
        with pytest.raises(OSError, match="write-only"):
            writing.recv()


def test_send_bytes_takes_a_part(duplex: Ends) -> None:
    left, right = duplex
    left.send_bytes(b"0123456789", 2)
    left.send_bytes(bytearray(b"0123456789"), 2, 3)
    left.send_bytes(memoryview(b"0123456789"), 10)
    assert [right.recv_bytes() for _ in range(3)] == [b"23456789", b"234", b""]
    for arguments in ((-1,), (11,), (0, -1), (5, 6)):
        with pytest.raises(ValueError, match="."):
            left.send_bytes(b"0123456789", *arguments)


def test_recv_bytes_into_fills_a_buffer_or_raises_with_the_message(duplex: Ends) -> None:
    left, right = duplex
    room = bytearray(10)
    left.send_bytes(b"abc")
    assert right.recv_bytes_into(room) == 3 and room[:3] == b"abc"
    left.send_bytes(b"abc")
    assert right.recv_bytes_into(room, 7) == 3 and room[7:] == b"abc"
    left.send_bytes(b"")
    assert right.recv_bytes_into(room) == 0
    left.send_bytes(b"abcd")
    with pytest.raises(connection.BufferTooShort) as caught:
        right.recv_bytes_into(room, 7)
    assert caught.value.args == (b"abcd",)
    for offset in (-1, 11):
        with pytest.raises(ValueError, match="offset"):
            right.recv_bytes_into(room, offset)
    with pytest.raises(TypeError):
        right.recv_bytes_into(b"read only")
    left.send_bytes(b"goes on")
    assert right.recv_bytes() == b"goes on"


def test_recv_bytes_keeps_to_maxlength(duplex: Ends) -> None:
    left, right = duplex
    left.send_bytes(b"12345")
    assert right.recv_bytes(5) == b"12345"
    with pytest.raises(ValueError, match="negative"):
        right.recv_bytes(-1)
    left.send_bytes(b"123456")
    with pytest.raises(OSError, match="bad message length"):
        right.recv_bytes(5)


def test_the_end_of_the_stream_is_eoferror(pipe: Ends) -> None:
    reading, writing = pipe
    writing.close()
    for call in (reading.recv, reading.recv_bytes, lambda: reading.recv_bytes_into(bytearray(3))):
        with pytest.raises(EOFError):
            call()


def test_an_end_inside_a_message_is_oserror(duplex: Ends) -> None:
    left, right = duplex
    os.write(left.fileno(), struct.pack("!i", 5) + b"abc")
    left.close()
    with pytest.raises(OSError) as caught:
        right.recv_bytes()
    assert isinstance(caught.value, carrick.BadFrameError)


def test_a_closed_connection_says_so(duplex: Ends) -> None:
    left, _ = duplex
    left.close()
    left.close()
    assert left.closed
    for call in (lambda: left.send(1), left.recv, left.poll, left.fileno, lambda: left.send_bytes(b"")):
        with pytest.raises(OSError, match="closed"):
            call()


def test_a_peer_that_has_closed_is_epipe(pipe: Ends) -> None:
    reading, writing = pipe
    reading.close()
    with pytest.raises(BrokenPipeError) as caught:
        writing.send_bytes(b"x")
    assert caught.value.errno == errno.EPIPE


def test_poll_tells_whether_something_is_there(pipe: Ends) -> None:
    reading, writing = pipe
    assert not reading.poll() and not reading.poll(0.01) and not reading.poll(-1)
    writing.send_bytes(b"")
    assert reading.poll() and reading.poll(WAIT) and reading.poll(None)
    assert reading.recv_bytes() == b""
    writing.close()
    assert reading.poll(), "the end of the stream is something"


def test_wait_finds_those_that_are_ready(duplex: Ends) -> None:
    left, right = duplex
    third, fourth = connection.Pipe()
    with third, fourth:
        assert connection.wait([right, fourth], 0.01) == []
        third.send(1)
        assert connection.wait([right, fourth], WAIT) == [fourth]
        left.send(1)
        assert set(connection.wait([right, fourth], WAIT)) == {right, fourth}


def test_a_connection_can_be_sent_through_a_connection(duplex: Ends) -> None:
    run(
        """
        import carrick.multiprocessing.connection as connection
        from multiprocessing import resource_sharer
        left, right = connection.Pipe()
        inner, other = connection.Pipe()
        left.send(inner)
        copied = right.recv()
        copied.send("through the copy")
        assert other.recv() == "through the copy"
        assert type(copied) is connection.Connection
        for one in (left, right, inner, other, copied):
            one.close()
        resource_sharer.stop()
        """
    )


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        pytest.param(*one[3:5], id=one[1])
        for one in records("frames.txt", "frame", "decode")
        if one[2] == "multiprocessing"
    ],
)
def test_messages_are_the_vectors_frames(duplex: Ends, body: str, encoded: str) -> None:
    left, right = duplex
    os.write(left.fileno(), unhex(encoded))
    assert right.recv_bytes() == unhex(body)
    if not encoded.startswith("ffffffff0000000000"):
        left.send_bytes(unhex(body))
        assert os.read(right.fileno(), 65536) == unhex(encoded)


@pytest.mark.parametrize(
    ("length", "header"),
    [
        pytest.param(int(one[3]), one[4], id=one[3])
        for one in records("frames.txt", "header")
        if one[2] == "multiprocessing" and 1 << 20 < int(one[3]) < 1 << 33
    ],
)
def test_headers_of_messages_over_2_gib(duplex: Ends, length: int, header: str) -> None:
    from test_frames import Long

    left, right = duplex

    def send() -> None:
        with Long(length) as body:
            left.send_bytes(body)

    sending = Background(send)
    expected = unhex(header)
    received = b""
    while len(received) < len(expected):
        received += os.read(right.fileno(), len(expected) - len(received))
    assert received == expected
    right.close()
    assert isinstance(sending.error(), (BrokenPipeError, ConnectionResetError))


@pytest.mark.parametrize("header", ["fffffffe", "80000000"])
def test_a_negative_length_is_refused(duplex: Ends, header: str) -> None:
    left, right = duplex
    os.write(left.fileno(), unhex(header))
    with pytest.raises(carrick.BadFrameError):
        right.recv_bytes()


def test_a_length_of_2_to_64_less_1_is_refused_without_waiting(duplex: Ends) -> None:
    left, right = duplex
    os.write(left.fileno(), b"\xff" * 12)
    with pytest.raises(MemoryError):
        right.recv_bytes()


# Listeners and clients


@pytest.fixture(params=["tcp", "unix", "abstract"])
def address(request: pytest.FixtureRequest, scratch: Path) -> Any:
    return {
        "tcp": ("127.0.0.1", 0),
        "unix": str(scratch / "s"),
        "abstract": f"\0carrick-test-{os.getpid()}-{id(request)}",
    }[request.param]


@pytest.mark.parametrize("key", [None, KEY, b""])
def test_a_client_and_a_listener_exchange_objects(address: Any, key: bytes | None) -> None:
    with connection.Listener(address, authkey=key) as listener:
        accepting = Background(listener.accept)
        with connection.Client(listener.address, authkey=key) as client, accepting.result() as served:
            assert type(client) is type(served) is connection.Connection
            client.send(["hello", 1])
            assert served.recv() == ["hello", 1]
            served.send_bytes(b"bye")
            assert client.recv_bytes() == b"bye"
            if isinstance(listener.address, tuple):
                with socket.socket(fileno=os.dup(client.fileno())) as look:
                    assert listener.last_accepted == look.getsockname()


@pytest.mark.parametrize("ours_is", ["listener", "client"])
@pytest.mark.parametrize("key", [None, KEY])
def test_stock_and_carrick_talk_in_one_process(ours_is: str, key: bytes | None) -> None:
    listening, dialling = (connection, standard) if ours_is == "listener" else (standard, connection)
    with listening.Listener(("127.0.0.1", 0), authkey=key) as listener:
        accepting = Background(listener.accept)
        with dialling.Client(listener.address, authkey=key) as client, accepting.result() as served:
            client.send({"from": ours_is})
            assert served.recv() == {"from": ours_is}


@pytest.mark.parametrize("ours_is", ["listener", "client", "both"])
def test_another_key_is_refused_on_both_sides_and_the_listener_goes_on(ours_is: str) -> None:
    listening = standard if ours_is == "client" else connection
    dialling = standard if ours_is == "listener" else connection
    with listening.Listener(("127.0.0.1", 0), authkey=KEY) as listener:
        accepting = Background(listener.accept)
        with pytest.raises((standard.AuthenticationError, EOFError, OSError)) as caught:
            dialling.Client(listener.address, authkey=b"another secret")
        refused = accepting.error()
        assert isinstance(refused, standard.AuthenticationError)
        for error in (refused, caught.value):
            assert "secret" not in str(error) and KEY.decode() not in str(error)
        accepting = Background(listener.accept)
        dialling.Client(listener.address, authkey=KEY).close()
        accepting.result().close()


def test_a_silent_client_keeps_no_other_waiting() -> None:
    with connection.Listener(("127.0.0.1", 0), authkey=KEY) as listener:
        silent = [socket.create_connection(listener.address, WAIT) for _ in range(3)]
        accepting = Background(listener.accept)
        with connection.Client(listener.address, authkey=KEY) as client:
            with accepting.result() as served:
                served.send("first")
                assert client.recv() == "first"
        for one in silent:
            one.close()


def test_a_client_gives_up_on_a_silent_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        connection.Client(silent.getsockname(), authkey=KEY)


def test_min_digest_keeps_weaker_ones_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MIN_DIGEST", "sha256")
    left, right = socket.socketpair()
    with connection.Connection(left.detach()) as ours, connection.Connection(right.detach()) as theirs:
        answering = Background(connection.answer_challenge, ours, KEY)
        theirs.send_bytes(b"#CHALLENGE#" + bytes(range(20)))  # as Python 3.11 and older ask
        assert isinstance(answering.error(), carrick.AuthenticationError)
        answering = Background(connection.answer_challenge, ours, KEY)
        theirs.send_bytes(b"#CHALLENGE#{sha256}" + bytes(range(40)))
        assert theirs.recv_bytes().startswith(b"{sha256}")
        theirs.send_bytes(b"#WELCOME#")
        answering.result()


def test_a_challenge_of_ones_own_is_not_answered() -> None:
    # A server without the key gives the challenge of one client to another, to have it answered.
    with connection.Listener(("127.0.0.1", 0)) as fake:
        first = Background(lambda: connection.Client(fake.address, authkey=KEY))
        with fake.accept() as to_first:
            to_first.send_bytes(b"#CHALLENGE#{sha256}" + bytes(range(40)))
            assert to_first.recv_bytes().startswith(b"{sha256}")
            to_first.send_bytes(b"#WELCOME#")
            challenge = to_first.recv_bytes()
            second = Background(lambda: connection.Client(fake.address, authkey=KEY))
            with fake.accept() as to_second:
                to_second.send_bytes(challenge)
                assert isinstance(second.error(), carrick.AuthenticationError)
                with pytest.raises((EOFError, OSError)):
                    to_second.recv_bytes()  # no answer came
        assert first.error() is not None


@pytest.mark.parametrize(
    ("step", "what"),
    [("challenge", b""), ("challenge", b"garbage"), ("challenge", b"x" * 257), ("response", b"garbage")],
)
def test_garbage_in_the_handshake_is_refused_and_the_listener_goes_on(step: str, what: bytes) -> None:
    with connection.Listener(("127.0.0.1", 0), authkey=KEY) as listener:
        accepting = Background(listener.accept)
        with connection.SocketClient(listener.address) as peer:
            challenge = peer.recv_bytes(256)
            if step == "challenge":
                peer.send_bytes(b"#CHALLENGE#" + what)
            else:
                assert challenge.startswith(b"#CHALLENGE#")
                peer.send_bytes(what)
            assert isinstance(accepting.error(), (carrick.AuthenticationError, OSError))
        accepting = Background(listener.accept)
        connection.Client(listener.address, authkey=KEY).close()
        accepting.result().close()


class Scripted:
    """A connection that hands out prepared messages and keeps what is sent."""

    def __init__(self, *incoming: bytes) -> None:
        self.incoming = list(incoming)
        self.sent: list[bytes] = []

    def send_bytes(self, message: bytes) -> None:
        self.sent.append(bytes(message))

    def recv_bytes(self, limit: int) -> bytes:
        message = self.incoming.pop(0)
        if len(message) > limit:
            raise OSError("bad message length")
        return message


ANSWERS = [
    pytest.param(*one[3:], id=one[1]) for one in records("challenges.txt", "answer") if one[2] == "modern"
]


@pytest.mark.parametrize(("key", "challenge", "outcome", "response"), ANSWERS)
def test_challenges_are_answered_as_the_vectors_say(
    key: str, challenge: str, outcome: str, response: str
) -> None:
    peer = Scripted(unhex(challenge), b"#WELCOME#")
    if outcome == "ok":
        connection.answer_challenge(peer, unhex(key))
        assert peer.sent == [unhex(response)]
    else:
        expected: Any = OSError if outcome == "too-long" else standard.AuthenticationError
        with pytest.raises(expected):
            connection.answer_challenge(peer, unhex(key))
        assert peer.sent == []


@pytest.mark.parametrize("verdict", [b"#FAILURE#", b"", b"#WELCOME", b"#welcome#"])
def test_a_verdict_that_is_no_welcome_is_a_refusal(verdict: bytes) -> None:
    peer = Scripted(b"#CHALLENGE#{sha256}" + bytes(range(40)), verdict)
    with pytest.raises(standard.AuthenticationError):
        connection.answer_challenge(peer, KEY)


@pytest.mark.parametrize("digest", ["md5", "sha256", "sha384", "sha3_256", "sha3_384"])
def test_a_delivered_challenge_is_answered_by_the_standard_rules(digest: str) -> None:
    import hmac

    left, right = connection.Pipe()
    with left, right:
        delivering = Background(lambda: connection.deliver_challenge(left, KEY, digest))
        challenge = right.recv_bytes(256)
        payload = challenge.removeprefix(b"#CHALLENGE#")
        prefix = b"{" + digest.encode() + b"}"
        assert payload.startswith(prefix) and len(payload) == len(prefix) + 40
        right.send_bytes(prefix + hmac.digest(KEY, payload, digest))
        assert right.recv_bytes(256) == b"#WELCOME#"
        delivering.result()


@pytest.mark.parametrize("forged", ["nothing", "raw-sha256", "flipped", "other-name", "own-challenge"])
def test_a_delivered_challenge_refuses_a_forged_response(forged: str) -> None:
    import hmac

    left, right = connection.Pipe()
    with left, right:
        delivering = Background(connection.deliver_challenge, left, KEY)
        payload = right.recv_bytes(256).removeprefix(b"#CHALLENGE#")
        tag = hmac.digest(KEY, payload, "sha256")
        right.send_bytes(
            {
                "nothing": b"",
                "raw-sha256": tag,
                "flipped": b"{sha256}" + tag[:-1] + bytes([tag[-1] ^ 1]),
                "other-name": b"{sha384}" + tag,
                "own-challenge": payload,
            }[forged]
        )
        assert right.recv_bytes(256) == b"#FAILURE#"
        assert isinstance(delivering.error(), standard.AuthenticationError)


def test_an_authkey_that_is_not_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="byte string"):
        connection.Listener(("127.0.0.1", 0), authkey="text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="byte string"):
        connection.Client(("127.0.0.1", 1), authkey="text")  # type: ignore[arg-type]
    for call in (connection.deliver_challenge, connection.answer_challenge):
        with pytest.raises(ValueError, match="bytes"):
            call(Scripted(), "text")  # type: ignore[arg-type]


def test_a_closed_listener_says_so() -> None:
    listener = connection.Listener(("127.0.0.1", 0), authkey=KEY)
    listener.close()
    listener.close()
    with pytest.raises(OSError, match="closed"):
        listener.accept()


def test_the_socket_file_of_a_listener_goes_with_it(scratch: Path) -> None:
    path = str(scratch / "s")
    with connection.Listener(path):
        assert os.path.exists(path)
    assert not os.path.exists(path)


def test_a_client_that_nobody_listens_to_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with pytest.raises(ConnectionRefusedError):
        connection.Client(address)


def test_two_threads_use_the_two_directions_at_a_time(duplex: Ends) -> None:
    left, right = duplex
    count = 500

    def pump(end: connection.Connection) -> None:
        for i in range(count):
            end.send(i)

    senders = [Background(pump, left), Background(pump, right)]
    received = [Background(lambda end=end: [end.recv() for _ in range(count)]) for end in duplex]
    for sender in senders:
        sender.result()
    assert [one.result() for one in received] == [list(range(count))] * 2


def test_a_connection_outlives_a_thread_that_waits_in_it(duplex: Ends) -> None:
    left, right = duplex
    entered = threading.Event()

    def wait() -> Any:
        entered.set()
        return right.recv()

    waiting = Background(wait)
    assert entered.wait(WAIT)
    left.send("at last")
    assert waiting.result() == "at last"


def test_every_name_of_the_standard_module_is_there() -> None:
    assert [name for name in dir(standard) if not hasattr(connection, name)] == []
    assert issubclass(connection.Connection, standard.Connection)
    assert issubclass(connection.Listener, standard.Listener)


@pytest.mark.parametrize("key", [None, b"key"])
@pytest.mark.parametrize("inner", [False, True], ids=["Listener", "SocketListener"])
def test_closing_a_listener_ends_the_accepts_that_wait(key: bytes | None, inner: bool) -> None:
    listener = connection.Listener(("127.0.0.1", 0), authkey=key)
    accepting = [Background(listener.accept) for _ in range(3)]
    for call in accepting:
        asleep(call)
    (listener._listener if inner else listener).close()  # type: ignore[attr-defined]
    for call in accepting:
        error = call.error()
        assert isinstance(error, OSError) and "closed" in str(error)
    with pytest.raises(OSError, match="closed"):
        listener.accept()
    listener.close()


def test_a_probe_of_the_port_does_not_end_an_accept_loop() -> None:
    with connection.Listener(("127.0.0.1", 0), authkey=b"key") as listener:
        accepting = Background(listener.accept)
        for linger in (None, struct.pack("ii", 1, 0)):
            for _ in range(5):
                with socket.create_connection(listener.address) as probe:
                    if linger is not None:
                        # Closing it resets the connection.
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with connection.Client(listener.address, authkey=b"key") as client, accepting.result() as accepted:
            accepted.send_bytes(b"word")
            assert client.recv_bytes() == b"word"
