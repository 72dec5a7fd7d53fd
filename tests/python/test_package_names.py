# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.multiprocessing without a patch: whatever its names make is carrick's inside, by whichever way they are reached."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing as standard
import os
import queue
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from parts import hold_and_die, stock_parts, stock_parts_of_this_server
from support import WAIT

import carrick
import carrick.multiprocessing as multiprocessing

WAYS: dict[str, Callable[[], Any]] = {
    "module": lambda: multiprocessing,
    "default": multiprocessing.get_context,
    "fork": lambda: multiprocessing.get_context("fork"),
    "spawn": lambda: multiprocessing.get_context("spawn"),
    "forkserver": lambda: multiprocessing.get_context("forkserver"),
    "context of a context": lambda: multiprocessing.get_context("fork").get_context("spawn"),
    "submodule context": lambda: multiprocessing.context.get_context("fork"),
}

MAKERS: dict[str, Callable[[Any], Any]] = {
    "Array": lambda way: way.Array("i", 3),
    "Barrier": lambda way: way.Barrier(2),
    "BoundedSemaphore": lambda way: way.BoundedSemaphore(),
    "Condition": lambda way: way.Condition(),
    "Event": lambda way: way.Event(),
    "JoinableQueue": lambda way: way.JoinableQueue(),
    "Lock": lambda way: way.Lock(),
    "Manager": lambda way: way.Manager(),
    "Pipe": lambda way: way.Pipe(),
    "Pool": lambda way: way.Pool(1),
    "Process": lambda way: way.Process(target=len, args=((),)),
    "Queue": lambda way: way.Queue(),
    "RLock": lambda way: way.RLock(),
    "RawArray": lambda way: way.RawArray("i", 3),
    "RawValue": lambda way: way.RawValue("i"),
    "Semaphore": lambda way: way.Semaphore(),
    "SimpleQueue": lambda way: way.SimpleQueue(),
    "Value": lambda way: way.Value("i"),
    "get_context": lambda way: way.get_context(),
}

SAME = {
    "AuthenticationError",
    "BufferTooShort",
    "ProcessError",
    "TimeoutError",
    "active_children",
    "cpu_count",
    "current_process",
    "freeze_support",
    "get_all_start_methods",
    "get_logger",
    "get_start_method",
    "log_to_stderr",
    "parent_process",
    "reducer",
    "set_executable",
    "set_start_method",
}
"""The functions that make nothing: each does what the standard library's does, to the same state."""

OTHERS = {"allow_connection_pickling", "set_forkserver_preload"}

