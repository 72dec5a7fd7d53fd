# SPDX-License-Identifier: MIT OR Apache-2.0
"""The non-blocking model: no call waits, and one thread asks its clients over and over again."""

import threading

from clients import three_clients

import carrick.socket as socket


def serve(listener):
    listener.setblocking(False)
    clients = []
    served = 0
    while served < 3:
        try:
            client, _ = listener.accept()
            client.setblocking(False)
            clients.append(client)
        except BlockingIOError:
            pass  # nobody new
        for client in list(clients):
            try:
                text = client.recv(64)
            except BlockingIOError:
                continue  # nothing from this one yet
            if text:
                client.sendall(text.upper())
            else:  # the client has closed
                client.close()
                clients.remove(client)
                served += 1
    print(f"server: {served} clients served")


with socket.create_server(("127.0.0.1", 0)) as listener:
    server = threading.Thread(target=serve, args=[listener])
    server.start()
    three_clients(listener.getsockname())
    server.join()
