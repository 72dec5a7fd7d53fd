# SPDX-License-Identifier: MIT OR Apache-2.0
"""Parts of the tests of programs: a program started without carrick or on it, its output, requests to it, its end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WAY = os.environ["ECOSYSTEM_WAY"]
WAIT = 40.0
"""Seconds for what must come."""

STATE = """
import json, os, sys
def state(text="one"):
    carrick = sys.modules.get("carrick")
    patched = bool(carrick and carrick.is_patched())
    return json.dumps({"pid": os.getpid(), "patched": patched, "text": text, "argv": sys.argv}).encode()
"""
"""Source of a module that programs answer with."""


class Program:
    """A running program, in a session of its own as if it had a terminal of its own."""

    def __init__(self, command: list[str], folder: Path, variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": "", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # As from a shell's prompt: what is started in the background of a shell ignores Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = 0

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self.lines.append("<end of output>")
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """The output of the program so far."""
        return "".join(self.lines)

    def _wait(self, pattern: str, times: int, seconds: float) -> re.Match[str] | None:
        def enough() -> re.Match[str] | None:
            found = [match for line in self.lines if (match := re.search(pattern, line))]
            return found[-1] if len(found) >= times else None

        with self._changed:
            self._changed.wait_for(lambda: enough() or self.lines[-1:] == ["<end of output>"], seconds)
            return enough()

    def says(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until that many lines match; return the last match."""
        found = self._wait(pattern, times, WAIT)
        assert found, f"{pattern!r} did not come {times} times in:\n{self.output}"
        return found

    def listens(self, pattern: str = r"https?://(?:127\.0\.0\.1|localhost):(\d+)", times: int = 1) -> None:
        """Take the port from the program's output."""
        self.port = int(self.says(pattern, times)[1])

    def get(self, path: str = "/", *, tls: bool = False) -> bytes:
        """Send one request, as soon as the program listens."""
        limit = time.monotonic() + WAIT
        while True:
            kind: Any = http.client.HTTPConnection
            more: dict[str, Any] = {}
            if tls:
                kind, more = http.client.HTTPSConnection, {"context": ssl._create_unverified_context()}  # noqa: S323
            connection = kind("127.0.0.1", self.port, timeout=max(1.0, limit - time.monotonic()), **more)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
                assert answer.status == 200, (answer.status, body, self.output)
                return bytes(body)
            except (ConnectionError, http.client.RemoteDisconnected):
                if time.monotonic() > limit or self.process.poll() is not None:
                    raise AssertionError(f"no answer; the program said:\n{self.output}") from None
                time.sleep(0.05)
            finally:
                connection.close()

    def state(self, **more: Any) -> dict[str, Any]:
        """Return what the program says of itself; it must be on carrick where it is meant to be."""
        found = dict(json.loads(self.get(**more)))
        assert found["patched"] == (WAY != "stock"), (found, self.output)
        return found

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask until the answer is what is wanted."""
        limit = time.monotonic() + WAIT
        while True:
            found = self.state()
            if true(found):
                return found
            assert time.monotonic() < limit, (found, self.output)
            time.sleep(0.05)

    def change(self, path: Path, text: str, pattern: str, times: int = 1) -> re.Match[str]:
        """Write a file, again and again until the program says that it has seen it.

        A reloader that looks at files once a second takes the state at its first look for the one to compare with.
        """
        path.write_text(text)
        for later in range(1, int(WAIT)):
            os.utime(path, (time.time() + later, time.time() + later))
            if found := self._wait(pattern, times, 2.0):
                return found
        return self.says(pattern, times)

    def interrupt(self) -> None:
        """Press Ctrl-C: all processes of the terminal get it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ends(self, *codes: int) -> None:
        """Wait for the end of the program and of all that it has started."""
        try:
            code = self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; it said:\n{self.output}") from None
        self._reader.join(WAIT)
        assert not self._reader.is_alive(), f"a child of the program lives on; it said:\n{self.output}"
        assert code in codes, (code, self.output)

    def kill(self) -> None:
        """End what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start ``python ARGUMENT ...`` in the test's folder: on stock, or on carrick."""
    programs = []
    (tmp_path / "states.py").write_text(STATE)

    def begin(*arguments: str, **variables: str) -> Program:
        program = Program(command(tmp_path, *arguments), tmp_path, variables)
        programs.append(program)
        return program

    yield begin
    for program in programs:
        program.kill()


def command(folder: Path, *arguments: str) -> list[str]:
    """Return the command for ``python ARGUMENT ...`` without carrick, by -m carrick, or by patch() in the script."""
    if WAY == "module":
        return [sys.executable, "-m", "carrick", *arguments]
    if arguments[0] == "-m":
        # As the scripts that pip makes of entry points: with the two lines of carrick's, or without.
        modules = {
            "flask": "flask.cli:main",
            "gunicorn": "gunicorn.app.wsgiapp:run",
            "uvicorn": "uvicorn.main:main",
        }
        where, _, function = modules[arguments[1]].partition(":")
        script = folder / f"{arguments[1]}_command.py"
        lines = [
            "import sys",
            f"from {where} import {function}",
            'if __name__ == "__main__":',
            f"    sys.exit({function}())",
        ]
        if WAY == "patch":
            lines = ["import carrick", "carrick.patch()", *lines]
            script.write_text("\n".join(lines) + "\n")
            return [sys.executable, str(script), *arguments[2:]]
        return [sys.executable, *arguments]
    if WAY == "patch":
        script = folder / arguments[0]
        text = script.read_text()
        if not text.startswith("import carrick"):
            script.write_text(f"import carrick\ncarrick.patch()\n{text}")
    return [sys.executable, *arguments]


@pytest.fixture
def run_command(tmp_path: Path) -> Callable[[list[str]], str]:
    """Run a command to its end, which must be a good one, and return what it printed.

    The last line is the program's state, which must be that of the way in which it was run.
    """
    (tmp_path / "states.py").write_text(STATE)

    def run(words: list[str]) -> str:
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["patched"] == (WAY != "stock"), done.stdout
        return done.stdout

    return run


@pytest.fixture
def run_program(run_command: Callable[[list[str]], str], tmp_path: Path) -> Callable[..., str]:
    """Run ``python ARGUMENT ...``, on stock or on carrick, to its end."""
    return lambda *arguments: run_command(command(tmp_path, *arguments))
