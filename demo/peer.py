# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Python end of the demo, on carrick. demo/README.md says what its arguments mean and what it prints."""

from __future__ import annotations

import sys
import threading
from typing import Any

import carrick
import carrick.socket as socket
import carrick.socketserver as socketserver
from carrick.multiprocessing.connection import Client

WORDS = [b"haul in", b"the main", b"sheet"]


def socket_address(text: str) -> Any:
    """The address as Python writes it: a tuple or a path."""
    if text.startswith("unix:"):
        return text[len("unix:") :]
    host, _, port = text.rpartition(":")
    return host, int(port)


def listening(address: Any) -> None:
    """Tell the demo where the server is."""
    print(
        "LISTENING", f"unix:{address}" if isinstance(address, str) else "{}:{}".format(*address), flush=True
    )


def serve_messages(address: Any, key: bytes) -> None:
    """A message server with the handshake of multiprocessing."""
    with carrick.MessageServer(address, lambda request: request.body.upper(), authkey=key) as server:
        listening(server.address)
        sys.stdin.read()  # the demo closes our input when all clients have been
    stats = server.stats()
    print("SERVED", stats["requests"], "REFUSED", stats["auth_failures"])


def serve_course(address: Any, key: bytes) -> None:
    """A threading socketserver with the client check and the frames of the course."""
    counts = {"served": 0, "refused": 0}
    lock = threading.Lock()

    def count(what: str) -> None:
        with lock:
            counts[what] += 1

    class Handler(socketserver.BaseRequestHandler):
        request: socket.socket

        def handle(self) -> None:
            try:
                self.request.authenticate(key, "server")
            except carrick.AuthenticationError:
                count("refused")
                return
            while True:
                try:
                    body = self.request.recv_frame()
                except EOFError:
                    return
                self.request.send_frame(body.upper())
                count("served")

    with socketserver.ThreadingTCPServer(address, Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        listening(server.server_address)
        sys.stdin.read()
        server.shutdown()
        thread.join()
    print("SERVED", counts["served"], "REFUSED", counts["refused"])


def ask_messages(address: Any, key: bytes) -> list[bytes]:
    """The answers to the words, over a Client."""
    with Client(address, authkey=key) as server:
        # All are sent before any answer is read: without frames they would stick together.
        for word in WORDS:
            server.send_bytes(word)
        return [server.recv_bytes() for _ in WORDS]


def ask_course(address: Any, key: bytes) -> list[bytes]:
    """The answers to the words, over a socket with frames."""
    with socket.create_connection(address) as server:
        server.authenticate(key, "client")
        for word in WORDS:
            server.send_frame(word)
        return [server.recv_frame() for _ in WORDS]


def main() -> int:
    """Play the role that the command line asks for."""
    role, scheme, text, key, *wrong = sys.argv[1:]
    address = socket_address(text)
    if role == "server":
        {"course": serve_course, "multiprocessing": serve_messages}[scheme](address, key.encode())
        return 0
    ask = {"course": ask_course, "multiprocessing": ask_messages}[scheme]
    for each in (*wrong, key):
        try:
            print("ANSWERED", b"|".join(ask(address, each.encode())).decode())
        except (carrick.AuthenticationError, EOFError, ConnectionError):
            # In the course's scheme a client that was refused learns it when the connection ends.
            print("REFUSED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
