# SPDX-License-Identifier: MIT OR Apache-2.0
"""Clients of listener.py. Arguments: SIDE connect|roundtrip PORT COUNT.

``connect`` prints the microseconds of connecting, authenticating, one echo and closing; ``roundtrip`` those of
one echo on a connection that stays.
"""

import sys

import side

connection = side.load("multiprocessing.connection")
what, address, count = sys.argv[2], ("127.0.0.1", int(sys.argv[3])), int(sys.argv[4])


def echo(peer: "connection.Connection") -> None:
    peer.send_bytes(side.BODY)
    if peer.recv_bytes() != side.BODY:
        sys.exit("the echo is not what was sent")


def visit() -> None:
    with connection.Client(address, authkey=side.KEY) as peer:
        echo(peer)


if what == "connect":
    side.finish(1e6 / side.per_second(count, visit))
with connection.Client(address) as peer:
    side.finish(1e6 / side.per_second(count, lambda: echo(peer)))
