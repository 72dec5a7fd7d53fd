# SPDX-License-Identifier: MIT OR Apache-2.0
"""Queues of carrick.multiprocessing: what is CPython's behaviour, and what is better."""

from __future__ import annotations

import concurrent.futures
import errno
import multiprocessing as standard
import os
import pickle
import queue
import signal
import sys
import threading
from typing import Any

import pytest
from support import WAIT, Background, run

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing.connection import wait

METHODS = ("fork", "spawn", "forkserver")


class Loud:
    """An object that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise ValueError("not this one")


class Fragile:
    """An object that cannot be made again."""

    def __getstate__(self) -> Any:
        return {"state": 1}

    def __setstate__(self, state: Any) -> None:
        raise LookupError("no state for me")


def numbers(q: Any, count: int) -> None:
    for number in range(count):
        q.put(number)


def echo(there: Any, back: Any) -> None:
    for item in iter(there.get, None):
        back.put(item)


def numbers_as_json(there: Any, back: Any) -> None:
    for _ in range(2):
        back.put({"length": len(there.get())})


def done(q: Any) -> None:
    for _ in iter(q.get, None):
        q.task_done()
    q.task_done()


@pytest.mark.parametrize("method", METHODS)
def test_items_go_to_a_child_and_back(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    there, back = ctx.Queue(), ctx.Queue(3)
    child = ctx.Process(target=echo, args=(there, back))
    child.start()
    items = [0, "text", b"bytes", bytes(100_000), {"a": [1, 2.5]}, "x" * 200_000, list(range(50_000)), b""]
    for item in items:
        there.put(item)
    there.put(None)
    assert [back.get(timeout=WAIT) for _ in items] == items
    child.join()
    assert child.exitcode == 0


def test_full_and_empty_are_raised_at_once_and_after_a_time() -> None:
    q = multiprocessing.Queue(1)
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    with pytest.raises(queue.Empty):
        q.get(True, -1)
    with pytest.raises(ValueError, match="NaN"):
        q.get(timeout=float("nan"))
    q.put("a")
    assert q.full() and not q.empty() and q.qsize() == 1
    with pytest.raises(queue.Full):
        q.put_nowait("b")
    with pytest.raises(queue.Full):
        q.put("b", timeout=0.01)
    assert q.get() == "a" and q.empty()


def test_an_unbounded_queue_takes_whatever_comes_without_a_reader() -> None:
    q = multiprocessing.Queue()
    big = bytes(3 << 20)
    for _ in range(20):
        q.put(big)
    for _ in range(20):
        assert q.get() == big


def test_what_cannot_be_pickled_is_reported_and_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    q = multiprocessing.Queue(1)
    q.put(Loud())
    assert "not this one" in capfd.readouterr().err
    q.put("next", timeout=WAIT)
    assert q.get() == "next"


def test_a_pickler_that_failed_harms_nobody() -> None:
    q = multiprocessing.Queue()
    seen: list[Any] = []
    q._on_queue_feeder_error = lambda error, obj: seen.append(obj)
    bad = [Loud()]
    q.put(bad)
    q.put([1, 2])
    assert q.get() == [1, 2]
    assert seen == [bad] and seen[0] is bad


def test_an_object_is_taken_as_it_was_when_it_was_put() -> None:
    q = multiprocessing.Queue()
    item = [1]
    q.put(item)
    item.append(2)
    assert q.get() == [1]


def test_an_exception_while_unpickling_reaches_the_taker_and_the_queue_goes_on() -> None:
    q = multiprocessing.Queue()
    q._carrick_queue.put(b"this is no pickle")
    q.put("next")
    with pytest.raises(pickle.UnpicklingError):
        q.get()
    assert q.get() == "next"


def test_an_exception_in_setstate_reaches_the_taker_and_the_queue_goes_on() -> None:
    for q in (multiprocessing.Queue(), multiprocessing.SimpleQueue()):
        q.put(Fragile())
        q.put([Fragile(), bytes(100_000)])
        q.put("next")
        for _ in range(2):
            with pytest.raises(LookupError, match="no state for me"):
                q.get()
        assert q.get() == "next" and q.empty()


def test_many_items_are_put_and_taken_at_a_time() -> None:
    q = multiprocessing.Queue()
    q.put_many(range(10))
    assert q.get_many(3) == [0, 1, 2]
    assert q.get_many() == list(range(3, 10))
    assert q.get_many(0) == []
    with pytest.raises(queue.Empty):
        q.get_many(block=False)
    q.put("good")
    q._carrick_queue.put(b"this is no pickle")
    q.put("after")
    with pytest.raises(pickle.UnpicklingError) as caught:
        q.get_many()
    assert caught.value.taken == ["good"]  # type: ignore[attr-defined]
    assert q.get_many() == ["after"]


@pytest.mark.parametrize("method", METHODS)
def test_a_codec_says_what_items_are_between_processes(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    there, back = ctx.Queue(codec="bytes"), ctx.Queue(codec="json")
    child = ctx.Process(target=numbers_as_json, args=(there, back))
    child.start()
    there.put(b"bytes")
    there.put(memoryview(bytes(100_000)))
    assert back.get(timeout=WAIT) == {"length": 5}
    assert back.get(timeout=WAIT) == {"length": 100_000}
    child.join()


def test_what_a_codec_cannot_say_is_an_error_of_put() -> None:
    q = multiprocessing.Queue(codec="bytes")
    with pytest.raises(TypeError, match="str: a queue of codec 'bytes' takes bytes-like objects"):
        q.put("text")
    with pytest.raises(TypeError):
        q.put_many([b"first", 2, b"third"])
    as_json = multiprocessing.Queue(codec="json")
    with pytest.raises(TypeError):
        as_json.put({1, 2})
    with pytest.raises(ValueError, match="JSON"):
        as_json.put(float("nan"))
    assert (q.qsize(), q.get(), as_json.qsize()) == (1, b"first", 0)
    with pytest.raises(ValueError, match="'xml'"):
        multiprocessing.Queue(codec="xml")


def test_an_item_of_another_codec_is_an_error_and_the_queue_goes_on() -> None:
    q = multiprocessing.Queue()
    as_json = type(q).attach(*q.descriptors(), codec="json")
    as_bytes = type(q).attach(*q.descriptors(), codec="bytes")
    q.put("a pickle")
    with pytest.raises(ValueError) as caught:
        as_json.get()
    assert "a queue of codec='json'" in caught.value.__notes__[0]
    for get in (q.get, q.get_many):
        as_json.put("some JSON")
        with pytest.raises(pickle.UnpicklingError) as pickled:
            get()
        assert "a queue of codec='pickle'" in pickled.value.__notes__[0]
    q.put("a pickle")
    assert pickle.loads(as_bytes.get()) == "a pickle"
    q.put("next")
    assert q.get() == "next"


def test_bytes_stay_what_they_are_though_they_are_a_pickle_of_bytes() -> None:
    # Bytes objects of many bytes are put together and taken apart without pickle.
    body = pickle.dumps(bytes(100_000), 4)
    q = multiprocessing.Queue(codec="bytes")
    q.put(body)
    assert q.get() == body
    p = multiprocessing.Queue()
    p._writer.send_bytes(body)
    assert p._reader.recv_bytes() == body
    # And what only looks like one at its beginning or its length is what it is.
    for item in (body, [body], bytes(100_000), (bytes(100_000), 1), bytearray(100_000), "x" * 100_000):
        p.put(item)
        assert p.get() == item


def test_a_queue_bounded_in_bytes_refuses_what_can_never_fit() -> None:
    q = multiprocessing.Queue(codec="bytes", max_bytes=100)
    with pytest.raises(carrick.FrameTooLargeError, match="101"):
        q.put(bytes(101))
    q.put(bytes(60))
    with pytest.raises(queue.Full):
        q.put(bytes(60), block=False)


def test_a_closed_queue_says_so() -> None:
    q = multiprocessing.Queue()
    q.put(1)
    q.close()
    q.join_thread()
    for call in (lambda: q.put(1), q.get):
        with pytest.raises(ValueError, match="is closed"):
            call()
    with pytest.raises(OSError, match="is closed"):
        q.empty()
    simple = multiprocessing.SimpleQueue()
    simple.close()
    for call in (lambda: simple.put(1), simple.get):
        with pytest.raises(OSError, match="is closed"):
            call()


def test_a_queue_is_shared_by_inheritance_only() -> None:
    with pytest.raises(RuntimeError, match="through inheritance"):
        pickle.dumps(multiprocessing.Queue())


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_a_queue_that_was_made_for_forks_goes_nowhere_else(method: str, kind: str) -> None:
    q = getattr(multiprocessing.get_context("fork"), kind)()
    child = multiprocessing.get_context(method).Process(target=print, args=(q,))
    with pytest.raises(RuntimeError, match="created in a fork context") as refused:
        child.start()
    assert f"and so this {kind}, cannot go" in str(refused.value)
    # A SimpleQueue cannot have a name.
    assert ("give it a name and open it there" in str(refused.value)) == (kind != "SimpleQueue")


def test_join_has_a_timeout_for_consumers_that_died() -> None:
    q = multiprocessing.JoinableQueue()
    q.put("an item")
    child = os.fork()
    if child == 0:
        q.get()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert q.empty()
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError):
            q.join(timeout)
    q.task_done()
    q.join(timeout=0)


def test_join_waits_for_what_is_not_done() -> None:
    ctx = multiprocessing.get_context("fork")
    q = ctx.JoinableQueue()
    child = ctx.Process(target=done, args=(q,))
    child.start()
    for number in range(100):
        q.put(number)
    q.put(None)
    q.join()
    child.join()
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()


def test_a_queue_can_be_waited_for_with_other_things() -> None:
    ctx = multiprocessing.get_context("fork")
    q, other = ctx.Queue(), ctx.Queue()
    assert wait([q._reader, other._reader], timeout=0) == []
    child = ctx.Process(target=numbers, args=(q, 1))
    child.start()
    assert wait([q._reader, other._reader], timeout=WAIT) == [q._reader]
    assert q._reader.recv() == 0
    assert wait([q._reader], timeout=0) == []
    q.put("a")
    q.put("b")
    assert q.get() == "a"
    assert wait([q._reader], timeout=0) == [q._reader]
    child.join()


@pytest.mark.parametrize("ctx", [multiprocessing.get_context("fork"), standard.get_context("fork")])
def test_an_executor_accepts_the_context(ctx: Any) -> None:
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        assert list(executor.map(abs, range(-50, 0))) == list(range(50, 0, -1))


def test_killed_children_cost_the_others_nothing() -> None:
    ctx = multiprocessing.get_context("fork")
    q = ctx.Queue(4)
    for round_ in range(20):
        child = ctx.Process(target=numbers, args=(q, 1 << 30))
        child.start()
        for number in range(round_):
            assert q.get(timeout=WAIT) == number
        child.kill()
        child.join()
        try:
            while True:
                q.get_nowait()
        except queue.Empty:
            pass
    q.put("usable")
    assert q.get(timeout=WAIT) == "usable"


def test_a_child_that_has_put_may_end_before_anybody_takes() -> None:
    # The deadlock that the standard library's programming guidelines warn of.
    ctx = multiprocessing.get_context("fork")
    q = ctx.Queue()
    child = ctx.Process(target=q.put, args=(bytes(1 << 20),))
    child.start()
    child.join(WAIT)
    assert child.exitcode == 0
    assert q.get() == bytes(1 << 20)


def test_threads_of_one_process_share_a_queue() -> None:
    q = multiprocessing.Queue(2)
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(iter(q.get, None)))
    taker.start()
    putters = [threading.Thread(target=numbers, args=(q, 500)) for _ in range(3)]
    for thread in putters:
        thread.start()
    for thread in putters:
        thread.join()
    q.put(None)
    taker.join()
    assert sorted(taken) == sorted(list(range(500)) * 3)


def test_corrupted_memory_gives_an_error() -> None:
    q = multiprocessing.Queue()
    q.put("item")
    os.pwrite(q._carrick_queue.descriptors()[0], b"\xff" * 8, 4096)
    with pytest.raises(carrick.CorruptError):
        q.get()


def test_without_descriptors_a_queue_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(OSError) as caught:
            multiprocessing.Queue()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE


def test_importing_makes_no_thread_no_descriptor_and_no_process() -> None:
    source = """
