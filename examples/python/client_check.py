# SPDX-License-Identifier: MIT OR Apache-2.0
"""Is the client one of ours? The course's check: 32 random bytes there, their digest under the key back."""

import threading

import carrick
import carrick.socket as socket


def serve(listener):
    for _ in range(2):
        client, _ = listener.accept()
        with client:
            try:
                client.authenticate(b"bowline", "server")
            except carrick.AuthenticationError:
                print("server: not a client of ours")
                continue
            print("server: a client of ours")
            client.send_frame(client.recv_frame().upper())


def ask(address, key):
    with socket.create_connection(address) as server:
        server.authenticate(key, "client")
        # The scheme is one-sided: a client that was refused learns it when it uses the connection.
        try:
            server.send_frame(b"starboard")
            print(f"client: {server.recv_frame().decode()}")
        except (EOFError, ConnectionError):
            print("client: no answer")


with socket.create_server(("127.0.0.1", 0)) as listener:
    server = threading.Thread(target=serve, args=[listener])
    server.start()
    ask(listener.getsockname(), b"granny")
    ask(listener.getsockname(), b"bowline")
    server.join()
