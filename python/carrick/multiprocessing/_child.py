# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a child does before its process object runs, whatever its start method.

A daemon holds on to its parent's lifeline: the kernel kills it when the parent ends, also by SIGKILL. And a
KeyboardInterrupt that nobody catches ends a child without a traceback, with the exit code that it always had: Ctrl-C
reaches every process of a terminal, and the parent's traceback says enough.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import reduction

from carrick import _carrick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ()

_input: Any = None

arriving_input: Any = None
"""What process objects that arrive here are to have as ``sys.stdin``; None leaves it alone."""


def empty_input() -> Any:
    """What children of fork have as ``sys.stdin``: one file, opened on /dev/null once for all of them."""
    global _input
    if _input is None or _input.closed:
        # As in the standard library, nobody closes the descriptor.
        fd = os.open(os.devnull, os.O_RDONLY)
        _input = open(fd, encoding="utf-8", closefd=False)  # noqa: SIM115
    return _input


def replace_input(replacement: Any) -> Any:
    """Take ``sys.stdin`` away, as the standard library does, and return what is to be in its place.

    It is None meanwhile, which keeps ``_bootstrap`` from opening /dev/null in every child; that takes longer than
    the rest of it.
    """
    before, sys.stdin = sys.stdin, None
    if before is None:
        return None
    if before is not replacement:
        try:
            before.close()
        except (OSError, ValueError):
            return replacement
    return replacement


def prepare(process_obj: Any, stdin: Any = None) -> None:
    """Have the process object run as a child does; ``stdin`` is what ``sys.stdin`` is to be then."""
    run = process_obj.run

    def run_quietly() -> None:
        if stdin is not None:
            sys.stdin = stdin
        try:
            run()
        except KeyboardInterrupt:
            raise SystemExit(1) from None

    process_obj.run = run_quietly


def hold_on(lifeline: int) -> None:
    """End with the process that the lifeline is of; the descriptor is taken over."""
    if not _carrick.hold_on(lifeline):
        os.kill(os.getpid(), signal.SIGKILL)


class Arrival:
    """A process object on its way to a child that unpickles it; there, it is the process object, prepared."""

    def __init__(self, process_obj: Any) -> None:
        self._process = process_obj
        self._name = process_obj._name
        self._lifeline = _carrick.lifeline() if process_obj.daemon else -1

    def close(self) -> None:
        """Close what it has opened, when the child has it or there is none."""
        if self._lifeline >= 0:
            os.close(self._lifeline)

    def __reduce__(self) -> Any:
        lifeline = None if self._lifeline < 0 else reduction.DupFd(self._lifeline)
        return _arrive, (self._process, lifeline)


def _arrive(process_obj: Any, lifeline: Any) -> Any:
    if lifeline is not None:
        hold_on(lifeline.detach())
    prepare(process_obj, arriving_input)
    return process_obj
