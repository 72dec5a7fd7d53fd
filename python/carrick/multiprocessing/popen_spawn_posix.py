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
    _carrick_reap: Any = staticmethod(_carrick.reap)

    def _launch(self, process_obj: Any) -> None:
        if getattr(sys, "frozen", False):
            # The program itself is the interpreter, and knows the standard way to be a child only.
            super()._launch(process_obj)
            return
        tracker: Any = resource_tracker.getfd()
        arrival = _child.Arrival(process_obj)
        parcel = None
        parent = ready = held = -1
        try:
            body = io.BytesIO()
            arrival.write(body, self)
            parcel = _child.Parcel(body.getbuffer())
            parent, exact = _child.parent_handle()
            if not exact:
                ready, held = map(_lift, os.pipe())
            code = _patch.child_command("carrick.multiprocessing._spawned", parcel.fd, parent, tracker)
            program: Any = spawn.get_executable()
            command = [program, *util._args_from_interpreter_flags(), "-c", code, "--multiprocessing-fork"]
            fds = [fd for fd in (*self._fds, parcel.fd, parent, tracker, held) if fd >= 0]
            self.pid = util.spawnv_passfds(program, command, fds)
            # Before the sentinel, which takes a number that this gives back.
            os.close(parent)
            parent = -1
            self.sentinel = _child.watch(self.pid, ready)
            ready = -1
            self.finalizer = util.Finalize(self, os.close, (self.sentinel,))
            parcel.deliver()
        finally:
            arrival.close()
            if parcel is not None:
                parcel.close()
            for fd in (parent, ready, held):
                if fd >= 0:
                    os.close(fd)


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
