# SPDX-License-Identifier: MIT OR Apache-2.0
"""send_frame and recv_frame of carrick.socket.socket: every format, every vector, every way to go wrong."""

from __future__ import annotations

import errno
import mmap
import os
import re
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support import WAIT, Background, records, unhex

import carrick
from carrick.socket import socket, socketpair

NATIVE = "le" if sys.byteorder == "little" else "be"


def format_of(name: str) -> Any:
    """The vectors' word for a format as send_frame has it."""
    if name == "multiprocessing" or name == f"course-{NATIVE}":
        return name.removesuffix(f"-{NATIVE}")
    if name.startswith("course-"):
        name = "i32" + name.removeprefix("course-")
    sign, bits, order = re.fullmatch(r"([ui])(8|16|32|64)(be|le)?", name).groups()  # type: ignore[union-attr]
    return (int(bits) // 8, "big" if order == "be" else "little", sign == "i")


def cases(*kinds: str) -> list[Any]:
    """The parameters of the records of these kinds."""
    return [pytest.param(*one[2:], id=f"{one[2]}-{one[1]}") for one in records("frames.txt", *kinds)]


@pytest.fixture
def pair() -> Iterator[tuple[socket, socket]]:
    left, right = socketpair()
    with left, right:
        left.settimeout(WAIT)
        right.settimeout(WAIT)
        yield left, right


Pair = tuple[socket, socket]


@pytest.mark.parametrize(("format", "body", "encoded"), cases("frame"))
def test_writing_gives_the_bytes_of_the_vector(pair: Pair, format: str, body: str, encoded: str) -> None:
    left, right = pair
    left.send_frame(unhex(body), format_of(format))
    left.close()
    received = b""
    while piece := right.recv(65536):
        received += piece
    assert received == unhex(encoded)


@pytest.mark.parametrize(("format", "body", "encoded"), cases("frame", "decode"))
def test_reading_gives_the_body_and_leaves_nothing_over(
    pair: Pair, format: str, body: str, encoded: str
) -> None:
    left, right = pair
    left.sendall(unhex(encoded))
    left.close()
    assert right.recv_frame(format_of(format)) == unhex(body)
    with pytest.raises(EOFError):
        right.recv_frame(format_of(format))


@pytest.mark.parametrize(
    "columns", [pytest.param(one[2:], id=one[2]) for one in records("frames.txt", "sticky")]
)
def test_frames_that_arrive_as_one_piece_come_apart(pair: Pair, columns: list[str]) -> None:
    left, right = pair
    format, encoded, *bodies = columns
    left.sendall(unhex(encoded))
    assert [right.recv_frame(format_of(format)) for _ in bodies] == [unhex(body) for body in bodies]
    for byte in unhex(encoded):
        left.sendall(bytes([byte]))
    assert [right.recv_frame(format_of(format)) for _ in bodies] == [unhex(body) for body in bodies]


OUTCOMES: dict[str, tuple[type[BaseException], str]] = {
    "negative": (carrick.BadFrameError, "E_BAD_FRAME"),
    "over-cap": (carrick.FrameTooLargeError, "E_FRAME_TOO_LARGE"),
    "eof": (carrick.EndOfStreamError, "E_EOF"),
    "eof-inside-header": (carrick.BadFrameError, "E_BAD_FRAME"),
    "eof-inside-body": (carrick.BadFrameError, "E_BAD_FRAME"),
}
CODES = {name: code for name, code, *_ in carrick._carrick.error_table()}


@pytest.mark.parametrize(("format", "cap", "encoded", "outcome"), cases("bad"))
def test_bad_frames_are_refused(pair: Pair, format: str, cap: str, encoded: str, outcome: str) -> None:
    left, right = pair
    left.sendall(unhex(encoded))
    if not outcome.startswith("eof"):
        # The header alone decides: the end of the stream is not waited for.
        with pytest.raises(OUTCOMES[outcome][0]):
            right.recv_frame(format_of(format), max_frame=int(cap))
        return
    left.close()
    with pytest.raises(OUTCOMES[outcome][0]) as caught:
        right.recv_frame(format_of(format), max_frame=int(cap))
    assert caught.value.code == CODES[OUTCOMES[outcome][1]]  # type: ignore[attr-defined]


class Long:
    """Bytes of any length that take no memory: a mapping of a file that is one hole."""

    def __init__(self, length: int) -> None:
        hole = os.memfd_create("hole")
        try:
            os.ftruncate(hole, max(length, 1))
            self.map = mmap.mmap(hole, 0, prot=mmap.PROT_READ)
        finally:
            os.close(hole)
        self.view = memoryview(self.map)[:length]

    def __enter__(self) -> memoryview:
        return self.view

    def __exit__(self, *_: object) -> None:
        self.view.release()
        self.map.close()


@pytest.mark.parametrize(
    ("format", "length"), [case for case in cases("unencodable") if int(case.values[1]) < 1 << 33]
)
def test_a_length_that_the_format_cannot_say_is_refused_and_nothing_is_sent(
    pair: Pair, format: str, length: str
) -> None:
    left, right = pair
    with Long(int(length)) as body, pytest.raises(carrick.FrameTooLargeError):
        left.send_frame(body, format_of(format), max_frame=1 << 60)
    right.setblocking(False)
    with pytest.raises(BlockingIOError):
        right.recv(1)


@pytest.mark.parametrize(
    ("format", "length", "header"), [case for case in cases("header") if int(case.values[1]) < 1 << 33]
)
def test_headers_of_long_frames(pair: Pair, format: str, length: str, header: str) -> None:
    left, right = pair

    def send() -> None:
        with Long(int(length)) as body:
            left.send_frame(body, format_of(format), max_frame=1 << 60)

    sending = Background(send)
    expected = unhex(header)
    received = b""
    while len(received) < len(expected):
        received += right.recv(len(expected) - len(received))
    assert received == expected
    right.close()  # the body is of no interest; its sender is told
    error = sending.error()
    assert error is None or isinstance(error, (BrokenPipeError, ConnectionResetError))


def test_the_course_format_is_that_of_struct_pack_i(pair: Pair) -> None:
    left, right = pair
    left.send_frame(b"hello")
    assert right.recv(100) == struct.pack("i", 5) + b"hello"
    left.sendall(struct.pack("i", 3) + b"abc")
    assert right.recv_frame() == b"abc"


@pytest.mark.parametrize("data", [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"abcdef")[:3]])
def test_bodies_are_any_bytes_like_object(pair: Pair, data: Any) -> None:
    left, right = pair
    left.send_frame(data)
    assert right.recv_frame() == b"abc"


