# SPDX-License-Identifier: MIT OR Apache-2.0
"""A burst of connections. Arguments: SIDE COUNT.

So many clients connect to one server at once, each sends a byte of a frame's body, and has its answer. Prints the
microseconds that each takes on average. The server is ``socketserver.ThreadingTCPServer``, or a ``MessageServer``.
"""

import os
import resource
import selectors
import socket
import socketserver
import struct
import sys
import time
from typing import Any

count = int(sys.argv[2])
FRAME = struct.pack("!i", 1) + b"x"

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        received = b""
        while len(received) < len(FRAME):
            part = self.request.recv(len(FRAME) - len(received))
            if not part:
                return
            received += part
        self.request.sendall(received)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 4096


def serve(port: int) -> None:
    if sys.argv[1] == "stock":
        server: Any = Server(("127.0.0.1", 0), Echo)
        os.write(port, struct.pack("!H", server.server_address[1]))
        server.serve_forever()
    import carrick

    server = carrick.MessageServer(("127.0.0.1", 0), lambda request: request.body)
    os.write(port, struct.pack("!H", server.address[1]))
    server.serve_forever()


reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    serve(writing)
(number,) = struct.unpack("!H", os.read(reading, 2))
started = time.perf_counter()
with selectors.DefaultSelector() as selector:
    for _ in range(count):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", number))
        selector.register(client, selectors.EVENT_WRITE)
    left = count
    while left:
        for key, events in selector.select():
            client = key.fileobj
            if events & selectors.EVENT_WRITE:
                client.send(FRAME)
                selector.modify(client, selectors.EVENT_READ)
            elif client.recv(64):
                selector.unregister(client)
                left -= 1
elapsed = time.perf_counter() - started
os.kill(pid, 9)
print(elapsed / count * 1e6, flush=True)
os._exit(0)
