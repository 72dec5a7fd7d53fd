# SPDX-License-Identifier: MIT OR Apache-2.0
"""One end of the scenario matrix over multiprocessing.connection, for stock CPython 3.8 to 3.13 and carrick.

The command line, the messages and the result lines are the contract of README.md; Rust and C peers obey it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
from multiprocessing import AuthenticationError
from typing import Any

PICKLED_OBJECT = {"rope": "carrick", "strands": [1, 2, 3], "bytes": b"\x00\xff\n", "none": None}
DEFAULT_MESSAGES = "0,1,64,16384,16385,1048576,pickle"

OK, ERROR, USAGE, AUTH_FAILED = 0, 1, 2, 3


def body(size: int) -> bytes:
    """The message of `size` bytes: byte i is (7 i + size) mod 251."""
    period = bytes((7 * i + size) % 251 for i in range(251))
    return (period * (size // 251 + 1))[:size]


def say(line: str) -> None:
    """One line of the contract, written at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def failure(error: BaseException) -> str:
    """The result line of an error that is not a refused key."""
    return "ERROR " + " ".join(f"{type(error).__name__}: {error}".split())


def address_of(args: argparse.Namespace) -> Any:
    """The address in the form that Listener and Client take."""
    if args.family == "unix":
        return args.address
    host, _, port = args.address.rpartition(":")
    return (host, int(port))


def echo(connection: Any, count: int) -> int:
    """Send back up to `count` messages, then wait until the peer closes; the number sent back."""
    for done in range(count):
        try:
            message = connection.recv_bytes()
        except EOFError:
            return done
        connection.send_bytes(message)
    try:
        connection.recv_bytes()
    except (EOFError, ConnectionResetError):
        return count
    raise ValueError(f"a message more than the {count} announced")


def listener(module: Any, args: argparse.Namespace) -> int:
    """Serve the given number of connections in turn, one result line each."""
    worst = OK
    family = {"tcp": "AF_INET", "unix": "AF_UNIX"}[args.family]
    with module.Listener(address_of(args), family, authkey=args.key) as server:
        place = server.address if args.family == "unix" else "{}:{}".format(*server.address)
        say(f"LISTENING {args.family} {place}")
        for _ in range(args.connections):
            try:
                with server.accept() as connection:
                    say(f"OK {echo(connection, args.count)}")
            except AuthenticationError:
                say("AUTH-FAILED")
                worst = worst or AUTH_FAILED
            except Exception as error:
                say(failure(error))
                worst = ERROR
    return worst


def exchange(connection: Any, word: str) -> None:
    """Send one message and check that it comes back."""
    sent: object
    if word == "pickle":
        connection.send(PICKLED_OBJECT)
        sent, back = PICKLED_OBJECT, connection.recv()
    else:
        sent = body(int(word))
        connection.send_bytes(sent)
        back = connection.recv_bytes()
    if back != sent:
        raise ValueError(f"message {word}: the echo differs")


def client(module: Any, args: argparse.Namespace) -> int:
    """Connect, send every message, check every echo."""
    try:
        with module.Client(address_of(args), authkey=args.key) as connection:
            for word in args.messages:
                exchange(connection, word)
    except AuthenticationError:
        say("AUTH-FAILED")
        return AUTH_FAILED
    except Exception as error:
        say(failure(error))
        return ERROR
    say(f"OK {len(args.messages)}")
    return OK


def give_up(seconds: float) -> None:
    """End the process with a result line; what a peer that waits for ever would never do."""
    say(f"ERROR no result within {seconds} s")
    os._exit(ERROR)


def key(text: str) -> bytes | None:
    """A key in hex, or None for no authentication."""
    return None if text == "none" else bytes.fromhex(text)


def arguments() -> argparse.Namespace:
    """The command line of the contract, and --module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["listener", "client"])
    parser.add_argument("--family", choices=["tcp", "unix"], default="tcp")
    parser.add_argument("--address", default="127.0.0.1:0", help="HOST:PORT (port 0: any free one) or a path")
    parser.add_argument("--key", type=key, default=None, help="hex digits, or none for no authentication")
    parser.add_argument(
        "--count", type=int, default=len(DEFAULT_MESSAGES.split(",")), help="listener: messages"
    )
    parser.add_argument("--connections", type=int, default=1, help="listener: connections before it ends")
    parser.add_argument(
        "--messages", default=DEFAULT_MESSAGES, help="client: sizes, and pickle for an object"
    )
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds until the process gives up")
    parser.add_argument("--module", default="multiprocessing.connection", help="whose Listener and Client")
    args = parser.parse_args()
    args.messages = args.messages.split(",")
    return args


def main() -> int:
    """Play the role that the command line asks for."""
    args = arguments()
    watchdog = threading.Timer(args.timeout, give_up, [args.timeout])
    watchdog.daemon = True
    watchdog.start()
    module = importlib.import_module(args.module)
    try:
        return {"listener": listener, "client": client}[args.role](module, args)
    except (OSError, ValueError) as error:
        say(failure(error))
        return ERROR


if __name__ == "__main__":
    sys.exit(main())
