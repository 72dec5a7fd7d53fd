# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children by fork: the module :mod:`multiprocessing.popen_fork`.

A process is watched by a pidfd, not by a pipe: it is ready when the process itself has ended, whoever has inherited
descriptors of it. Where pidfds are refused it is a pipe, as in the standard library.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
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


def intend_fork(preserve: bool) -> None:
    """Tell the resource tracker of this Python that a fork, which follows, is a child that is to share it.

    From 3.14 on a forked child gives the tracker up, unless the one who forks says so.
    """
    # One that nobody has imported runs for nobody.
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    intent = getattr(tracker, "_fork_intent", None)
    if intent is not None:
        intent.preserve_fd = preserve


# Waiting for a child, from any number of threads at once: each returns when the exit code is known, since _carrick's
# reap takes it from the kernel and stores it in one step. These are methods of all classes of ours that start
# processes, which have no base in common: after patch() the standard library's others are subclasses of this module's.


def wait(popen: Any, timeout: float | None = None) -> int | None:
    """Wait for the child's end, at most ``timeout`` seconds; returns its exit code, or None."""
    if popen.returncode is None:
        # Without a timeout, too: waitpid would sleep through a signal that another thread took.
        if not _carrick.poll(popen.sentinel, timeout):
            return None
        popen.poll(os.WNOHANG if timeout == 0.0 else 0)
    code: int | None = popen.returncode
    return code


def poll(popen: Any, flag: int = os.WNOHANG) -> int | None:
    """The exit code, None while there is none; without WNOHANG it is waited for."""
    if popen.returncode is None:
        if flag == os.WNOHANG:
            # Each process that is started asks for all that there are.
            popen._carrick_reap(popen)
        else:
            _carrick.poll(popen.sentinel, None)
            pause = 0.0001
            while not popen._carrick_reap(popen):
                # It has closed the pipe that its sentinel is where pidfds are refused, and not ended yet.
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
    code: int | None = popen.returncode
    return code


class Popen(_standard.Popen):
    """Starts a process object in a fork of this process."""

    wait = wait
    poll = poll
    _carrick_reap: Any = staticmethod(_carrick.reap)

    def _launch(self, process_obj: Any) -> None:
        lifeline = ready = held = -1
        # Before the fork: where no number is left for a descriptor, there is no child yet.
        parent, exact = _child.parent_handle()
        try:
            if not exact:
                ready, held = map(_lift, os.pipe())
            if process_obj.daemon:
                lifeline = _carrick.lifeline()
            run = _bootstrap.child_of_fork(process_obj, parent, _RUNS_ATEXIT)
            intend_fork(True)
            try:
                self.pid = os.fork()
            finally:
                intend_fork(False)
            if self.pid == 0:
                code, in_good_order = 1, False
                try:
                    forget_exit_handlers()
                    if ready >= 0:
                        os.close(ready)
                    if lifeline >= 0:
                        _child.hold_on(lifeline)
                    code = run()
                    in_good_order = True
                finally:
                    run_exit_handlers()
                    if in_good_order:
                        _carrick.leave_locks()
                    os._exit(code)
        except BaseException:
            if ready >= 0:
                os.close(ready)
            raise
        finally:
            for fd in (parent, lifeline, held):
                if fd >= 0:
                    os.close(fd)
        self.sentinel = _child.watch(self.pid, ready)
        self.finalizer = util.Finalize(self, os.close, (self.sentinel,))


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
