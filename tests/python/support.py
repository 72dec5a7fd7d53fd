# SPDX-License-Identifier: MIT OR Apache-2.0
"""Parts that several tests need: vectors, servers on a thread, programs of their own, unraisable exceptions."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"

CERTIFICATE = str(Path(__file__).with_name("localhost.pem"))
"""A key and its self-signed certificate."""

WAIT = 30.0
"""Seconds that a test waits for what must come; far more than it takes."""


def records(name: str, *kinds: str) -> list[list[str]]:
    """The records of a file of vectors that are of these kinds."""
    found = []
    for line in (VECTORS / name).read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            columns = line.split(" ")
            if columns[0] in kinds:
                found.append(columns)
    assert found, f"{name} has no {kinds}"
    return found


def unhex(text: str) -> bytes:
    """The bytes of a column; "-" stands for none."""
    return b"" if text == "-" else bytes.fromhex(text)


class Background:
    """A call on a thread of its own, whose end is waited for and whose exception is raised."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self._call = call
        self._args = args
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call(*self._args)
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        """Whether the call has ended."""
        return not self._thread.is_alive()

    def result(self) -> Any:
        """Wait for the end and return what the call returned."""
        self._thread.join(WAIT)
        assert not self._thread.is_alive(), f"{self._call} has not ended"
        if self._error is not None:
            raise self._error
        return self._result

    def error(self) -> BaseException | None:
        """Wait for the end and return what the call raised."""
        self._thread.join(WAIT)
        assert not self._thread.is_alive(), f"{self._call} has not ended"
        return self._error


def asleep(background: Background) -> None:
    """Wait until the thread of a call sleeps, most likely in that call."""
    native = background._thread.native_id
    for _ in range(200):
        with open(f"/proc/self/task/{native}/stat", encoding="ascii") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "S":
                return
        os.sched_yield()


def wait_until_asleep(pid: int) -> None:
    """Wait until the main thread of a process sleeps in the kernel: nothing else tells that it waits."""
    limit = time.monotonic() + WAIT
    while time.monotonic() < limit:
        with open(f"/proc/{pid}/task/{pid}/stat", encoding="ascii") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        if state == "S":
            return
        os.sched_yield()
    raise AssertionError("the program does not wait")


@contextlib.contextmanager
def serving(server: Any) -> Iterator[Any]:
    """A socketserver that serves on a thread, and is shut down and closed at the end."""
    serve = Background(server.serve_forever)
    try:
        yield server
    finally:
        server.shutdown(WAIT)
        server.server_close(WAIT)
        serve.result()


@contextlib.contextmanager
def unraisable() -> Iterator[list[Any]]:
    """The exceptions that could not be raised meanwhile: handed to sys.unraisablehook."""
    caught: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: caught.append(args.exc_value)
    try:
        yield caught
    finally:
        sys.unraisablehook = hook


@contextlib.contextmanager
def thread_errors() -> Iterator[list[Any]]:
    """The exceptions that threads did not catch meanwhile: handed to threading.excepthook."""
    caught: list[Any] = []
    hook, threading.excepthook = threading.excepthook, lambda args: caught.append(args.exc_value)
    try:
        yield caught
    finally:
        threading.excepthook = hook


def environment() -> dict[str, str]:
    """The environment of a program that finds the package of this process."""
    import carrick

    home = str(Path(carrick.__file__).parents[1])
    path = os.pathsep.join([home, str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def program(source: str, *args: str) -> list[str]:
    """The command of a Python program of its own; every warning is an error in it."""
    return [sys.executable, "-W", "error", "-X", "faulthandler", "-c", textwrap.dedent(source), *args]


def run(source: str, *args: str, limit: float = WAIT) -> str:
    """Run a program to its end and return what it printed; it must succeed and complain of nothing."""
    ended = subprocess.run(
        program(source, *args), env=environment(), capture_output=True, text=True, timeout=limit, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@contextlib.contextmanager
def running(source: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A program that runs meanwhile, with pipes; it is killed if it has not ended."""
    command = program(source, *args)
    with subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
