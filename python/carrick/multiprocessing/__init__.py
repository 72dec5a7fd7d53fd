# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing`, with carrick's :mod:`~carrick.multiprocessing.connection` in it.

Processes, locks, queues and pools are the standard library's for now.
"""

from multiprocessing import *  # noqa: F403
from typing import Any

from carrick._standard import multiprocessing as _standard
from carrick.multiprocessing import connection as connection
from carrick.multiprocessing.connection import Pipe as Pipe

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
