# SPDX-License-Identifier: MIT OR Apache-2.0
"""Forks while other threads are in the middle of something: the child can use everything, and nobody waits with the
interpreter in hand. ``CARRICK_FORKS`` is how many children of a busy process there are.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import queue as standard_queue
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import WAIT, Background, asleep, environment, serving

import carrick
from carrick import _patch, _standard, hmac, multiprocessing, queue, socketserver
from carrick.multiprocessing import connection, forkserver

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

FORKS = int(os.environ.get("CARRICK_FORKS", "200"))

LONG = 256 << 20
"""The length of a message that takes long to hash."""


def in_child(work: Callable[[], object]) -> None:
    """Do the work in a child made by fork, which must succeed; one that hangs is killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(int(WAIT) // 2)
            work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {status:#x} (0xe is the signal of its watchdog)"


def run(program: str) -> str:
    """Run a program of its own and return what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    done = subprocess.run(
        command, env=environment(), timeout=WAIT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_message_that_another_thread_hashes_is_the_childs_without_the_addition() -> None:
    with mmap.mmap(-1, LONG) as message:
        mac = hmac.new(b"key", b"before", "sha256")
        adding = Background(mac.update, message)
        asleep(adding)

        def child() -> None:
            mac.update(b"child's")
            assert mac.digest() == hmac.digest(b"key", b"beforechild's", "sha256")

        in_child(child)
        adding.result()
        assert mac.digest() != hmac.digest(b"key", b"before", "sha256")


def test_who_waits_for_a_message_to_be_hashed_lets_others_run() -> None:
    with mmap.mmap(-1, LONG) as message:
        mac = hmac.new(b"key", b"", "sha256")
        adding = Background(mac.update, message)
        asleep(adding)
        other = Background(mac.update, b"after")
        asleep(other)
        assert not adding.done, "this thread had to wait, too"
        other.result()
        adding.result()
        expected = hmac.new(b"key", message, "sha256")
        expected.update(b"after")
        assert mac.digest() == expected.digest()


def test_a_lookup_that_another_thread_is_in_the_middle_of_does_not_stop_a_child() -> None:
    # Of the modules, and of what Rust has looked up once: both are done by the same call.
    out = run(
        """
        import os, signal, sys, threading
        import carrick.hmac as hmac
        from carrick import _patch, _standard

        vars(_standard).pop("hmac", None)
        begun, leave, parent = threading.Event(), threading.Event(), os.getpid()
        import_standard = _patch.import_standard

        def slowly(name):
            if name == "hmac" and os.getpid() == parent:
                begun.set()
                leave.wait()
            return import_standard(name)

        _patch.import_standard = slowly
        work = lambda: hmac.new(b"key", b"message", "sha224").hexdigest()
        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            work()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        leave.set()
        thread.join()
        print(status)
        """
    )
    assert out == "0\n"


def test_a_child_starts_a_fork_server_whoever_was_starting_one() -> None:
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with forkserver._forkserver._lock:
            held.set()
            leave.wait()

    holder = Background(hold)
    held.wait()
    try:
        in_child(lambda: forkserver._forkserver._lock.acquire(timeout=WAIT / 4) or os._exit(2))
    finally:
        leave.set()
        holder.result()


def test_a_child_imports_for_itself_whatever_other_threads_were_importing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finder = _patch._Finder()
    monkeypatch.setattr(_patch, "_finder", finder)
    mine, another = ("queue", threading.get_ident()), ("queue", threading.get_ident() + 1)
    finder.standard.update({mine, another})
    _standard._importing.setdefault("queue", threading.RLock())  # type: ignore[arg-type]

    def child() -> None:
        assert finder.standard == {mine}
        assert not _standard._importing

    in_child(child)
    assert finder.standard == {mine, another}


def test_a_fork_handler_that_was_there_before_carrick_can_use_its_queues() -> None:
    out = run(
        """
        import os, signal, threading

        def in_child():
            signal.alarm(20)
            q.put("put")
            assert q.get() == "put"
            os._exit(0)

        os.register_at_fork(after_in_child=in_child)
        import carrick.queue

        q = carrick.queue.Queue()
        held, leave = threading.Event(), threading.Event()

        def hold():
            with q.mutex:
                held.set()
                leave.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        print(os.waitpid(child, 0)[1])
        leave.set()
        thread.join()
        """
    )
    assert out == "0\n"


def test_a_child_and_its_parent_authenticate_each_other() -> None:
    # The challenges of a process are known to itself, and refused when they come back; a parent's are not its child's.
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            signal.alarm(int(WAIT) // 2)
            connection.answer_challenge(theirs, b"key")
            connection.deliver_challenge(theirs, b"key")
            os._exit(0)
        connection.deliver_challenge(ours, b"key")
        connection.answer_challenge(ours, b"key")
        assert os.waitpid(child, 0)[1] == 0


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(100))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Everything:
    """The work of a program, each part again and again in threads of the parent and once in every child."""

    def __init__(self, address: Any, messages: Any) -> None:
        self.address = address
        self.messages = messages
        self.shared: Any = multiprocessing.Queue()
        self.lock = multiprocessing.Lock()
        self.threads: Any = queue.Queue()
        self.steps = [
            self.handshake,
            self.process_queue,
            self.locks,
            self.condition,
            self.thread_queue,
            self.hmac,
            self.server,
            self.message_server,
        ]

    def handshake(self) -> None:
        with connection.Listener(("127.0.0.1", 0), authkey=b"key") as listener:
            client = Background(connection.Client, listener.address, None, b"key")
            with listener.accept() as accepted, client.result() as own:
                own.send("hello")
                assert accepted.recv() == "hello"

    def process_queue(self) -> None:
        own: Any = multiprocessing.SimpleQueue()
        own.put("item")
        assert own.get() == "item"
        own.close()
        self.shared.put("item")
        assert self.shared.get() == "item"

    def locks(self) -> None:
        with self.lock, multiprocessing.RLock(), multiprocessing.Semaphore(1):
            pass

    def condition(self) -> None:
        condition: Any = multiprocessing.Condition()
        event: Any = multiprocessing.Event()

        def wait() -> None:
            with condition:
                event.set()
                assert condition.wait(WAIT)

        waiting = Background(wait)
        assert event.wait(WAIT)
        with condition:
            condition.notify()
        waiting.result()

    def thread_queue(self) -> None:
        own: Any = queue.Queue(1)
        getter = Background(own.get)
        own.put("item")
        assert getter.result() == "item"
        assert own.mutex is not None
        own.put("opened")
        with contextlib.suppress(standard_queue.Empty):
            self.threads.put("item")
            self.threads.get_nowait()

    def hmac(self) -> None:
        mac = hmac.new(b"key", b"message", "sha256")
        mac.update(bytes(10_000))
        mac.hexdigest()

    def server(self) -> None:
        with carrick.socket.create_connection(self.address, WAIT) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"

    def message_server(self) -> None:
        with connection.Client(self.messages) as client:
            client.send_bytes(b"hello")
            assert client.recv_bytes() == b"hello"


def end() -> None:
    os._exit(0)


def test_children_of_a_busy_process_can_use_everything() -> None:
    messages = carrick.MessageServer(("127.0.0.1", 0), lambda request: request.body)
    stop = threading.Event()

    def again_and_again(step: Callable[[], None]) -> None:
        while not stop.is_set():
            step()

    def start_processes() -> None:
        process = multiprocessing.get_context("fork").Process(target=end)
        process.start()
        process.join()
        assert process.exitcode == 0
        process.close()

    with serving(Server(("127.0.0.1", 0), Echo)) as server:
        serve_messages = Background(messages.serve_forever)
        everything = Everything(server.server_address, messages.address)
        for step in everything.steps:
            # Imports done later, such as that of the codec of host names: CPython leaves a module's lock taken in a
            # child that is forked during another thread's import.
            step()
        busy = [Background(again_and_again, step) for step in [*everything.steps, start_processes]]
        current = multiprocessing.Value("i", lock=False)
        try:
            for _ in range(FORKS):

                def child() -> None:
                    for number, step in enumerate(everything.steps):
                        current.value = number
                        step()

                try:
                    in_child(child)
                except AssertionError as error:
                    step = everything.steps[current.value]
                    raise AssertionError(f"{step.__name__}: {error}") from None
        finally:
            stop.set()
            for thread in busy:
                thread.result()
            messages.shutdown()
            serve_messages.result()
            everything.shared.close()
