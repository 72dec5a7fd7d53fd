# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packages such as gevent exchange classes of queue and threading: carrick is imported before that or after it."""

from __future__ import annotations

import pytest
from support import run

CHANGE = """
import sys, threading, queue

real, taken = threading.Lock, []

class Lock:
    "Stands in for a lock that lets other coroutines run."

    def __init__(self):
        self._lock = real()

    def acquire(self, blocking=True, timeout=-1):
        taken.append(self)
        return self._lock.acquire(blocking, timeout)

    def release(self):
        self._lock.release()

    def locked(self):
        return self._lock.locked()

    __enter__ = acquire

    def __exit__(self, *error):
        self.release()

class Foreign(bytearray):
    "No class of ours could have it for a base, and none of its methods takes what is no bytearray."

    def _forbidden(self, *arguments, **options):
        bytearray.append(self, 1)

    put = get = qsize = empty = full = join = task_done = _forbidden

def change():
    for kind in (Lock, Foreign):
        kind.__module__ = "cooperative"
    threading.Lock = threading._allocate_lock = Lock
    names = ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")
    for name in names:
        setattr(sys.modules["queue"], name, type(name, (Foreign,), {"__module__": "cooperative"}))
"""

USE = """
class Counting(queue.Queue):
    puts = 0

    def _put(self, item):
        self.puts += 1
        super()._put(item)

def use(cls, items, back):
    waiting = cls(1)
    assert isinstance(waiting.mutex, Lock) and waiting.not_empty._lock is waiting.mutex
    seen = len(taken)
    results = cls()
    thread = threading.Thread(target=lambda: [results.put(waiting.get()) for _ in items])
    thread.start()
    for item in items:
        waiting.put(item)
    thread.join()
    assert [results.get() for _ in items] == back, cls
    assert len(taken) > seen
    assert results.empty() and not results.full() and results.qsize() == 0
    for call, error in ((results.get_nowait, queue.Empty), (lambda: [cls(1).put(1, False) for _ in "a"], None)):
        try:
            call()
        except Exception as raised:
            assert type(raised) is error
        else:
            assert error is None
    for _ in items:
        results.task_done()
    results.join()
    results.shutdown() if hasattr(sys.modules["_queue"], "ShutDown") else None
    return results

use(queue.Queue, [3, 1, 2], [3, 1, 2])
use(queue.LifoQueue, [3, 1, 2], [2, 1, 3])
use(queue.PriorityQueue, [3, 1, 2], [1, 2, 3])
assert use(Counting, [3, 1, 2], [3, 1, 2]).puts == 3
assert queue.SimpleQueue.__module__ == "cooperative"
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_queues_wait_in_the_locks_that_the_program_has_whichever_was_imported_first(order: str) -> None:
    steps = ["change()\n", "import carrick.queue as queue\n"]
    run(CHANGE + "".join(steps if order == "before" else reversed(steps)) + USE)


def test_a_patch_after_the_change_gives_queues_of_ours() -> None:
    run(
        CHANGE
        + "change()\nimport carrick\ncarrick.patch()\nimport queue\nassert queue.__name__ == 'carrick.queue'\n"
        + USE
    )


def test_a_change_after_the_patch_has_the_last_word() -> None:
    run(
        CHANGE
        + "import carrick\ncarrick.patch()\nimport queue\nchange()\n"
        + "assert queue.Queue.__module__ == 'cooperative' and queue.SimpleQueue.__module__ == 'cooperative'\n"
        + "import carrick.queue\nassert carrick.queue is queue\n"
    )


def test_without_a_change_a_queue_keeps_its_items_in_rust() -> None:
    run(
        """
        import carrick.queue
        made = carrick.queue.Queue()
        made.put(1)
        assert "mutex" not in vars(made) and "queue" not in vars(made) and made.get() == 1
        """
    )


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_server_polls_by_the_selector_that_is_left(order: str) -> None:
    run(
        """
        import selectors, socket, sys, threading

        used = []

        class Selector(selectors.SelectSelector):
            def register(self, *arguments):
                used.append(arguments)
                return super().register(*arguments)

        def change():
            # As eventlet leaves the module.
            for name in ("PollSelector", "EpollSelector", "DevpollSelector", "KqueueSelector"):
                vars(selectors).pop(name, None)
            selectors.SelectSelector = selectors.DefaultSelector = Selector

        if sys.argv[1] == "before":
            change()
        import carrick.socketserver as socketserver
        if sys.argv[1] == "after":
            change()

        class Server(socketserver.TCPServer):
            def _handle_request_noblock(self):
                super()._handle_request_noblock()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(self.rfile.readline().upper())

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            with socket.create_connection(server.server_address) as client:
                client.sendall(b"ahoy\\n")
                assert client.makefile("rb").readline() == b"AHOY\\n"
            server.shutdown()
            thread.join()
        assert used
        """,
        order,
    )
