# SPDX-License-Identifier: MIT OR Apache-2.0
"""The module :mod:`socket` with a :class:`socket` that sends frames, authenticates and waits more cheaply."""

import socket as _standard
from typing import Any, Literal, TypeAlias

from typing_extensions import Buffer

_FrameFormat: TypeAlias = str | tuple[int, Literal["big", "little"], bool]

class socket(_standard.socket):
    """A socket of the standard library with frames and authentication."""

    def accept(self) -> tuple[socket, Any]: ...
    def dup(self) -> socket: ...
    def recv(self, bufsize: int, flags: int = 0, /) -> bytes: ...
    def send(self, data: Buffer, flags: int = 0, /) -> int: ...
    def sendall(self, data: Buffer, flags: int = 0, /) -> None: ...
    def send_frame(
        self, data: Buffer, format: _FrameFormat = "course", *, max_frame: int | None = None
    ) -> None:
        """Send ``data`` as one frame: its length, then itself, in one system call.

        Arguments: ``format`` is "course" (``struct.pack('i', n)``), "multiprocessing", or
        ``(width, byteorder, signed)`` such as ``(2, "big", False)``; ``max_frame`` is the cap in bytes, 64 MiB
        unless given.

        Raises OSError for a frame over the cap, before anything is sent; TimeoutError and BlockingIOError as the
        socket's timeout says.
        """

    def recv_frame(self, format: _FrameFormat = "course", *, max_frame: int | None = None) -> bytes:
        """Receive one frame. The arguments are those of :meth:`send_frame`.

        Raises EOFError when the peer has closed, OSError for a frame over the cap or cut short, TimeoutError when
        the socket's timeout passes; BlockingIOError when the socket does not block and no frame has begun.
        """

    def authenticate(
        self,
        key: Buffer,
        role: Literal["server", "client"],
        *,
        scheme: Literal["course", "multiprocessing"] = "course",
        digest: str = "sha256",
        min_digest: str = "md5",
        timeout: float | None = 10.0,
    ) -> None:
        """Prove to the peer that both have ``key``.

        Arguments: ``role`` is "server" or "client"; ``scheme`` "course" is one-sided, "multiprocessing" mutual and
        that of :mod:`multiprocessing.connection`.

        Raises AuthenticationError, or TimeoutError after ``timeout`` seconds; close the connection then.
        """

def create_connection(
    address: tuple[str | None, int],
    timeout: float | None = ...,
    source_address: tuple[str, int] | None = None,
    *,
    all_errors: bool = False,
) -> socket: ...
def create_server(
    address: Any,
    *,
    family: int = ...,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
) -> socket: ...
def fromfd(fd: int | _standard.socket, family: int, type: int, proto: int = 0) -> socket: ...
def socketpair(family: int | None = None, type: int = ..., proto: int = 0) -> tuple[socket, socket]: ...

# After our own: what is defined above stays.
from socket import *  # type: ignore[assignment]  # noqa: E402, F403
