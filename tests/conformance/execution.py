# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs child.py: each test class in a process, session and folder of its own, under a watchdog."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import interpreters
import selection

HERE = Path(__file__).resolve().parent
CLEAN = "<nothing left running>"
EXECUTED = frozenset({"pass", "fail", "error", "xfail"})
GOOD = frozenset({"pass", "xfail"})
_LOCK = Path(tempfile.gettempdir()) / "carrick-conformance-alone.lock"


@dataclass(frozen=True)
class Side:
    """What is under test on an interpreter: stock with an empty prelude, or carrick."""

    interpreter: interpreters.Interpreter
    prelude: str = ""
    path: str = ""

    def environment(self) -> dict[str, str]:
        """The environment of a child; PYTHONPATH reaches the children of the tests too."""
        given = os.environ.get("PYTHONPATH", "") if self.prelude else ""
        parts = [part for part in (self.path, str(HERE / "entry"), given) if part]
        keep = {name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"}
        return {**keep, "PYTHONPATH": os.pathsep.join(parts)}


@dataclass
class ClassRun:
    """The outcomes of one class: test name to (outcome, reason)."""

    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    seconds: float = 0.0


def order(side: Side, timeout: float, **what: Any) -> tuple[list[list[Any]], str, str]:
    """Run child.py once: its records, how it ended (empty if well) and what it wrote to stderr."""
    with tempfile.TemporaryDirectory(prefix="conf-", ignore_cleanup_errors=True) as folder:
        results = os.path.join(folder, "results.jsonl")
        text = json.dumps({"prelude": side.prelude, "results": results, **what})
        work = os.path.join(folder, "work")
        os.mkdir(work)
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [side.interpreter.executable, str(HERE / "child.py"), text],
                env={**side.environment(), "TMPDIR": work},
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            try:
                code = process.wait(timeout)
                end = "" if code == 0 else f"crash (exit code {code})"
            except subprocess.TimeoutExpired:
                end = f"hang (over {timeout:.0f} s)"
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            errors.seek(0)
            complaint = errors.read().decode(errors="replace")[-4000:]
        records = []
        if os.path.exists(results):
            with open(results, encoding="utf-8") as file:
                records = [json.loads(line) for line in file if line.endswith("\n")]
    return records, end, complaint


def classes(side: Side, suite: selection.Suite) -> dict[str, list[str]]:
    """Every test class of a suite with its tests."""
    records, end, complaint = order(side, 120.0, mode="list", module=suite.module)
    if not records:
        raise RuntimeError(f"{suite.name} cannot be listed on {side.interpreter.full}: {end}\n{complaint}")
    listed: dict[str, list[str]] = records[0][1]
    return listed


def witness(side: Side, modules: list[str]) -> dict[str, dict[str, list[str]]]:
    """Where the code of the modules comes from: by start method ("" is the parent), then by module."""
    records, end, complaint = order(side, 60.0, mode="witness", modules=modules)
    if not records or end:
        raise RuntimeError(f"the prelude fails on {side.interpreter.full}: {end}\n{complaint}")
    return {method: found for _, method, found in records}


def run_class(side: Side, suite: selection.Suite, name: str, tests: list[str], timeout: float) -> ClassRun:
    """Run one class; a test that never ended is a crash or a hang, one that never began is missing."""
    started = time.monotonic()
    with ExitStack() as stack:
        if selection.source_class(name) in selection.ALONE:
            lock = stack.enter_context(open(_LOCK, "w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            started = time.monotonic()
        what = {"mode": "run", "module": suite.module, "class": name}
        records, end, complaint = order(side, timeout, **what)
    run = ClassRun(seconds=time.monotonic() - started)
    altered, done = False, False
    for record in records:
        if record[0] == "start":
            run.outcomes[record[1]] = ((end or "crash").split()[0], f"{end}\n{complaint}")
        elif record[0] == "end":
            worse = run.outcomes.get(record[1], ("", ""))[0] in {"fail", "error"} and record[2] in GOOD
            if not worse:
                run.outcomes[record[1]] = (record[2], record[3])
        else:
            done, altered = True, record[1]
    # The rest are fixtures of the class or the module, which unittest reports under names of their own.
    fixtures = {key: run.outcomes.pop(key) for key in list(run.outcomes) if key not in tests}
    broken = next((why for outcome, why in fixtures.values() if outcome != "skip"), "")
    if end or broken or altered or not done:
        run.outcomes[CLEAN] = ("fail", broken or f"{end or 'something was left running'}\n{complaint}")
    else:
        run.outcomes[CLEAN] = ("pass", "")
    skipped = next((row for row in fixtures.values() if row[0] == "skip"), None)
    for test in tests:
        run.outcomes.setdefault(test, skipped or ("missing", broken or f"{end}\n{complaint}"))
    return run
