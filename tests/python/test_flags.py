# SPDX-License-Identifier: MIT OR Apache-2.0
"""Options of Python, hooks and archives: children on carrick are what children on Python alone are."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import WAIT, environment

HELPER = '''
import sys, threading, warnings

def documented():
    """A text."""

def tell(connection):
    hooks = [sys.gettrace() is not None, sys.getprofile() is not None]
    hooks += [threading.gettrace() is not None, threading.getprofile() is not None]
    seen = [tuple(sys.flags), sys.warnoptions, sorted(sys._xoptions), __debug__, documented.__doc__, hooks]
    seen += [sys.argv, "site" in sys.modules, sys.path[:1]]
    try:
        warnings.warn("a warning")
        seen.append("told")
    except UserWarning:
        seen.append("raised")
    connection.send(seen)
'''

PROGRAM = """
import sys
if "patch" in sys.argv:
    import carrick
    carrick.patch()
    sys.argv.remove("patch")
import multiprocessing, threading, warnings
import helper

def hook(frame, event, argument):
    return None

def main():
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        reading, writing = context.Pipe(False)
        child = context.Process(target=helper.tell, args=(writing,))
        child.start()
        writing.close()
        print(method, reading.recv())
        child.join()
        reading.close()
        assert child.exitcode == 0
    from multiprocessing import forkserver, resource_tracker
    forkserver._forkserver._stop()

if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="a warning", append=True)
    if "hooks" in sys.argv:
        threading.settrace(hook)
        threading.setprofile(hook)
        sys.settrace(hook)
        sys.setprofile(hook)
    main()
    sys.settrace(None)
    sys.setprofile(None)
"""

FLAGS = {
    "none": [],
    "dev": ["-X", "dev"],
    "warnings are errors": ["-X", "dev", "-W", "error"],
    "without asserts and texts": ["-OO"],
    "isolated": ["-I"],
    "without site": ["-S"],
    "without environment": ["-E"],
    "safe path": ["-P"],
    "without bytecode, unbuffered": ["-B", "-u"],
    "bytes": ["-bb", "-X", "utf8=0"],
}


def ends(folder: Path, flags: list[str], *arguments: str) -> dict[str, tuple[int, str, str]]:
    """What becomes of a program on Python alone, on carrick, and with a patch of its own."""
    found = {}
    for how, options, more in (
        ("stock", [], []),
        ("launcher", ["-m", "carrick"], []),
        ("patch", [], ["patch"]),
    ):
        done = subprocess.run(
            [sys.executable, *flags, *options, *arguments, *more],
            cwd=folder,
            env={**environment(), "PYTHONSAFEPATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT,
        )
        found[how] = (done.returncode, done.stdout, done.stderr)
    return found


def has_carrick(flags: list[str]) -> bool:
    """Whether an interpreter with these options finds the package."""
    command = [sys.executable, *flags, "-c", "import carrick"]
    return subprocess.run(command, env=environment(), capture_output=True, timeout=WAIT).returncode == 0


@pytest.mark.parametrize("flags", FLAGS)
def test_children_have_the_options_of_their_parent(flags: str, tmp_path: Path) -> None:
    options = FLAGS[flags]
    if not has_carrick(options):
        pytest.skip("carrick is not installed in this interpreter, but found by an environment variable")
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "program.py").write_text(
        f"import sys\nif {str(tmp_path)!r} not in sys.path: sys.path.insert(0, {str(tmp_path)!r})\n" + PROGRAM
    )
    found = ends(tmp_path, options, "program.py", "argument")
    assert found["stock"][0] == 0, found["stock"]
    assert found["launcher"] == found["stock"] and found["patch"] == found["stock"]


def test_children_by_fork_have_the_hooks_of_their_parent(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "program.py").write_text(PROGRAM)
    found = ends(tmp_path, [], "program.py", "hooks")
    assert found["stock"][0] == 0 and "[True, True, True, True]" in found["stock"][1], found["stock"]
    assert found["launcher"] == found["stock"] and found["patch"] == found["stock"]


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_an_archive_starts_children_that_find_its_modules(form: str, tmp_path: Path) -> None:
    if form == "archive":
        with zipfile.ZipFile(tmp_path / "app", "w") as archive:
            archive.writestr("__main__.py", PROGRAM)
            archive.writestr("helper.py", HELPER)
    else:
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "__main__.py").write_text(PROGRAM)
        (tmp_path / "app" / "helper.py").write_text(HELPER)
    found = ends(tmp_path, [], "app", "argument")
    assert found["stock"][0] == 0, found["stock"]
    assert found["launcher"] == found["stock"] and found["patch"] == found["stock"]
