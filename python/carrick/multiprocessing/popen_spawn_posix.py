# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children that are fresh interpreters: the module :mod:`multiprocessing.popen_spawn_posix`."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys
from multiprocessing import resource_tracker, spawn, util

from carrick import _patch
from carrick._descriptor import lift as _lift
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
        rest = None
        try:
            body, rest = _write(arrival, self)
            opened.append(body)
            parent = _lift(os.pidfd_open(os.getpid()))
            opened.append(parent)
            code = _patch.child_command("carrick.multiprocessing._spawned", body, parent, tracker)
            program: Any = spawn.get_executable()
            command = [program, *util._args_from_interpreter_flags(), "-c", code, "--multiprocessing-fork"]
            self.pid = util.spawnv_passfds(program, command, [*self._fds, *opened, tracker])
            if rest is not None:
                os.close(opened.pop(0))
                with contextlib.suppress(BrokenPipeError), rest[0]:
                    rest[0].write(rest[1])
        finally:
            arrival.close()
            for fd in opened:
                os.close(fd)
            if rest is not None:
                rest[0].close()
        self.sentinel = watch(self.pid)
        self.finalizer = util.Finalize(self, os.close, (self.sentinel,))


def _write(arrival: Any, popen: Any) -> tuple[int, tuple[Any, memoryview] | None]:
    """Write the process object; returns what the child reads it from, and what is still to be written, and to where.

    It is a file in memory or, where this process may not write files of any length (RLIMIT_FSIZE), a pipe.
    """
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        buffer = io.BytesIO()
        arrival.write(buffer, popen)
        reading, writing = map(_lift, os.pipe())
        return reading, (open(writing, "wb", buffering=0), buffer.getbuffer())
    body = _lift(os.memfd_create("carrick-process"))
    try:
        with open(body, "wb", closefd=False) as file:
            arrival.write(file, popen)
        os.lseek(body, 0, os.SEEK_SET)
    except BaseException:
        os.close(body)
        raise
    return body, None


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
