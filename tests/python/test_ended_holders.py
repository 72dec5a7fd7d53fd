# SPDX-License-Identifier: MIT OR Apache-2.0
"""Locks whose holder has ended: one that ended in good order leaves them taken, one that was killed loses them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import warnings
from typing import Any

import pytest
from support import WAIT

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import synchronize

WELL = ["return", "exit", "raise", "interrupt"]
BADLY = ["_exit", "kill"]


def cases(ends: list[str]) -> list[tuple[str, str, str]]:
    """Start method, kind and end: every kind and end by fork, each method with a lock and every end."""
    all_kinds = [("fork", kind, how) for kind in ("Lock", "RLock", "Condition") for how in ends]
    return all_kinds + [(method, "Lock", how) for method in ("spawn", "forkserver") for how in ends]


def end(how: str) -> None:
    """End this process."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if how == "exit":
        sys.exit(3)
    elif how == "raise":
        raise ValueError("on purpose")
    elif how == "interrupt":
        raise KeyboardInterrupt
    elif how == "_exit":
        os._exit(0)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def hold(lock: Any, how: str) -> None:
    """End with the lock."""
    assert lock.acquire(timeout=WAIT)
    end(how)


def run(ctx: Any, target: Any, *args: Any) -> Any:
    """Run the target in a child, to its end."""
    child = ctx.Process(target=target, args=args)
    child.start()
    child.join()
    return child


@pytest.mark.parametrize(("method", "kind", "how"), cases(WELL))
def test_a_child_that_ends_in_good_order_leaves_its_lock_taken(method: str, kind: str, how: str) -> None:
    ctx = multiprocessing.get_context(method)
    lock = getattr(ctx, kind)()
    run(ctx, hold, lock, how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not lock.acquire(block=False)
        assert not lock.acquire(timeout=0.2)
        if kind == "Lock":
            lock.release()
            assert lock.acquire(block=False)


@pytest.mark.parametrize(("method", "kind", "how"), cases(BADLY))
def test_a_child_that_is_killed_loses_its_lock(method: str, kind: str, how: str) -> None:
    ctx = multiprocessing.get_context(method)
    lock = getattr(ctx, kind)()
    run(ctx, hold, lock, how)
    with pytest.warns(carrick.OwnerDiedWarning):
        assert lock.acquire(timeout=WAIT)


@pytest.mark.parametrize("make", ["Value", "Array"])
def test_the_lock_of_a_shared_value_is_left_taken(make: str) -> None:
    ctx = multiprocessing.get_context("fork")
    shared = ctx.Value("i", 5) if make == "Value" else ctx.Array("i", 5)
    run(ctx, hold, shared.get_lock(), "return")
    assert not shared.get_lock().acquire(timeout=0.2)
    other = ctx.Value("i", 5)
    run(ctx, hold, other.get_lock(), "kill")
    with pytest.warns(carrick.OwnerDiedWarning):
        assert other.get_lock().acquire(timeout=WAIT)


def test_what_is_done_once_is_done_once() -> None:
    ctx = multiprocessing.get_context("fork")
    first, done = ctx.Lock(), ctx.SimpleQueue()

    def work() -> None:
        if first.acquire(block=False):
            done.put(os.getpid())

    for _ in range(4):
        run(ctx, work)
    done.get()
    assert done.empty()


def test_a_child_whose_object_of_the_lock_is_gone_leaves_it_taken() -> None:
    ctx = multiprocessing.get_context("spawn")
    lock = ctx.Lock()
    run(ctx, hold_and_forget, [lock])
    assert not lock.acquire(timeout=0.2)


def hold_and_forget(locks: Any) -> None:
    """End with a lock of which there is no object any more."""
    locks.pop().acquire()


def test_a_fallback_for_kernels_without_pidfds_leaves_locks_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, flags: int = 0) -> int:
        raise PermissionError(1, "Operation not permitted")

    ctx = multiprocessing.get_context("fork")
    lock = ctx.Lock()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refused)
        run(ctx, hold, lock, "return")
    assert not lock.acquire(timeout=0.2)


PROGRAM = """
    import os, signal, sys, threading
    from carrick.multiprocessing.synchronize import Lock, RLock
    lock, rlock = Lock.open(sys.argv[1]), RLock.open(sys.argv[1] + "-r")
    assert lock.acquire(timeout=30) and rlock.acquire(timeout=30)
    {}
"""

ENDS = {
    "pass": True,
    "sys.exit(2)": True,
    "raise ValueError": True,
    "os.kill(os.getpid(), signal.SIGINT); signal.pause()": True,
    "del lock, rlock": True,
    "threading.Thread(target=signal.pause, daemon=True).start()": True,
    "os._exit(0)": False,
    "del lock, rlock; os._exit(0)": False,
    "os.kill(os.getpid(), signal.SIGTERM); signal.pause()": False,
    "os.abort()": False,
}


@pytest.mark.parametrize("statement", ENDS)
def test_a_program_leaves_its_locks_taken_unless_it_is_killed(statement: str) -> None:
    ctx = multiprocessing.get_context("fork")
    name = f"test-ended-{os.getpid()}"
    lock = synchronize.Lock(ctx=ctx, name=name)
    rlock = synchronize.RLock(ctx=ctx, name=name + "-r")
    try:
        program = textwrap.dedent(PROGRAM).format(statement)
        subprocess.run(
            [sys.executable, "-c", program, name], stderr=subprocess.DEVNULL, timeout=WAIT, check=False
        )
    finally:
        carrick.remove_name(name)
        carrick.remove_name(name + "-r")
    for one in (lock, rlock):
        if ENDS[statement]:
            assert not one.acquire(block=False)
        else:
            with pytest.warns(carrick.OwnerDiedWarning):
                assert one.acquire(timeout=WAIT)
