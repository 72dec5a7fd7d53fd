# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.queue: what CPython's test_queue does not ask, and what is better than the standard module."""

from __future__ import annotations

import collections
import fractions
import gc
import os
import queue as standard
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support import WAIT, Background, asleep, run

import carrick.queue as queue

CLASSES = [queue.Queue, queue.LifoQueue, queue.PriorityQueue]


class Counting(queue.Queue[Any]):
    """A queue with methods of its own."""

    def _init(self, maxsize: int) -> None:
        self.calls: list[str] = []
        self.kept: list[Any] = []

    def _qsize(self) -> int:
        return len(self.kept)

    def _put(self, item: Any) -> None:
        self.calls.append("put")
        self.kept.append(item)

    def _get(self) -> Any:
        self.calls.append("get")
        return self.kept.pop(0)


@pytest.mark.parametrize("cls", [*CLASSES, Counting])
def test_every_item_arrives_once_from_many_to_many(cls: type[queue.Queue[Any]]) -> None:
    for maxsize in (0, 3):
        q = cls(maxsize)

        def produce(start: int, q: Any = q) -> None:
            for number in range(start, start + 500):
                q.put(number)

        def consume(q: Any = q) -> list[int]:
            taken = []
            while (number := q.get()) >= 0:
                taken.append(number)
                q.task_done()
            q.task_done()
            return taken

        consumers = [Background(consume) for _ in range(4)]
        producers = [Background(produce, start) for start in range(0, 2000, 500)]
        for producer in producers:
            producer.result()
        q.join()
        for _ in consumers:
            q.put(-1)
        taken = [number for consumer in consumers for number in consumer.result()]
        assert sorted(taken) == list(range(2000))
        assert q.empty() and q.unfinished_tasks == 0


@pytest.mark.parametrize("cls", [queue.Queue, Counting])
@pytest.mark.parametrize("maxsize", [0, 1])
def test_threads_wait_for_each_other_in_turn(cls: type[queue.Queue[Any]], maxsize: int) -> None:
    there, back = cls(maxsize), cls(maxsize)

    def answer() -> None:
        while (number := there.get()) is not None:
            back.put(-number)

    def ask(first: int) -> None:
        for number in range(first, first + 3000):
            there.put(number)
            assert back.get(timeout=WAIT) == -number

    answering = Background(answer)
    ask(1)
    Background(ask, 5000).result()
    there.put(None)
    answering.result()


def test_queues_are_the_standard_ones_to_who_asks() -> None:
    for cls in CLASSES:
        base = getattr(standard, cls.__name__)
        assert issubclass(cls, base) and isinstance(cls(), standard.Queue)
    assert queue.Empty is standard.Empty and queue.Full is standard.Full
    assert queue.SimpleQueue is standard.SimpleQueue
    assert queue._PySimpleQueue is standard._PySimpleQueue  # type: ignore[attr-defined]
    assert queue.Queue[int].__args__ == (int,)


def test_methods_that_a_class_overrides_are_called() -> None:
    q = Counting(2)
    q.put("a")
    q.put("b")
    with pytest.raises(queue.Full):
        q.put_nowait("c")
    assert (q.get(), q.get_nowait()) == ("a", "b")
    with pytest.raises(queue.Empty):
        q.get(timeout=0.001)
    assert q.calls == ["put", "put", "get", "get"]


def test_the_mutex_is_held_when_overridden_methods_are_called() -> None:
    class Watching(queue.Queue[Any]):
        def _put(self, item: Any) -> None:
            assert self.mutex.locked()
            super()._put(item)

        def _get(self) -> Any:
            assert self.mutex.locked()
            return super()._get()

    q = Watching()
    q.put(1)
    assert q.get() == 1 and not q.mutex.locked()


def test_a_method_given_to_one_object_is_called() -> None:
    q: queue.Queue[Any] = queue.Queue()
    q.put("before")
    taken = []
    q._put = taken.append  # type: ignore[method-assign]
    q.put("after")
    assert taken == ["after"] and q.get() == "before"


def test_put_nowait_and_get_nowait_go_through_put_and_get() -> None:
    class Doubling(queue.Queue[Any]):
        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            super().put(item * 2, block, timeout)

    q = Doubling()
    q.put_nowait(4)
    assert q.get_nowait() == 8


