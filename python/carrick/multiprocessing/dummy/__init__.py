# SPDX-License-Identifier: MIT OR Apache-2.0
"""The interface of the package on threads: the module :mod:`multiprocessing.dummy`, with carrick's queues in it."""

import sys as _sys
from multiprocessing import dummy as _standard
from multiprocessing.dummy import *  # noqa: F403

from carrick.multiprocessing.dummy.connection import Pipe as Pipe
from carrick.multiprocessing.pool import ThreadPool as _ThreadPool
from carrick.queue import Queue as Queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]

JoinableQueue = Queue


def Manager() -> "Any":
    """This module: threads share everything anyhow."""
    return _sys.modules[__name__]


def Pool(processes: "Any" = None, initializer: "Any" = None, initargs: "Any" = ()) -> "Any":
    """A pool of threads."""
    return _ThreadPool(processes, initializer, initargs)


def __getattr__(name: str) -> "Any":
    return getattr(_standard, name)
