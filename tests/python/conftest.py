# SPDX-License-Identifier: MIT OR Apache-2.0
"""The rules for every test of the Python face: a watchdog, and nothing left behind."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrick import multiprocessing, queue
from carrick.multiprocessing import connection

WATCHDOG = int(os.environ.get("CARRICK_WATCHDOG", "60"))
"""Seconds until a test that hangs is shot, with the stacks of all its threads."""

SETTLING = 10.0
"""Seconds in which what a test has ended must be gone from the kernel's tables."""


_standard_error = 2


def pytest_configure(config: pytest.Config) -> None:
    """Make this process one that can be tested in.

    From 3.15 on os.fork raises a warning of threads that has been made an error, and the watchdog's is one.
    """
    global _standard_error
    # During a test pytest has a file of its own there, and what is written into it is lost when the process is shot.
    _standard_error = os.dup(2)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell starts what runs in the background so, and tests and their children are interrupted.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.version_info >= (3, 15):
        line = "ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"
        config.addinivalue_line("filterwarnings", line)


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of this listing itself
    return found


def _threads() -> set[str]:
    """The kernel's view: Rust's threads too."""
    return set(os.listdir("/proc/self/task"))


def _children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _stop_helpers() -> None:
    """End the processes that multiprocessing keeps for its start methods."""
    for name, helper in (
        ("carrick.multiprocessing.forkserver", "_forkserver"),
        ("multiprocessing.forkserver", "_forkserver"),
        ("multiprocessing.resource_tracker", "_resource_tracker"),
    ):
        module = sys.modules.get(name)
        if module is not None:
            getattr(module, helper)._stop()


def _gone(leftovers: Callable[[], object]) -> object:
    """The leftovers after a while; the kernel needs a moment to take away a thread that has been joined."""
    limit = time.monotonic() + SETTLING
    while (left := leftovers()) and time.monotonic() < limit:
        gc.collect()
        os.sched_yield()
    return left


@pytest.fixture(scope="session", autouse=True)
def _first_ones() -> None:
    """Make the objects that are made once and kept: for signals in a wait, memory for the first shared value, the
    sys.stdin of children, and the lifeline of daemons.
    """
    multiprocessing.Value("q")
    left, right = connection.Pipe()
    with left, right:
        assert not left.poll(0.001)
    with pytest.raises(queue.Empty):
        queue.Queue().get(timeout=0.001)
    for daemon in (False, True):
        process = multiprocessing.get_context("fork").Process(daemon=daemon)
        process.start()
        process.join()
        process.close()
    # Each test collects garbage twice: not among all that pytest has made of the tests.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    faulthandler.dump_traceback_later(WATCHDOG, exit=True, file=_standard_error)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def _nothing_is_left(_watchdog: None) -> Iterator[None]:
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)
    }
    descriptors, threads = _descriptors(), _threads()
    yield
    gc.collect()
    _stop_helpers()
    assert not _gone(lambda: threading.active_count() - 1), f"threads are left: {threading.enumerate()}"
    assert not _gone(lambda: _threads() - threads), "threads of Rust's are left"
    assert not _gone(_children), "child processes are left"
    left = _gone(lambda: {n: what for n, what in _descriptors().items() if descriptors.get(n) != what})
    assert not left, f"descriptors are left: {left}"
    assert {number: signal.getsignal(number) for number in handlers} == handlers, "signal handlers are left"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder with a short path, so that a socket in it has an address that fits; no socket may be left in it."""
    with tempfile.TemporaryDirectory(prefix="crk") as folder:
        yield Path(folder)
        left = [path for path in Path(folder).rglob("*") if path.is_socket()]
        assert not left, f"socket files are left: {left}"