def test_what_is_in_the_attribute_queue_is_in_the_queue() -> None:
    q: Any = queue.Queue()
    for number in range(5):
        q.put(number)
    assert type(q.queue) is collections.deque
    assert list(q.queue) == [0, 1, 2, 3, 4]
    q.queue.remove(2)
    q.queue.append("direct")
    assert [q.get_nowait() for _ in range(q.qsize())] == [0, 1, 3, 4, "direct"]
    stack: Any = queue.LifoQueue()
    stack.put(1)
    stack.put(2)
    assert stack.queue == [1, 2] and stack.get() == 2
    heap: Any = queue.PriorityQueue()
    for number in (3, 1, 2):
        heap.put(number)
    assert heap.queue[0] == 1


def test_a_queue_can_be_opened_while_threads_wait_in_it() -> None:
    q: Any = queue.Queue(1)
    getter = Background(q.get)
    asleep(getter)
    assert len(q.queue) == 0
    q.put("first")
    assert getter.result() == "first"
    full: Any = queue.Queue(1)
    full.put("a")
    putter, joiner = Background(full.put, "b"), Background(full.join)
    asleep(putter)
    asleep(joiner)
    assert next(iter(full.queue)) == "a"
    assert full.get() == "a" and full.get() == "b"
    putter.result()
    full.task_done()
    full.task_done()
    joiner.result()


def test_programs_clear_a_queue_with_its_mutex_and_conditions() -> None:
    q: Any = queue.Queue(2)
    q.put(1)
    q.put(2)
    putter, joiner = Background(q.put, 3), Background(q.join)
    asleep(putter)
    with q.mutex:
        q.unfinished_tasks -= len(q.queue)
        q.queue.clear()
        q.all_tasks_done.notify_all()
        q.not_full.notify_all()
    putter.result()
    assert q.get() == 3
    q.task_done()
    joiner.result()
    assert q.unfinished_tasks == 0


def test_programs_wait_with_the_conditions() -> None:
    q: Any = queue.Queue(1)

    def until(condition: str, ready: Callable[[], object]) -> bool:
        with getattr(q, condition):
            return bool(getattr(q, condition).wait_for(ready, WAIT))

    some = Background(until, "not_empty", lambda: q._qsize())
    asleep(some)
    q.put("item")
    assert some.result()
    none = Background(until, "not_full", lambda: not q._qsize())
    asleep(none)
    q.get()
    assert none.result()
    done = Background(until, "all_tasks_done", lambda: not q.unfinished_tasks)
    asleep(done)
    q.task_done()
    assert done.result()


def test_nobody_changes_a_queue_whose_mutex_is_held() -> None:
    q: Any = queue.Queue()
    q.put(1)
    with q.mutex:
        putter = Background(q.put, 2)
        asleep(putter)
        assert list(q.queue) == [1] and not q.mutex.acquire(False) and not q.mutex.acquire(0)
        with pytest.raises(RuntimeError, match="this thread holds the queue's mutex"):
            q.qsize()
    putter.result()
    assert q.qsize() == 2
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        q.mutex.release()
    with q.mutex:
        assert not q.mutex.acquire(timeout=0.001)
        with pytest.raises(ValueError, match="can't specify a timeout"):
            q.mutex.acquire(False, 1)
        with pytest.raises(ValueError, match="non-negative"):
            q.mutex.acquire(True, -2)


def test_locks_that_a_program_puts_in_place_are_used() -> None:
    class Reentrant(queue.Queue[Any]):
        def __init__(self) -> None:
            super().__init__()
            self.mutex = threading.RLock()  # type: ignore[assignment]
            self.not_empty = threading.Condition(self.mutex)
            self.not_full = threading.Condition(self.mutex)
            self.all_tasks_done = threading.Condition(self.mutex)

    q = Reentrant()
    with q.mutex:
        q.put("within")
        assert (q.qsize(), q.empty(), q.full()) == (1, False, False)
        assert q.get() == "within"
    getter, joiner = Background(q.get), Background(q.join)
    asleep(getter)
    q.put("from outside")
    assert getter.result() == "from outside"
    q.task_done()
    q.task_done()
    joiner.result()
    if hasattr(standard.Queue, "shutdown"):
        q.shutdown()
        with pytest.raises(queue.ShutDown):
            q.put(1)
    else:
        with pytest.raises(RuntimeError, match="cannot be shut down"):
            q.shutdown()


