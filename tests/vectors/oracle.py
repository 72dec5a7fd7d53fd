# SPDX-License-Identifier: MIT OR Apache-2.0
"""The answers of a stock interpreter on vectors: run by generate.py under each CPython from 3.8 on.

Standard input is a list of questions in JSON, standard output the list of answers. Bytes travel as hex. The
questions are put to multiprocessing.connection itself; nothing of its logic is repeated here.
"""

from __future__ import annotations

import hmac
import json
import multiprocessing.connection as connection
import os
import socket
import sys
from multiprocessing import AuthenticationError
from typing import Any

ANSWER_LIMIT = 10.0


class Scripted:
    """A connection that hands out prepared messages and keeps what is sent."""

    def __init__(self, *incoming: bytes) -> None:
        self.incoming = list(incoming)
        self.sent: list[bytes] = []

    def send_bytes(self, message: bytes) -> None:
        """Keep a message."""
        self.sent.append(message)

    def recv_bytes(self, limit: int) -> bytes:
        """Hand out the next message, under Connection's own rule for its length."""
        message = self.incoming.pop(0)
        if len(message) > limit:
            raise OSError("bad message length")
        return message


class Sized:
    """Stands for a message of any length without its bytes."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        """The length that is claimed."""
        return self.length

    def __radd__(self, head: bytes) -> bytes:
        """Short messages are joined to their header before they are written."""
        return head


def outcome(error: BaseException) -> str:
    """The vector files' word for an exception."""
    if isinstance(error, (AuthenticationError, AssertionError)):
        return "refused"
    if isinstance(error, EOFError):
        return "eof"
    if isinstance(error, OSError) and "bad message length" in str(error):
        return "too-long"
    if isinstance(error, OSError) and "end of file during message" in str(error):
        return "eof-inside"
    return type(error).__name__


def mac(question: dict[str, str]) -> str:
    """The HMAC of a message."""
    key, message = bytes.fromhex(question["key"]), bytes.fromhex(question["message"])
    return hmac.new(key, message, question["algorithm"]).hexdigest()


def answer(question: dict[str, str]) -> list[str]:
    """How answer_challenge takes a challenge: the outcome and the response it sent."""
    peer = Scripted(bytes.fromhex(question["challenge"]), b"#WELCOME#")
    try:
        connection.answer_challenge(peer, bytes.fromhex(question["key"]))
    except Exception as error:
        return [outcome(error), "".join(message.hex() for message in peer.sent)]
    return ["ok", peer.sent[0].hex()]


def verify(question: dict[str, str]) -> list[str]:
    """How deliver_challenge takes a response: the outcome, the challenge and the verdict it sent."""
    peer = Scripted(bytes.fromhex(question["response"]))
    nonce = bytes.fromhex(question["nonce"])
    genuine = os.urandom
    os.urandom = lambda length: nonce[:length]
    digest = (question["digest"],) if question["digest"] else ()
    try:
        connection.deliver_challenge(peer, bytes.fromhex(question["key"]), *digest)
        result = "welcome"
    except Exception as error:
        result = outcome(error)
    finally:
        os.urandom = genuine
    return [result, peer.sent[0].hex(), peer.sent[1].hex() if len(peer.sent) > 1 else ""]


def encode(question: dict[str, str]) -> str:
    """The bytes that Connection.send_bytes writes for a body."""
    ours, theirs = socket.socketpair()
    with ours, theirs, connection.Connection(os.dup(ours.fileno())) as sender:
        theirs.settimeout(ANSWER_LIMIT)
        sender.send_bytes(bytes.fromhex(question["body"]))
        ours.shutdown(socket.SHUT_WR)
        parts = iter(lambda: theirs.recv(65536), b"")
        return b"".join(parts).hex()


def header(question: dict[str, Any]) -> str:
    """The bytes that Connection writes before a body of the given length."""
    written: list[bytes] = []

    class Recorder(connection.Connection):
        def _send(self, buf: Any, write: Any = None) -> None:
            written.append(bytes(buf) if not isinstance(buf, Sized) else b"")

    with open(os.devnull, "rb") as null, Recorder(os.dup(null.fileno())) as sender:
        sender._send_bytes(Sized(question["length"]))
    return b"".join(written).hex()


def decode(question: dict[str, Any]) -> list[str]:
    """The result of Connection.recv_bytes on a stream: the bodies, and the outcome that ended it."""
    ours, theirs = socket.socketpair()
    with ours, theirs, connection.Connection(os.dup(theirs.fileno())) as receiver:
        theirs.close()
        ours.sendall(bytes.fromhex(question["encoded"]))
        ours.shutdown(socket.SHUT_WR)
        bodies: list[str] = []
        while True:
            try:
                bodies.append(receiver.recv_bytes(question["cap"]).hex())
            except Exception as error:
                return [*bodies, outcome(error)]


def main() -> int:
    """Answer every question."""
    kinds = {
        "mac": mac,
        "answer": answer,
        "verify": verify,
        "encode": encode,
        "header": header,
        "decode": decode,
    }
    json.dump([kinds[question["ask"]](question) for question in json.load(sys.stdin)], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
