# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a fresh interpreter runs that is to be a child of the start method ``spawn``."""

import gc
import sys
from multiprocessing import resource_tracker

from carrick.multiprocessing import _child

__all__ = ()


def main(body: int, parent: int, tracker: int) -> None:
    """Run the process object of the file ``body``. All are descriptors: of the parent, and of the resource tracker."""
    # What has been imported until here goes when the process does; looking for cycles in it would take the child, at
    # its end, a tenth of its whole time.
    gc.freeze()
    vars(resource_tracker._resource_tracker)["_fd"] = tracker
    with open(body, "rb") as stream:
        process_obj = _child.receive(stream)
    sys.exit(process_obj._bootstrap(parent))
