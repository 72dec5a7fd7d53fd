# SPDX-License-Identifier: MIT OR Apache-2.0
"""A ThreadingTCPServer. Arguments: SIDE once|persistent."""

import sys

import side

socketserver = side.load("socketserver")


class Once(socketserver.BaseRequestHandler):
    """Answers one request."""

    def handle(self) -> None:
        self.request.sendall(self.request.recv(1024))


class Persistent(socketserver.BaseRequestHandler):
    """Answers until the client has had enough."""

    def handle(self) -> None:
        while data := self.request.recv(1024):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    """With a queue that eight clients fit into; that of the standard library holds five."""

    request_queue_size = 128
    daemon_threads = True


with Server(("127.0.0.1", 0), Once if sys.argv[2] == "once" else Persistent) as server:
    side.announce(server.server_address[1])
    server.serve_forever()
