# SPDX-License-Identifier: MIT OR Apache-2.0
"""Messages between processes: the module :mod:`multiprocessing.connection` on carrick's core.

The classes are subclasses of the standard ones, the bytes on the wire are theirs, and both sides talk to stock
Python 3.8 and later. The improvements: input and output are Rust's, a waiter spins for a moment before it
sleeps, TCP connections do not wait for Nagle's algorithm, a handshake ends after :data:`HANDSHAKE_TIMEOUT` seconds,
and a listener makes all handshakes side by side, so that a silent client holds up nobody.
"""

from __future__ import annotations

import fcntl
import io
import os
import socket
from multiprocessing import reduction, util

from carrick import _carrick
from carrick._descriptor import lift as _lift
from carrick._standard import connection as _standard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, annotations  # No names of the standard module.

__all__ = ["Client", "Listener", "Pipe", "wait"]

wait = _standard.wait
families = _standard.families
BufferTooShort = _standard.BufferTooShort
AuthenticationError = _standard.AuthenticationError

HANDSHAKE_TIMEOUT: float | None = 10.0
"""How many seconds a handshake may take; None is for ever."""

MIN_DIGEST = "md5"
"""The weakest digest that a handshake accepts. "sha256" keeps Python 3.11 and earlier out."""

_BACKLOG = 128
_PIPE_SIZE = 1 << 20

_ForkingPickler = reduction.ForkingPickler
_send_bytes = _carrick.send_bytes
_recv_bytes = _carrick.recv_bytes
_recv_bytes_into = _carrick.recv_bytes_into


