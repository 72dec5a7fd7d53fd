# SPDX-License-Identifier: MIT OR Apache-2.0
"""Memory that cannot be had: MemoryError, and whatever was there before is as it was; and items that take a lot of it."""

from __future__ import annotations

import fcntl
import pickle
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import WAIT, run

import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import queues

# Programs of their own, since a limit on the address space is one for the whole process.
HEAD = """
import gc, os, resource, threading
import carrick.multiprocessing as multiprocessing

MIB = 1 << 20

def limit(more):
    # To so many bytes beyond what the process has.
    gc.collect()
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))

def lift():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def refused(call, *args):
    try:
        call(*args)
    except MemoryError:
        return
    raise AssertionError(f"{call} had memory")

# So that it is memory, and not descriptors, that runs out.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
# For the imports at the first use.
multiprocessing.Queue(), multiprocessing.Lock(), multiprocessing.RLock(), multiprocessing.Semaphore()
multiprocessing.Condition(), multiprocessing.Event(), multiprocessing.Barrier(2)
threading.main_thread()
"""


def scenario(source: str, limit: float = WAIT) -> None:
    """Run a program that has the names of HEAD; it complains of nothing."""
    assert run(HEAD + textwrap.dedent(source), limit=limit) == ""


def test_an_item_for_which_there_is_no_memory_is_not_put_and_the_queue_goes_on() -> None:
    scenario(
        """
        q = multiprocessing.Queue()
        large = bytes(100 * MIB)
        text = ["x" * (100 * MIB)]
        q.put("before")
        limit(16 * MIB)
        # There is none for the pickle. For the ring none is needed: that memory is not this process's.
        refused(q.put, text)
        refused(q.put_many, [text])
        refused(q.put, text, False)
        assert q.qsize() == 1
        q.put(large)
        q.put("after")
        assert q.get() == "before"
        refused(q.get)
        lift()
        assert [q.get(), q.get()] == [large, "after"]
        """
    )


def test_an_item_that_there_is_no_memory_to_take_stays_in_the_queue() -> None:
    scenario(
        """
        def scene(item):
            q = multiprocessing.Queue()
            other = type(q).attach(*q.descriptors())
            q.put(item)
            q.put("next")
            limit(16 * MIB)
            # This one has the ring in its memory and no room for the item; the other has no room for the ring either.
            for taker in (q, other):
                refused(taker.get)
                refused(taker.get, False)
                refused(taker.get_many)
                assert taker.qsize() == 2
            lift()
            assert other.get() == item and q.get() == "next"
            q.put("usable")
            assert other.get() == "usable"

        scene(bytes(100 * MIB))
        scene(["x" * (100 * MIB)])
        """
    )


def test_an_item_that_there_is_no_memory_to_unpickle_is_gone_as_one_that_cannot_be_unpickled() -> None:
    scenario(
        """
        q = multiprocessing.Queue()
        q.put(["x" * (100 * MIB)])
        q.put("next")
        limit(150 * MIB)
        refused(q.get)
        assert q.get() == "next"
        """
    )


def test_what_there_is_no_memory_for_is_not_made_and_can_be_made_later() -> None:
    scenario(
        """
        for name in ("Queue", "JoinableQueue", "SimpleQueue", "Lock", "RLock", "Semaphore", "BoundedSemaphore",
                     "Condition", "Event"):
            make = getattr(multiprocessing, name)
            made = []
            limit(4 * MIB)
            def until_refused():
                while True:
                    made.append(make())
            refused(until_refused)
            lift()
            made.append(make())
            assert len(made) > 1, name
            if hasattr(made[0], "put"):
                for one in made:
                    one.put(name)
                assert all(one.get() == name for one in made)
            elif hasattr(made[0], "acquire"):
                assert all(one.acquire(timeout=30) for one in made)
            else:
                made[0].set()
                assert [one.is_set() for one in made] == [True] + [False] * (len(made) - 1)
        """
    )


def available() -> int:
    """Bytes of memory that programs can have."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))


@pytest.fixture
def much_memory() -> Iterator[None]:
    """Memory for two items of 4 GiB, and for no other interpreter that runs these tests meanwhile."""
    if available() < 16 << 30:
        pytest.skip("an item of more than 4 GiB needs 16 GiB of memory that programs can have")
    with Path(__file__).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.skip("another interpreter's run of this test has the memory")
        yield


@pytest.mark.usefixtures("much_memory")
def test_an_item_of_more_than_4_gib_reaches_another_process() -> None:
    scenario(
        """
        import mmap

        def take(there, back):
            def parts(view):
                return len(view), bytes(view[:5]), bytes(view[(4 << 30) - 2:(4 << 30) + 2]), bytes(view[-5:])
            back.send(there.get_in_place(parts))

        context = multiprocessing.get_context("fork")
        q = context.Queue(codec="bytes")
        reading, writing = context.Pipe(duplex=False)
        child = context.Process(target=take, args=(q, writing))
        child.start()
        # Most of it has no pages, being zeros: the queue's copy is the only one.
        item = mmap.mmap(-1, (4 << 30) + 100, flags=mmap.MAP_PRIVATE)
        item[:5], item[(4 << 30) - 2:(4 << 30) + 2], item[-5:] = b"first", b"edge", b"final"
        q.put(item)
        q.put(b"next")
        assert reading.recv() == (len(item), b"first", b"edge", b"final")
        child.join()
        assert child.exitcode == 0 and q.get() == b"next"
        # Bytes that are too long for the short way to pickle them are refused there, so that they go the other way.
        from carrick.multiprocessing import queues
        try:
            q._carrick_queue.put_bytes(bytes(queues._LARGEST + 1))
        except ValueError as error:
            assert "4 GiB or more" in str(error)
        else:
            raise AssertionError("it was put")
        assert q.empty()
        """,
        limit=50,
    )


def test_bytes_that_are_too_long_for_the_short_way_are_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    q = multiprocessing.Queue()
    dumped = []

    def dumps(item: object) -> bytes:
        dumped.append(item)
        return pickle.dumps(item)

    monkeypatch.setattr(queues, "_LARGEST", 50_000)
    monkeypatch.setattr(q, "_carrick_dumps", dumps)
    short, long = bytes(range(250)) * 200, bytes(range(250)) * 201
    assert (len(short), len(long)) == (50_000, 50_250)
    q.put(short)
    q.put(long)
    assert dumped == [long]
    assert q.get() == short and q.get() == long
    # As pickle writes 4 GiB and more: a length of 8 bytes.
    for item in (short, b"", bytes(3 << 20)):
        q._writer.send_bytes(b"\x80\x04\x8e" + len(item).to_bytes(8, "little") + item + b"\x94.")
        assert q.get() == item
