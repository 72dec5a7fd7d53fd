# SPDX-License-Identifier: MIT OR Apache-2.0
"""Children that are fresh interpreters: the module :mod:`multiprocessing.popen_spawn_posix`."""

from __future__ import annotations

import os
from multiprocessing import util

from carrick._standard import popen_spawn_posix as _standard
from carrick.multiprocessing import _child
from carrick.multiprocessing.popen_fork import Joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Popen"]


class Popen(Joined, _standard.Popen):
    """Starts a process object in an interpreter of its own."""

    poll = _standard.Popen.poll
    _watching: Any = None

    def _launch(self, process_obj: Any) -> None:
        arrival = _child.Arrival(process_obj)
        try:
            super()._launch(arrival)
        finally:
            arrival.close()
        try:
            self.sentinel = os.pidfd_open(self.pid)
        except OSError:
            # The standard library's sentinel will do, where there is no other.
            return
        self._watching = util.Finalize(self, util.close_fds, (self.sentinel,))

    def close(self) -> None:
        """Close the descriptors."""
        super().close()
        if self._watching is not None:
            self._watching()


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
