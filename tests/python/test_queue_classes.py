# SPDX-License-Identifier: MIT OR Apache-2.0
"""Classes that a program derives from the queues of multiprocessing, and picklers that it puts in place."""

from __future__ import annotations

import multiprocessing.queues as standard
import pickle
import threading
from typing import Any

import pytest
from support import WAIT, run

import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import queues

METHODS = ("fork", "spawn", "forkserver")
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)


class OwnState(queues.Queue):
    """One with a feeder and a state of its own, as loky's."""

    def __init__(self, mark: str, *, ctx: Any) -> None:
        super().__init__(5, ctx=ctx)
        self.mark = mark

    def __getstate__(self) -> Any:
        return self.mark, super().__getstate__()

    def __setstate__(self, state: Any) -> None:
        self.mark, state = state
        super().__setstate__(state)
        self._reset()

    def _start_thread(self) -> None:
        self.mark += ", started"
        super()._start_thread()


class OwnSimple(queues.SimpleQueue):
    """One that pickles by itself and knows the locks."""

    def put(self, obj: Any) -> None:
        with self._wlock:
            self._writer.send_bytes(pickle.dumps(("own", obj)))


class JoinInTime(queues.JoinableQueue):
    """A join with a time limit, as it is found on the net."""

    def join_in_time(self, timeout: float) -> bool:
        with self._cond:
            return bool(self._cond.wait_for(self._unfinished_tasks._semlock._is_zero, timeout))


class Counted(queues.Queue):
    """One that adds to what ours does."""

    def __init__(self, *, ctx: Any) -> None:
        super().__init__(ctx=ctx)
        self.count = ctx.Value("i", 0)

    def __getstate__(self) -> Any:
        return super().__getstate__(), self.count

    def __setstate__(self, state: Any) -> None:
        state, self.count = state
        super().__setstate__(state)

    def put(self, *args: Any, **kwargs: Any) -> None:
        super().put(*args, **kwargs)
        with self.count.get_lock():
            self.count.value += 1


def answer(there: Any, back: Any) -> None:
    back.put((there.get(), getattr(there, "mark", None)))


def echo(there: Any, back: Any) -> None:
    back.put(there.get())


def finish(q: Any) -> None:
    q.get()
    q.task_done()


def ended(process: Any) -> None:
    process.join(WAIT)
    assert process.exitcode == 0


@EVERY_METHOD
def test_a_class_that_uses_parts_of_the_standard_queue_stands_on_that(method: str) -> None:
    context = multiprocessing.get_context(method)
    there, back = OwnState("ours", ctx=context), OwnState("back", ctx=context)
    assert isinstance(there, standard.Queue) and not isinstance(there, queues.Queue)
    process = context.Process(target=answer, args=(there, back))
    process.start()
    there.put({"an": "item"})
    assert back.get(timeout=WAIT) == ({"an": "item"}, "ours")
    assert there.mark == "ours, started"
    ended(process)
    for q in (there, back):
        q.close()
        q.join_thread()


@EVERY_METHOD
def test_the_same_of_simple_queues(method: str) -> None:
    context = multiprocessing.get_context(method)
    there, back = OwnSimple(ctx=context), OwnSimple(ctx=context)
    process = context.Process(target=echo, args=(there, back))
    process.start()
    there.put(1)
    assert back.get() == ("own", ("own", 1))
    ended(process)
    there.close()
    back.close()


def test_the_same_of_joinable_queues() -> None:
    context = multiprocessing.get_context("fork")
    q = JoinInTime(ctx=context)
    q.put(1)
    assert not q.join_in_time(0.01)
    process = context.Process(target=finish, args=(q,))
    process.start()
    assert q.join_in_time(WAIT)
    ended(process)
    q.close()
    q.join_thread()


@EVERY_METHOD
def test_a_class_that_calls_what_it_overrides_stays_ours(method: str) -> None:
    context = multiprocessing.get_context(method)
    there, back = Counted(ctx=context), Counted(ctx=context)
    assert isinstance(there, queues.Queue)
    process = context.Process(target=echo, args=(there, back))
    process.start()
    threads = threading.active_count()
    there.put("item")
    assert back.get(timeout=WAIT) == "item" and threading.active_count() == threads
    ended(process)
    assert there.count.value == back.count.value == 1


PICKLER = """
import io, pickle, sys
import carrick
if sys.argv[1] == "patch":
    carrick.patch()
    import multiprocessing.queues
else:
    import carrick.multiprocessing.queues
    import carrick.multiprocessing as multiprocessing

class Spelled(pickle.Pickler):
    # As dill, in small: functions of no module are pickled.
    def reducer_override(self, obj):
        return (eval, (obj.source,)) if hasattr(obj, "source") else NotImplemented

    @classmethod
    def dumps(cls, obj, protocol=None):
        buffer = io.BytesIO()
        cls(buffer, protocol).dump(obj)
        return buffer.getvalue()[::-1]

    @staticmethod
    def loads(body):
        return pickle.loads(bytes(body)[::-1])

def function(source):
    made = eval(source)
    made.source = source
    return made

if sys.argv[2] == "reduction":
    multiprocessing.reduction.ForkingPickler = Spelled
else:
    multiprocessing.queues._ForkingPickler = Spelled
context = multiprocessing.get_context("fork")
plain, simple = context.Queue(), context.SimpleQueue()
for q in (plain, simple):
    for item in (function("lambda: 5"), b"x" * 100_000, 3):
        q.put(item)
    assert (q.get()(), q.get(), q.get()) == (5, b"x" * 100_000, 3)
with context.Pool(2) as pool:
    print(pool.map(function("lambda x: x + 10"), [1, 2]))
"""


@pytest.mark.parametrize("mode", ["explicit", "patch"])
@pytest.mark.parametrize("place", ["reduction", "queues"])
def test_a_pickler_that_the_program_puts_in_place_is_used(mode: str, place: str) -> None:
    assert run(PICKLER, mode, place) == "[11, 12]\n"
