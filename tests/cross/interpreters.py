# SPDX-License-Identifier: MIT OR Apache-2.0
"""The stock CPython interpreters of this machine, found through pyenv, PATH and what ci/newer_pythons.sh made.

A virtual environment and a broken interpreter are left out; so is another way to the same interpreter. `discover` sorts
by version, and `one_per_minor` keeps one for each X.Y.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 8)
NEWEST = (3, 15)
NEWER = Path(os.environ.get("CARRICK_NEWER_PYTHONS", "/var/cache/carrick-pythons")) / "bin"
"""Scripts of ci/newer_pythons.sh, each of which becomes an interpreter in a tree of its own."""

_PROBE = """
import json, platform, sys
if sys.prefix != sys.base_prefix:
    raise SystemExit("a virtual environment")
try:
    import test.support, test._test_multiprocessing
    missing = ""
except Exception as error:
    missing = "%s: %s" % (type(error).__name__, error)
print(json.dumps([sys.executable, list(sys.version_info[:3]), platform.python_implementation(), missing]))
"""


@dataclass(frozen=True)
class Interpreter:
    """One stock interpreter; `suite_problem` says why CPython's own tests cannot run on it, or is empty.

    `executable` is how to start it from here. It is the interpreter's own sys.executable, but for the scripts in
    NEWER: inside its tree that path is another file than here.
    """

    executable: str
    version: tuple[int, int, int]
    suite_problem: str

    @property
    def minor(self) -> str:
        """The X.Y of the version."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def full(self) -> str:
        """The X.Y.Z of the version."""
        return ".".join(map(str, self.version))


def _pyenv_root() -> Path | None:
    if root := os.environ.get("PYENV_ROOT"):
        return Path(root)
    if pyenv := shutil.which("pyenv"):
        answer = subprocess.run([pyenv, "root"], capture_output=True, text=True, timeout=30, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            return Path(answer.stdout.strip())
    return None


def _candidates() -> Iterable[Path]:
    names = [f"python{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    root = _pyenv_root()
    if root is not None:
        yield from sorted((root / "versions").glob("*/bin/python"))
    for folder in os.get_exec_path():
        # A shim takes seconds to say no, and what it leads to has been seen above.
        if root is None or Path(folder) != root / "shims":
            yield from (Path(folder, name) for name in names)
    yield from (NEWER / name for name in names)


def probe(executable: str | os.PathLike[str]) -> Interpreter | None:
    """The interpreter by its own account, or None if it is no stock CPython of a version we test."""
    command = [executable, "-I", "-c", _PROBE]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        real, version, implementation, problem = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if implementation != "CPython" or not OLDEST <= tuple(version[:2]) <= NEWEST:
        return None
    if Path(executable).parent == NEWER:
        real = os.fspath(executable)
    return Interpreter(real, (version[0], version[1], version[2]), problem)


def discover() -> list[Interpreter]:
    """Every stock interpreter from 3.8 to 3.15, oldest first."""
    asked: set[str] = set()
    found: dict[str, Interpreter] = {}
    for path in _candidates():
        resolved = os.path.realpath(path)
        if resolved in asked or not os.access(path, os.X_OK):
            continue
        asked.add(resolved)
        if (interpreter := probe(path)) is not None:
            found.setdefault(os.path.realpath(interpreter.executable), interpreter)
    return sorted(found.values(), key=lambda one: (one.version, bool(one.suite_problem)))


def one_per_minor(interpreters: Iterable[Interpreter], *, with_suite: bool = False) -> dict[str, Interpreter]:
    """For each X.Y the newest interpreter, one that has CPython's `test` package if there is one."""
    chosen: dict[str, Interpreter] = {}
    for one in sorted(interpreters, key=lambda one: (not one.suite_problem, one.version)):
        if not (with_suite and one.suite_problem):
            chosen[one.minor] = one
    return dict(sorted(chosen.items(), key=lambda item: item[1].version))


def main() -> int:
    """Print what was found."""
    for one in discover():
        remark = f"  (no CPython tests: {one.suite_problem})" if one.suite_problem else ""
        print(f"{one.full:8} {one.executable}{remark}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
