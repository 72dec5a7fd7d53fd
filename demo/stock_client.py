# SPDX-License-Identifier: MIT OR Apache-2.0
"""A client of the demo that knows nothing of carrick, for any CPython from 3.8 on: the standard library only.

demo/README.md says what its arguments mean and what it prints.
"""

import hmac
import socket
import struct
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client

WORDS = [b"haul in", b"the main", b"sheet"]


def socket_address(text):
    if text.startswith("unix:"):
        return text[len("unix:") :]
    host, _, port = text.rpartition(":")
    return host, int(port)


def ask_messages(address, key):
    with Client(address, authkey=key) as server:
        for word in WORDS:
            server.send_bytes(word)
        return [server.recv_bytes() for _ in WORDS]


def recv_exactly(server, size):
    data = b""
    while len(data) < size:
        part = server.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def ask_course(address, key):
    with socket.create_connection(address) as server:
        server.sendall(hmac.new(key, recv_exactly(server, 32), "sha256").digest())
        for word in WORDS:
            server.sendall(struct.pack("i", len(word)) + word)
        return [recv_exactly(server, struct.unpack("i", recv_exactly(server, 4))[0]) for _ in WORDS]


def main():
    role, scheme, text, key, wrong = sys.argv[1:]
    assert role == "client"
    ask = {"course": ask_course, "multiprocessing": ask_messages}[scheme]
    for each in (wrong, key):
        try:
            print("ANSWERED", b"|".join(ask(socket_address(text), each.encode())).decode())
        except (AuthenticationError, EOFError, ConnectionError):
            print("REFUSED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
