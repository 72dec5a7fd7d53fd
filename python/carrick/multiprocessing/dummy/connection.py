# SPDX-License-Identifier: MIT OR Apache-2.0
"""Connections between threads: the module :mod:`multiprocessing.dummy.connection`, on carrick's queues."""

from multiprocessing.dummy import connection as _standard

from carrick.multiprocessing._scope import use as _use
from carrick.multiprocessing._scope import with_names as _with_names
from carrick.queue import Queue as _Queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Client", "Listener", "Pipe"]


@_use(_standard.Listener, Queue=_Queue)
class Listener(_standard.Listener):
    """A listener to which clients of other threads connect."""


Client = _with_names(_standard.Client, {"Queue": _Queue}, __name__)
Pipe = _with_names(_standard.Pipe, {"Queue": _Queue}, __name__)


def __getattr__(name: str) -> "Any":
    return getattr(_standard, name)
