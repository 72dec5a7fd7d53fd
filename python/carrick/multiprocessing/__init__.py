# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing`, with carrick's processes, connections, queues and locks in it.

Pools are the standard library's for now. Submodules are imported when they are used.
"""

from importlib import import_module as _import_module
from multiprocessing import *  # noqa: F403

from carrick._patch import LEAVES as _OURS
from carrick._standard import multiprocessing as _standard
from carrick.multiprocessing.context import Process as Process
from carrick.multiprocessing.context import default_context as _default
from carrick.multiprocessing.context import get_context as get_context

# As in the standard package, what makes queues and locks are methods of the default context.
Barrier = _default.Barrier
BoundedSemaphore = _default.BoundedSemaphore
Condition = _default.Condition
Event = _default.Event
JoinableQueue = _default.JoinableQueue
Lock = _default.Lock
Pipe = _default.Pipe
Queue = _default.Queue
RLock = _default.RLock
Semaphore = _default.Semaphore
SimpleQueue = _default.SimpleQueue
set_forkserver_preload = _default.set_forkserver_preload

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name in _OURS:
        return _import_module(f"{__name__}.{name}")
    return getattr(_standard, name)
