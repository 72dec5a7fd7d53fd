# SPDX-License-Identifier: MIT OR Apache-2.0
"""Queues for threads: the module :mod:`queue`, kept in Rust."""

import queue as _standard
from queue import Empty as Empty
from queue import Full as Full
from queue import SimpleQueue as SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")

class ShutDown(Exception):
    """Raised by put and get of a queue that has been shut down."""

class Queue(_standard.Queue[_T]):
    """A queue of at most ``maxsize`` items, first in, first out; 0 and less is no limit."""

    is_shutdown: bool
    def shutdown(self, immediate: bool = False) -> None:
        """Shut the queue down: put raises ShutDown from now on, and so does get once the queue is empty, or at once
        if ``immediate``.

        Everybody who waits in put and get is woken. If ``immediate``, the items are removed and each is counted as
        done.
        """

class LifoQueue(Queue[_T]):
    """A queue of at most ``maxsize`` items, last in, first out; 0 and less is no limit."""

class PriorityQueue(Queue[_T]):
    """A queue of at most ``maxsize`` items, the lowest first out; 0 and less is no limit.

    Entries are typically tuples of the form ``(priority number, data)``.
    """

def __getattr__(name: str) -> Any: ...
