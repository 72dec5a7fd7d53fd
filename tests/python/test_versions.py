# SPDX-License-Identifier: MIT OR Apache-2.0
"""Differences between releases of CPython are there, or are not, as in the standard library of the one that runs.

docs/versions.md has the table, and names these tests.
"""

from __future__ import annotations

import inspect
import logging
import logging.config
import multiprocessing as standard
import os
import re
import socket
import socketserver as standard_socketserver
import subprocess
import sys
import textwrap
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, WAIT, environment, run

import carrick.multiprocessing as ours
import carrick.queue
import carrick.socketserver

METHODS = ("fork", "spawn", "forkserver")
KINDS: dict[str, tuple[Any, ...]] = {
    "Lock": (),
    "RLock": (),
    "Semaphore": (2,),
    "BoundedSemaphore": (2,),
    "Condition": (),
    "Event": (),
    "Barrier": (2,),
    "Queue": (),
    "JoinableQueue": (),
    "SimpleQueue": (),
    "Process": (),
}


def script(folder: Path, source: str, *arguments: str) -> str:
    """The output of a script whose main module its children can import; it must complain of nothing."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(source), "utf-8")
    command = [sys.executable, str(path), *arguments]
    done = subprocess.run(
        command, env=environment(), cwd=folder, capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_an_object_has_every_public_name_that_this_release_gives_it(method: str, kind: str) -> None:
    mine = getattr(ours.get_context(method), kind)(*KINDS[kind])
    its = getattr(standard.get_context(method), kind)(*KINDS[kind])
    assert [name for name in dir(its) if not name.startswith("_") and name not in dir(mine)] == []


@pytest.mark.skipif(sys.version_info < (3, 14), reason="locked() of these is new in 3.14")
@pytest.mark.parametrize("method", METHODS)
def test_locks_of_every_kind_say_whether_they_are_locked(method: str) -> None:
    context = ours.get_context(method)
    for lock in (context.Lock(), context.RLock(), context.Semaphore(1), context.BoundedSemaphore(1)):
        assert not lock.locked()
        with lock:
            assert lock.locked()
        assert not lock.locked()
    condition = context.Condition()
    assert hasattr(condition, "locked") == hasattr(standard.get_context(method).Condition(), "locked")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Process.interrupt is new in 3.14")
@pytest.mark.parametrize("method", METHODS)
def test_interrupt_sends_a_process_what_ctrl_c_does(method: str, tmp_path: Path) -> None:
    source = """
        import os, sys, time
        import carrick.multiprocessing as multiprocessing

        def work(connection):
            try:
                connection.send("at work")
                while True:
                    time.sleep(60)
            except KeyboardInterrupt:
                connection.send("interrupted")

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            reading, writing = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(writing,))
            process.start()
            print(reading.recv())
            process.interrupt()
            print(reading.recv())
            process.join()
            print(process.exitcode)
        """
    assert script(tmp_path, source, method).splitlines() == ["at work", "interrupted", "0"]


def test_the_default_start_method_is_that_of_this_release() -> None:
    wanted = standard.get_context().get_start_method()
    assert ours.get_context().get_start_method() == wanted
    assert ours.get_all_start_methods() == standard.get_all_start_methods()
    assert type(ours.get_context()).__name__ == type(standard.get_context()).__name__
    if sys.version_info < (3, 14):
        assert wanted == "fork"
    else:
        assert wanted == ours.get_all_start_methods()[0] and wanted != "fork"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before, the default is fork, which needs no folder")
def test_where_no_temporary_folder_can_be_written_the_default_is_spawn(tmp_path: Path) -> None:
    source = """
        import multiprocessing.util
        multiprocessing.util._has_writeable_tempdir = lambda: False
        import carrick.multiprocessing as multiprocessing

        def work(queue):
            queue.put(multiprocessing.get_context().get_start_method())

        if __name__ == "__main__":
            queue = multiprocessing.Queue()
            process = multiprocessing.Process(target=work, args=(queue,))
            process.start()
            print(multiprocessing.get_start_method(), type(process._popen).method, queue.get())
            process.join()
        """
    assert script(tmp_path, source) == "spawn spawn spawn\n"


def double(number: int) -> int:
    return 2 * number


def test_pools_take_the_arguments_that_this_release_knows() -> None:
    from multiprocessing.pool import Pool

    with ours.get_context("fork").Pool(1) as pool:
        for name in ("apply", "map", "starmap", "imap", "imap_unordered", "map_async"):
            assert inspect.signature(getattr(type(pool), name)) == inspect.signature(getattr(Pool, name))
        # No release makes that an error.
        assert pool.map(double, [1, 2], chunksize=0) == [None, None]
        assert list(pool.imap(double, [1, 2])) == [2, 4]
        if "buffersize" not in inspect.signature(Pool.imap).parameters:
            with pytest.raises(TypeError):
                pool.imap(double, [1], buffersize=1)
        pool.close()
        pool.join()


# The executor hangs on 3.11.7 and 3.13.0, on stock as well.
@pytest.mark.skipif(sys.version_info < (3, 14), reason="managers have sets since 3.14")
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_managers_have_sets_and_executors_renew_their_workers(method: str, tmp_path: Path) -> None:
    source = """
        import os, sys
        from concurrent.futures import ProcessPoolExecutor
        import carrick.multiprocessing as multiprocessing

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            with context.Manager() as manager:
                numbers = manager.set([1, 2])
                numbers.add(3)
                assert 3 in numbers and len(numbers) == 3 and numbers.union([4]) == {1, 2, 3, 4}
            with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as executor:
                print(len({executor.submit(os.getpid).result() for _ in range(3)}))
        """
    assert script(tmp_path, source, method) == "3\n"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="InterpreterPoolExecutor is new in 3.14")
def test_a_queue_for_another_interpreter_is_refused_as_on_stock() -> None:
    def refusal(package: Any) -> list[str]:
        with futures.InterpreterPoolExecutor(1) as executor:  # type: ignore[attr-defined]
            try:
                executor.submit(len, package.get_context("fork").Queue()).result(WAIT)
            except Exception as error:
                return [type(error).__module__, type(error).__name__]
        raise AssertionError("a queue went to another interpreter")

    assert refusal(ours) == refusal(standard)


@pytest.mark.parametrize("place", ["address", "path"])
@pytest.mark.parametrize("name", ["TCPServer", "UnixStreamServer", "UDPServer", "UnixDatagramServer"])
def test_servers_are_set_up_as_this_release_does(name: str, place: str, scratch: Path) -> None:
    unix = name.startswith("Unix")
    if unix != (place == "path"):
        return

    def outcome(module: Any, file: str) -> Any:
        class Server(getattr(module, name)):  # type: ignore[misc]
            allow_reuse_port = True

        address: Any = os.fspath(scratch / file) if unix else ("127.0.0.1", 0)
        try:
            server = Server(address, module.BaseRequestHandler)
        except OSError as error:
            return type(error), error.errno
        with server:
            found = (
                server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT),
                Server.request_queue_size,
            )
        if unix:
            os.unlink(address)
        return found

    mine, its = outcome(carrick.socketserver, "a"), outcome(standard_socketserver, "b")
    for left in scratch.iterdir():
        left.unlink()
    assert mine == its


def test_the_module_queue_can_shut_down_on_every_release() -> None:
    queue: carrick.queue.Queue[int] = carrick.queue.Queue()
    queue.put(1)
    queue.shutdown()
    assert queue.get() == 1
    with pytest.raises(carrick.queue.ShutDown):
        queue.get()
    if sys.version_info >= (3, 13):
        import queue as module

        assert carrick.queue.ShutDown is module.ShutDown


def test_the_c_code_of_queue_can_be_barred_under_the_patch() -> None:
    source = """
        import sys
        import carrick
        carrick.patch()
        sys.modules["_queue"] = None
        import queue
        assert queue.SimpleQueue is queue._PySimpleQueue and queue.__name__ == "queue"
        assert queue.__file__ != carrick.__file__
        plain = sys.modules.pop("queue")
        del sys.modules["_queue"]
        import queue, _queue
        assert queue is not plain and queue is carrick.queue
        assert queue.SimpleQueue is _queue.SimpleQueue
        """
    assert run(source) == ""


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_logging_configurations_take_the_queues_that_they_take_on_stock(kind: str) -> None:
    def outcome(package: Any) -> Any:
        queue = getattr(package, kind)()
        handler = {"class": "logging.handlers.QueueHandler", "queue": queue}
        logger = logging.getLogger("carrick.versions")
        own = {"handlers": ["queue"], "level": "INFO", "propagate": False}
        config = {"version": 1, "disable_existing_loggers": False, "handlers": {"queue": handler}}
        try:
            logging.config.dictConfig({**config, "loggers": {logger.name: own}})
        except ValueError as error:
            return type(error), type(error.__cause__)
        else:
            logger.info("word")
            # A SimpleQueue has no put_nowait, which the handler calls.
            return None if kind == "SimpleQueue" else queue.get(timeout=WAIT).getMessage()
        finally:
            for one in logger.handlers[:]:
                logger.removeHandler(one)
                one.close()
            queue.close()
            if kind != "SimpleQueue":
                queue.join_thread()

    assert outcome(ours) == outcome(standard)


@pytest.mark.parametrize("threads", ["none", "Python's", "another's"])
def test_a_fork_beside_threads_is_warned_of_as_on_stock(threads: str) -> None:
    source = """
        import faulthandler, sys, threading, warnings
        import PACKAGE as multiprocessing

        def work():
            pass

        go_on = threading.Event()
        if sys.argv[1] == "Python's":
            threading.Thread(target=go_on.wait).start()
        elif sys.argv[1] == "another's":
            faulthandler.dump_traceback_later(300)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            process = multiprocessing.get_context("fork").Process(target=work)
            process.start()
        go_on.set()
        process.join()
        faulthandler.cancel_dump_traceback_later()
        print([(one.category.__name__, "multi-threaded" in str(one.message)) for one in seen], process.exitcode)
        """
    mine, its = (
        run(source.replace("PACKAGE", package), threads)
        for package in ("carrick.multiprocessing", "multiprocessing")
    )
    assert mine == its
    assert ("DeprecationWarning" in mine) is (threads != "none" and sys.version_info >= (3, 12))


def test_a_warning_of_threads_made_an_error_is_raised_as_on_stock() -> None:
    source = """
        import os, threading, warnings
        import PACKAGE as multiprocessing

        def work():
            os._exit(7)

        go_on = threading.Event()
        threading.Thread(target=go_on.wait).start()
        process = multiprocessing.get_context("fork").Process(target=work)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                process.start()
            process.join()
            print("started", process.exitcode)
        except DeprecationWarning:
            print("raised", os.waitstatus_to_exitcode(os.wait()[1]))
        go_on.set()
        """
    mine, its = (
        run(source.replace("PACKAGE", package)) for package in ("carrick.multiprocessing", "multiprocessing")
    )
    assert mine == its == ("raised 7\n" if sys.version_info >= (3, 15) else "started 7\n")


def test_every_row_of_the_page_of_versions_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "versions.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| subject")]
    assert len(rows) >= 20
    assert [row for row in rows if "::" not in row and "`tests/c" not in row] == []
    missing = []
    for file, name in re.findall(r"`(\w+\.py)::(\w+)`", page):
        text = (ROOT / "tests" / "python" / file).read_text("utf-8")
        if f"def {name}(" not in text:
            missing.append(f"{file}::{name}")
    assert missing == []
    known = (ROOT / "tests" / "conformance" / "stock").glob("*.json")
    assert {"3.11", "3.12", "3.13", "3.14", "3.15"} <= {
        ".".join(path.name.split("-")[1].split(".")[:2]) for path in known
    }
