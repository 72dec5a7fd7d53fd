# SPDX-License-Identifier: MIT OR Apache-2.0
"""Network servers: the module :mod:`socketserver` with carrick's accept loop and threads.

The classes are subclasses of the standard ones and every hook is theirs. Where no hook that it would bypass is
overridden, connections are accepted in Rust, and threads are kept from one request to the next: a request is
handled where it was accepted, and another thread accepts as soon as it blocks.

New class attributes of the servers, to be set on a subclass or an instance:

``max_threads``
    The most requests that a threading server handles at a time; None, as in the standard library, is no limit.
``overload``
    The treatment of a connection beyond it: "block" leaves it in the kernel's queue, "reject" closes it.
``request_timeout``
    Seconds that one read or write of a request may take, as by ``socket.settimeout``; None is for ever.
``ssl_context``, ``handshake_timeout``
    An :class:`ssl.SSLContext` makes each request a TLS one. The handshake is made by the thread that handles the
    request, never by the one that accepts, and may take ``handshake_timeout`` seconds.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from functools import partial as _partial

from carrick import _serving
from carrick import socket as _socket
from carrick._standard import socket as _standard_socket
from carrick._standard import socketserver as _standard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, annotations  # No names of the standard module.

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]

BaseRequestHandler = _standard.BaseRequestHandler
StreamRequestHandler = _standard.StreamRequestHandler
DatagramRequestHandler = _standard.DatagramRequestHandler


class BaseServer(_standard.BaseServer):
    """The base of all servers."""

    max_threads: int | None = None
    overload: str = "block"
    request_timeout: float | None = None
    handshake_timeout: float | None = 10.0
    ssl_context: Any = None

    @property
    def __shutdown_request(self) -> bool:
        # Programs are known to set the standard class's attribute.
        return _serving.state_of(self).requested

    @__shutdown_request.setter
    def __shutdown_request(self, requested: bool) -> None:
        state = _serving.state_of(self)
        if requested:
            state.request()
        else:
            state.requested = False

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Handle requests until :meth:`shutdown`, which wakes this at once.

        ``service_actions`` is called after each request and every ``poll_interval`` seconds, if it is
        overridden. Several threads may serve.
        """
        _serving.serve(self, poll_interval, _loop_of)

    def shutdown(self, timeout: float | None = None) -> None:
        """Stop :meth:`serve_forever` and wait until it has returned; requests that run go on.

        Where serving has not begun, it will end as soon as it begins. From the serving thread itself (a
        handler of a server that handles in turn), and in a child of fork that does not serve, it does not wait.
        Raises TimeoutError after ``timeout`` seconds.
        """
        _serving.stop(self, timeout)

    def server_close(self, timeout: float | None = None) -> None:
        """Clean up the server; what that takes may take ``timeout`` seconds."""
        _serving.release(self)
        super().server_close()


def _loop_of(server: Any) -> Any:
    """The loop that calls every hook that the server overrides."""
    if not isinstance(server, TCPServer) or not _accepts_natively(server):
        return _serving.by_polling
    if _serving.uses(server, process_request=(ThreadingMixIn.process_request,)):
        return _serving.on_threads
    if _serving.uses(server, process_request=(_standard.BaseServer.process_request,)):
        return _serving.in_turn
    return _serving.by_polling


def _accepts_natively(server: TCPServer) -> bool:
    return (
        server.socket_type == _standard_socket.SOCK_STREAM
        and _serving.is_plain(server.socket)
        and _serving.uses(
            server,
            get_request=(TCPServer.get_request,),
            fileno=(_standard.TCPServer.fileno,),
            service_actions=(_standard.BaseServer.service_actions,),
            _handle_request_noblock=(_standard.BaseServer._handle_request_noblock,),
        )
    )


