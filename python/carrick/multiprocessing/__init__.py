# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing`, with carrick's connections and queues in it.

Processes, locks and pools are the standard library's for now. Submodules are imported when they are used.
"""

from importlib import import_module as _import_module
from multiprocessing import *  # noqa: F403
from typing import Any

from carrick._standard import multiprocessing as _standard
from carrick.multiprocessing.context import JoinableQueue as JoinableQueue
from carrick.multiprocessing.context import Pipe as Pipe
from carrick.multiprocessing.context import Queue as Queue
from carrick.multiprocessing.context import get_context as get_context

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in ("connection", "queues"):
        return _import_module(f"{__name__}.{name}")
    return getattr(_standard, name)
