# SPDX-License-Identifier: MIT OR Apache-2.0
"""The program of a fresh interpreter that is to be a child of the start method ``spawn``."""

import atexit
import gc
import sys
from multiprocessing import resource_tracker

from carrick.multiprocessing import _child

__all__ = ()


def _carrick_main(body: int, parent: int, tracker: int) -> None:
    """Run the process object of the file ``body``. All are descriptors: of the parent, and of the resource tracker."""
    # Looking for cycles in what has been imported until here would only take time.
    gc.freeze()
    atexit.register(_thaw)
    vars(resource_tracker._resource_tracker)["_fd"] = tracker
    with open(body, "rb") as stream:
        process_obj = _child.receive(stream)
    sys.exit(process_obj._bootstrap(parent))


def _thaw() -> None:
    """Have the interpreter, at its end, finalize what modules and the process object hold: close files, for one.

    It would collect twice, before and after it lets go of the modules; with this, once while they are frozen.
    """
    if gc.isenabled():
        gc.collect()
        gc.disable()
    gc.unfreeze()