class TCPServer(BaseServer, _standard.TCPServer):
    """A server of stream sockets that handles one connection after the other."""

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection and return it with the client's address."""
        state = _serving.state_of(self)
        me = threading.get_ident()
        accepted = state.accepted.pop(me, None)
        if accepted is None:
            seat = state.seats.get(me)
            if seat is not None and _serving.is_plain(self.socket):
                accepted = _accept_now(self, seat)
            else:
                request, address = super().get_request()
                accepted = (_socket._adopt(request) if _serving.is_plain(request) else request, address)
        timeout = _serving.option(self, "request_timeout", (int, float))
        if timeout is not None:
            accepted[0].settimeout(timeout)
        return accepted

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle one request by making a handler for it, after the TLS handshake if there is to be one."""
        context = _tls_context(self)
        if context is None or not _serving.is_plain(request):
            super().finish_request(request, client_address)
            return
        secured = _handshake(request, context, _serving.option(self, "handshake_timeout", (int, float)))
        if secured is None:
            return
        try:
            super().finish_request(secured, client_address)
        finally:
            self.shutdown_request(secured)

    def shutdown_request(self, request: Any) -> None:
        """End and close a request; one whose descriptor went to TLS is closed already."""
        if _tls_context(self) is None or not _serving.is_plain(request) or request.fileno() >= 0:
            super().shutdown_request(request)


def _accept_now(server: Any, seat: _serving.Seat) -> tuple[Any, Any]:
    """Accept what waits. Where the socket blocks and another process was quicker, a stop still ends this."""
    listening = server.socket
    accepted = seat.waker.accept(listening.fileno(), 0)
    if accepted is None:
        raise BlockingIOError("the server is to stop")
    return _socket.socket(
        _serving.family_of(listening), server.socket_type, listening.proto, accepted[0]
    ), accepted[1]


def _tls_context(server: Any) -> Any:
    """The server's option; the attribute may be something else of the program's own."""
    # Without the module nobody can have made one.
    ssl = sys.modules.get("ssl")
    return None if ssl is None else _serving.option(server, "ssl_context", ssl.SSLContext)


def _handshake(request: Any, context: Any, limit: float | None) -> Any:
    timeout = request.gettimeout()
    plain = _standard_socket.socket(request.family, request.type, request.proto, request.detach())
    secured = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    try:
        secured.settimeout(limit)
        secured.do_handshake()
        secured.settimeout(timeout)
    except OSError:
        # A client that cannot or will not speak TLS; ssl.SSLError and timeouts are OSErrors.
        secured.close()
        return None
    return secured


class UDPServer(TCPServer, _standard.UDPServer):
    """A server of datagrams."""

    finish_request = _standard.BaseServer.finish_request
    shutdown_request = _standard.UDPServer.shutdown_request

    def get_request(self) -> tuple[Any, Any]:
        """Receive a datagram and return it, with the socket, and the client's address."""
        if threading.get_ident() not in _serving.state_of(self).seats or not _serving.is_plain(self.socket):
            return _standard.UDPServer.get_request(self)
        # Another process may have been quicker.
        data, address = self.socket.recvfrom(self.max_packet_size, _standard_socket.MSG_DONTWAIT)
        return (data, self.socket), address


class ForkingMixIn(_standard.ForkingMixIn):
    """Handle each request in a new process."""

    def collect_children(self, *, blocking: bool = False) -> None:
        """Reap children that have ended; with ``max_children`` of them, or ``blocking``, wait for some, or all, first.

        Other children of the program are left to who started them.
        """
        children = self.active_children
        if children is None:
            return
        _reap(children)
        while children and (blocking or len(children) >= self.max_children):
            _await_children(children, None)
            _reap(children)

    def server_close(self, timeout: float | None = None) -> None:
        """Close the server and wait for requests that run, unless ``block_on_close`` is False.

        Raises TimeoutError when one still runs after ``timeout`` seconds.
        """
        if timeout is None:
            super().server_close()
            return
        deadline = time.monotonic() + timeout
        blocking = self.block_on_close
        self.block_on_close = False
        try:
            super().server_close()
        finally:
            self.block_on_close = blocking
        if blocking:
            children = self.active_children or set()
            while children and time.monotonic() < deadline:
                _await_children(children, deadline)
                _reap(children)
            if children:
                raise TimeoutError(f"server_close: {len(children)} requests still run after {timeout} s")


def _reap(children: set[int]) -> None:
    """Take those that have ended from the kernel's table, and from the set."""
    for pid in list(children):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            # Somebody else has reaped it.
            ended = pid
        except OSError:
            continue
        children.discard(ended)


def _await_children(pids: set[int], deadline: float | None) -> None:
    """Wait until one of these children has ended, or until a time. None of them is reaped."""
    poller = select.poll()
    descriptors: list[int] = []
    left: float | None = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            except OSError:
                # Refused, or out of descriptors: looked for again in a moment.
                left = _LOOK if left is None else min(left, _LOOK)
                break
            descriptors.append(descriptor)
            poller.register(descriptor, select.POLLIN)
        poller.poll(None if left is None else left * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


_LOOK = 0.01
"""Seconds between looks after children that no descriptor can be had for."""


class ThreadingMixIn(_standard.ThreadingMixIn):
    """Handle each request in a thread; threads are kept and used again."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle the request in a new thread; this is for servers that accept by hooks of their own."""
        limit = _serving.option(self, "max_threads", int)
        if limit is not None:
            slots = vars(self).setdefault("_carrick_slots", threading.BoundedSemaphore(limit))
            if not slots.acquire(blocking=_serving.option(self, "overload", str) != "reject"):
                self.shutdown_request(request)  # type: ignore[attr-defined]
                return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle the request; its exceptions go to ``handle_error``."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            slots = vars(self).get("_carrick_slots")
            if slots is not None:
                slots.release()

    def server_close(self, timeout: float | None = None) -> None:
        """Close the server and wait for requests that run, unless ``block_on_close`` is False.

        Raises TimeoutError when one still runs after ``timeout`` seconds.
        """
        if timeout is None:
            super().server_close()
            return
        deadline = time.monotonic() + timeout
        # The standard method waits for these without a limit.
        threads = vars(self).pop("_threads", None)
        try:
            super().server_close()
        finally:
            if threads is not None:
                self._threads = threads
        running = [thread for thread in threads or () if not _joined(thread, deadline)]
        if running:
            raise TimeoutError(f"server_close: {len(running)} requests still run after {timeout} s")


def _joined(thread: threading.Thread, deadline: float) -> bool:
    thread.join(max(0.0, deadline - time.monotonic()))
    return not thread.is_alive()


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


# Without a frame of its own: the standard module may warn of a name, and whoever used it is to be named.
__getattr__ = _partial(getattr, _standard)