SUBMODULES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "connection": {
        "Client": lambda module: _connected(module),
        "Listener": lambda module: module.Listener(),
        "Pipe": lambda module: module.Pipe(),
        "wait": lambda module: module.wait([], 0),
    },
    "dummy": {
        "Barrier": lambda module: module.Barrier(2),
        "BoundedSemaphore": lambda module: module.BoundedSemaphore(),
        "Condition": lambda module: module.Condition(),
        "Event": lambda module: module.Event(),
        "JoinableQueue": lambda module: module.JoinableQueue(),
        "Lock": lambda module: module.Lock(),
        "Manager": lambda module: (module.Manager().Queue(), module.Manager().dict()),
        "Pipe": lambda module: module.Pipe(),
        "Pool": lambda module: module.Pool(1),
        "Process": lambda module: module.Process(target=len, args=((),)),
        "Queue": lambda module: module.Queue(),
        "RLock": lambda module: module.RLock(),
        "Semaphore": lambda module: module.Semaphore(),
        "active_children": lambda module: module.active_children(),
        "current_process": lambda module: None,
        "freeze_support": lambda module: module.freeze_support(),
    },
    "managers": {
        "BaseManager": lambda module: module.BaseManager(),
        "BaseProxy": lambda module: _proxies(module),
        "SharedMemoryManager": lambda module: _shared(module),
        "SyncManager": lambda module: module.SyncManager(),
        "Token": lambda module: module.Token("list", "", ""),
    },
    "pool": {
        "Pool": lambda module: module.Pool(1),
        "ThreadPool": lambda module: module.ThreadPool(1),
    },
    "queues": {
        "JoinableQueue": lambda module: module.JoinableQueue(ctx=multiprocessing.get_context()),
        "Queue": lambda module: module.Queue(ctx=multiprocessing.get_context()),
        "SimpleQueue": lambda module: module.SimpleQueue(ctx=multiprocessing.get_context()),
    },
    "shared_memory": {
        "ShareableList": lambda module: module.ShareableList([1]),
        "SharedMemory": lambda module: module.SharedMemory(create=True, size=1),
    },
    "sharedctypes": {
        "Array": lambda module: module.Array("i", 3),
        "RawArray": lambda module: module.RawArray("i", 3),
        "RawValue": lambda module: module.RawValue("i"),
        "Value": lambda module: module.Value("i"),
        "copy": lambda module: module.copy(module.RawValue("i")),
        "synchronized": lambda module: module.synchronized(
            ctypes.c_int(1), multiprocessing.get_context().RLock()
        ),
    },
    "synchronize": {
        "Barrier": lambda module: module.Barrier(2, ctx=multiprocessing.get_context()),
        "BoundedSemaphore": lambda module: module.BoundedSemaphore(ctx=multiprocessing.get_context()),
        "Condition": lambda module: module.Condition(ctx=multiprocessing.get_context()),
        "Event": lambda module: module.Event(ctx=multiprocessing.get_context()),
        "Lock": lambda module: module.Lock(ctx=multiprocessing.get_context()),
        "RLock": lambda module: module.RLock(ctx=multiprocessing.get_context()),
        "Semaphore": lambda module: module.Semaphore(ctx=multiprocessing.get_context()),
    },
}


class ManagerThatLooks(multiprocessing.managers.SyncManager):  # type: ignore[misc, name-defined]
    """A manager that can look at itself in its process."""


ManagerThatLooks.register("look", stock_parts_of_this_server)


def _connected(module: Any) -> Any:
    with module.Listener() as listener:
        client = module.Client(listener.address)
        with listener.accept():
            return client


def _proxies(module: Any) -> Any:
    class Manager(module.SyncManager):  # type: ignore[misc]
        pass

    Manager.register("automatic", dict)
    with Manager(ctx=multiprocessing.get_context("fork")) as manager:
        made = [manager.list(), manager.dict(), manager.Namespace(), manager.automatic(), manager.Queue()]
        nested = manager.list([made[0]])
        assert all(isinstance(proxy, module.BaseProxy) for proxy in [*made, nested[0]])
        return [*made, nested, nested[0]]


def _shared(module: Any) -> Any:
    with module.SharedMemoryManager(ctx=multiprocessing.get_context("fork")) as manager:
        return manager, manager.SharedMemory(1), manager.ShareableList([1])


@contextlib.contextmanager
def used(made: Any) -> Iterator[Any]:
    """The object in the middle of its life; it is ended afterwards."""
    if hasattr(made, "exitcode") or (hasattr(made, "connect") and getattr(made, "_process", None) is None):
        made.start()
    try:
        yield made
    finally:
        for one in made if isinstance(made, tuple) else (made,):
            _end(one)


def _end(one: Any) -> None:
    memory = getattr(one, "shm", one)
    if hasattr(one, "apply_async"):
        one.terminate()
    if hasattr(one, "shutdown") and hasattr(one, "connect"):
        one.shutdown()
    elif hasattr(memory, "unlink"):
        memory.close()
        with contextlib.suppress(FileNotFoundError):
            memory.unlink()
    else:
        for end in ("join", "close"):
            if hasattr(one, end) and not hasattr(one, "task_done"):
                getattr(one, end)()


def test_every_public_name_is_looked_at() -> None:
    assert set(multiprocessing.__all__) == set(standard.__all__) == {*MAKERS, *SAME, *OTHERS}
    for name, makers in SUBMODULES.items():
        module = getattr(multiprocessing, name)
        assert module.__name__ == f"carrick.multiprocessing.{name}"
        assert set(getattr(module, "__all__", makers)) <= set(makers), name


