# SPDX-License-Identifier: MIT OR Apache-2.0
"""Network servers: the module :mod:`socketserver` with carrick's accept loop and threads.

The classes are subclasses of the standard ones and every hook is theirs. Where no hook that it would bypass is
overridden, connections are accepted in Rust, and threads are kept from one request to the next: a request is
handled where it was accepted, and another thread accepts as soon as it blocks.

New class attributes of the servers, to be set on a subclass or an instance:

``max_threads``
    The most requests that a threading server handles at a time; None, as in the standard library, is no limit.
``overload``
    What happens to a connection beyond it: "block" leaves it in the kernel's queue, "reject" closes it.
``request_timeout``
    Seconds that one read or write of a request may take, as by ``socket.settimeout``; None is for ever.
``ssl_context``, ``handshake_timeout``
    An :class:`ssl.SSLContext` makes each request a TLS one. The handshake is made by the thread that handles the
    request, never by the one that accepts, and may take ``handshake_timeout`` seconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial as _partial

from carrick import _carrick
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

_UNLIMITED = 1 << 20
_LAST_WAIT = 1.0
"""Seconds that the interpreter's end waits for servers to stop."""
_ACCEPT_REST = 0.02
"""Seconds that accept rests after it failed for want of descriptors."""


def _readable(descriptor: int, timeout: float) -> None:
    # Not select(), which refuses descriptors above 1023.
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.poll(timeout * 1000)


def _is_plain(sock: Any) -> bool:
    """Whether it is a socket and nothing more: TLS, and a library that has put a class of its own in place, is more."""
    return type(sock).__module__ in (_socket.__name__, "socket") and type(sock).__name__ == "socket"


class _Serving:
    """What a server knows of its own running."""

    def __init__(self) -> None:
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.requested = False
        self.thread: int | None = None
        self.finished = threading.Event()
        self.finished.set()
        self.native: _carrick.StreamServer | None = None
        self.accepted: tuple[Any, Any] | None = None

    def __del__(self) -> None:
        os.close(self.wake)

    def request(self) -> None:
        self.requested = True
        native = self.native
        if native is not None:
            native.request_shutdown()
        os.eventfd_write(self.wake, 1)

    def rest(self) -> None:
        _readable(self.wake, _ACCEPT_REST)


_state_lock = threading.Lock()
_serving: weakref.WeakSet[Any] = weakref.WeakSet()


def _stop_all() -> None:
    """Threads that wait for requests must not keep the interpreter from ending, nor outlive it.

    A daemon thread that comes back from Rust after the end is stopped by CPython in the middle of Rust's frames.
    """
    states = [server._state for server in list(_serving)]
    for state in states:
        state.request()
    deadline = time.monotonic() + _LAST_WAIT
    for state in states:
        state.finished.wait(max(0.0, deadline - time.monotonic()))


# Runs before the interpreter waits for its threads; atexit would come after that.
getattr(threading, "_register_atexit", lambda stop: None)(_stop_all)


