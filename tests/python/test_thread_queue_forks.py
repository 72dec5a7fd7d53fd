# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.queue and fork: a child has the queue and its items, and none of the parent's waiting threads."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import WAIT, Background, asleep

import carrick.queue as queue

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def in_child(work: Callable[[], None]) -> None:
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
    assert os.waitpid(child, 0)[1] == 0


def test_a_child_made_by_fork_is_not_locked_out() -> None:
    for opened in (False, True):
        q: Any = queue.Queue(1)
        if opened:
            assert q.mutex is not None
        getters = [Background(q.get) for _ in range(3)]
        for getter in getters:
            asleep(getter)

        def child(q: Any = q) -> None:
            taken = Background(q.get)
            asleep(taken)
            q.put("child's")
            assert taken.result() == "child's"
            q.put("more")
            assert q.get() == "more"

        in_child(child)
        for _ in getters:
            q.put("parent's")
        for getter in getters:
            assert getter.result() == "parent's"


def test_a_mutex_that_another_thread_held_is_free_in_the_child() -> None:
    q: Any = queue.Queue()
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with q.mutex:
            held.set()
            leave.wait()

    holder = Background(hold)
    held.wait()

    def child() -> None:
        q.put(1)
        assert q.get() == 1

    try:
        in_child(child)
    finally:
        leave.set()
        holder.result()


def test_a_mutex_that_the_forking_thread_holds_is_held_in_the_child() -> None:
    q: Any = queue.Queue()
    with q.mutex:

        def child() -> None:
            assert q.mutex.locked()
            q.mutex.release()
            q.put(1)

        in_child(child)


def test_who_waits_for_a_condition_in_the_parent_is_not_woken_in_place_of_the_child_s() -> None:
    q: Any = queue.Queue()
    leave = threading.Event()

    def wait() -> None:
        with q.not_empty:
            q.not_empty.wait_for(leave.is_set)

    waiters = [Background(wait) for _ in range(2)]
    for waiter in waiters:
        asleep(waiter)

    def child() -> None:
        def until() -> None:
            with q.not_empty:
                q.not_empty.wait_for(q._qsize)

        mine = Background(until)
        asleep(mine)
        q.put(1)
        mine.result()

    in_child(child)
    leave.set()
    with q.not_empty:
        q.not_empty.notify_all()
    for waiter in waiters:
        waiter.result()
