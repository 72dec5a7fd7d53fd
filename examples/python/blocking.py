# SPDX-License-Identifier: MIT OR Apache-2.0
"""The blocking model, a TCP echo: each call waits, and the server serves one client after the other."""

import threading

from clients import three_clients

import carrick.socket as socket


def serve(listener):
    for _ in range(3):
        client, _ = listener.accept()
        with client:
            while text := client.recv(64):  # b"" when the client has closed
                client.sendall(text.upper())
    print("server: 3 clients served")


with socket.create_server(("127.0.0.1", 0)) as listener:
    server = threading.Thread(target=serve, args=[listener])
    server.start()
    three_clients(listener.getsockname())
    server.join()
