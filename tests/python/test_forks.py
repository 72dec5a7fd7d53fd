# SPDX-License-Identifier: MIT OR Apache-2.0
"""Forks while other threads are in the middle of something: the child can use what they had."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest
from support import WAIT, Background

from carrick import _patch, _standard
from carrick.multiprocessing import forkserver

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def in_child(work: Callable[[], object]) -> None:
    """Do the work in a child made by fork, which must succeed; one that hangs is killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(int(WAIT) // 2)
            work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {status:#x} (0xe is the signal of its watchdog)"


def test_a_child_starts_a_fork_server_whoever_was_starting_one() -> None:
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with forkserver._forkserver._lock:
            held.set()
            leave.wait()

    holder = Background(hold)
    held.wait()
    try:
        in_child(lambda: forkserver._forkserver._lock.acquire(timeout=WAIT / 4) or os._exit(2))
    finally:
        leave.set()
        holder.result()


def test_a_child_imports_for_itself_whatever_other_threads_were_importing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finder = _patch._Finder()
    monkeypatch.setattr(_patch, "_finder", finder)
    mine, another = ("queue", threading.get_ident()), ("queue", threading.get_ident() + 1)
    finder.standard.update({mine, another})
    _standard._importing.setdefault("queue", threading.RLock())  # type: ignore[arg-type]

    def child() -> None:
        assert finder.standard == {mine}
        assert not _standard._importing

    in_child(child)
    assert finder.standard == {mine, another}
