# SPDX-License-Identifier: MIT OR Apache-2.0
"""Programs that stand on the package: executors, a loader of data, pools, shared values."""

from __future__ import annotations

import concurrent.futures
import multiprocessing as standard
import os
import signal
from typing import Any

import pytest
from support import WAIT

import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import shared_memory
from carrick.multiprocessing.connection import wait

METHODS = ("fork", "spawn", "forkserver")
pytestmark = pytest.mark.parametrize("method", METHODS)


def square(number: int) -> int:
    return number * number


def test_an_executor_takes_our_context(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        assert list(executor.map(square, range(100), chunksize=7)) == [n * n for n in range(100)]


def die(_number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_executor_hears_of_a_killed_worker(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    with (
        concurrent.futures.ProcessPoolExecutor(2, mp_context=ctx) as executor,
        pytest.raises(concurrent.futures.process.BrokenProcessPool),
    ):
        executor.submit(die, 1).result(WAIT)


def test_a_pool_maps(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    with ctx.Pool(2) as pool:
        assert pool.map(square, range(50)) == [n * n for n in range(50)]
        assert sorted(pool.imap_unordered(square, range(20))) == [n * n for n in range(20)]


def load(indices: Any, batches: Any, doomed: int) -> None:
    for index in iter(indices.get, None):
        if index == doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        batches.put((index, bytes([index]) * 100_000))


class Loader:
    """Workers with a queue of indices and one of batches each, as a loader of training data has them."""

    def __init__(self, method: str, doomed: int) -> None:
        self._ctx = multiprocessing.get_context(method)
        self._workers = [self._start(doomed if n == 0 else -1) for n in range(2)]

    def _start(self, doomed: int) -> tuple[Any, Any, Any]:
        indices, batches = self._ctx.Queue(), self._ctx.Queue(2)
        worker = self._ctx.Process(target=load, args=(indices, batches, doomed), daemon=True)
        worker.start()
        return worker, indices, batches

    def run(self, count: int) -> dict[int, bytes]:
        """All batches; a worker that dies is replaced and what it had is loaded again."""
        given: dict[int, list[int]] = {n: list(range(n, count, 2)) for n in range(2)}
        for n, (_, indices, _) in enumerate(self._workers):
            indices.put_many(given[n])
        loaded: dict[int, bytes] = {}
        while len(loaded) < count:
            places = {worker[2]._reader: n for n, worker in enumerate(self._workers)}
            sentinels = {worker[0].sentinel: n for n, worker in enumerate(self._workers)}
            ready = wait([*places, *sentinels], WAIT)
            assert ready
            for one in ready:
                if one in places:
                    index, batch = self._workers[places[one]][2].get()
                    assert index not in loaded
                    loaded[index] = batch
            for one in ready:
                if one in sentinels and one not in places:
                    self._replace(sentinels[one], given, loaded)
        for worker, indices, _ in self._workers:
            indices.put(None)
            worker.join()
            assert worker.exitcode == 0
        return loaded

    def _replace(self, n: int, given: dict[int, list[int]], loaded: dict[int, bytes]) -> None:
        worker, _, batches = self._workers[n]
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        # The items that it had put are there though it is dead.
        while not batches.empty():
            index, batch = batches.get()
            loaded[index] = batch
        self._workers[n] = self._start(-1)
        self._workers[n][1].put_many(index for index in given[n] if index not in loaded)


def test_a_loader_replaces_a_worker_that_is_killed(method: str) -> None:
    loaded = Loader(method, doomed=10).run(20)
    assert loaded == {index: bytes([index]) * 100_000 for index in range(20)}


def add(value: Any, array: Any, times: int) -> None:
    for _ in range(times):
        with value.get_lock():
            value.value += 1
        with array.get_lock():
            array[0] += 1


def test_shared_values_have_our_locks(method: str) -> None:
    ctx = multiprocessing.get_context(method)
    value, array = ctx.Value("i", 0), ctx.Array("i", 3)
    assert type(value.get_lock()).__module__ == "carrick.multiprocessing.synchronize"
    assert isinstance(value.get_lock(), standard.synchronize.RLock)
    children = [ctx.Process(target=add, args=(value, array, 500)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert (value.value, list(array)) == (1000, [1000, 0, 0])


def fill(name: str) -> None:
    memory = shared_memory.SharedMemory(name)
    memory.buf[:5] = b"hello"
    memory.close()


def test_shared_memory_by_name(method: str) -> None:
    memory = shared_memory.SharedMemory(create=True, size=100)
    try:
        child = multiprocessing.get_context(method).Process(target=fill, args=(memory.name,))
        child.start()
        child.join()
        assert bytes(memory.buf[:5]) == b"hello"
    finally:
        memory.close()
        memory.unlink()
