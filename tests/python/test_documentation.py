# SPDX-License-Identifier: MIT OR Apache-2.0
"""The code in the documentation works: docstrings as doctests, and the Python blocks of README and docs/."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, WAIT, environment

import carrick

MODULES = sorted({name for _, name, _ in pkgutil.walk_packages(carrick.__path__, "carrick.")} | {"carrick"})
PAGES = sorted([path for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")] if path.exists()])

# A block runs unless the line before it says why not: <!-- not run: REASON -->
BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n+)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[object]:
    """Every Python block that is to run."""
    found = []
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text("utf-8")), 1):
            if match[1] is None:
                found.append(pytest.param(match[2], id=f"{page.name}-{number}"))
    return found


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_docstrings_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0


def test_there_are_docstrings_that_run() -> None:
    finder = doctest.DocTestFinder()
    examples = [
        example
        for name in MODULES
        if not name.endswith("__main__")
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(examples) >= 2


@pytest.mark.parametrize("source", blocks())
def test_blocks_of_the_pages_run(source: str, tmp_path: Path) -> None:
    # A file: from Python 3.14 on children import the main module, unless they are told to be forks.
    script = tmp_path / "block.py"
    script.write_text(source, "utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    ended = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_python_page_has_blocks_that_run() -> None:
    page = Path(ROOT / "docs" / "python.md").read_text("utf-8")
    assert len(BLOCK.findall(page)) >= 8


def named_tests() -> list[str]:
    """The tests that docs/failures.md names, as file::test."""
    return re.findall(r"`(\w+\.(?:py|c|rs)::\w+)`", (ROOT / "docs" / "failures.md").read_text("utf-8"))


def test_the_tests_that_the_page_of_failures_names_are_there() -> None:
    files: dict[str, str] = {}
    for folder in ("tests/python", "tests/c", "core/tests", "core/src"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in {".py", ".c", ".rs"}:
                files[path.name] = files.get(path.name, "") + path.read_text("utf-8")
    missing = [
        name
        for name in named_tests()
        if not re.search(
            rf"\b(def|fn|void) {name.partition('::')[2]}\(", files.get(name.partition("::")[0], "")
        )
    ]
    assert missing == []
    assert len(set(named_tests())) > 60


def test_every_row_of_the_page_of_failures_names_a_test() -> None:
    page = (ROOT / "docs" / "failures.md").read_text("utf-8")
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what happens")
    ]
    assert len(rows) > 30
    assert [row for row in rows if "::" not in row and "the same three" not in row] == []
