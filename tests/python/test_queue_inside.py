# SPDX-License-Identifier: MIT OR Apache-2.0
"""Programs that name the private parts of the standard queues, in a class of their own or outside of it."""

from __future__ import annotations

import functools
import multiprocessing as standard_multiprocessing
import threading
from multiprocessing import queues as standard
from typing import Any

import pytest
from support import Background

import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import queues

CONTEXT = multiprocessing.get_context("fork")


def logged(method: Any) -> Any:
    @functools.wraps(method)
    def wrapper(*args: Any) -> Any:
        return method(*args)

    return wrapper


def unwrapped(method: Any) -> Any:
    return lambda self: method(self)


def pending(self: Any) -> int:
    return len(self._buffer)


class Mixin:
    def pending(self) -> int:
        return len(self._buffer)  # type: ignore[attr-defined]


def by_method(base: type) -> type:
    return type("ByMethod", (base,), {"pending": pending})


def by_property(base: type) -> type:
    return type("ByProperty", (base,), {"inner": property(pending), "pending": lambda self: self.inner})


def by_decorator(base: type) -> type:
    return type("ByDecorator", (base,), {"pending": logged(pending)})


def by_closure(base: type) -> type:
    return type("ByClosure", (base,), {"pending": unwrapped(pending)})


def by_lambda(base: type) -> type:
    class ByLambda(base):  # type: ignore[misc, valid-type]
        def pending(self) -> int:
            return sum(map(lambda _: len(self._buffer), (0,)))  # noqa: C417

    return ByLambda


def by_name(base: type) -> type:
    class ByName(base):  # type: ignore[misc, valid-type]
        def pending(self) -> int:
            return len(getattr(self, "_buffer"))  # noqa: B009

    return ByName


def by_partial(base: type) -> type:
    class ByPartial(base):  # type: ignore[misc, valid-type]
        inner = functools.partialmethod(pending)
        cached = functools.cached_property(pending)

        def pending(self) -> int:
            return self.inner() + self.cached  # type: ignore[no-any-return]

    return ByPartial


def by_static_method(base: type) -> type:
    class ByStatic(base):  # type: ignore[misc, valid-type]
        look = staticmethod(pending)

        def pending(self) -> int:
            return self.look(self)

    return ByStatic


def by_mixin(base: type) -> type:
    return type("ByMixin", (Mixin, base), {})


def by_subclass(base: type) -> type:
    plain: Any = type("Plain", (base,), {})
    further: Any = type("Further", (plain,), {})
    return by_method(further)


