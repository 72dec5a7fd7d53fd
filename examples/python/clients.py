# SPDX-License-Identifier: MIT OR Apache-2.0
"""Three clients, connected at the same time, for the servers of the examples."""

import carrick.socket as socket


def three_clients(address):
    """Each says its name and prints the answer."""
    names = ["anchor", "bow", "capstan"]
    clients = [socket.create_connection(address) for _ in names]
    for name, client in zip(names, clients, strict=True):
        with client:
            client.sendall(name.encode())
            print(f"{name}: {client.recv(64).decode()}")
