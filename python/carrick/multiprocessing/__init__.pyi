# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing` with carrick's processes, connections, queues and locks."""

from typing import Any

from carrick.multiprocessing import connection as connection
from carrick.multiprocessing import context as context
from carrick.multiprocessing import dummy as dummy
from carrick.multiprocessing import forkserver as forkserver
from carrick.multiprocessing import managers as managers
from carrick.multiprocessing import pool as pool
from carrick.multiprocessing import popen_fork as popen_fork
from carrick.multiprocessing import popen_forkserver as popen_forkserver
from carrick.multiprocessing import popen_spawn_posix as popen_spawn_posix
from carrick.multiprocessing import queues as queues
from carrick.multiprocessing import shared_memory as shared_memory
from carrick.multiprocessing import sharedctypes as sharedctypes
from carrick.multiprocessing import synchronize as synchronize
from carrick.multiprocessing.context import Process as Process
from carrick.multiprocessing.context import default_context as _default
from carrick.multiprocessing.context import get_context as get_context

Array = _default.Array
Barrier = _default.Barrier
BoundedSemaphore = _default.BoundedSemaphore
Condition = _default.Condition
Event = _default.Event
JoinableQueue = _default.JoinableQueue
Lock = _default.Lock
Manager = _default.Manager
Pipe = _default.Pipe
Pool = _default.Pool
Queue = _default.Queue
RLock = _default.RLock
Semaphore = _default.Semaphore
SimpleQueue = _default.SimpleQueue
Value = _default.Value
set_forkserver_preload = _default.set_forkserver_preload

# After our own: what is defined above stays.
from multiprocessing import *  # type: ignore[assignment]  # noqa: E402, F403  # isort: skip

def __getattr__(name: str) -> Any: ...
