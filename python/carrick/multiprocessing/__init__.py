# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing`, with carrick's connections and queues in it.

Processes, locks and pools are the standard library's for now.
"""

from multiprocessing import *  # noqa: F403
from typing import Any

from carrick._standard import multiprocessing as _standard
from carrick.multiprocessing import connection as connection
from carrick.multiprocessing import context as context
from carrick.multiprocessing import queues as queues
from carrick.multiprocessing.connection import Pipe as Pipe
from carrick.multiprocessing.context import JoinableQueue as JoinableQueue
from carrick.multiprocessing.context import Queue as Queue
from carrick.multiprocessing.context import get_context as get_context

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
