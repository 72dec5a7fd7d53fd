# SPDX-License-Identifier: MIT OR Apache-2.0
"""Locks and what is built of them: what is CPython's behaviour, and what is better."""

from __future__ import annotations

import multiprocessing as standard
import os
import pickle
import queue
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, run

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import synchronize

METHODS = ("fork", "spawn", "forkserver")


def everything(ctx: Any) -> list[Any]:
    return [
        ctx.Lock(),
        ctx.RLock(),
        ctx.Semaphore(2),
        ctx.BoundedSemaphore(3),
        ctx.Condition(),
        ctx.Event(),
        ctx.Barrier(2),
    ]


def use_all(things: list[Any], answers: Any) -> None:
    lock, rlock, semaphore, bounded, condition, event, barrier = things
    with lock, rlock, rlock:
        pass
    semaphore.acquire()
    bounded.acquire()
    with condition:
        condition.notify()
    event.set()
    answers.put((barrier.wait(), lock is not rlock))


@pytest.mark.parametrize("method", METHODS)
def test_all_of_them_reach_a_child(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    things, answers = everything(ctx), ctx.Queue()
    child = ctx.Process(target=use_all, args=(things, answers))
    _, _, semaphore, bounded, condition, event, barrier = things
    with condition:
        child.start()
        assert condition.wait(WAIT)
    assert event.wait(WAIT)
    turn = barrier.wait(WAIT)
    other, answer = answers.get(timeout=WAIT)
    assert answer
    assert sorted((turn, other)) == [0, 1]
    assert (semaphore.get_value(), bounded.get_value()) == (1, 2)
    child.join()
    assert child.exitcode == 0


def killed_with(lock: Any) -> None:
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def kill_holder(ctx: Any, lock: Any) -> None:
    child = ctx.Process(target=killed_with, args=(lock,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_the_lock_of_a_killed_holder_is_taken_over_with_a_warning(method: str, kind: str) -> None:
    ctx = multiprocessing.get_context(method)
    lock = getattr(ctx, kind)()
    kill_holder(ctx, lock)
    # As in the standard library it is held as long as nobody asks for it.
    assert repr(lock).startswith(f"<{kind}(")
    assert "SomeOtherProcess" in repr(lock)
    with pytest.warns(carrick.OwnerDiedWarning, match="half changed") as told:
        here, taken = sys._getframe().f_lineno, lock.acquire()
    assert taken and (told[0].filename, told[0].lineno) == (__file__, here)
    assert "MainProcess" in repr(lock)
    lock.release()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lock.acquire(timeout=WAIT)
    lock.release()


def exits_with(lock: Any) -> None:
    lock.acquire()
    os._exit(0)


def execs_with(lock: Any) -> None:
    lock.acquire()
    os.execvp("sleep", ["sleep", "1000"])  # noqa: S606


def execs_reading(q: Any) -> None:
    q.get_in_place(lambda view: os.execvp("sleep", ["sleep", "1000"]))  # noqa: S606


def stops_with(lock: Any) -> None:
    lock.acquire()
    os.kill(os.getpid(), signal.SIGSTOP)
    lock.release()


@pytest.mark.parametrize("method", METHODS)
def test_the_lock_of_a_holder_that_exits_in_the_middle_is_taken_over(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    lock = ctx.Lock()
    child = ctx.Process(target=exits_with, args=(lock,))
    child.start()
    child.join()
    with pytest.warns(carrick.OwnerDiedWarning):
        assert lock.acquire(timeout=WAIT)


def until(pid: int, what: str) -> None:
    """Wait until the kernel says that of a process: its state, or its program's name."""
    while True:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        if what in (name, rest.split()[0]):
            return
        os.sched_yield()


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_holder_that_executes_another_program_holds_the_lock_until_that_ends(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    lock = ctx.Lock()
    child = ctx.Process(target=execs_with, args=(lock,))
    child.start()
    until(child.pid, "sleep")
    assert not lock.acquire(timeout=0.3)
    child.kill()
    child.join()
    with pytest.warns(carrick.OwnerDiedWarning):
        assert lock.acquire(timeout=WAIT)


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_reader_in_place_that_executes_another_program_keeps_the_item_until_that_ends(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    q = ctx.Queue(codec="bytes")
    q.put(b"first")
    child = ctx.Process(target=execs_reading, args=(q,))
    child.start()
    until(child.pid, "sleep")
    with pytest.raises(queue.Empty):
        q.get(timeout=0.3)
    q.put(b"second")
    child.kill()
    child.join()
    assert [q.get(timeout=WAIT), q.get(timeout=WAIT)] == [b"first", b"second"]


@pytest.mark.parametrize("method", METHODS)
def test_the_lock_of_a_holder_that_is_stopped_is_not_taken_over(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    lock = ctx.Lock()
    child = ctx.Process(target=stops_with, args=(lock,))
    child.start()
    until(child.pid, "T")
    assert not lock.acquire(timeout=0.3)
    os.kill(child.pid, signal.SIGCONT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lock.acquire(timeout=WAIT)
    child.join()
    assert child.exitcode == 0


def test_a_warning_that_is_an_error_leaves_the_lock_free() -> None:
    ctx = multiprocessing.get_context("fork")
    lock = ctx.Lock()
    kill_holder(ctx, lock)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(carrick.OwnerDiedWarning):
            lock.acquire()
        assert lock.acquire(block=False)


@pytest.mark.parametrize("method", METHODS)
def test_a_dead_owner_can_be_an_error_or_be_waited_for(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    strict, patient = ctx.Lock(on_owner_death="raise"), ctx.RLock(on_owner_death="wait")
    kill_holder(ctx, strict)
    kill_holder(ctx, patient)
    with pytest.raises(carrick.OwnerDiedError):
        strict.acquire()
    assert strict.acquire(block=False)
    assert not patient.acquire(timeout=0.2)
    with pytest.raises(ValueError, match="'never'; it is one of 'warn', 'raise', 'wait'"):
        ctx.Lock(on_owner_death="never")


def test_what_is_released_too_often_is_an_error() -> None:
    ctx = multiprocessing.get_context("spawn")
    lock, rlock, bounded = ctx.Lock(), ctx.RLock(), ctx.BoundedSemaphore(1)
    for thing, error, text in (
        (lock, ValueError, "semaphore or lock released too many times"),
        (bounded, ValueError, "semaphore or lock released too many times"),
        (rlock, AssertionError, "attempt to release recursive lock not owned by thread"),
    ):
        with pytest.raises(error) as raised:
            thing.release()
        assert str(raised.value) == text
        assert thing.acquire()
        thing.release()


def test_a_lock_is_released_by_any_thread_and_an_rlock_is_not() -> None:
    ctx = multiprocessing.get_context("fork")
    lock, rlock = ctx.Lock(), ctx.RLock()
    lock.acquire()
    rlock.acquire()
    failures = []

    def release() -> None:
        lock.release()
        try:
            rlock.release()
        except AssertionError as error:
            failures.append(error)

    thread = threading.Thread(target=release)
    thread.start()
    thread.join()
    assert lock.acquire(block=False)
    assert len(failures) == 1
    assert repr(rlock) == "<RLock(MainProcess, 1)>"


class OtherFloat(float):
    """A float of another class."""


def test_arguments_are_the_standard_ones() -> None:
    lock = multiprocessing.Lock()
    assert lock.acquire(True, 0.5)
    assert not lock.acquire(False)
    assert not lock.acquire(timeout=-1)
    assert not lock.acquire(block=True, timeout=0.01)
    for no in (0, "", [], None):
        assert not lock.acquire(no)
        assert not lock.acquire(block=no)
    for yes in (1, "x"):
        assert not lock.acquire(yes, 0.001)
    # In each form in which arguments are given, those that enter Rust straight and those that do not.
    calls: list[Any] = [
        lambda: lock.acquire(True, 0.001),
        lambda: lock.acquire(True, timeout=0.001),
        lambda: lock.acquire(timeout=0.001),
        lambda: lock.acquire(timeout=0.001, block=True),
        lambda: lock.acquire(True, 0),
        lambda: lock.acquire(timeout=OtherFloat(0.001)),
        lambda: lock.acquire(False, 60.0),
        lambda: lock.acquire(False, timeout=60.0),
        lambda: lock.acquire(False, None),
        lambda: lock.acquire(True, -1.0),
    ]
    for call in calls:
        assert call() is False
    lock.release()
    for call in [*calls, lambda: lock.acquire(True, None), lambda: lock.acquire(timeout=None)]:
        assert call() is True
        lock.release()
    lock.acquire()
    with pytest.raises(ValueError, match="NaN"):
        lock.acquire(True, float("nan"))
    with pytest.raises(TypeError, match="unexpected keyword argument 'time'"):
        lock.acquire(time=0.5)
    with pytest.raises(
        TypeError, match=r"acquire\(\) got an unexpected keyword argument 'blocking'"
    ) as refused:
        lock.acquire(blocking=False)
    assert "_acquire" not in str(refused.value)
    with pytest.raises(TypeError):
        lock.acquire(timeout="soon")
    with pytest.raises(TypeError):
        lock.acquire(True, 1, 2)
    with pytest.raises(TypeError):
        multiprocessing.Condition(threading.Lock())
    with pytest.raises(ValueError, match="parties"):
        multiprocessing.Barrier(0)


def test_classes_are_the_standard_ones_too() -> None:
    ctx = multiprocessing.get_context("spawn")
    for thing in everything(ctx):
        name = type(thing).__name__
        assert isinstance(thing, getattr(standard.synchronize, name))
        assert type(thing).__module__ == "carrick.multiprocessing.synchronize"


def test_sharing_is_by_inheritance_only() -> None:
    for thing in everything(multiprocessing.get_context("spawn")):
        with pytest.raises(RuntimeError, match="inheritance"):
            pickle.dumps(thing)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_was_made_for_forks_goes_nowhere_else(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    for thing in everything(multiprocessing.get_context("fork")):
        child = ctx.Process(target=print, args=(thing,))
        with pytest.raises(RuntimeError, match="created in a fork context") as refused:
            child.start()
        assert f"and so this {type(thing).__name__}, cannot go" in str(refused.value)
        assert "by the context that makes the process, or give it a name and open it there" in str(
            refused.value
        )


def hold_and_wait(lock: Any, ready: Any, done: Any) -> None:
    with lock:
        ready.set()
        done.wait()


def test_a_thousand_locks_take_one_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    ctx = multiprocessing.get_context("spawn")
    locks = [ctx.Lock() for _ in range(1000)]
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    ready, done = ctx.Event(), ctx.Event()
    child = ctx.Process(target=hold_and_wait, args=(locks[777], ready, done))
    child.start()
    assert ready.wait(WAIT)
    assert [n for n, lock in enumerate(locks) if not lock.acquire(block=False)] == [777]
    done.set()
    child.join()
    del locks, ready, done, child


def count_up(lock: Any, value: Any, times: int) -> None:
    for _ in range(times):
        with lock:
            value.value += 1


class Flag(synchronize.Event):
    """A class of a program's own."""

    def set(self) -> None:
        super().set()
        self.clear()


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_an_event_may_be_targets_and_be_overridden(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    event = ctx.Event()
    child = ctx.Process(target=event.set)
    child.start()
    assert event.wait(WAIT)
    child.join()
    assert child.exitcode == 0
    flag = Flag(ctx=ctx)
    flag.set()
    assert not flag.is_set()


@pytest.mark.parametrize("method", METHODS)
def test_no_increment_is_lost(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    lock, value = ctx.Lock(), ctx.Value("q", 0, lock=False)
    children = [ctx.Process(target=count_up, args=(lock, value, 2000)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert value.value == 6000


class Refused(Exception):
    """The exception of a barrier's action."""


def refuse() -> None:
    raise Refused


def test_an_action_that_fails_breaks_the_barrier() -> None:
    ctx = multiprocessing.get_context("fork")
    barrier = ctx.Barrier(2, refuse)
    child = ctx.Process(target=meet, args=(barrier,))
    child.start()
    with pytest.raises((Refused, threading.BrokenBarrierError)):
        barrier.wait(WAIT)
    child.join()
    assert child.exitcode == 3
    assert barrier.broken
    barrier.reset()
    assert not barrier.broken
    assert (barrier.parties, barrier.n_waiting) == (2, 0)


def test_who_has_come_to_a_barrier_waits_for_the_action_past_its_timeout() -> None:
    ctx = multiprocessing.get_context("fork")
    begun, timeout = time.monotonic(), 1.0

    def act() -> None:
        while time.monotonic() < begun + 2 * timeout:
            os.sched_yield()

    barrier = ctx.Barrier(2, act)

    def come_last() -> None:
        while not barrier.n_waiting:
            os.sched_yield()
        barrier.wait(WAIT)

    last = threading.Thread(target=come_last)
    last.start()
    assert barrier.wait(timeout) == 0
    last.join()
    assert not barrier.broken


def meet(barrier: Any) -> None:
    try:
        barrier.wait()
    except (Refused, threading.BrokenBarrierError):
        os._exit(3)


def test_a_party_killed_at_a_barrier_breaks_it() -> None:
    ctx = multiprocessing.get_context("fork")
    barrier = ctx.Barrier(2)
    doomed, other = (ctx.Process(target=meet, args=(barrier,)) for _ in range(2))
    barrier3 = ctx.Barrier(3)
    doomed = ctx.Process(target=meet, args=(barrier3,))
    other = ctx.Process(target=meet, args=(barrier3,))
    for process, waiting in ((doomed, 1), (other, 2)):
        process.start()
        while barrier3.n_waiting < waiting:
            os.sched_yield()
    doomed.kill()
    other.join()
    assert other.exitcode == 3
    doomed.join()
    assert barrier.n_waiting == 0


FORK_WITH_HELD_LOCK = """
import os, threading, warnings
# From Python 3.15 on this warning is raised where it is an error, after the fork.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import synchronize
lock = multiprocessing.Lock()
held, go = threading.Event(), threading.Event()
def hold():
    with lock:
        held.set()
        go.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = multiprocessing.get_context("fork").Process(target=lambda: (lock.acquire(), print("child has it", flush=True)))
child.start()
print(repr(lock))
go.set()
thread.join()
child.join()
print(child.exitcode)
"""


def test_a_fork_while_another_thread_holds_a_lock_gets_it_when_it_is_free() -> None:
    lines = run(FORK_WITH_HELD_LOCK).splitlines()
    assert lines[-2:] == ["child has it", "0"]
    assert "SomeOtherThread" in lines[0]


def test_a_semaphore_of_a_patched_program_is_ours() -> None:
    code = """
import carrick
carrick.patch()
import multiprocessing
print(type(multiprocessing.Semaphore()).__module__, type(multiprocessing.get_context("spawn").Barrier(1)).__module__)
value = multiprocessing.Value("i", 3)
print(type(value.get_lock()).__module__)
"""
    names = run(code).split()
    assert names == ["carrick.multiprocessing.synchronize"] * 3