@pytest.mark.parametrize("cls", [*CLASSES, Counting])
def test_shutdown_wakes_everybody(cls: type[queue.Queue[Any]]) -> None:
    for opened in (False, True):
        empty, full = cls(), cls(1)
        full.put("only")
        if opened:
            assert empty.mutex is not None and full.mutex is not None
        waiting = [Background(empty.get), Background(empty.get, True, WAIT), Background(full.put, "more")]
        joiner = Background(full.join)
        for one in waiting:
            asleep(one)
        empty.shutdown()
        full.shutdown(immediate=True)
        for one in waiting:
            assert type(one.error()) is queue.ShutDown
        joiner.result()
        assert full.empty() and full.is_shutdown and full.unfinished_tasks == 0


def test_items_put_before_a_shutdown_are_got() -> None:
    q: queue.Queue[int] = queue.Queue()
    q.put(1)
    q.shutdown()
    assert q.get() == 1
    with pytest.raises(queue.ShutDown):
        q.get_nowait()


def test_maxsize_may_change_and_be_any_number() -> None:
    q: Any = queue.Queue(1)
    q.put(1)
    putter = Background(q.put, 2)
    asleep(putter)
    q.maxsize = 2
    putter.result()
    assert q.full() and q.maxsize == 2
    for odd in (2.5, fractions.Fraction(5, 2)):
        q.maxsize = odd
        assert q.maxsize == odd and not q.full()
    q.put(3)
    assert q.full()
    assert queue.Queue(float("inf")).maxsize == float("inf")
    assert not queue.Queue(-1).full() and not queue.Queue(1 << 80).full()
    assert queue.Queue(True).maxsize is True
    with pytest.raises(TypeError):
        queue.Queue("many").put(1)  # type: ignore[arg-type]


def test_arguments_are_checked_as_the_standard_ones_are() -> None:
    for module in (standard, queue):
        bounded: Any = module.Queue(1)
        with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
            bounded.put(1, timeout=-1)
        bounded.put(1)
        with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
            bounded.get(timeout=-1)
        with pytest.raises(TypeError):
            bounded.get(timeout="soon")
        assert bounded.get(block=False, timeout=-1) == 1
        unbounded: Any = module.Queue()
        unbounded.put(1, True, -1)
        assert unbounded.get(timeout=0) == 1
        with pytest.raises(module.Empty):
            unbounded.get(timeout=0)
        with pytest.raises(TypeError):
            unbounded.put()
        with pytest.raises(ValueError, match="too many times"):
            [unbounded.task_done() for _ in range(3)]


def test_a_queue_that_is_initialized_again_is_a_new_one() -> None:
    q: Any = queue.Queue(1)
    q.put(1)
    old = q.mutex
    q.__init__(3)
    assert (q.maxsize, q.qsize(), q.unfinished_tasks) == (3, 0, 0)
    q.put(2)
    assert q.mutex is not None and old is not q.mutex and list(q.queue) == [2]


