# SPDX-License-Identifier: MIT OR Apache-2.0
"""The servers that the demo times: the same code on the standard library and on carrick, but for the imports.

usage: timing_server.py standard|carrick listener|threading. Prints the port; ends with its standard input.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.argv[1] == "standard":
    import socketserver
    from multiprocessing.connection import Listener
else:
    import carrick.socketserver as socketserver
    from carrick.multiprocessing.connection import Listener

KEY = b"a key for timing"


def listener() -> None:
    """Echo messages of authenticated clients, one client after the other."""

    def serve(accepting: Any) -> None:
        while True:
            with accepting.accept() as client:
                try:
                    while True:
                        client.send_bytes(client.recv_bytes())
                except EOFError:
                    pass

    with Listener(("127.0.0.1", 0), backlog=64, authkey=KEY) as accepting:
        threading.Thread(target=serve, args=[accepting], daemon=True).start()
        print(accepting.address[1], flush=True)
        sys.stdin.read()


class Handler(socketserver.BaseRequestHandler):
    """Echo until the client closes."""

    def handle(self) -> None:
        while data := self.request.recv(1024):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    """As the course has it; a longer queue, so that no client is turned away."""

    request_queue_size = 128


def threaded() -> None:
    """Echo bytes, a thread for each client."""
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    {"listener": listener, "threading": threaded}[sys.argv[2]]()
