# SPDX-License-Identifier: MIT OR Apache-2.0
"""The module :mod:`socket` with a :class:`socket` that sends frames, authenticates and waits more cheaply.

``carrick.socket.socket`` is a subclass of the standard class: ssl, asyncio and selectors take it. Its ``recv``,
``send`` and ``sendall`` try once before they give the interpreter away, and spin for a moment before they sleep.
Everything else is the standard module's.
"""

from __future__ import annotations

import sys
from functools import partial as _partial
from socket import *  # noqa: F403

from carrick import _carrick
from carrick._standard import socket as _standard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, annotations  # No names of the standard module.

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]

_recv = _carrick.sock_recv
_send = _carrick.sock_send
_sendall = _carrick.sock_sendall


class socket(_standard.socket):
    """A socket of the standard library with frames and authentication."""

    __slots__ = ()

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive up to ``bufsize`` bytes; ``b""`` is the end of the stream."""
        data = None if flags else _recv(self, bufsize)
        return super().recv(bufsize, flags) if data is None else data

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send what the socket takes of ``data`` and return how many bytes that was."""
        sent = None if flags else _send(self, data)
        return super().send(data, flags) if sent is None else sent

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of ``data``."""
        if flags or not _sendall(self, data):
            super().sendall(data, flags)

    def accept(self) -> tuple[socket, Any]:
        """Wait for a connection and return it with the address it comes from."""
        connection, address = super().accept()
        return _adopt(connection), address

    def dup(self) -> socket:
        """A second socket object for the same connection."""
        return _adopt(super().dup())

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        """As the standard class: multiprocessing passes it on to another process, and pickle refuses it."""
        if type(self) is socket and _is_passed_on(sys._getframe(1).f_code.co_filename):
            return _reduce(self)
        return super().__reduce_ex__(protocol)

    def send_frame(self, data: Any, format: Any = "course", *, max_frame: int | None = None) -> None:
        """Send ``data`` as one frame: its length, then itself, in one system call.

        ``format`` is "course" (``struct.pack('i', n)``, the default), "multiprocessing", or
        ``(width, byteorder, signed)`` such as ``(2, "big", False)``. ``max_frame`` is the cap in bytes, 64 MiB
        unless given; more raises OSError before anything is sent. Waits as the socket's timeout says.
        """
        _carrick.send_frame(self, data, format, max_frame)

    def recv_frame(self, format: Any = "course", *, max_frame: int | None = None) -> bytes:
        """Receive one frame. Raises EOFError when the peer has closed, OSError for a frame over the cap.

        The arguments are those of :meth:`send_frame`. After a timeout in the middle of a frame its start is
        lost: close the connection.
        """
        return _carrick.recv_frame(self, format, max_frame)

    def authenticate(
        self,
        key: Any,
        role: str,
        *,
        scheme: str = "course",
        digest: str = "sha256",
        min_digest: str = "md5",
        timeout: float | None = 10.0,
    ) -> None:
        """Prove to the peer that both have ``key``; ``role`` says which end this is, "server" or "client".

        ``scheme`` "course" is one-sided (32 random bytes there, their HMAC back), "multiprocessing" mutual and
        that of :mod:`multiprocessing.connection`. Raises AuthenticationError, or TimeoutError after
        ``timeout`` seconds; close the connection then.
        """
        _carrick.handshake(
            self.fileno(),
            True,
            key,
            role,
            scheme=scheme,
            digest=digest,
            min_digest=min_digest,
            timeout=timeout,
        )


def _register() -> None:
    """Have the pickler of multiprocessing pass our class on, as it does with the standard one, which is registered."""
    reduction: Any = sys.modules.get("multiprocessing.reduction")
    if reduction is not None and hasattr(reduction, "register"):
        reduction.register(socket, _reduce)


def _is_passed_on(file: str) -> bool:
    """Whether code of this file has multiprocessing's pickler, which may have been imported after this module."""
    reduction: Any = sys.modules.get("multiprocessing.reduction")
    if reduction is None or file != reduction.dump.__code__.co_filename:
        return False
    _register()
    return True


def _reduce(passed: socket) -> Any:
    from multiprocessing import reduction

    descriptor = reduction.DupFd(passed.fileno())
    return _rebuild, (descriptor, passed.family, passed.type, passed.proto)


def _rebuild(descriptor: Any, family: int, type: int, proto: int) -> socket:
    return socket(family, type, proto, fileno=descriptor.detach())


def _adopt(made: _standard.socket) -> socket:
    """The same socket as one of ours."""
    if isinstance(made, socket):
        return made
    timeout = made.gettimeout()
    adopted = socket(made.family, made.type, made.proto, made.detach())
    adopted.settimeout(timeout)
    return adopted


def create_connection(*args: Any, **kwargs: Any) -> socket:
    """Connect to an address; see :func:`socket.create_connection`."""
    return _adopt(_standard.create_connection(*args, **kwargs))


def create_server(*args: Any, **kwargs: Any) -> socket:
    """A listening TCP socket; see :func:`socket.create_server`."""
    return _adopt(_standard.create_server(*args, **kwargs))


def fromfd(*args: Any, **kwargs: Any) -> socket:
    """A socket object of a duplicate of a descriptor; see :func:`socket.fromfd`."""
    return _adopt(_standard.fromfd(*args, **kwargs))


def socketpair(*args: Any, **kwargs: Any) -> tuple[socket, socket]:
    """A pair of connected sockets; see :func:`socket.socketpair`."""
    left, right = _standard.socketpair(*args, **kwargs)
    return _adopt(left), _adopt(right)


_register()

# Without a frame of its own: the standard module may warn of a name, and whoever used it is to be named.
__getattr__ = _partial(getattr, _standard)
