# SPDX-License-Identifier: MIT OR Apache-2.0
"""Framed request and reply."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from carrick import _carrick
from carrick._carrick import Request


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
    times are in seconds, and None is no limit.

    A handler may block: others are served meanwhile, on up to ``max_threads`` threads.

    >>> with MessageServer(("127.0.0.1", 0), lambda request: request.body.upper()) as server:
    ...     from carrick.multiprocessing.connection import Client
    ...     with Client(server.address) as client:
    ...         client.send_bytes(b"hello")
    ...         client.recv_bytes()
    b'HELLO'
    """

    _handler: Callable[[Request], Any]
    _thread: threading.Thread | None

    def __new__(cls, address: Any, handler: Callable[[Request], Any], **options: Any) -> "MessageServer":
        self = super().__new__(cls, address, **options)
        self._handler = handler
        self._thread = None
        return self

    def serve_forever(self) -> None:
        """Serve until :meth:`shutdown` is called from another thread, or a signal handler raises."""
        self._serve(self._handler, _start_thread)

    def start(self) -> "MessageServer":
        """Serve on a thread of the server's own and return the server."""
        self._thread = threading.Thread(target=self.serve_forever, name="carrick-message-server", daemon=True)
        self._thread.start()
        return self

    def shutdown(self, timeout: float | None = None) -> None:
        """Stop serving. What has been begun may finish for up to ``timeout`` seconds, then it is cut off.

        Raises TimeoutError when a handler does not return all the same.
        """
        super().shutdown(timeout)
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> "MessageServer":
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()


MessageServer.__module__ = "carrick"
