# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs pytest on one suite in one way: under a watchdog, in a folder of its own, with nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from packages import CACHE, HERE, ROOT
from suites import PROGRAMS, Suite

Outcomes = dict[str, tuple[str, str]]
"""For each test what became of it (pass, fail, skip, crash) and why."""

TEST = 60
"""Seconds for one test: pytest-timeout."""
ENDING = 10.0
"""Seconds for processes that outlive the run, such as resource trackers."""
PATCHED = "import sys, carrick; carrick.patch(); import pytest; sys.exit(pytest.main())"


def _marked(mark: str) -> dict[int, str]:
    """The processes that have the mark in their environment, and what they run."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(entry.name)] = command[:300]
    return found


def _left_over(mark: str) -> list[str]:
    """The processes that are left after a while; they are ended."""
    limit = time.monotonic() + ENDING
    while (left := _marked(mark)) and time.monotonic() < limit:
        time.sleep(0.05)
    for number in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return list(left.values())


def _read(record: Path) -> tuple[bool | None, Outcomes]:
    patched = None
    outcomes: Outcomes = {}
    worst = ("pass", "skip", "crash", "fail")
    for line in record.read_text().splitlines() if record.exists() else []:
        row = json.loads(line)
        if "patched" in row:
            patched = row["patched"]
            continue
        test, now = row["test"], (row["outcome"], row["why"])
        before = outcomes.get(test, now)
        if before[0] == "crash" and row["when"] != "teardown" and now[0] == "pass":
            # It is past its setup; what counts is the call.
            outcomes[test] = now if row["when"] == "call" else before
        elif before[0] == "crash" and row["when"] != "start":
            outcomes[test] = now
        else:
            outcomes[test] = max(before, now, key=lambda one: worst.index(one[0]))
    return patched, outcomes


def run(suite: Suite, way: str, tests: list[str], words: str = "") -> Outcomes:
    """Run the suite, or some tests of it, and say what became of each."""
    mark = f"ECOSYSTEM_RUN={uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory(prefix="eco", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        record, home, temporary = folder / "record", folder / "home", folder / "tmp"
        home.mkdir()
        temporary.mkdir()
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(
                ("PYTHON", "PYTEST", "ECOSYSTEM", "CARRICK", "FLASK", "DJANGO", "GUNICORN", "UVICORN")
            )
        }
        environment |= {
            mark.split("=")[0]: mark.split("=")[1],
            "ECOSYSTEM_RECORD": str(record),
            "ECOSYSTEM_WAY": way,
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(HERE / "plugin"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # Tests of programs start those with carrick, and are themselves on stock.
        on_carrick = way != "stock" and suite.home != PROGRAMS
        if way != "stock":
            environment["ECOSYSTEM_SITE"] = str(ROOT / "build" / "site")
            if suite.everywhere:
                environment["CARRICK_PATCH"] = "1"
        start = {"module": ["-m", "carrick", "-m", "pytest"], "patch": ["-c", PATCHED]}
        command = [str(CACHE / "venv" / "bin" / "python")]
        command += start[way] if on_carrick else ["-m", "pytest"]
        command += ["-q", "-p", "ecosystem_record", "-p", "pytest_timeout", f"--timeout={TEST}"]
        command += ["-p", "no:cacheprovider", "-o", "addopts=", "--tb=short"]
        command += ["-k", words] if words else []
        where = folder / "empty"
        if suite.home == PROGRAMS:
            where = HERE / "programs"
        elif suite.home:
            # A copy: tests write into their folder, and two runs may be at it.
            shutil.copytree(CACHE / "sources" / suite.home, where)
        else:
            where.mkdir()
        options = [part for part in suite.arguments if part.startswith("-")]
        command += [*suite.arguments] if not tests else [*_options(suite.arguments, options), *tests]
        with (folder / "output").open("w+b") as output:
            process = subprocess.Popen(
                command,
                cwd=where,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(suite.seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            left = _left_over(mark)
            output.seek(0)
            said = output.read().decode(errors="replace")
        patched, outcomes = _read(record)
    if patched is not None and patched != on_carrick:
        outcomes = {}
        said = f"carrick is {'not ' * (not patched)}in place\n{said}"
    if not outcomes:
        outcomes["<run>"] = ("crash", f"exit code {process.returncode}\n{said[-3000:]}")
    outcomes["<no process left>"] = ("fail", "\n".join(left)) if left else ("pass", "")
    return outcomes


def _options(arguments: tuple[str, ...], options: list[str]) -> list[str]:
    """The options among the arguments, with the value of -p."""
    found = []
    for number, part in enumerate(arguments):
        if part in options:
            found.append(part)
            if part == "-p":
                found.append(arguments[number + 1])
    return found


def _shared_memory() -> set[Path]:
    return {path for kind in ("joblib_*", "sem.loky-*") for path in Path("/dev/shm").glob(kind)}


@contextlib.contextmanager
def leave_nothing_in_shared_memory() -> Iterator[None]:
    """Remove what tests of joblib that end hard leave in /dev/shm, on stock as on carrick."""
    before = _shared_memory()
    yield
    for path in _shared_memory() - before:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
