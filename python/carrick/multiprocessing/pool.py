# SPDX-License-Identifier: MIT OR Apache-2.0
"""Pools: the module :mod:`multiprocessing.pool`, whose workers and queues are carrick's unless a context is given."""

from multiprocessing import pool as _standard

from carrick.multiprocessing._scope import use as _use
from carrick.multiprocessing.context import get_context as _get_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Pool", "ThreadPool"]


@_use(_standard.Pool, get_context=_get_context)
class Pool(_standard.Pool):
    """A pool of processes."""


@_use(_standard.ThreadPool, Pool=Pool)
class ThreadPool(_standard.ThreadPool, Pool):
    """A pool of threads with the methods of a pool of processes."""


def __getattr__(name: str) -> "Any":
    return getattr(_standard, name)
