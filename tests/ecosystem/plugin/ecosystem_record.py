# SPDX-License-Identifier: MIT OR Apache-2.0
"""Plugin of pytest: writes each test's outcome to a file at once, so that a crash or a hang costs one test."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

_HOME = os.getpid()


def _write(**row: Any) -> None:
    # Tests fork, and what is forked has no business here.
    if os.getpid() == _HOME and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(os.environ["ECOSYSTEM_RECORD"]).open("a") as file:
            file.write(json.dumps(row) + "\n")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say whether carrick is in place: without this a run could pass by testing stock against itself."""
    carrick = sys.modules.get("carrick")
    _write(patched=bool(carrick and carrick.is_patched()))


def pytest_runtest_logstart(nodeid: str) -> None:
    """Name the test that begins: if its end never comes, it is the one that hung."""
    _write(test=nodeid, when="start", outcome="crash", why="")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One row for each of setup, call and teardown."""
    why = str(report.longrepr)[-2000:] if report.longrepr and not report.passed else ""
    if hasattr(report, "wasxfail"):
        outcome = "pass"  # expected to fail and failed, or passed where that is allowed
    else:
        outcome = {"passed": "pass", "failed": "fail", "skipped": "skip"}[report.outcome]
    _write(test=report.nodeid, when=report.when, outcome=outcome, why=why, seconds=report.duration)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported is a test that failed."""
    if report.failed:
        _write(
            test=f"{report.nodeid} <import>", when="call", outcome="fail", why=str(report.longrepr)[-2000:]
        )
