# SPDX-License-Identifier: MIT OR Apache-2.0
"""The event-driven model: the server calls the handler whenever a message has arrived from a client."""

import carrick
from carrick.multiprocessing.connection import Client

with carrick.MessageServer(("127.0.0.1", 0), lambda request: request.body.upper()) as server:
    clients = {name: Client(server.address) for name in ["anchor", "bow", "capstan"]}
    for name, client in clients.items():
        with client:
            client.send_bytes(name.encode())
            print(f"{name}: {client.recv_bytes().decode()}")
print(f"server: {server.stats()['connections']} clients served")