def test_a_body_that_is_not_contiguous_is_refused(pair: Pair) -> None:
    with pytest.raises(BufferError):
        pair[0].send_frame(memoryview(b"abcdef")[::2])


def test_a_body_of_other_items_is_sent_as_its_bytes(pair: Pair) -> None:
    import array

    numbers = array.array("i", [1, 2, 3])
    pair[0].send_frame(numbers)
    assert pair[1].recv_frame() == numbers.tobytes()


def test_megabytes_pass_through_a_small_socket_buffer(pair: Pair) -> None:
    left, right = pair
    body = bytes(range(256)) * 20_000
    sending = Background(left.send_frame, body, "multiprocessing")
    assert right.recv_frame("multiprocessing") == body
    sending.result()


def test_a_frame_over_the_cap_is_refused_before_anything_is_sent(pair: Pair) -> None:
    left, right = pair
    with pytest.raises(carrick.FrameTooLargeError) as caught:
        left.send_frame(b"12345", max_frame=4)
    assert caught.value.errno == errno.EMSGSIZE
    assert "5" in str(caught.value) and "4" in str(caught.value), "value and limit are named"
    left.send_frame(b"1234", max_frame=4)
    assert right.recv_frame(max_frame=4) == b"1234"


def test_the_cap_is_64_mib_unless_given(pair: Pair) -> None:
    left, right = pair
    left.sendall(struct.pack("i", (64 << 20) + 1))
    with pytest.raises(carrick.FrameTooLargeError):
        right.recv_frame()


@pytest.mark.parametrize(
    "format",
    ["curse", "", (3, "big", True), (4, "middle", True), (0, "big", False), (4, "big"), 4, None],
)
def test_a_format_that_is_none_is_refused(pair: Pair, format: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        pair[0].send_frame(b"", format)
    with pytest.raises((ValueError, TypeError)):
        pair[1].recv_frame(format)


def test_a_timeout_while_nothing_comes_is_a_timeout(pair: Pair) -> None:
    pair[0].settimeout(0.01)
    with pytest.raises(TimeoutError) as caught:
        pair[0].recv_frame()
    assert isinstance(caught.value, carrick.TimeoutError)
    pair[1].send_frame(b"late")
    pair[0].settimeout(WAIT)
    assert pair[0].recv_frame() == b"late", "nothing had begun, so nothing is lost"


def test_a_timeout_while_the_peer_takes_nothing_is_a_timeout(pair: Pair) -> None:
    pair[0].settimeout(0.01)
    with pytest.raises(TimeoutError):
        pair[0].send_frame(bytes(16 << 20))


def test_a_socket_that_does_not_block_says_so_while_nothing_has_begun(pair: Pair) -> None:
    left, right = pair
    right.setblocking(False)
    with pytest.raises(BlockingIOError):
        right.recv_frame()
    left.send_frame(b"here")
    assert right.recv_frame() == b"here"


def test_a_socket_that_does_not_block_loses_no_frame_that_has_begun(pair: Pair) -> None:
    left, right = pair
    right.setblocking(False)
    encoded = struct.pack("i", 5) + b"hello"
    for cut in range(1, len(encoded)):
        left.sendall(encoded[:cut])
        received = Background(right.recv_frame)
        left.sendall(encoded[cut:])
        assert received.result() == b"hello", cut


def test_a_frame_that_has_begun_is_sent_to_its_end_by_a_socket_that_does_not_block(pair: Pair) -> None:
    left, right = pair
    left.setblocking(False)
    body = bytes(range(256)) * 16_384
    sending = Background(left.send_frame, body)
    assert right.recv_frame() == body
    sending.result()


def test_a_full_socket_that_does_not_block_refuses_a_frame_whole(pair: Pair) -> None:
    left, right = pair
    left.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            left.send_frame(bytes(100))
            sent += 1
    left.close()
    assert sent > 0
    for _ in range(sent):
        assert right.recv_frame() == bytes(100)
    with pytest.raises(EOFError):
        right.recv_frame()


def test_a_closed_socket_is_ebadf(pair: Pair) -> None:
    pair[0].close()
    for call in (lambda: pair[0].send_frame(b"x"), pair[0].recv_frame):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            call()
        assert caught.value.errno == errno.EBADF


def test_a_peer_that_has_closed_is_epipe(pair: Pair) -> None:
    pair[1].close()
    with pytest.raises(BrokenPipeError) as caught:
        pair[0].send_frame(b"x")
    assert caught.value.errno == errno.EPIPE
    assert isinstance(caught.value, carrick.BrokenPipeError)