def test_a_waiting_thread_sleeps() -> None:
    q: queue.Queue[Any] = queue.Queue()

    def switches() -> int:
        with open("/proc/thread-self/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("voluntary_ctxt_switches"))
        return int(line.split()[1])

    def wait() -> tuple[int, float]:
        before, used = switches(), time.thread_time()
        with pytest.raises(queue.Empty):
            q.get(timeout=0.3)
        return switches() - before, time.thread_time() - used

    for woken, used in (wait(), Background(wait).result()):
        assert woken < 20 and used < 0.1


INTERRUPTED = """
import os, signal, sys, threading
import carrick.queue as queue

signal.signal(signal.SIGINT, signal.default_int_handler)
q = queue.Queue(1)
if sys.argv[1] == "open":
    q.mutex
elif sys.argv[1] == "heap":
    q = queue.PriorityQueue(1)
what = sys.argv[2]
if what in ("put", "join"):
    q.put(1)
call = {"get": q.get, "put": lambda: q.put(2), "join": q.join, "timeout": lambda: q.get(timeout=1000)}[what]
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    call()
except KeyboardInterrupt:
    print("interrupted")
# It works on.
if q.full():
    q.get()
q.put(3)
print(q.get())
"""


@pytest.mark.parametrize("kind", ["sealed", "open", "heap"])
@pytest.mark.parametrize("what", ["get", "put", "join", "timeout"])
def test_ctrl_c_ends_a_wait(kind: str, what: str) -> None:
    assert run(INTERRUPTED, kind, what) == "interrupted\n3\n"


def test_a_signal_handler_may_put_what_is_waited_for() -> None:
    q: queue.Queue[str] = queue.Queue()
    before = signal.signal(signal.SIGUSR1, lambda *_: q.put("from the handler"))
    try:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        assert q.get() == "from the handler"
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_handlers_and_finalizers_may_put_in_the_middle_of_a_put() -> None:
    q: queue.Queue[int] = queue.Queue()

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            q.put(-1)

    handled = 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        q.put(-2)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for number in range(20_000):
            Cycle()
            q.put(number)
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    gc.collect()
    items = [q.get() for _ in range(q.qsize())]
    assert [item for item in items if item >= 0] == list(range(20_000))
    assert items.count(-1) == 20_000 and items.count(-2) == handled > 0


def test_an_interrupted_getter_passes_its_item_on() -> None:
    """Two wait, one of them is woken for the item and interrupted at the same time: the other one gets it."""
    source = """
    import os, signal, threading
    import carrick.queue as queue

    class Stop(Exception):
        pass

    def handler(*_):
        # An item put here wakes the one who waited longest: the main thread, which is in this handler.
        q.put("item")
        raise Stop

    signal.signal(signal.SIGUSR1, handler)
    for kind in (queue.Queue, queue.PriorityQueue):
        for _ in range(20):
            q = kind()
            got = []
            def second():
                waiting.wait()
                got.append(q.get())
            waiting = threading.Event()
            thread = threading.Thread(target=second)
            thread.start()
            timer = threading.Timer(0.005, lambda: (waiting.set(), os.kill(os.getpid(), signal.SIGUSR1)))
            timer.start()
            try:
                q.get()
            except Stop:
                pass
            thread.join()
            timer.join()
            assert got == ["item"]
    """
    run(source)


def test_items_are_let_go_of() -> None:
    class Item:
        pass

    for cls in (queue.Queue, queue.LifoQueue):
        q: Any = cls()
        item = Item()
        dead = weakref.ref(item)
        q.put(item)
        del item
        assert dead() is not None
        q.get()
        assert dead() is None
        item = Item()
        dead = weakref.ref(item)
        q.put(item)
        item.queue = q  # type: ignore[attr-defined]
        del item, q
        gc.collect()
        assert dead() is None
        q = cls()
        item = Item()
        dead = weakref.ref(item)
        q.put(item)
        del item
        q.shutdown(immediate=True)
        assert dead() is None


def test_opening_counts_no_reference_twice() -> None:
    item = object()
    before = sys.getrefcount(item)
    q: Any = queue.Queue()
    for _ in range(10):
        q.put(item)
    assert len(q.queue) == 10
    del q
    gc.collect()
    assert sys.getrefcount(item) == before


def test_queues_in_queues_in_queues_can_be_dropped() -> None:
    inner: Any = queue.Queue()
    for _ in range(100_000):
        outer: Any = queue.Queue()
        outer.put(inner)
        inner = outer
    del inner, outer


def test_two_threads_may_open_a_queue_at_a_time() -> None:
    for _ in range(50):
        q: Any = queue.Queue()
        for number in range(20):
            q.put(number)
        start = threading.Barrier(3)

        def look(attribute: str, q: Any = q, start: Any = start) -> Any:
            start.wait()
            return getattr(q, attribute)

        looks = [Background(look, name) for name in ("queue", "not_empty", "not_empty")]
        items, one, other = (look.result() for look in looks)
        assert one is other is q.not_empty
        assert items is q.queue and list(items) == list(range(20))


def test_import_starts_nothing() -> None:
    source = """
    import os
    before = set(os.listdir("/proc/self/fd"))
    import carrick.queue
    q = carrick.queue.Queue()
    q.put(1); q.get()
    assert set(os.listdir("/proc/self/fd")) == before
    assert len(os.listdir("/proc/self/task")) == 1
    """
    run(source)


def test_patch_puts_it_in_place() -> None:
    source = """
    import carrick
    carrick.patch()
    import queue
    import carrick.queue
    assert queue is carrick.queue
    assert queue.Queue.__module__ == "queue"
    q = queue.Queue()
    q.put(1)
    assert "mutex" not in vars(q) and q.get() == 1
    """
    run(source)
