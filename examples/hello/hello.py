# SPDX-License-Identifier: MIT OR Apache-2.0
"""An authenticated server that echoes messages, and its client."""

import carrick
from carrick.multiprocessing.connection import Client

server = carrick.MessageServer(("127.0.0.1", 0), lambda request: request.body, authkey=b"secret")
with server, Client(server.address, authkey=b"secret") as client:
    client.send_bytes(b"hello")
    print(client.recv_bytes().decode())
