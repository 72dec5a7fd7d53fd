# SPDX-License-Identifier: MIT OR Apache-2.0
"""pytest with workers: each test in a child of fork (pytest-forked), or in workers of pytest-xdist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WAY = os.environ["ECOSYSTEM_WAY"]
TESTS = """
import multiprocessing, queue
import pytest

def double(tasks, results):
    results.put(2 * tasks.get())

@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child(method):
    context = multiprocessing.get_context(method)
    tasks, results = context.Queue(), context.Queue()
    child = context.Process(target=double, args=(tasks, results))
    child.start()
    tasks.put(21)
    assert results.get(timeout=20) == 42
    child.join()
    assert child.exitcode == 0

def test_thread_queue():
    tasks = queue.Queue()
    tasks.put(1)
    assert tasks.get() == 1
"""
CONFTEST = "import carrick\ncarrick.patch()\n"


@pytest.mark.parametrize(
    "arguments", [["-p", "pytest_forked", "--forked"], ["-p", "xdist", "-n", "2"]], ids=["forked", "xdist"]
)
def test_suite_in_workers(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    if WAY == "patch":
        # The workers of xdist are interpreters of their own; each reads this.
        (tmp_path / "conftest.py").write_text(CONFTEST)
    carrick = ["-m", "carrick"] if WAY == "module" else []
    done = subprocess.run(
        [sys.executable, *carrick, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
