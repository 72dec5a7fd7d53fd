# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs the scripts of the chapter on processes, in every way that they are to be run in.

The head of a script says by which start methods its children may be made, and whether the order of its lines is
determined. tests/course/test_processes.py and demo/processes.py use this.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import rule

WATCHDOG = 60.0
"""Seconds until a script is killed; none takes two."""

LIBRARIES = ("standard", "carrick", "patched")
METHODS = ("fork", "spawn")

# The first line of a script has no code. Children by spawn run the script again, and this with it.
_PATCH = "import carrick; carrick.patch()"
_METHOD = "__import__('multiprocessing').set_start_method({!r}, force=True)"


@dataclass(frozen=True)
class Script:
    """A script of the course."""

    name: str
    source: str

    @property
    def head(self) -> str:
        """Its comment."""
        lines = self.source.splitlines()
        count = next(i for i, line in enumerate(lines) if not line.startswith("#"))
        return " ".join(line.removeprefix("# ") for line in lines[1:count])

    @property
    def methods(self) -> list[str]:
        """By which methods its children may be started."""
        named = self.head.partition("Start methods: ")[2].partition(".")[0]
        return named.split(", ")

    @property
    def is_ordered(self) -> bool:
        """Whether its lines come in one order only."""
        return "order of the lines is not determined" not in self.head

    def variant(self, library: str, method: str) -> str:
        """The script on a library, with a start method."""
        source = rule.on_carrick(self.source) if library == "carrick" else self.source
        first, _, rest = source.partition("\n")
        patch = f"{_PATCH}; " if library == "patched" else ""
        # On the line of the licence, so that all other lines keep their numbers.
        return f"{patch}{_METHOD.format(method)}  {first}\n{rest}"


@dataclass(frozen=True)
class Outcome:
    """The output of a script, and how it ended."""

    lines: tuple[str, ...]
    errors: str
    code: int


SCRIPTS = {
    path.stem: Script(path.stem, path.read_text("utf-8"))
    for path in sorted(rule.SCRIPTS.glob("process_*.py"))
}


def run(script: Script, library: str, method: str, folder: Path) -> Outcome:
    """Run a script as a program of its own; one that does not end is killed, and its code shows it."""
    path = folder / f"{library}_{method}_{script.name}.py"
    path.write_text(script.variant(library, method), "utf-8")
    # In development mode what is left open is a warning, and so a difference.
    command = [sys.executable, "-X", "utf8", "-X", "dev", str(path)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        # Unbuffered, print writes its arguments one by one, and those of several processes mix.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        # Its children end with it.
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=WATCHDOG)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
    lines = output.splitlines()
    return Outcome(tuple(lines if script.is_ordered else sorted(lines)), errors, process.returncode)