WAYS = [
    by_method,
    by_property,
    by_decorator,
    by_closure,
    by_lambda,
    by_name,
    by_partial,
    by_static_method,
    by_mixin,
    by_subclass,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("base", [queues.Queue, queues.JoinableQueue])
def test_a_class_that_looks_inside_works_as_ever(way: Any, base: Any) -> None:
    cls = way(base)
    q = cls(ctx=CONTEXT)
    assert q.pending() == 0
    assert isinstance(q, getattr(standard, base.__name__)) and isinstance(q, cls)
    q.put("item")
    assert q.get(timeout=30) == "item"
    assert type(q).put is getattr(standard, base.__name__).put
    q.close()
    q.join_thread()


@pytest.mark.parametrize("way", WAYS)
def test_a_class_whose_base_has_queues_already_has_equivalents(way: Any) -> None:
    class Plain(queues.Queue):
        pass

    earlier = Plain(ctx=CONTEXT)
    cls = way(Plain)
    q = cls(ctx=CONTEXT)
    assert q.pending() == 0
    for one in (earlier, q):
        one.put("item")
        assert one.get(timeout=30) == "item"


def test_code_outside_of_the_class_finds_what_answers_as_the_parts_would() -> None:
    q: Any = CONTEXT.Queue(3)
    q.put("one")
    assert len(q._buffer) == 0 and q._buffer is q._buffer
    assert q._sem.get_value() == q._sem._semlock._get_value() == 2 and not q._sem._semlock._is_zero()
    assert q._thread is None and q._jointhread is None and q._close is None and q._joincancelled is False
    with q._notempty:
        q._buffer.clear()
    with q._rlock:
        assert q._recv_bytes() and q.empty()
    with q._wlock:
        q._send_bytes(b"\x80\x04K\x05.")
    assert q.get(timeout=30) == 5
    assert q._rlock.acquire(timeout=1) and not q._rlock.acquire(block=False)
    q._rlock.release()
    for _ in range(3):
        q.put("full")
    assert q._sem._semlock._is_zero() and not q._sem.acquire(block=False)
    with pytest.raises(AttributeError, match="'Queue' object has no attribute '_nothing'"):
        _ = q._nothing
    assert not hasattr(q, "_unfinished_tasks")


def test_the_parts_of_a_queue_that_can_be_joined() -> None:
    q: Any = CONTEXT.JoinableQueue()
    assert q._unfinished_tasks._semlock._is_zero() and q._unfinished_tasks.get_value() == 0
    q.put("one")
    q.put("two")
    assert q._unfinished_tasks.get_value() == 2 and not q._unfinished_tasks._semlock._is_zero()
    with q._cond:
        assert not q._cond.wait(timeout=0.01)
    q.get()
    q.task_done()
    waiting = Background(lambda: q._cond.wait())
    q.get()
    q.task_done()
    assert waiting.result() is True
    simple: Any = CONTEXT.SimpleQueue()
    with simple._wlock:
        simple.put(1)
    assert simple.get() == 1


def test_private_names_of_ours_are_none_that_a_program_could_have() -> None:
    for kind in ("Queue", "JoinableQueue", "SimpleQueue"):
        ours, theirs = getattr(CONTEXT, kind)(), getattr(standard, kind)(ctx=CONTEXT)
        added = {*vars(ours), *dir(type(ours))} - {*vars(theirs), *dir(type(theirs))}
        # The standard class has it since Python 3.11.2.
        assert {name for name in added if name.startswith("_") and not name.startswith("_carrick_")} <= {
            "_terminate_broken",
        }


def test_attributes_of_queues_are_found_without_a_hook() -> None:
    # With a __getattr__ Python looks each attribute of an object up in the slow way, also those that are there.
    for kind in ("Queue", "JoinableQueue", "SimpleQueue"):
        assert not hasattr(getattr(CONTEXT, kind)(), "__getattr__")


@pytest.mark.parametrize(
    "kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Event", "Condition", "Barrier"]
)
def test_private_names_of_locks_are_none_that_a_program_could_have(kind: str) -> None:
    arguments = (2,) if kind == "Barrier" else ()
    ours = getattr(CONTEXT, kind)(*arguments)
    theirs = getattr(standard_multiprocessing.get_context("fork"), kind)(*arguments)
    added = {*vars(ours), *dir(type(ours))} - {*vars(theirs), *dir(type(theirs))}
    private = {name for name in added if name.startswith("_") and not name.startswith(("_carrick_", "__"))}
    # The standard library's, in newer releases.
    assert private <= {"_is_fork_ctx"}


class Own(queues.Queue):
    """Has attributes whose names ours once had."""

    def __init__(self, *, ctx: Any) -> None:
        super().__init__(ctx=ctx)
        self._queue = self._codec = self._used = self._dumps = self._loads = threading.Lock()


def test_a_class_may_have_such_attributes_of_its_own() -> None:
    q = Own(ctx=CONTEXT)
    q.put([1])
    assert q.get() == [1] and q.qsize() == 0


def test_putting_after_the_writer_was_closed_is_reported() -> None:
    q: Any = CONTEXT.Queue()
    reported: list[Any] = []
    q._on_queue_feeder_error = lambda error, obj: reported.append((str(error), obj))
    q._writer.close()
    q.put("late")
    assert reported == [("handle is closed", "late")] and q.empty()