@pytest.mark.parametrize("way", WAYS)
def test_what_a_name_makes_is_carricks_inside(way: str) -> None:
    found = {}
    for name, make in MAKERS.items():
        with used(make(WAYS[way]())) as made:
            found[name] = stock_parts(made)
    assert not any(found.values()), found


@pytest.mark.parametrize("module", SUBMODULES)
def test_what_a_name_of_a_submodule_makes_is_carricks_inside(module: str) -> None:
    found = {}
    for name, make in SUBMODULES[module].items():
        with used(make(getattr(multiprocessing, module))) as made:
            found[name] = stock_parts(made)
    assert not any(found.values()), found


def test_a_name_that_makes_nothing_is_the_standard_one() -> None:
    for name in SAME:
        ours, theirs = getattr(multiprocessing, name), getattr(standard, name)
        assert ours == theirs or ours.__func__ is theirs.__func__, name


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_a_manager_makes_in_its_process_is_carricks(method: str) -> None:
    with ManagerThatLooks(ctx=multiprocessing.get_context(method)) as manager:
        kept = [manager.Queue(), manager.JoinableQueue(3), manager.Pool(1), manager.list(), manager.Lock()]
        assert manager.look()._getvalue() == []
        kept[0].put("item")
        assert kept[0].get() == "item"
        assert kept[2].apply(len, ("four",)) == 4
        kept[2].terminate()
        with pytest.raises(queue.Empty):
            kept[1].get_nowait()


def test_standard_and_our_managers_understand_each_other() -> None:
    context = multiprocessing.get_context("fork")
    for server, client in (
        (multiprocessing.managers, standard.managers),
        (standard.managers, multiprocessing.managers),
    ):

        class Manager(server.SyncManager):  # type: ignore[misc, name-defined]
            pass

        class Remote(client.BaseManager):  # type: ignore[misc, name-defined]
            pass

        shared = {"a": 1}
        Manager.register("shared", lambda shared=shared: shared, proxytype=server.DictProxy)
        Remote.register("shared", proxytype=client.DictProxy)
        with Manager(authkey=b"key", ctx=context) as manager:
            remote = Remote(manager.address, b"key")
            remote.connect()
            assert remote.shared().items() == [("a", 1)]


def test_an_instance_of_ours_is_one_of_the_standard_library() -> None:
    ours = carrick.multiprocessing
    for name in (
        "BaseManager",
        "SyncManager",
        "BaseProxy",
        "ListProxy",
        "DictProxy",
        "SharedMemoryManager",
        "Server",
    ):
        assert issubclass(getattr(ours.managers, name), getattr(standard.managers, name))
        assert getattr(ours.managers, name) is not getattr(standard.managers, name)
    assert issubclass(ours.managers.ListProxy, ours.managers.BaseProxy)
    assert issubclass(ours.pool.Pool, standard.pool.Pool)
    assert issubclass(ours.pool.ThreadPool, (standard.pool.ThreadPool)) and issubclass(
        ours.pool.ThreadPool, ours.pool.Pool
    )
    assert isinstance(ours.get_context("fork"), standard.context.BaseContext)


@pytest.mark.parametrize("way", ["module", "fork", "spawn", "forkserver"])
def test_a_killed_holder_of_a_shared_values_lock_blocks_nobody(way: str) -> None:
    value = WAYS[way]().Value("i")
    ours, theirs = multiprocessing.Pipe()
    context = WAYS[way]()
    child = context.Process(target=hold_and_die, args=(value, theirs))
    child.start()
    assert ours.recv() == "held"
    os.kill(child.pid, signal.SIGKILL)
    child.join(WAIT)
    with pytest.warns(carrick.OwnerDiedWarning):
        assert value.get_lock().acquire(timeout=WAIT)
    value.get_lock().release()
    ours.close()
    theirs.close()