class Connection(_standard.Connection):
    """One end of a message channel, over any descriptor."""

    def __init__(self, handle: Any, readable: bool = True, writable: bool = True) -> None:
        super().__init__(handle, readable, writable)
        self._carrick_is_socket = _carrick.is_socket(self._handle)

    def send_bytes(self, buf: Any, offset: int = 0, size: int | None = None) -> None:
        """Send the bytes of a bytes-like object, or ``size`` of them from ``offset`` on, as one message."""
        if offset == 0 and size is None:
            self._check_closed()
            self._check_writable()
            _send_bytes(self._handle, self._carrick_is_socket, buf)
        else:
            super().send_bytes(buf, offset, size)

    def send(self, obj: Any) -> None:
        """Send an object, pickled."""
        self._check_closed()
        self._check_writable()
        _send_bytes(self._handle, self._carrick_is_socket, _ForkingPickler.dumps(obj))

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Receive a message; one over ``maxlength`` raises OSError. Raises EOFError at the end."""
        self._check_closed()
        self._check_readable()
        if maxlength is not None and maxlength < 0:
            raise ValueError("negative maxlength")
        data = _recv_bytes(self._handle, self._carrick_is_socket, maxlength)
        if data is None:
            self._bad_message_length()
        return data

    def recv(self) -> Any:
        """Receive an object."""
        self._check_closed()
        self._check_readable()
        return _ForkingPickler.loads(_recv_bytes(self._handle, self._carrick_is_socket, None))

    def recv_bytes_into(self, buf: Any, offset: int = 0) -> int:
        """Receive a message into a writable buffer and return its length.

        Raises BufferTooShort, with the message as its argument, when it does not fit.
        """
        self._check_closed()
        self._check_readable()
        with memoryview(buf) as view:
            if offset < 0:
                raise ValueError("negative offset")
            if offset > view.nbytes:
                raise ValueError("offset too large")
        received = _recv_bytes_into(self._handle, self._carrick_is_socket, buf, offset)
        if isinstance(received, bytes):
            raise BufferTooShort(received)
        return received

    def _send_bytes(self, buf: Any) -> None:
        _send_bytes(self._handle, self._carrick_is_socket, buf)

    def _recv_bytes(self, maxsize: int | None = None) -> io.BytesIO | None:
        data = _recv_bytes(self._handle, self._carrick_is_socket, maxsize)
        if data is None:
            return None
        buffer = io.BytesIO()
        buffer.write(data)
        return buffer

    def _poll(self, timeout: float | None) -> bool:
        return _carrick.poll(self._handle, timeout)

    def _carrick_authenticate(self, role: str, authkey: bytes) -> None:
        _carrick.handshake(
            self._handle,
            self._carrick_is_socket,
            authkey,
            role,
            min_digest=MIN_DIGEST,
            timeout=HANDSHAKE_TIMEOUT,
        )


def _rebuild_connection(handle: Any, readable: bool, writable: bool) -> Connection:
    return Connection(handle.detach(), readable, writable)


def _reduce_connection(connection: Connection) -> Any:
    return _rebuild_connection, (
        reduction.DupFd(connection.fileno()),
        connection.readable,
        connection.writable,
    )


reduction.register(Connection, _reduce_connection)


def _no_delay(made: socket.socket) -> None:
    if made.family in (socket.AF_INET, socket.AF_INET6):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _name_address(error: OSError, call: str, address: Any, remedy: str) -> None:
    """Say in an error of the system, which the standard library leaves without a name, what it is about."""
    # An error without a number has a text of its own, which a name would replace.
    is_numbered = error.errno is not None and error.filename is None
    if is_numbered and isinstance(address, str | bytes) and address[:1] not in ("\0", b"\0"):
        error.filename = address
    error.add_note(f"{call} {address!r}: {remedy}")


class SocketListener(_standard.SocketListener):
    """A bound socket that listens for connections."""

    def __init__(self, address: Any, family: str, backlog: int = 1) -> None:
        try:
            super().__init__(address, family, backlog)
        except BaseException as error:
            if isinstance(error, OSError):
                _name_address(error, "listen at", address, "give an address of this host that nobody uses")
            # The standard class closes it after an OSError only, and a port out of range is an OverflowError.
            bound = getattr(self, "_socket", None)
            if bound is not None:
                bound.close()
            raise
        if self._socket.fileno() <= 2:
            self._socket = socket.socket(fileno=_lift(self._socket.detach()))
        # Ends the waits of this process's threads when the listener is closed.
        self._carrick_waker = _carrick.Waker()
        # Several processes may accept from one socket: the second one must not wait inside accept.
        os.set_blocking(self._socket.fileno(), False)

    def accept(self) -> Connection:
        """Wait for a connection and return it; raises OSError when the listener is closed meanwhile."""
        fd, self._last_accepted = self._carrick_accept(self._carrick_waker.accept)
        with socket.socket(fileno=fd) as made:
            made.setblocking(True)
            _no_delay(made)
            return Connection(made.detach())

    def _carrick_accept(self, accept: Any) -> tuple[int, Any]:
        """The result of ``accept(descriptor, timeout)`` for the listening socket."""
        if self._socket.fileno() < 0:
            raise OSError("listener is closed")
        patience = self._socket.gettimeout()
        # A copy: closing the listener must not give the number to another file in the middle of a call.
        listening = _lift(os.dup(self._socket.fileno()))
        try:
            accepted: tuple[int, Any] | None = accept(listening, patience)
        finally:
            os.close(listening)
        if accepted is None:
            raise OSError("listener is closed")
        return accepted

    def close(self) -> None:
        """Close the listener; threads of this process that wait for a connection raise OSError."""
        self._carrick_waker.set()
        super().close()


def _check_authkey(authkey: Any) -> None:
    if authkey is not None and not isinstance(authkey, bytes):
        raise TypeError("authkey should be a byte string")


class Listener(_standard.Listener):
    """A bound socket that listens for connections.

    Arguments: ``address`` is ``(host, port)``, or a path; ``family`` follows from it; ``backlog`` is at least
    128 here; with ``authkey`` each connection is authenticated.
    """

    def __init__(
        self, address: Any = None, family: str | None = None, backlog: int = 1, authkey: bytes | None = None
    ) -> None:
        family = family or (address and _standard.address_type(address)) or _standard.default_family
        address = address or _standard.arbitrary_address(family)
        _standard._validate_family(family)
        _check_authkey(authkey)
        self._listener = SocketListener(address, family, max(backlog, _BACKLOG))
        self._authkey = authkey
        self._carrick_gate: _carrick.Gate | None = None

    def accept(self) -> Connection:
        """Wait for a connection, with an ``authkey`` for one that has proved that it has it, and return it.

        Raises AuthenticationError for a client with another key or one that hangs up in its handshake; the
        next call goes on with the others. One that says nothing for :data:`HANDSHAKE_TIMEOUT` seconds is closed,
        and nobody waits for it meanwhile; one that hangs up before it has said anything, as a probe of the port
        does, is passed over. Raises OSError when the listener is closed meanwhile.
        """
        listener = self._listener
        if listener is None:
            raise OSError("listener is closed")
        if self._authkey is None:
            return listener.accept()
        if self._carrick_gate is None:
            self._carrick_gate = _carrick.Gate(
                self._authkey, min_digest=MIN_DIGEST, timeout=HANDSHAKE_TIMEOUT
            )
        gate, waker = self._carrick_gate, listener._carrick_waker
        fd, listener._last_accepted = listener._carrick_accept(
            lambda listening, patience: gate.accept(listening, waker, patience)
        )
        return Connection(fd)


def SocketClient(address: Any) -> Connection:
    """Connect to a listener, without a handshake."""
    with socket.socket(getattr(socket, _standard.address_type(address))) as made:
        made.setblocking(True)
        try:
            made.connect(address)
        except OSError as error:
            _name_address(error, "connect to", address, "a listener must be there first")
            raise
        _no_delay(made)
        return Connection(_lift(made.detach()))


def Client(address: Any, family: str | None = None, authkey: bytes | None = None) -> Connection:
    """Connect to a listener, authenticate if there is an ``authkey``, and return the connection."""
    _standard._validate_family(family or _standard.address_type(address))
    _check_authkey(authkey)
    connection = SocketClient(address)
    if authkey is not None:
        try:
            connection._carrick_authenticate("client", authkey)
        except BaseException:
            connection.close()
            raise
    return connection


def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    """A pair of connections: both for reading and writing, or the first for reading and the second for writing."""
    if duplex:
        left, right = socket.socketpair()
        for end in (left, right):
            end.setblocking(True)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_SIZE)
        return Connection(_lift(left.detach())), Connection(_lift(right.detach()))
    reading, writing = map(_lift, os.pipe())
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    except OSError:
        util.debug("the pipe keeps its size: the system allows no larger one")
    return Connection(reading, writable=False), Connection(writing, readable=False)


def deliver_challenge(connection: Any, authkey: bytes, digest_name: str = "sha256") -> None:
    """Ask the peer to prove that it has ``authkey``; raises AuthenticationError when it cannot."""
    if not isinstance(authkey, bytes):
        raise ValueError(f"Authkey must be bytes, not {type(authkey)!s}")
    challenge = _carrick.Challenge(authkey, digest_name, MIN_DIGEST)
    connection.send_bytes(challenge.message)
    verdict, refusal = challenge.verdict(connection.recv_bytes(256))
    connection.send_bytes(verdict)
    if refusal is not None:
        raise AuthenticationError(refusal)


def answer_challenge(connection: Any, authkey: bytes) -> None:
    """Prove to the peer that this end has ``authkey``; raises AuthenticationError when it is not accepted."""
    if not isinstance(authkey, bytes):
        raise ValueError(f"Authkey must be bytes, not {type(authkey)!s}")
    answer = _carrick.Answer(authkey, MIN_DIGEST)
    connection.send_bytes(answer.response(connection.recv_bytes(256)))
    answer.verdict(connection.recv_bytes(256))


def _speak_xml(connection: Any) -> Any:
    import xmlrpc.client

    # A name that the standard functions expect there.
    _standard.xmlrpclib = xmlrpc.client  # type: ignore[attr-defined]
    return _standard.ConnectionWrapper(connection, _standard._xml_dumps, _standard._xml_loads)  # type: ignore[attr-defined]


class XmlListener(Listener):
    """A listener whose connections write objects as the XML of :mod:`xmlrpc`."""

    def accept(self) -> Any:
        """Wait for a connection and return it."""
        return _speak_xml(super().accept())


def XmlClient(*args: Any, **kwds: Any) -> Any:
    """Connect to an :class:`XmlListener`."""
    return _speak_xml(Client(*args, **kwds))


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
