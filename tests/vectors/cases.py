# SPDX-License-Identifier: MIT OR Apache-2.0
"""The inputs of every vector: what is asked, and how an answer becomes a line of a vector file.

A case without a question has a line that needs no interpreter. All bytes are fixed: `stream` stands in for
randomness.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

LEGACY, MODERN = "legacy", "modern"
BOTH = (LEGACY, MODERN)
DIGESTS = ("md5", "sha256", "sha384", "sha3_256", "sha3_384")
ALGORITHMS = ("md5", "sha1", "sha256", "sha384", "sha512", "sha3_256", "sha3_384")
CAP = 64 * 1024 * 1024
CHALLENGE = b"#CHALLENGE#"
NONCE = 40
LEGACY_NONCE = 20


@dataclass(frozen=True)
class Case:
    """One vector: its file, the dialects that give this line, the question if any, and the line."""

    file: str
    line: Callable[[Any], str]
    question: dict[str, Any] | None = None
    dialects: tuple[str, ...] = BOTH


def stream(label: str, length: int) -> bytes:
    """Bytes that look random and are always the same for a label."""
    blocks = (hashlib.sha256(f"{label} {index}".encode()).digest() for index in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def shown(data: bytes | str) -> str:
    """Bytes or hex as a column."""
    return (data if isinstance(data, str) else data.hex()) or "-"


def columns(*values: bytes | str | int) -> str:
    """A line of the vector files."""
    return " ".join(shown(value) if isinstance(value, bytes) else str(value) for value in values)


def fixed(file: str, *values: bytes | str | int) -> Case:
    """A case whose line is known."""
    text = columns(*values)
    return Case(file, lambda _: text)


def custom(name: str, length: int) -> bytes:
    """The header of a length in a format such as i32le, or OverflowError."""
    bits = int("".join(filter(str.isdigit, name)))
    return length.to_bytes(bits // 8, "big" if name.endswith("be") else "little", signed=name.startswith("i"))


def frames() -> Iterator[Case]:
    """frames.txt."""
    bodies = {
        "empty": b"",
        "one-byte": b"\x00",
        "hello": b"hello",
        "looks-like-a-header": b"\xff\xff\xff\xff\x00\x00\x00\x01",
        "challenge": CHALLENGE + stream("frame", LEGACY_NONCE),
        "byte-255": stream("255", 255),
        "byte-256": stream("256", 256),
    }
    for name, body in bodies.items():
        yield encoded(name, body)
    for form, code in (("course-le", "<i"), ("course-be", ">i")):
        for name, body in bodies.items():
            yield fixed("frames", "frame", name, form, body, struct.pack(code, len(body)) + body)
    for form in ("u8", "i16le", "u16be", "u16le", "u32be", "i64le", "u64be", "i64be"):
        for name in ("empty", "hello"):
            yield fixed(
                "frames", "frame", name, form, bodies[name], custom(form, len(bodies[name])) + bodies[name]
            )
    yield fixed("frames", "frame", "byte-255", "u8", bodies["byte-255"], b"\xff" + bodies["byte-255"])
    yield fixed("frames", "frame", "byte-256", "u16le", bodies["byte-256"], b"\x00\x01" + bodies["byte-256"])
    yield from long_forms()
    yield from sticky_packets()
    yield from headers()
    yield from malformed()


def encoded(name: str, body: bytes) -> Case:
    """A multiprocessing frame, as Connection.send_bytes writes it."""

    def line(answer: str) -> str:
        return columns("frame", name, "multiprocessing", body, answer)

    return Case("frames", line, {"ask": "encode", "body": body.hex()})


def decoded(line: Callable[[Any], str], data: bytes, cap: int = CAP) -> Case:
    """A stream that Connection.recv_bytes reads to its end."""
    return Case("frames", line, {"ask": "decode", "encoded": data.hex(), "cap": cap})


def long_forms() -> Iterator[Case]:
    """The 12-byte header, which a reader takes for any length."""
    for name, body in (("long-form-empty", b""), ("long-form-hello", b"hello")):
        data = b"\xff\xff\xff\xff" + struct.pack(">Q", len(body)) + body

        def line(answer: list[str], name: str = name, data: bytes = data) -> str:
            return columns("decode", name, "multiprocessing", shown(answer[0]), data)

        yield decoded(line, data)


def sticky_packets() -> Iterator[Case]:
    """Several frames that arrive in one piece."""
    bodies = (b"hello", b"", b"world", stream("sticky", 33))
    data = b"".join(struct.pack(">i", len(body)) + body for body in bodies)

    def line(answer: list[str]) -> str:
        return columns("sticky", "four-frames", "multiprocessing", data, *map(shown, answer[:-1]))

    yield decoded(line, data)
    for form in ("course-le", "course-be"):
        code = "i32" + form[-2:]
        data = b"".join(custom(code, len(body)) + body for body in bodies)
        yield fixed("frames", "sticky", "four-frames", form, data, *bodies)


def headers() -> Iterator[Case]:
    """Headers of lengths whose bodies are too large for a file, and lengths a format cannot hold."""
    for length in (0, 16384, 16385, CAP, 2**31 - 1, 2**31, 2**32, 2**40 + 1):

        def line(answer: str, length: int = length) -> str:
            return columns("header", f"length-{length}", "multiprocessing", length, answer)

        yield Case("frames", line, {"ask": "header", "length": length})
    limits = {"course-le": "i32le", "course-be": "i32be"}
    for form in ("course-le", "course-be", "u8", "i8", "u16be", "i16le", "u32le", "i32be", "u64be", "i64le"):
        code = limits.get(form, form)
        bits = int("".join(filter(str.isdigit, code)))
        largest = 2 ** (bits - code.startswith("i")) - 1
        yield fixed("frames", "header", f"length-{largest}", form, largest, custom(code, largest))
        if bits < 64:
            yield fixed("frames", "unencodable", f"length-{largest + 1}", form, largest + 1)


def malformed() -> Iterator[Case]:
    """Streams that a reader must refuse."""
    inputs = (
        ("over-cap-by-one", 1024, struct.pack(">i", 1025), "over-cap"),
        ("over-default-cap", CAP, struct.pack(">i", CAP + 1), "over-cap"),
        ("largest-short-form", CAP, b"\x7f\xff\xff\xff", "over-cap"),
        ("long-form-over-cap", 1024, b"\xff\xff\xff\xff" + struct.pack(">Q", 1025), "over-cap"),
        ("long-form-2-to-63", CAP, b"\xff\xff\xff\xff" + struct.pack(">Q", 2**63), "over-cap"),
        ("long-form-2-to-64-less-1", CAP, b"\xff" * 12, "over-cap"),
        ("nothing", CAP, b"", "eof"),
        ("eof-after-1-of-4", CAP, b"\x00", "eof-inside-header"),
        ("eof-after-3-of-4", CAP, b"\x00\x00\x00", "eof-inside-header"),
        ("eof-after-marker", CAP, b"\xff\xff\xff\xff", "eof-inside-header"),
        ("eof-inside-long-length", CAP, b"\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00", "eof-inside-header"),
        ("eof-before-body", CAP, b"\x00\x00\x00\x05", "eof-inside-body"),
        ("eof-inside-body", CAP, b"\x00\x00\x00\x05hell", "eof-inside-body"),
        ("length-at-cap-without-body", 1024, struct.pack(">i", 1024), "eof-inside-body"),
    )
    words = {"over-cap": "too-long", "eof": "eof"}
    for name, cap, data, outcome in inputs:
        # Where the stream ends right after the marker or the header, CPython says EOFError.
        accepted = {words.get(outcome, "eof-inside"), "eof" if outcome.startswith("eof") else ""}

        def line(
            answer: list[str],
            name: str = name,
            cap: int = cap,
            data: bytes = data,
            outcome: str = outcome,
            accepted: set[str] = accepted,
        ) -> str:
            verdict = outcome if answer[-1] in accepted and len(answer) == 1 else f"stock-says:{answer}"
            return columns("bad", name, "multiprocessing", cap, data, verdict)

        yield decoded(line, data, cap)
    for name, data in (("negative-2", b"\xff\xff\xff\xfe"), ("most-negative", b"\x80\x00\x00\x00")):
        yield fixed("frames", "bad", name, "multiprocessing", CAP, data, "negative")
    for form, code in (("course-le", "<i"), ("course-be", ">i")):
        yield fixed("frames", "bad", "negative-1", form, CAP, struct.pack(code, -1), "negative")
        yield fixed("frames", "bad", "over-default-cap", form, CAP, struct.pack(code, CAP + 1), "over-cap")
        yield fixed(
            "frames", "bad", "eof-after-3-of-4", form, CAP, struct.pack(code, 5)[:3], "eof-inside-header"
        )
        yield fixed(
            "frames", "bad", "eof-inside-body", form, CAP, struct.pack(code, 5) + b"hell", "eof-inside-body"
        )
        yield fixed("frames", "bad", "nothing", form, CAP, b"", "eof")
    yield fixed("frames", "bad", "most-negative", "i64be", CAP, b"\x80" + bytes(7), "negative")
    yield fixed("frames", "bad", "2-to-64-less-1", "u64le", CAP, b"\xff" * 8, "over-cap")
    yield fixed("frames", "bad", "minus-one", "i8", CAP, b"\xff", "negative")
    yield fixed("frames", "bad", "over-small-cap", "u8", 254, b"\xff", "over-cap")


def mac_case(file: str, before: tuple[str, ...], algorithm: str, key: bytes, message: bytes) -> Case:
    """A line that ends in algorithm, key, message and HMAC."""

    def line(answer: str) -> str:
        return columns(*before, algorithm, key, message, answer)

    return Case(
        file, line, {"ask": "mac", "algorithm": algorithm, "key": key.hex(), "message": message.hex()}
    )


def macs() -> Iterator[Case]:
    """macs.txt: RFC 2202 and RFC 4231 under every algorithm, and the edges of key and message length."""
    long_text = b"This is a test using a larger than block-size key and a larger than block-size data."
    tail = b" The key needs to be hashed before being used by the HMAC algorithm."
    for algorithm in ALGORITHMS:
        width, block = hashlib.new(algorithm).digest_size, hashlib.new(algorithm).block_size
        given = {
            "rfc4231-1": (b"\x0b" * 20, b"Hi There"),
            "rfc4231-2": (b"Jefe", b"what do ya want for nothing?"),
            "rfc4231-3": (b"\xaa" * 20, b"\xdd" * 50),
            "rfc4231-4": (bytes(range(1, 26)), b"\xcd" * 50),
            "rfc4231-5": (b"\x0c" * 20, b"Test With Truncation"),
            "rfc4231-6": (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "rfc4231-7": (b"\xaa" * 131, long_text + tail),
            "rfc2202-1": (b"\x0b" * 16, b"Hi There"),
            "rfc2202-3": (b"\xaa" * 16, b"\xdd" * 50),
            "rfc2202-6": (b"\xaa" * 80, b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "empty-key": (b"", b"message"),
            "empty-message": (b"key", b""),
            "empty-both": (b"", b""),
            "key-of-digest-size": (stream("key", width), stream("message", 32)),
            "key-block-less-1": (stream("key", block - 1), stream("message", 32)),
            "key-of-block-size": (stream("key", block), stream("message", 32)),
            "key-block-plus-1": (stream("key", block + 1), stream("message", 32)),
            "key-of-3-blocks": (stream("key", 3 * block), stream("message", 32)),
            "message-block-less-1": (stream("key", 32), stream("message", block - 1)),
            "message-of-block-size": (stream("key", 32), stream("message", block)),
            "message-of-300": (stream("key", 32), stream("message", 300)),
        }
        for name, (key, message) in given.items():
            yield mac_case("macs", ("mac", name), algorithm, key, message)


def answer_case(name: str, dialect: str, key: bytes, challenge: bytes) -> Case:
    """How an answering end takes a challenge."""

    def line(answer: list[str]) -> str:
        return columns("answer", name, dialect, key, challenge, answer[0], shown(answer[1]))

    question = {"ask": "answer", "key": key.hex(), "challenge": challenge.hex()}
    return Case("challenges", line, question, (dialect,))


def verify_case(name: str, dialect: str, key: bytes, digest: str, response: bytes) -> Case:
    """How a delivering end takes a response to its challenge of a fixed nonce."""
    nonce = stream(f"verify {digest}", NONCE)

    def line(answer: list[str]) -> str:
        return columns("verify", name, dialect, key, shown(answer[1]), response, answer[0])

    question = {"ask": "verify", "key": key.hex(), "digest": digest, "nonce": nonce.hex()}
    return Case("challenges", line, {**question, "response": response.hex()}, (dialect,))


def challenges() -> Iterator[Case]:
    """challenges.txt."""
    for dialect in BOTH:
        yield from answers(dialect)
    yield from verdicts()


def answers(dialect: str) -> Iterator[Case]:
    """The challenges put to an answering end of a dialect."""
    key = stream("authkey", 32)
    for length in (20, 19, 16, 15, 1, 0, 21, 32):
        yield answer_case(f"raw-{length}", dialect, key, CHALLENGE + stream("raw", length))
    for digest in DIGESTS:
        challenge = CHALLENGE + f"{{{digest}}}".encode() + stream(digest, NONCE)
        yield answer_case(f"prefix-{digest}", dialect, key, challenge)
    modern = CHALLENGE + b"{sha256}" + stream("k", NONCE)
    yield answer_case("prefix-sha256-empty-key", dialect, b"", modern)
    yield answer_case("prefix-sha256-long-key", dialect, stream("k", 200), modern)
    yield answer_case("raw-20-empty-key", dialect, b"", CHALLENGE + stream("k", LEGACY_NONCE))
    yield answer_case("raw-20-long-key", dialect, stream("k", 200), CHALLENGE + stream("k", LEGACY_NONCE))
    yield answer_case("prefix-but-20-in-all", dialect, key, CHALLENGE + b"{sha256}" + stream("p", 12))
    yield answer_case("prefix-but-21-in-all", dialect, key, CHALLENGE + b"{sha256}" + stream("p", 13))
    for name, prefix in (
        ("unknown-sha512", b"{sha512}"),
        ("unknown-sha1", b"{sha1}"),
        ("unknown-upper-case", b"{SHA256}"),
        ("unknown-empty-name", b"{}"),
        ("prefix-not-closed", b"{sha256"),
        ("prefix-of-100", b"{" + b"a" * 98 + b"}"),
    ):
        yield answer_case(name, dialect, key, CHALLENGE + prefix + stream("u", NONCE))
    room = 256 - len(CHALLENGE) - len(b"{sha256}")
    yield answer_case("message-of-256", dialect, key, CHALLENGE + b"{sha256}" + stream("room", room))
    yield answer_case("message-of-257", dialect, key, CHALLENGE + b"{sha256}" + stream("room", room + 1))
    for name, message in (
        ("no-marker", b"{sha256}" + stream("u", NONCE)),
        ("marker-lower-case", CHALLENGE.lower() + b"{sha256}" + stream("u", NONCE)),
        ("marker-cut-short", CHALLENGE[:-1] + b"{sha256}" + stream("u", NONCE)),
        ("empty-message", b""),
        ("welcome-instead", b"#WELCOME#"),
    ):
        yield answer_case(name, dialect, key, message)


def verdicts() -> Iterator[Case]:
    """The responses put to a delivering end."""
    key, other = stream("authkey", 32), stream("another authkey", 32)

    def mac(which: bytes, digest: str, message: bytes) -> bytes:
        return hmac.new(which, message, digest).digest()

    raw = stream("verify ", NONCE)[:LEGACY_NONCE]
    right = mac(key, "md5", raw)
    for name, response in (
        ("right", right),
        ("wrong-key", mac(other, "md5", raw)),
        ("last-bit-wrong", right[:-1] + bytes([right[-1] ^ 1])),
        ("cut-short", right[:-1]),
        ("with-prefix", b"{md5}" + right),
        ("raw-sha256", mac(key, "sha256", raw)),
        ("empty", b""),
        ("of-256", bytes(256)),
        ("of-257", bytes(257)),
    ):
        yield verify_case(f"legacy-{name}", LEGACY, key, "", response)
    for digest in DIGESTS:
        prefix = f"{{{digest}}}".encode()
        payload = prefix + stream(f"verify {digest}", NONCE)
        right = mac(key, digest, payload)
        for name, response in (
            ("right", prefix + right),
            ("legacy-client", mac(key, "md5", payload)),
            ("legacy-client-wrong-key", mac(other, "md5", payload)),
            ("wrong-key", prefix + mac(other, digest, payload)),
            ("last-bit-wrong", prefix + right[:-1] + bytes([right[-1] ^ 1])),
            ("cut-short", prefix + right[:-1]),
            ("one-more", prefix + right + b"\x00"),
            ("mac-without-prefix-inside", prefix + mac(key, digest, payload[len(prefix) :])),
        ):
            yield verify_case(f"{digest}-{name}", MODERN, key, digest, response)
    payload = b"{sha256}" + stream("verify sha256", NONCE)
    for name, response in (
        ("answered-with-md5", b"{md5}" + mac(key, "md5", payload)),
        ("answered-with-sha3_384", b"{sha3_384}" + mac(key, "sha3_384", payload)),
        ("answered-with-sha512", b"{sha512}" + mac(key, "sha512", payload)),
        ("answered-with-sha1", b"{sha1}" + mac(key, "sha1", payload)),
        ("name-of-another-digest", b"{sha3_256}" + mac(key, "sha256", payload)),
        ("raw-sha256", mac(key, "sha256", payload)),
        ("raw-of-20", bytes(20)),
        ("prefix-only", b"{sha256}"),
        ("empty", b""),
        ("of-256", b"{sha256}" + bytes(248)),
        ("of-257", b"{sha256}" + bytes(249)),
    ):
        yield verify_case(f"sha256-{name}", MODERN, key, "sha256", response)


def course_auth() -> Iterator[Case]:
    """course_auth.txt: the course's client check, 32 random bytes out and the raw HMAC back."""
    nonce = stream("course", 32)
    for name, key in (
        ("course-key", b"a key both ends know"),
        ("one-byte-key", b"k"),
        ("empty-key", b""),
        ("long-key", stream("course key", 200)),
    ):
        for algorithm in ("sha256", "md5", "sha3_256"):
            yield mac_case("course_auth", ("course", f"{name}-{algorithm}"), algorithm, key, nonce)
    key = b"a course key"
    right = hmac.new(key, nonce, "sha256").digest()
    for name, digest in (
        ("last-bit-wrong", right[:-1] + bytes([right[-1] ^ 1])),
        ("wrong-key", hmac.new(b"another key", nonce, "sha256").digest()),
        ("nonce-sent-back", nonce),
        ("zeros", bytes(32)),
    ):
        yield fixed("course_auth", "course-refused", name, "sha256", key, nonce, digest)


def every() -> list[Case]:
    """All cases, in the order of the files."""
    return [*frames(), *macs(), *challenges(), *course_auth()]
