# SPDX-License-Identifier: MIT OR Apache-2.0
"""An object that takes a lock when it is pickled, and is put by one that holds that lock."""

from __future__ import annotations

import copyreg
import functools
import queue
import subprocess
import sys
import threading
import uuid
from multiprocessing import reduction
from typing import Any

import pytest
from support import WAIT, Background

import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import _waits


def synchronized(method: Any) -> Any:
    @functools.wraps(method)
    def wrapper(self: Any) -> Any:
        with self.lock:
            return method(self)

    return wrapper


class Snapshot:
    def __init__(self, number: int = 0) -> None:
        self.lock: Any = threading.Lock()
        self.number = number
        self.pickled = 0

    def state(self) -> Any:
        self.pickled += 1
        return {"number": self.number}

    def __setstate__(self, state: Any) -> None:
        self.__init__(state["number"])  # type: ignore[misc]


class InGetstate(Snapshot):
    def __getstate__(self) -> Any:
        with self.lock:
            return self.state()


class ByAcquire(Snapshot):
    def __getstate__(self) -> Any:
        self.lock.acquire()
        try:
            return self.state()
        finally:
            self.lock.release()


class InReduce(Snapshot):
    def __reduce__(self) -> Any:
        with self.lock:
            return InReduce, (), self.state()


class Decorated(Snapshot):
    @synchronized
    def __getstate__(self) -> Any:
        return self.state()


class InAMethodOfItsOwn(Snapshot):
    def __getstate__(self) -> Any:
        return self._look()

    def _look(self) -> Any:
        with self.lock:
            return self.state()


class OfAnother(Snapshot):
    def __getstate__(self) -> Any:
        return _snapshot_of(self)


class OfAProperty(Snapshot):
    @property
    def current(self) -> Any:
        with self.lock:
            return self.state()

    def __getstate__(self) -> Any:
        return self.current


class WithACondition(Snapshot):
    def __init__(self, number: int = 0) -> None:
        super().__init__(number)
        self.lock = threading.Condition()

    def __getstate__(self) -> Any:
        with self.lock:
            return self.state()


class ByCopyreg(Snapshot):
    pass


class ByTheForkingPickler(Snapshot):
    pass


def _snapshot_of(one: Any) -> Any:
    with one.lock:
        return one.state()


def _reduce(one: Any) -> Any:
    with one.lock:
        return type(one), (), one.state()


copyreg.pickle(ByCopyreg, _reduce)
reduction.register(ByTheForkingPickler, _reduce)

EVERY_KIND = pytest.mark.parametrize(
    "cls",
    [
        InGetstate,
        ByAcquire,
        InReduce,
        Decorated,
        InAMethodOfItsOwn,
        OfAnother,
        OfAProperty,
        WithACondition,
        ByCopyreg,
        ByTheForkingPickler,
    ],
)


@EVERY_KIND
@pytest.mark.parametrize("inside", [False, True])
def test_put_returns_while_the_lock_of_the_object_is_held(cls: Any, inside: bool) -> None:
    q = multiprocessing.Queue()
    one = cls(5)

    def put() -> None:
        with one.lock:
            q.put([{"deep": one}] if inside else one)
            q.put("after")
            # Nothing overtakes it, and it is pickled as it is when the lock is released.
            one.number = 6
            assert q.qsize() == 2

    Background(put).result()
    got = q.get(timeout=WAIT)
    assert (got[0]["deep"] if inside else got).number == 6
    assert q.get(timeout=WAIT) == "after"
    assert one.pickled == 1
    q.close()
    q.join_thread()


@EVERY_KIND
def test_an_item_whose_lock_is_free_is_in_the_queue_when_put_returns(cls: Any) -> None:
    q = multiprocessing.Queue()
    for number in range(10):
        q.put(cls(number))
    assert [q.get(block=False).number for number in range(10)] == list(range(10))


def test_bounds_hold_for_items_that_are_not_pickled_yet() -> None:
    q = multiprocessing.Queue(2)
    one = InGetstate(1)

    def put() -> None:
        with one.lock:
            q.put(one)
            q.put(one, block=False)
            with pytest.raises(queue.Full):
                q.put(one, block=False)
            with pytest.raises(queue.Full):
                q.put(one, timeout=0.05)
            assert q.full() and q.empty()

    Background(put).result()
    assert [q.get(timeout=WAIT).number for _ in range(2)] == [1, 1]


def test_an_object_that_cannot_be_pickled_later_is_reported() -> None:
    q = multiprocessing.Queue()
    reported: Any = queue.Queue()
    q._on_queue_feeder_error = lambda error, obj: reported.put((error, obj))  # type: ignore[method-assign]
    one = InGetstate(1)

    def put() -> None:
        with one.lock:
            q.put(one)
            q.put(lambda: None)

    Background(put).result()
    assert q.get(timeout=WAIT).number == 1
    error, obj = reported.get(timeout=WAIT)
    assert isinstance(error, (AttributeError, __import__("pickle").PicklingError)) and callable(obj)


PROGRAM = """
import sys, threading
import carrick.multiprocessing as multiprocessing

class Totals:
    def __init__(self):
        self.lock = threading.Lock()
    def __getstate__(self):
        with self.lock:
            return {}

def work(q):
    totals = Totals()
    totals.lock.acquire()
    q.put(totals)
    q.put("last")
    threading.Timer(0.2, totals.lock.release).start()

if __name__ == "__main__":
    q = multiprocessing.get_context("fork").Queue()
    process = multiprocessing.get_context("fork").Process(target=work, args=(q,))
    process.start()
    print(type(q.get(timeout=20)).__name__, q.get(timeout=20))
    process.join()
    print(process.exitcode)
"""


def test_a_process_does_not_end_before_its_items_are_put() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert (done.stdout, done.stderr) == ("Totals last\n0\n", "")


def test_what_the_standard_library_and_plain_classes_do_is_known_not_to_wait() -> None:
    class Plain:
        def __getstate__(self) -> Any:
            state = self.__dict__.copy()
            state.pop("socket", None)
            return dict(sorted(state.items()))

    for cls in (Plain, uuid.UUID, int, dict, Exception, functools.partial):
        assert not _waits.class_may_wait(cls), cls
