# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children of a fork server: the module :mod:`multiprocessing.popen_forkserver`."""

from __future__ import annotations

import io
import os
from multiprocessing import util

from carrick import _carrick
from carrick._standard import popen_forkserver as _standard
from carrick.multiprocessing import _child, forkserver
from carrick.multiprocessing.popen_fork import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Popen"]


class _DupFd:
    """A descriptor on its way to a child, by its place among those that go with the request."""

    def __init__(self, index: int) -> None:
        self._index = index

    def detach(self) -> Any:
        inherited: Any = forkserver.get_inherited_fds()
        return inherited[self._index]


class Popen(_standard.Popen):
    """Starts a process object in a child of the fork server."""

    DupFd: Any = _DupFd
    wait = wait

    def _launch(self, process_obj: Any) -> None:
        arrival = _child.Arrival(process_obj)
        try:
            body = io.BytesIO()
            arrival.write(body, self)
            self.pid, self.sentinel = forkserver._forkserver._start(body.getbuffer(), self._fds)
        finally:
            arrival.close()
        self.finalizer = util.Finalize(self, util.close_fds, (self.sentinel,))

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code; None while there is none, or 255 when the server died before the child."""
        if self.returncode is None:
            if not _carrick.poll(self.sentinel, 0 if flag == os.WNOHANG else None):
                return None
            code = _carrick.exit_code(self.sentinel)
            self.returncode = 255 if code is None else code
        return self.returncode


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
