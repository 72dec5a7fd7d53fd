# SPDX-License-Identifier: MIT OR Apache-2.0
"""A server with a blocking handler for each connection, on up to four threads.

The client that came last speaks first: nobody waits for anybody else.
"""

import threading

import carrick.socket as socket
import carrick.socketserver as socketserver


class Conversation(socketserver.BaseRequestHandler):
    count = 0

    def handle(self):
        Conversation.count += 1
        while text := self.request.recv(64):  # b"" when the client has closed
            self.request.sendall(text.upper())


class Server(socketserver.ThreadingTCPServer):
    max_threads = 4


with Server(("127.0.0.1", 0), Conversation) as server:
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    clients = {name: socket.create_connection(server.server_address) for name in ["first", "second", "third"]}
    for name, client in reversed(clients.items()):
        client.sendall(name.encode())
        print(f"{name}: {client.recv(64).decode()}")
    for client in clients.values():
        client.close()
    server.shutdown()
    serving.join()
print(f"server: {Conversation.count} connections")
