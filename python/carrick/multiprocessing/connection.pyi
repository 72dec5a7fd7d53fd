# SPDX-License-Identifier: MIT OR Apache-2.0
"""Messages between processes: the module :mod:`multiprocessing.connection` on carrick's core."""

import multiprocessing.connection as _standard
from multiprocessing.connection import wait as wait
from multiprocessing.context import AuthenticationError as AuthenticationError
from multiprocessing.context import BufferTooShort as BufferTooShort
from typing import Any

from typing_extensions import Buffer

__all__ = ["Client", "Listener", "Pipe", "wait"]

HANDSHAKE_TIMEOUT: float | None
"""How many seconds a handshake may take; None is for ever."""

MIN_DIGEST: str
"""The weakest digest that a handshake accepts. "sha256" keeps Python 3.11 and earlier out."""

families: list[str]

class Connection(_standard.Connection):
    """One end of a message channel, over any descriptor."""

    def __init__(self, handle: Any, readable: bool = True, writable: bool = True) -> None: ...
    def send_bytes(self, buf: Buffer, offset: int = 0, size: int | None = None) -> None:
        """Send the bytes of a bytes-like object, or ``size`` of them from ``offset`` on, as one message."""

    def send(self, obj: Any) -> None:
        """Send an object, pickled."""

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Receive a message.

        Raises EOFError at the end, OSError for a message over ``maxlength``.
        """

    def recv(self) -> Any:
        """Receive an object."""

    def recv_bytes_into(self, buf: Buffer, offset: int = 0) -> int:
        """Receive a message into a writable buffer and return its length.

        Raises BufferTooShort, with the message as its argument, when it does not fit.
        """

class Listener(_standard.Listener):
    """A bound socket that listens for connections.

    Arguments: ``address`` is ``(host, port)``, or a path; ``family`` follows from it; ``backlog`` is at least
    128 here; with ``authkey`` each connection is authenticated.
    """

    def __init__(
        self, address: Any = None, family: str | None = None, backlog: int = 1, authkey: bytes | None = None
    ) -> None: ...
    def accept(self) -> Connection:
        """Wait for a connection, with an ``authkey`` for one that has proved that it has it, and return it.

        Raises AuthenticationError for a client with another key or one that hangs up in its handshake; the
        next call goes on with the others. One that says nothing for :data:`HANDSHAKE_TIMEOUT` seconds is closed,
        and nobody waits for it meanwhile.
        """

def SocketClient(address: Any) -> Connection: ...
def Client(address: Any, family: str | None = None, authkey: bytes | None = None) -> Connection:
    """Connect to a listener, authenticate if there is an ``authkey``, and return the connection.

    Raises AuthenticationError when the keys differ.
    """

def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    """A pair of connections: both for reading and writing, or the first to read and the second to write."""

def deliver_challenge(connection: Any, authkey: bytes, digest_name: str = "sha256") -> None:
    """Ask the peer to prove that it has ``authkey``.

    Raises AuthenticationError when it cannot.
    """

def answer_challenge(connection: Any, authkey: bytes) -> None:
    """Prove to the peer that this end has ``authkey``.

    Raises AuthenticationError when it is not accepted.
    """

class XmlListener(Listener):
    """A listener whose connections write objects as the XML of :mod:`xmlrpc`."""

    def accept(self) -> Any:
        """Wait for a connection and return it."""

def XmlClient(*args: Any, **kwds: Any) -> Any:
    """Connect to an :class:`XmlListener`."""

def __getattr__(name: str) -> Any: ...
