# SPDX-License-Identifier: MIT OR Apache-2.0
"""A Listener that answers one message of each connection. Arguments: SIDE [authkey]."""

import sys

import side

connection = side.load("multiprocessing.connection")
authkey = side.KEY if sys.argv[2:] == ["authkey"] else None
with connection.Listener(("127.0.0.1", 0), backlog=128, authkey=authkey) as listener:
    side.announce(listener.address[1])
    while True:
        with listener.accept() as peer:
            try:
                while True:
                    peer.send_bytes(peer.recv_bytes())
            except (EOFError, ConnectionError):
                pass
