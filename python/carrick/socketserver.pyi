# SPDX-License-Identifier: MIT OR Apache-2.0
"""Network servers: the module :mod:`socketserver` with carrick's accept loop and threads."""

import socketserver as _standard
import ssl
import sys
from socketserver import BaseRequestHandler as BaseRequestHandler
from socketserver import DatagramRequestHandler as DatagramRequestHandler
from socketserver import StreamRequestHandler as StreamRequestHandler
from typing import Any, Literal

class BaseServer(_standard.BaseServer):
    """The base of all servers."""

    max_threads: int | None
    overload: Literal["block", "reject"]
    request_timeout: float | None
    handshake_timeout: float | None
    ssl_context: ssl.SSLContext | None
    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Handle requests until :meth:`shutdown`, which wakes this at once.

        ``service_actions`` is called after each request and every ``poll_interval`` seconds, if it is
        overridden.
        """

    def shutdown(self, timeout: float | None = None) -> None:
        """Stop :meth:`serve_forever` and wait until it has returned; requests that run go on.

        Raises TimeoutError after ``timeout`` seconds.
        """

    def server_close(self, timeout: float | None = None) -> None:
        """Clean up the server.

        Raises TimeoutError when a request still runs after ``timeout`` seconds.
        """

class TCPServer(BaseServer, _standard.TCPServer):
    """A server of stream sockets that handles one connection after the other."""

class UDPServer(TCPServer, _standard.UDPServer):
    """A server of datagrams."""

class ForkingMixIn(_standard.ForkingMixIn):
    """Handle each request in a new process."""

    def server_close(self, timeout: float | None = None) -> None: ...

class ThreadingMixIn(_standard.ThreadingMixIn):
    """Handle each request in a thread; threads are kept and used again."""

    def server_close(self, timeout: float | None = None) -> None: ...

class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """A TCP server with a thread for each request that runs."""

class ThreadingUDPServer(ThreadingMixIn, UDPServer):
    """A UDP server with a thread for each datagram."""

class ForkingTCPServer(ForkingMixIn, TCPServer):
    """A TCP server with a process for each request."""

class ForkingUDPServer(ForkingMixIn, UDPServer):
    """A UDP server with a process for each datagram."""

class UnixStreamServer(TCPServer, _standard.UnixStreamServer):
    """A server of Unix stream sockets."""

class UnixDatagramServer(UDPServer, _standard.UnixDatagramServer):
    """A server of Unix datagrams."""

class ThreadingUnixStreamServer(ThreadingMixIn, UnixStreamServer):
    """A server of Unix stream sockets with a thread for each request that runs."""

class ThreadingUnixDatagramServer(ThreadingMixIn, UnixDatagramServer):
    """A server of Unix datagrams with a thread for each."""

if sys.version_info >= (3, 12):
    class ForkingUnixStreamServer(ForkingMixIn, UnixStreamServer):
        """A server of Unix stream sockets with a process for each request."""

    class ForkingUnixDatagramServer(ForkingMixIn, UnixDatagramServer):
        """A server of Unix datagrams with a process for each."""

def __getattr__(name: str) -> Any: ...
