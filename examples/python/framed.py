# SPDX-License-Identifier: MIT OR Apache-2.0
"""Sticky packets and their cure. TCP keeps no borders between messages; frames do: a length before each."""

import carrick.socket as socket

LINES = ["haul in", "the main", "sheet", ""]


def quoted(data):
    return '"' + data.decode() + '"'


def without_frames(client, server):
    for line in LINES:
        client.sendall(line.encode())
    client.close()
    text = b""
    while part := server.recv(64):  # b"" at the end of the stream
        text += part
    print("without frames:", quoted(text))


def with_frames(client, server):
    for line in LINES:
        client.send_frame(line.encode())  # struct.pack('i', length), then the line
    for _ in LINES:
        print("with frames:", quoted(server.recv_frame()))


with socket.create_server(("127.0.0.1", 0)) as listener:
    for way in (without_frames, with_frames):
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            way(client, server)
