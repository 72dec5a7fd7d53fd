# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children that are fresh interpreters: the module :mod:`multiprocessing.popen_spawn_posix`."""

from __future__ import annotations

import io
import os
import sys
from multiprocessing import resource_tracker, spawn, util

from carrick import _carrick, _patch
from carrick._descriptor import lift as _lift
from carrick._standard import popen_spawn_posix as _standard
from carrick.multiprocessing import _child, popen_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Popen"]


class Popen(_standard.Popen):
    """Starts a process object in an interpreter of its own."""

    wait = popen_fork.wait
    poll = popen_fork.poll
    _carrick_reap = staticmethod(_carrick.reap)

    def _launch(self, process_obj: Any) -> None:
        if getattr(sys, "frozen", False):
            # The program itself is the interpreter, and knows the standard way to be a child only.
            super()._launch(process_obj)
            return
        tracker: Any = resource_tracker.getfd()
        arrival = _child.Arrival(process_obj)


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
