# SPDX-License-Identifier: MIT OR Apache-2.0
"""Queues and primitives with names: who finds them, and what is refused."""

from __future__ import annotations

import itertools
import os
import signal
import stat
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any

import pytest
from support import WAIT, running

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import queues, synchronize

METHODS = ("fork", "spawn", "forkserver")
_numbers = itertools.count()


def path_of(name: str) -> str:
    return f"/dev/shm/carrick.{os.geteuid()}.{name}"


def files(name: str) -> list[str]:
    return [file for file in os.listdir("/dev/shm") if name in file]


@pytest.fixture
def name() -> Iterator[str]:
    """The beginning of the test's names; whatever has one afterwards is removed, and a fault."""
    name = f"python-{os.getpid()}-{next(_numbers)}"
    yield name
    left = files(name)
    for file in left:
        os.unlink(f"/dev/shm/{file}")
    assert not left


VISITOR = """
import sys
from carrick.multiprocessing import queues, synchronize

name = sys.argv[1]
lock = synchronize.Lock.open(name + "-lock")
assert not lock.acquire(block=False)
with synchronize.RLock.open(name + "-rlock") as got:
    assert got
semaphore = synchronize.Semaphore.open(name + "-semaphore")
semaphore.acquire()
assert synchronize.BoundedSemaphore.open(name + "-bounded").get_value() == 3
queue = queues.JoinableQueue.open(name + "-queue")
queue.put([queue.get(), queue._maxsize])
queue.task_done()
queues.Queue.open(name + "-bytes", codec="bytes").put(b"as it is")
shared = synchronize.RLock.open(name + "-rlock")
condition = synchronize.Condition.open(name + "-condition", shared)
barrier = synchronize.Barrier.open(name + "-barrier", lambda: print("met"))
barrier.wait()
with condition:
    synchronize.Event.open(name + "-event").set()
    assert condition.wait(30)
"""


def test_another_program_finds_all_kinds_by_their_names(name: str) -> None:
    ctx = multiprocessing.get_context("spawn")
    lock, rlock = ctx.Lock(name=f"{name}-lock"), ctx.RLock(name=f"{name}-rlock")
    semaphore = ctx.Semaphore(2, name=f"{name}-semaphore")
    bounded = ctx.BoundedSemaphore(3, name=f"{name}-bounded")
    condition = ctx.Condition(rlock, name=f"{name}-condition")
    event, barrier = ctx.Event(name=f"{name}-event"), ctx.Barrier(2, name=f"{name}-barrier")
    queue = ctx.JoinableQueue(7, name=f"{name}-queue")
    as_bytes = ctx.Queue(codec="bytes", name=f"{name}-bytes")
    with lock:
        queue.put({"any": "object"})
        with running(VISITOR, name) as visitor:
            barrier.wait(WAIT)
            assert event.wait(WAIT)
            with condition:
                condition.notify()
            out, complaints = visitor.communicate(timeout=WAIT)
    assert (visitor.returncode, complaints) == (0, "")
    assert out in ("", "met\n")
    assert queue.get(timeout=WAIT) == [{"any": "object"}, 7]
    assert as_bytes.get(timeout=WAIT) == b"as it is"
    assert (semaphore.get_value(), bounded.get_value()) == (1, 3)
    for file in files(name):
        assert stat.S_IMODE(os.stat(f"/dev/shm/{file}").st_mode) == 0o600
        carrick.remove_name(file.split(".", 2)[2])


def create(kind: str, name: str) -> Any:
    ctx = multiprocessing.get_context("spawn")
    arguments: dict[str, tuple[Any, ...]] = {"Condition": (ctx.Lock(),), "Barrier": (2,)}
    return getattr(ctx, kind)(*arguments.get(kind, ()), name=name)


def opened(kind: str, name: str) -> Any:
    module: Any = queues if kind.endswith("Queue") else synchronize
    extra = (multiprocessing.Lock(),) if kind == "Condition" else ()
    return getattr(module, kind).open(name, *extra)


