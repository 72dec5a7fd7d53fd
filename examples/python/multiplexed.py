# SPDX-License-Identifier: MIT OR Apache-2.0
"""The multiplexed model: one thread waits for whichever of many sockets is ready, with a selector."""

import selectors
import threading

from clients import three_clients

import carrick.socket as socket


def serve(listener):
    served = 0
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while served < 3:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    selector.register(client, selectors.EVENT_READ)
                elif text := key.fileobj.recv(64):
                    key.fileobj.sendall(text.upper())
                else:  # the client has closed
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    served += 1
    print(f"server: {served} clients served")


with socket.create_server(("127.0.0.1", 0)) as listener:
    server = threading.Thread(target=serve, args=[listener])
    server.start()
    three_clients(listener.getsockname())
    server.join()
