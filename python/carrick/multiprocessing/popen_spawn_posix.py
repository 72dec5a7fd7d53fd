# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children that are fresh interpreters: the module :mod:`multiprocessing.popen_spawn_posix`."""

from __future__ import annotations

import os
import sys
from multiprocessing import resource_tracker, spawn, util

from carrick import _patch
from carrick._standard import popen_spawn_posix as _standard
from carrick.multiprocessing import _child
from carrick.multiprocessing.popen_fork import wait, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Popen"]


class Popen(_standard.Popen):
    """Starts a process object in an interpreter of its own.

    What the child is to run is in a file without a name: it does not have to be awake for the parent to go on.
    """

    wait = wait

    def _launch(self, process_obj: Any) -> None:
        if getattr(sys, "frozen", False):
            # The program itself is the interpreter, and knows the standard way to be a child only.
            super()._launch(process_obj)
            return
        tracker: Any = resource_tracker.getfd()
        arrival = _child.Arrival(process_obj)
        opened: list[int] = []
        try:
            body = os.memfd_create("carrick-process")
            opened.append(body)
            with open(body, "wb", closefd=False) as file:
                arrival.write(file, self)
            os.lseek(body, 0, os.SEEK_SET)
            parent = os.pidfd_open(os.getpid())
            opened.append(parent)
            code = _patch.child_command("carrick.multiprocessing._spawned", body, parent, tracker)
            program: Any = spawn.get_executable()
            command = [program, *util._args_from_interpreter_flags(), "-c", code, "--multiprocessing-fork"]
            self.pid = util.spawnv_passfds(program, command, [*self._fds, *opened, tracker])
        finally:
            arrival.close()
            for fd in opened:
                os.close(fd)
        self.sentinel = watch(self.pid)
        self.finalizer = util.Finalize(self, os.close, (self.sentinel,))


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
