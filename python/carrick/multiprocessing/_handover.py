# SPDX-License-Identifier: MIT OR Apache-2.0
"""Handing what lives in shared memory to a child that is being started.

Many primitives share a segment, so its descriptor goes to each child once and is kept there once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from multiprocessing import context, reduction

from carrick import _carrick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    _T = TypeVar("_T")

del TYPE_CHECKING, annotations  # No names of the standard module.

_segments: dict[int, Any] = {}
"""For each segment that came from a parent a primitive in it, which keeps it in this process."""


def is_fork(ctx: Any) -> bool:
    """Whether the processes of a context are forks; None is the default context."""
    if ctx is None:
        ctx = context._default_context.get_context()
    return bool(ctx.get_start_method() == "fork")


def heed_context(ctx: Any) -> bool:
    """For a new primitive: :func:`is_fork`, and a dead resource tracker is replaced, with the standard warning.

    The standard primitives of the other start methods do that when they tell the tracker of their names. Ours have none
    to tell, so a tracker that nobody has needed yet is not started.
    """
    if is_fork(ctx):
        return True
    # Another thread may be about to import the module.
    tracker: Any = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    fd = getattr(tracker, "_fd", None)
    # This end of its pipe is readable once nobody has the other one: an error.
    if fd is not None and _carrick.poll(fd, 0):
        tracker.ensure_running()
    return False


def check_spawning(obj: Any) -> None:
    """Raise RuntimeError unless the object is on its way to a child that may have it."""
    context.assert_spawning(obj)
    # An object from another process was not made for forks, and does not say so.
    known = vars(obj)
    if known.get("_carrick_is_fork_ctx") or known.get("_is_fork_ctx"):
        by_name = ", or give it a name and open it there" if hasattr(obj, "open") else ""
        # Programs look for the standard library's first words, whatever the class is.
        raise RuntimeError(
            f"A SemLock created in a fork context, and so this {type(obj).__name__}, cannot go to a process that is"
            f" not a fork: make it by the context that makes the process{by_name}"
        )


def give(primitive: Any) -> tuple[Any, int, int]:
    """The place by which the child that is being started attaches to the primitive."""
    fd, slot, segment = primitive._place()
    popen: Any = context.get_spawning_popen()
    given: dict[int, Any] = popen.__dict__.setdefault("_carrick_segments", {})
    if segment not in given:
        given[segment] = reduction.DupFd(fd)
    return given[segment], slot, segment


def take(attach: Callable[..., _T], place: tuple[Any, int, int], *state: Any) -> _T:
    """Attach to what :func:`give` has described."""
    descriptor, slot, segment = place
    if segment in _segments:
        return attach(None, slot, segment, *state)
    fd = descriptor.detach()
    try:
        primitive = attach(fd, slot, segment, *state)
    finally:
        os.close(fd)
    _segments[segment] = primitive
    return primitive