class BaseServer(_standard.BaseServer):
    """The base of all servers."""

    max_threads: int | None = None
    overload: str = "block"
    request_timeout: float | None = None
    handshake_timeout: float | None = 10.0
    ssl_context: Any = None

    @property
    def _state(self) -> _Serving:
        try:
            return self.__dict__["_carrick_state"]
        except KeyError:
            with _state_lock:
                return self.__dict__.setdefault("_carrick_state", _Serving())

    def _uses(self, **hooks: tuple[Any, ...]) -> bool:
        """Whether each hook is one of those given for it, and none is replaced on the instance."""
        return all(
            name not in self.__dict__ and getattr(type(self), name, None) in known
            for name, known in hooks.items()
        )

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Handle requests until :meth:`shutdown`, which wakes this at once.

        ``service_actions`` is called after each request and every ``poll_interval`` seconds, if it is
        overridden.
        """
        state = self._state
        if state.thread is not None:
            raise RuntimeError("serve_forever: this server is serving already, in another thread")
        state.finished.clear()
        state.thread = threading.get_ident()
        _serving.add(self)
        try:
            if not state.requested:
                self._serve(state, poll_interval)
        finally:
            state.thread = None
            state.native = None
            state.requested = False
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(state.wake)
            _serving.discard(self)
            state.finished.set()

    def _serve(self, state: _Serving, poll_interval: float) -> None:
        self._serve_by_polling(state, poll_interval)

    def _serve_by_polling(self, state: _Serving, poll_interval: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(state.wake, selectors.EVENT_READ)
            while not state.requested:
                ready = selector.select(poll_interval)
                if state.requested:
                    break
                if ready:
                    self._handle_request_noblock()
                self.service_actions()

    def shutdown(self, timeout: float | None = None) -> None:
        """Stop :meth:`serve_forever` and wait until it has returned; requests that run go on.

        Where serving has not begun, it will end as soon as it begins. From the serving thread itself (a
        handler of a server that handles in turn) it does not wait. Raises TimeoutError after ``timeout``
        seconds.
        """
        state = self._state
        state.request()
        if state.thread == threading.get_ident():
            return
        if not state.finished.wait(timeout):
            raise TimeoutError(f"shutdown: serve_forever has not returned in {timeout} s")

    def server_close(self, timeout: float | None = None) -> None:
        """Clean up the server; what that takes may take ``timeout`` seconds."""
        super().server_close()


class TCPServer(BaseServer, _standard.TCPServer):
    """A server of stream sockets that handles one connection after the other."""

    def _serve(self, state: _Serving, poll_interval: float) -> None:
        if not self._accepts_natively():
            self._serve_by_polling(state, poll_interval)
        elif self._uses(process_request=(ThreadingMixIn.process_request,)):
            self._serve_on_threads(state)
        elif self._uses(process_request=(_standard.BaseServer.process_request,)):
            self._serve_in_turn(state)
        else:
            self._serve_by_polling(state, poll_interval)

    def _accepts_natively(self) -> bool:
        return (
            self.socket_type == _standard_socket.SOCK_STREAM
            and _is_plain(self.socket)
            and self._uses(
                get_request=(TCPServer.get_request,),
                fileno=(_standard.TCPServer.fileno,),
                service_actions=(_standard.BaseServer.service_actions,),
                _handle_request_noblock=(_standard.BaseServer._handle_request_noblock,),
            )
        )

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection and return it with the client's address."""
        state = self._state
        accepted, state.accepted = state.accepted, None
        if accepted is None:
            request, address = super().get_request()
            accepted = (_socket._adopt(request) if _is_plain(request) else request, address)
        if self.request_timeout is not None:
            accepted[0].settimeout(self.request_timeout)
        return accepted

    def _wrap(self, fd: int) -> _socket.socket:
        return _socket.socket(self.address_family, self.socket_type, 0, fd)

    def _serve_in_turn(self, state: _Serving) -> None:
        listening = self.socket.fileno()
        while not state.requested:
            try:
                accepted = _carrick.accept(listening, state.wake)
            except OSError:
                state.rest()
                continue
            if accepted is None:
                break
            state.accepted = (self._wrap(accepted[0]), accepted[1])
            self._handle_request_noblock()

    def _serve_on_threads(self, state: _Serving) -> None:
        limit = _UNLIMITED if self.max_threads is None else self.max_threads
        native = _carrick.StreamServer(
            self.socket.fileno(), limit, self.overload, self._attend, self._start_thread
        )
        state.native = native
        if state.requested:
            return
        try:
            native.serve()
        finally:
            if self.socket.fileno() >= 0:
                # Serving made the listening socket non-blocking.
                self.socket.settimeout(self.socket.gettimeout())

    def _attend(self, fd: int, address: Any) -> None:
        """Handle one connection, on a thread of the server's."""
        try:
            request = self._wrap(fd)
            if self.request_timeout is not None:
                request.settimeout(self.request_timeout)
            if self.verify_request(request, address):
                self.process_request_thread(request, address)  # type: ignore[attr-defined]
            else:
                self.shutdown_request(request)
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), threading.current_thread()]))

    def _start_thread(self, job: Callable[[], None]) -> None:
        def process_request_thread() -> None:
            job()

        threads = self._thread_list()  # type: ignore[attr-defined]
        thread = threading.Thread(target=process_request_thread, daemon=self.daemon_threads)  # type: ignore[attr-defined]
        threads.append(thread)
        thread.start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle one request by making a handler for it, after the TLS handshake if there is to be one."""
        if self.ssl_context is None:
            super().finish_request(request, client_address)
            return
        secured = self._handshake(request)
        if secured is None:
            return
        try:
            super().finish_request(secured, client_address)
        finally:
            self.shutdown_request(secured)

    def _handshake(self, request: Any) -> Any:
        timeout = request.gettimeout()
        plain = _standard_socket.socket(request.family, request.type, request.proto, request.detach())
        secured = self.ssl_context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            secured.settimeout(self.handshake_timeout)
            secured.do_handshake()
            secured.settimeout(timeout)
        except OSError:
            # A client that cannot or will not speak TLS; ssl.SSLError and timeouts are OSErrors.
            secured.close()
            return None
        return secured

    def shutdown_request(self, request: Any) -> None:
        """End and close a request; one whose descriptor went to TLS is closed already."""
        if request.fileno() >= 0:
            super().shutdown_request(request)


class UDPServer(TCPServer, _standard.UDPServer):
    """A server of datagrams."""

    get_request = _standard.UDPServer.get_request  # type: ignore[assignment]
    shutdown_request = _standard.UDPServer.shutdown_request
    finish_request = _standard.BaseServer.finish_request


class ForkingMixIn(_standard.ForkingMixIn):
    """Handle each request in a new process."""

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
            for pid in list(self.active_children or ()):
                _await_child(pid, deadline)
            self.collect_children()
            if self.active_children:
                raise TimeoutError(
                    f"server_close: {len(self.active_children)} requests still run after {timeout} s"
                )


def _await_child(pid: int, deadline: float) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        _readable(descriptor, max(0.0, deadline - time.monotonic()))
    finally:
        os.close(descriptor)


class ThreadingMixIn(_standard.ThreadingMixIn):
    """Handle each request in a thread; threads are kept and used again."""

    def _thread_list(self) -> Any:
        if self.block_on_close:
            return vars(self).setdefault("_threads", _standard._Threads())
        return self._threads

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle the request in a new thread; this is for servers that accept by hooks of their own."""
        limit = getattr(self, "max_threads", None)
        if limit is not None:
            slots = vars(self).setdefault("_carrick_slots", threading.BoundedSemaphore(limit))
            if not slots.acquire(blocking=self.overload == "block"):  # type: ignore[attr-defined]
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
        self._state.request()  # type: ignore[attr-defined]
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
