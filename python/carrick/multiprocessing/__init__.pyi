# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing` with carrick's :mod:`~carrick.multiprocessing.connection`."""

from typing import Any

from carrick.multiprocessing import connection as connection
from carrick.multiprocessing.connection import Pipe as Pipe

# After our own: what is defined above stays.
from multiprocessing import *  # type: ignore[assignment]  # noqa: F403  # isort: skip

def __getattr__(name: str) -> Any: ...
