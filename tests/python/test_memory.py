# SPDX-License-Identifier: MIT OR Apache-2.0
"""Memory that cannot be had: MemoryError, and whatever was there before is as it was."""

from __future__ import annotations

import textwrap

from support import run

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
# What is imported when it is first used.
multiprocessing.Queue(), multiprocessing.Lock(), multiprocessing.RLock(), multiprocessing.Semaphore()
multiprocessing.Condition(), multiprocessing.Event(), multiprocessing.Barrier(2)
threading.main_thread()
"""


def scenario(source: str) -> None:
    """Run a program that has the names of HEAD; it complains of nothing."""
    assert run(HEAD + textwrap.dedent(source)) == ""


def test_an_item_for_which_there_is_no_memory_is_not_put_and_the_queue_goes_on() -> None:
    scenario(
        """
        q = multiprocessing.Queue()
        large = bytes(100 * MIB)
        text = ["x" * (100 * MIB)]
        q.put("before")
        limit(16 * MIB)
        # There is none for the ring, and none for the pickle.
        for item in (large, text):
            refused(q.put, item)
            refused(q.put_many, [item])
            refused(q.put, item, False)
        assert q.qsize() == 1
        q.put("after")
        assert [q.get(), q.get()] == ["before", "after"]
        lift()
        q.put(large)
        assert q.get() == large
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
