# SPDX-License-Identifier: MIT OR Apache-2.0
"""The suites: test suites of other projects, and programs of theirs that tests of ours start, ask and stop."""

from __future__ import annotations

from dataclasses import dataclass

WAYS = ("stock", "module", "patch")
"""Without carrick, by ``python -m carrick``, and by ``carrick.patch()``."""

PROGRAMS = "programs"


@dataclass(frozen=True)
class Suite:
    """One row of the table: arguments for pytest, and the folder they are for."""

    name: str
    arguments: tuple[str, ...]
    home: str
    """A source archive of sources.txt, PROGRAMS (tests/ecosystem/programs), or "" for an empty folder."""
    ways: tuple[str, ...] = WAYS
    seconds: int = 240
    """Until the watchdog ends the run."""
    deselected: str = ""
    """Tests that take long and say little about carrick, as pytest's -k; `--whole` runs them, too."""
    everywhere: bool = False
    """Tests that start interpreters of their own: CARRICK_PATCH=1 is for those."""


def _programs(name: str, *, seconds: int = 240, ways: tuple[str, ...] = WAYS) -> Suite:
    return Suite(name.replace("_", " "), (f"test_{name}.py",), PROGRAMS, ways, seconds)


SUITES = (
    Suite(
        "joblib: test_parallel, test_memmapping",
        ("--pyargs", "joblib.test.test_parallel", "joblib.test.test_memmapping"),
        "",
        ("stock", "module"),
        900,
        "not (unpicklable_functions_in_args or threadpool_limitation or error_capture or dispatch_race_condition)",
    ),
    Suite(
        "werkzeug: test_serving", ("tests/test_serving.py",), "werkzeug", ("stock", "module"), everywhere=True
    ),
    Suite("pytest-localserver", ("tests",), "pytest-localserver", ("stock", "module")),
    Suite(
        "uvicorn: supervisors",
        (
            "-p",
            "pytest_mock",
            "tests/supervisors/test_multiprocess.py",
            "tests/supervisors/test_reload.py",
            "tests/test_subprocess.py",
        ),
        "uvicorn",
        ("stock", "module"),
    ),
    _programs("flask"),
    _programs("django"),
    _programs("gunicorn"),
    _programs("uvicorn"),
    _programs("standard_servers"),
    _programs("import_orders"),
    _programs("executors"),
    _programs("pytest_workers"),
)
