# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children of a fork server: the module :mod:`multiprocessing.popen_forkserver`."""

from __future__ import annotations

import io
import sys
from multiprocessing import util

from carrick import _carrick
from carrick._standard import forkserver as _standard_forkserver
from carrick._standard import popen_forkserver as _standard
from carrick.multiprocessing import _child, forkserver, popen_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Popen"]


class _DupFd:
    """A descriptor on its way to a child, by its place among those that go with the request."""

    def __init__(self, index: int) -> None:
        self._index = index

    def detach(self) -> Any:
        # A frozen program has the standard fork server.
        inherited: Any = forkserver.get_inherited_fds() or _standard_forkserver.get_inherited_fds()
        return inherited[self._index]


class _StandardPopen(_standard.Popen):
    """Starts a process object in a child of the standard fork server."""

    DupFd: Any = _DupFd


class Popen(_standard.Popen):
    """Starts a process object in a child of the fork server. The exit code is 255 when that died before the child."""

    DupFd: Any = _DupFd
    wait = popen_fork.wait
    poll = popen_fork.poll
    _carrick_reap: Any = staticmethod(_carrick.reap_served)

    def __new__(cls, process_obj: Any) -> Any:
        if getattr(sys, "frozen", False):
            # The program itself is the interpreter, and knows the standard ways to be a server or a child only.
            vars(_standard)["forkserver"] = _standard_forkserver
            return _StandardPopen(process_obj)
        return super().__new__(cls)

    def _launch(self, process_obj: Any) -> None:
        arrival = _child.Arrival(process_obj)
        try:
            body = io.BytesIO()
            arrival.write(body, self)
            self.pid, self.sentinel = forkserver._forkserver._start(body.getbuffer(), self._fds)
        finally:
            arrival.close()
        self.finalizer = util.Finalize(self, util.close_fds, (self.sentinel,))


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
