# SPDX-License-Identifier: MIT OR Apache-2.0
# The client of reuse_server.py: two requests, each on a connection of its own. usage: reuse_client.py PORT
import carrick.socket as socket
import sys

HOST, PORT = "127.0.0.1", int(sys.argv[1])
for data in ("weigh anchor", "set sail"):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.connect((HOST, PORT))
        sock.sendall(bytes(data + "\n", "utf-8"))
        received = str(sock.recv(1024), "utf-8")
    print("Sent:     {}".format(data))
    print("Received: {}".format(received))
