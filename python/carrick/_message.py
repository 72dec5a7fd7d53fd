# SPDX-License-Identifier: MIT OR Apache-2.0
"""Framed request and reply."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack

from carrick import _carrick
from carrick._carrick import Request
from carrick._errors import _of_kind


class _Options(TypedDict, total=False):
    """The keyword arguments of :class:`MessageServer`; their defaults are in Rust, and the manual lists them."""

    authkey: Any
    scheme: Literal["multiprocessing", "course"]
    digest: str
    min_digest: str
    handshake_timeout: float | None
    frame_format: Literal["multiprocessing", "course"] | tuple[int, Literal["big", "little"], bool] | None
    max_frame: int | None
    backlog: int
    reuse_port: bool
    max_connections: int
    overload: Literal["block", "reject"]
    request_timeout: float | None
    idle_timeout: float | None
    max_unsent: int
    max_threads: int
    drain: float | None


def _start_thread(job: Callable[[], None]) -> None:
    threading.Thread(target=job, name="carrick-server", daemon=True).start()


class MessageServer(_carrick.MessageServer):
    """An event-driven server of framed requests.

    Arguments: ``address`` is ``(host, port)`` or a path; port 0 lets the kernel choose, see :attr:`address`.
    ``handler`` is called with a :class:`carrick.Request` for each frame that arrives; bytes that it returns, or
    gives to ``request.reply()``, are sent back. An exception of the handler is reported like any that
    cannot be raised (``sys.unraisablehook``) and ends that connection only.

    Keyword arguments: ``authkey``, ``scheme`` ("multiprocessing" or "course"), ``digest``, ``min_digest`` and
    ``handshake_timeout`` authenticate each connection; ``frame_format`` ("multiprocessing", "course" or
    ``(width, byteorder, signed)``) and ``max_frame`` say what a frame is; ``max_connections``, ``overload``
    ("block" or "reject"), ``request_timeout``, ``idle_timeout``, ``max_unsent`` and ``max_threads`` are its limits;
    ``backlog`` and ``reuse_port`` are the listening socket's; ``drain`` is how long what has been begun may go on
    when the ``with`` statement ends or :meth:`request_shutdown` is called. Times are in seconds, and None is no
    limit.

    A handler may block: others are served meanwhile, on up to ``max_threads`` threads.

    >>> with MessageServer(("127.0.0.1", 0), lambda request: request.body.upper()) as server:
    ...     from carrick.multiprocessing.connection import Client
    ...     with Client(server.address) as client:
    ...         client.send_bytes(b"hello")
    ...         client.recv_bytes()
    b'HELLO'
    """

    _carrick_handler: Callable[[Request], Any]
    _carrick_thread: threading.Thread | None
    _carrick_failure: BaseException | None

    def __new__(cls, address: Any, handler: Callable[[Request], Any], **options: Unpack[_Options]) -> Self:
        if not callable(handler):
            raise TypeError(f"handler must be callable, not {type(handler).__name__}")
        self = super().__new__(cls, address, **options)
        self._carrick_handler = handler
        self._carrick_thread = None
        self._carrick_failure = None
        return self

    def serve_forever(self) -> None:
        """Serve until :meth:`shutdown` is called from another thread, or a signal handler raises."""
        self._carrick_serve(self._carrick_handler, _start_thread)

    def start(self) -> Self:
        """Serve on a thread of the server's own and return the server."""
        if self._carrick_thread is not None:
            raise _of_kind("E_STATE", "start: this server is serving, or has served: make another")
        self._carrick_thread = threading.Thread(
            target=self._carrick_serve_here, name="carrick-message-server", daemon=True
        )
        self._carrick_thread.start()
        return self

    def _carrick_serve_here(self) -> None:
        try:
            self.serve_forever()
        except BaseException as error:
            self._carrick_failure = error

    def shutdown(self, timeout: float | None = None) -> None:
        """Stop serving. Requests that have begun may finish for up to ``timeout`` seconds, then they are cut off.

        Raises TimeoutError when a handler does not return all the same, and what ended the serving of
        :meth:`start` if it was an error.
        """
        super().shutdown(timeout)
        self._carrick_join()

    def _carrick_join(self) -> None:
        if self._carrick_thread is not None:
            self._carrick_thread.join()
        failure, self._carrick_failure = self._carrick_failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        return self if self._carrick_thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.request_shutdown()
        self._carrick_wait()
        self._carrick_join()


MessageServer.__module__ = "carrick"
