# SPDX-License-Identifier: MIT OR Apache-2.0
"""A server that asks for a key the way multiprocessing.connection does.

So stock Python's Client can talk to it, and so can clients in C and Rust.
"""

import carrick
from carrick.multiprocessing.connection import Client


def ask(address, name, key):
    try:
        with Client(address, authkey=key) as server:
            server.send_bytes(b"hello")
            print(f"{name}: {server.recv_bytes().decode()}")
    except carrick.AuthenticationError:
        print(f"{name}: refused")


def shout(request):
    return request.body.upper()


with carrick.MessageServer(("127.0.0.1", 0), shout, authkey=b"secret") as server:
    ask(server.address, "wrong key", b"sacred")
    ask(server.address, "right key", b"secret")
stats = server.stats()
print(f"server: {stats['requests']} request, {stats['auth_failures']} refused")
