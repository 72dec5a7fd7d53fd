# SPDX-License-Identifier: MIT OR Apache-2.0
"""The cost of many waiters while nothing happens: how often the kernel has to run them, not how long that takes."""

from __future__ import annotations

import queue
import resource
import time
from pathlib import Path
from typing import Any

import pytest

import carrick.multiprocessing as multiprocessing

WAITERS = 60
KINDS = ["Lock", "RLock", "Semaphore", "Condition", "Event", "Barrier", "get", "put", "join"]


def put_many(items: Any) -> Any:
    """A call that waits for room."""

    def put() -> None:
        while True:
            items.put(2)

    return put


def wait_for(ctx: Any, kind: str) -> Any:
    """A call that waits, of an object of the kind."""
    if kind == "Condition":
        condition = ctx.Condition()

        def wait() -> None:
            with condition:
                condition.wait()

        return wait
    if kind == "Event":
        return ctx.Event().wait
    if kind == "Barrier":
        return ctx.Barrier(WAITERS + 1).wait
    if kind in ("get", "put", "join"):
        items = ctx.JoinableQueue(1)
        if kind == "get":
            return items.get
        items.put(1)
        # Until it is in the queue.
        while items.empty():
            time.sleep(0)
        return items.join if kind == "join" else put_many(items)
    thing = getattr(ctx, kind)()
    thing.acquire()
    return thing.acquire


def switches(children: list[Any]) -> int:
    """How often the processes have gone to sleep."""
    total = 0
    for child in children:
        status = Path(f"/proc/{child.pid}/status").read_text()
        total += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


def are_asleep(children: list[Any]) -> bool:
    """Whether all wait in the kernel for a word of memory, or for time."""
    return all(
        Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S" for child in children
    )


@pytest.mark.parametrize("kind", KINDS)
def test_waiters_that_nothing_happens_to_are_left_asleep(kind: str) -> None:
    ctx = multiprocessing.get_context("fork")
    wait = wait_for(ctx, kind)
    children = [ctx.Process(target=wait, daemon=True) for _ in range(WAITERS)]
    for child in children:
        child.start()
    try:
        while not are_asleep(children):
            time.sleep(0.01)
        # They have seen by then that others check.
        time.sleep(1.5)
        before, began = switches(children), time.monotonic()
        time.sleep(1.5)
        rate = (switches(children) - before) / (time.monotonic() - began)
    finally:
        for child in children:
            child.kill()
            child.join()
    # Each of them woke up 2 to 20 times a second once. Fifty checks a second are for all.
    assert rate < WAITERS + 60, f"{rate:.0f} times a second"


@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "Condition", "Event", "get"])
def test_a_timeout_shorter_than_a_sleep_is_waited_for_awake(kind: str) -> None:
    one, _ = short_wait(multiprocessing.get_context("fork"), kind)
    one()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    for _ in range(100):
        one()
    slept = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
    assert slept < 20, f"{slept} sleeps"


def short_wait(ctx: Any, kind: str) -> tuple[Any, Any]:
    """A wait that ends at once without what it waits for, and one that does not end, for the same object."""
    soon = 1e-6
    if kind == "get":
        items = ctx.Queue()

        def one() -> None:
            with pytest.raises(queue.Empty):
                items.get(timeout=soon)

        wait = items.get
    else:
        thing = getattr(ctx, kind)()
        if kind in ("Lock", "Semaphore"):
            thing.acquire()

        def one() -> None:
            if kind == "Condition":
                with thing:
                    assert not thing.wait(soon)
            elif kind == "Event":
                assert not thing.wait(soon)
            else:
                assert not thing.acquire(timeout=soon)

        def wait() -> None:
            if kind == "Condition":
                with thing:
                    thing.wait()
            elif kind == "Event":
                thing.wait()
            else:
                thing.acquire()

    return one, wait


@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "Condition", "Event", "get"])
def test_a_wait_that_ends_at_once_costs_no_more_where_many_wait(kind: str) -> None:
    ctx = multiprocessing.get_context("fork")
    one, wait = short_wait(ctx, kind)

    def cost() -> float:
        before = time.process_time()
        for _ in range(300):
            one()
        return time.process_time() - before

    alone = min(cost() for _ in range(3))
    children = [ctx.Process(target=wait, daemon=True) for _ in range(100)]
    for child in children:
        child.start()
    try:
        while not are_asleep(children):
            time.sleep(0.01)
        amid = min(cost() for _ in range(3))
    finally:
        for child in children:
            child.kill()
            child.join()
    # It was more than thirty times as much for a condition.
    assert amid < 8 * alone, f"{amid / alone:.1f} times as much"
