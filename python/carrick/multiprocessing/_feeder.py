# SPDX-License-Identifier: MIT OR Apache-2.0
"""The thread that puts what cannot be pickled before the caller of ``put`` has gone on.

The standard library's queues put everything that way. Here it is for items whose pickling waits for a lock that their
producer holds, and for those that it puts after these: a process's items stay in order.
"""

from __future__ import annotations

import collections
import os
import threading
import time
from multiprocessing import util

from carrick.multiprocessing import _pickling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, annotations

__all__ = ()

_NOTHING = (None, None)


class Feeder:
    """Puts items of a queue of this process, one after the other, and ends with the last one."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._items: collections.deque[tuple[Any, tuple[Any, Any]]] = collections.deque()
        self._lock = threading.Lock()
        self._ended = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="QueueFeederThread", daemon=True)
        # As with the standard library: a process does not end before its items are put.
        self._at_exit = util.Finalize(None, self._thread.join, exitpriority=-5)

    def is_alive(self) -> bool:
        """Whether it is this process's, and takes more items."""
        return not self._ended and self._pid == os.getpid()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, obj: Any, reduced: tuple[Any, Any] = _NOTHING) -> bool:
        """Take an item; False: it has ended, and there is none before it."""
        with self._lock:
            if self._ended:
                return False
            self._items.append((obj, reduced))
            if not self._thread.ident:
                self._thread.start()
        return True

    def room(self, limit: int, block: bool, timeout: float | None) -> bool:
        """Wait until the queue and this have fewer items than ``limit``."""
        end = None if timeout is None else time.monotonic() + timeout
        while limit and self._queue._carrick_queue.qsize() + len(self) >= limit:
            if not block or (end is not None and time.monotonic() >= end):
                return False
            time.sleep(0.005)
        return True

    def join(self) -> None:
        """Wait until all is put."""
        if self._pid == os.getpid() and self._thread.ident:
            self._thread.join()

    def cancel(self) -> None:
        """Do not have the process wait for this at its end."""
        self._at_exit.cancel()

    def _run(self) -> None:
        queue = self._queue
        while True:
            obj, reduced = self._items[0]
            try:
                body = _pickling.dumps_later(obj, reduced)
                queue._carrick_queue.put(body, True, None)
            except Exception as error:
                queue._on_queue_feeder_error(error, obj)
            del obj, reduced
            with self._lock:
                self._items.popleft()
                if not self._items:
                    self._ended = True
                    self._at_exit.cancel()
                    return