import os, threading, multiprocessing
before = os.listdir("/proc/self/fd")
import carrick.multiprocessing
assert os.listdir("/proc/self/fd") == before and len(os.listdir("/proc/self/task")) == 1
try:
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
except ChildProcessError:
    print("none")
"""
    assert run(source) == "none\n"


@pytest.mark.parametrize("no", [0, "", None])
@pytest.mark.parametrize("yes", [1, "x"])
def test_a_flag_is_what_it_is_worth_as_in_the_standard_library(no: Any, yes: Any) -> None:
    q = multiprocessing.Queue(1)
    for take in (q.get, lambda *flag: q.get_many(5, *flag)):
        for flags in ((no,), (yes, 0.001)):
            with pytest.raises(queue.Empty):
                take(*flags)
    q.put(1, yes)
    for put in (q.put, lambda item, *flag: q.put_many([item], *flag)):
        for item in (1, b"bytes"):
            for flags in ((no,), (yes, 0.001)):
                with pytest.raises(queue.Full):
                    put(item, *flags)
    assert q.get(yes) == 1


def test_a_size_that_is_no_number_is_named() -> None:
    for bad in ("x", None, 1.5):
        with pytest.raises(TypeError, match=f"maxsize {bad!r}; give an int"):
            multiprocessing.Queue(bad)
    assert not multiprocessing.Queue(True).full()


def frames() -> Any:
    """A queue whose items can be read in place."""
    return multiprocessing.Queue(codec="bytes")


@pytest.mark.parametrize("length", [0, 5, 30_000, 3 << 20])
def test_an_item_is_read_where_it_lies(length: int) -> None:
    q = frames()
    body = os.urandom(length)
    for _ in range(5):
        q.put(body)
        q.put(b"next")
        kept = q.get_in_place(lambda view: (view.readonly, view.format, bytes(view), view))
        assert kept[:3] == (True, "B", body)
        with pytest.raises(ValueError, match="released"):
            kept[3][0]
        assert q.get_in_place(bytes, False) == b"next"
    with pytest.raises(queue.Empty):
        q.get_in_place(bytes, False)
    with pytest.raises(queue.Empty):
        q.get_in_place(bytes, timeout=0.001)


def test_memory_of_an_item_cannot_be_kept() -> None:
    q = frames()
    q.put(b"first")
    q.put(b"second")
    with pytest.raises(BufferError, match="still in use after the call: have it return a copy"):
        q.get_in_place(memoryview)
    # Memory that was kept all the same is there as long as it is kept.
    kept: list[memoryview] = []
    with pytest.raises(BufferError):
        q.get_in_place(lambda view: kept.append(memoryview(view)))
    q.put(b"third")
    owner = q.get_in_place(lambda view: view.obj)
    with pytest.raises(BufferError, match="the item has been taken"):
        memoryview(owner)

    def fails(view: memoryview) -> None:
        raise LookupError(view)

    q.put(b"fourth")
    with pytest.raises(LookupError) as caught:
        q.get_in_place(fails)
    with pytest.raises(ValueError, match="released"):
        caught.value.args[0][0]
    del q
    assert len(bytes(kept[0])) == 6


def test_an_item_whose_reader_raises_is_taken() -> None:
    q = frames()
    q.put(b"first")
    q.put(b"second")

    def fails(view: memoryview) -> None:
        raise LookupError(bytes(view))

    with pytest.raises(LookupError, match="first"):
        q.get_in_place(fails)
    assert q.get() == b"second"


def test_a_reader_in_place_may_put_but_not_take() -> None:
    q = frames()
    again = type(q).attach(*q.descriptors(), codec="bytes")
    q.put(b"first")

    def read(view: memoryview) -> bytes:
        for take in (q.get, q.get_many, again.get, lambda: q.get_in_place(bytes)):
            with pytest.raises(carrick.StateError, match="reads an item of the queue in place"):
                take()
        q.put(b"second")
        q.put(bytes(100_000))
        assert q.qsize() == 3
        return bytes(view)

    assert q.get_in_place(read) == b"first"
    assert (q.get(), q.get()) == (b"second", bytes(100_000))


def test_threads_wait_for_one_that_reads_in_place() -> None:
    q = frames()
    q.put(b"first")
    q.put(b"second")
    inside, leave = threading.Event(), threading.Event()

    def read(view: memoryview) -> bytes:
        inside.set()
        assert leave.wait(WAIT)
        return bytes(view)

    reader = Background(q.get_in_place, read)
    assert inside.wait(WAIT)
    others = [Background(q.get), Background(q.put, b"third")]
    others[1].result()
    with pytest.raises(queue.Empty):
        q.get(False)
    leave.set()
    assert (reader.result(), others[0].result(), q.get()) == (b"first", b"second", b"third")


def test_an_item_whose_reader_is_killed_is_the_next_consumers() -> None:
    q = frames()
    q.put(b"kept")
    context = multiprocessing.get_context("fork")
    process = context.Process(
        target=q.get_in_place, args=(lambda view: os.kill(os.getpid(), signal.SIGKILL),)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert q.get() == b"kept"


@pytest.mark.parametrize("end", ["returns", "raises"])
def test_a_fork_in_a_reader_leaves_the_item_to_the_parent(end: str) -> None:
    q = frames()
    q.put(b"first")
    q.put(b"second")
    codes: list[int] = []
    parent = os.getpid()

    def forks(view: memoryview) -> bytes:
        pid = os.fork()
        if pid:
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        elif end == "raises":
            sys.exit(5)
        return bytes(view)

    taken = None
    try:
        taken = q.get_in_place(forks)
    except SystemExit as error:
        os._exit(int(str(error.code)) if os.getpid() != parent else 1)
    finally:
        if os.getpid() != parent:
            # The lock is the parent's still.
            os._exit(5 if taken == b"first" and q.qsize() == 2 else 2)
    assert (taken, codes, q.get(), q.qsize()) == (b"first", [5], b"second", 0)


def test_what_cannot_be_read_in_place_says_so() -> None:
    q = frames()
    q.put(b"kept")
    with pytest.raises(TypeError, match="read 5; give a function of one argument"):
        q.get_in_place(5)
    assert q.get() == b"kept"
    with pytest.raises(ValueError, match="codec 'pickle': make it with codec='bytes'"):
        multiprocessing.Queue().get_in_place(bytes)
    q.close()
    with pytest.raises(ValueError, match="is closed"):
        q.get_in_place(bytes)