KINDS = (
    "Lock",
    "RLock",
    "Semaphore",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "Barrier",
    "Queue",
    "JoinableQueue",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_given_once_until_it_is_removed(kind: str, name: str) -> None:
    with pytest.raises(FileNotFoundError, match="create it first") as missing:
        opened(kind, name)
    assert isinstance(missing.value, carrick.FileNotFoundError)
    first = create(kind, name)
    with pytest.raises(FileExistsError, match="open it, or remove it first") as taken:
        create(kind, name)
    assert isinstance(taken.value, carrick.FileExistsError)
    same = opened(kind, name)
    assert type(same) is type(first)
    carrick.remove_name(name)
    with pytest.raises(FileNotFoundError):
        carrick.remove_name(name)
    second = create(kind, name)
    carrick.remove_name(name)
    del first, same, second


@pytest.mark.parametrize("bad", ["", ".", ".hidden", "a/b", "a b", "a\0b", "ä", "n" * 201])
def test_what_is_no_name_is_refused(bad: str) -> None:
    calls: list[Callable[[str], object]] = [
        lambda bad: multiprocessing.Queue(name=bad),
        lambda bad: multiprocessing.Lock(name=bad),
        queues.Queue.open,
        synchronize.Event.open,
        carrick.remove_name,
    ]
    for call in calls:
        with pytest.raises(ValueError, match="give 1 to 200 letters, digits"):
            call(bad)


def test_another_kind_of_thing_is_refused(name: str) -> None:
    lock, queue = multiprocessing.Lock(name=f"{name}-lock"), multiprocessing.Queue(name=f"{name}-queue")
    with pytest.raises(ValueError, match=f"the name '{name}-lock' .*slot 0 holds no recursive lock"):
        synchronize.RLock.open(f"{name}-lock")
    with pytest.raises(ValueError, match=f"the name '{name}-lock' .*(no queue|too short)"):
        queues.Queue.open(f"{name}-lock")
    with pytest.raises(ValueError, match=f"the name '{name}-queue' is of something of another kind"):
        synchronize.Semaphore.open(f"{name}-queue")
    with pytest.raises(ValueError, match="codec 'text'"):
        queues.Queue.open(f"{name}-queue", codec="text")
    os.chmod(path_of(f"{name}-lock"), 0o660)
    with pytest.raises(PermissionError, match="nobody else may open"):
        synchronize.Lock.open(f"{name}-lock")
    os.truncate(path_of(f"{name}-queue"), 0)
    with pytest.raises(ValueError, match="too short"):
        queues.Queue.open(f"{name}-queue")
    for one in ("lock", "queue"):
        carrick.remove_name(f"{name}-{one}")
    del lock, queue


def test_a_condition_with_a_name_needs_a_lock(name: str) -> None:
    with pytest.raises(ValueError, match="without a lock"):
        multiprocessing.Condition(name=name)


def echo(tasks: Any, results: Any, lock: Any) -> None:
    with lock:
        results.put(tasks.get())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_removed", [False, True])
def test_what_has_a_name_reaches_a_child_as_ever(method: str, is_removed: bool, name: str) -> None:
    ctx = multiprocessing.get_context(method)
    tasks, lock, results = ctx.Queue(name=f"{name}-tasks"), ctx.Lock(name=f"{name}-lock"), ctx.Queue()
    if is_removed:
        carrick.remove_name(f"{name}-tasks")
        carrick.remove_name(f"{name}-lock")
    child = ctx.Process(target=echo, args=(tasks, results, lock))
    with lock:
        child.start()
        tasks.put("there")
    assert results.get(timeout=WAIT) == "there"
    child.join()
    assert child.exitcode == 0
    if not is_removed:
        carrick.remove_name(f"{name}-tasks")
        carrick.remove_name(f"{name}-lock")


def test_a_queue_with_a_name_cannot_be_selected_and_says_so(name: str) -> None:
    queue = multiprocessing.Queue(name=name)
    carrick.remove_name(name)
    assert queue.descriptors()[1] == -1
    reader: Any = queue._reader
    for attempt in (reader.fileno, lambda: connection.wait([reader], 0)):
        with pytest.raises(carrick.StateError, match="a queue with a name has no descriptor to wait for"):
            attempt()
    assert not reader.poll(0)
    again = queues.Queue.attach(queue.descriptors()[0])
    again.put("there")
    assert reader.poll(WAIT)
    assert queue.get() == "there"


def test_the_lock_of_a_killed_program_is_taken_over_by_name(name: str) -> None:
    lock = multiprocessing.Lock(name=name)
    source = """
        import os, signal, sys
        from carrick.multiprocessing.synchronize import Lock
        Lock.open(sys.argv[1]).acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with running(source, name) as holder:
        assert holder.wait(WAIT) == -signal.SIGKILL
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert lock.acquire(timeout=WAIT)
    assert [one.category for one in caught] == [carrick.OwnerDiedWarning]
    carrick.remove_name(name)
