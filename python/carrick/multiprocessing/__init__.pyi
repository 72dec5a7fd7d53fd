# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing` with carrick's connections and queues."""

from typing import Any

from carrick.multiprocessing import connection as connection
from carrick.multiprocessing import context as context
from carrick.multiprocessing import queues as queues
from carrick.multiprocessing.context import JoinableQueue as JoinableQueue
from carrick.multiprocessing.context import Pipe as Pipe
from carrick.multiprocessing.context import Queue as Queue
from carrick.multiprocessing.context import get_context as get_context

# After our own: what is defined above stays.
from multiprocessing import *  # type: ignore[assignment]  # noqa: F403  # isort: skip

def __getattr__(name: str) -> Any: ...
