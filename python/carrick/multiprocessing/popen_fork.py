# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children by fork: the module :mod:`multiprocessing.popen_fork`.

A process is watched by a pidfd, not by a pipe: it is ready when the process itself has ended, whoever has inherited
descriptors of it.
"""

from __future__ import annotations

import atexit
import errno
import os
from multiprocessing import util

from carrick import _carrick
from carrick._descriptor import lift as _lift
from carrick._standard import popen_fork as _standard
from carrick.multiprocessing import _bootstrap, _child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Popen"]

_RUNS_ATEXIT = hasattr(_standard, "atexit")
"""Whether children of this Python run exit handlers of their own."""


def forget_exit_handlers() -> None:
    """In a child: the parent's exit handlers are not the child's."""
    if _RUNS_ATEXIT:
        atexit._clear()
        atexit.register(util._exit_function)


def run_exit_handlers() -> None:
    """In a child, at its end."""
    if _RUNS_ATEXIT:
        atexit._run_exitfuncs()


def wait(popen: Any, timeout: float | None = None) -> int | None:
    """Wait for the child's end, at most ``timeout`` seconds; returns its exit code, or None.

    A method of those whose sentinel is ready as soon as the exit code is known.
    """
    if popen.returncode is None:
        # Without a timeout, too: waitpid would sleep through a signal that another thread took.
        if not _carrick.poll(popen.sentinel, timeout):
            return None
        popen.poll(os.WNOHANG if timeout == 0.0 else 0)
    code: int | None = popen.returncode
    return code


class _Leaving:
    """A process object for the standard class to start, which leaves its locks as other children do."""

    def __init__(self, process_obj: Any) -> None:
        self._process = process_obj

    def _bootstrap(self, **options: Any) -> int:
        code: int = self._process._bootstrap(**options)
        _carrick.leave_locks()
        return code


class Popen(_standard.Popen):
    """Starts a process object in a fork of this process."""

    wait = wait

    def _launch(self, process_obj: Any) -> None:
        try:
            # Before the fork: where no number is left for a descriptor, there is no child yet.
            parent = _lift(os.pidfd_open(os.getpid()))
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            super()._launch(_Leaving(process_obj))
            return
        lifeline = -1
        try:
            if process_obj.daemon:
                lifeline = _carrick.lifeline()
            run = _bootstrap.child_of_fork(process_obj, parent, _RUNS_ATEXIT)
            self.pid = os.fork()
            if self.pid == 0:
                code, in_good_order = 1, False
                try:
                    forget_exit_handlers()
                    if lifeline >= 0:
                        _child.hold_on(lifeline)
                    code = run()
                    in_good_order = True
                finally:
                    run_exit_handlers()
                    if in_good_order:
                        _carrick.leave_locks()
                    os._exit(code)
        finally:
            os.close(parent)
            if lifeline >= 0:
                os.close(lifeline)
        self.sentinel = watch(self.pid)
        self.finalizer = util.Finalize(self, os.close, (self.sentinel,))


def watch(pid: int) -> int:
    """A descriptor that is ready when the child has ended. There is a number for it: the parent's has just gone."""
    try:
        return _lift(os.pidfd_open(pid))
    except ProcessLookupError:
        # Where SIGCHLD is ignored the kernel has taken the child away already.
        ready, writing = os.pipe()
        os.close(writing)
        return _lift(ready)


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
