# SPDX-License-Identifier: MIT OR Apache-2.0
"""UDP: no connection, every datagram keeps its borders, and an empty one is a message too."""

import carrick.socket as socket

with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
    server.bind(("127.0.0.1", 0))
    for word in ["ahoy", ""]:
        client.sendto(word.encode(), server.getsockname())
        text, sender = server.recvfrom(64)
        print(f'server: "{text.decode()}"')
        server.sendto(b"got " + text, sender)
        print(f'client: "{client.recv(64).decode()}"')
