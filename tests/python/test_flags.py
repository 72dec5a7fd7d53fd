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
    """The end of a program on Python alone, on carrick, and with a patch of its own."""
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


FROZEN = """
import os, sys

sys.frozen = True
sys.executable = os.path.abspath(__file__)
# Without the right command line a program that is started as its own child starts the next one, and so on.
depth = int(os.environ.get("FROZEN_DEPTH", "0"))
assert depth < 4, "the program has started itself again and again"
os.environ["FROZEN_DEPTH"] = str(depth + 1)
mode = os.environ["FROZEN_MODE"]
MAINS = tuple(
    head + f"from multiprocessing.{name} import main" for head in ("", "import sys; ") for name in ("resource_tracker", "forkserver")
)

def freeze_support():
    # As freezers have it: this knows the command lines of the standard library, and nothing else.
    if "-c" in sys.argv:
        at = sys.argv.index("-c")
        code = sys.argv[at + 1]
        if code.startswith(MAINS):
            sys.argv[:] = ["-c", *sys.argv[at + 2:]]
            exec(code, {})
            sys.exit()
    if "--multiprocessing-fork" in sys.argv:
        import multiprocessing.spawn
        del sys.argv[1:sys.argv.index("--multiprocessing-fork")]
        multiprocessing.spawn.freeze_support()

if mode == "patch":
    import carrick
    carrick.patch()
if mode == "explicit":
    import carrick.multiprocessing as multiprocessing
else:
    import multiprocessing

def work(queue, lock, connection, code):
    with lock:
        queue.put(("item", code))
    connection.send(connection.recv() + 1)
    sys.exit(code)

if __name__ == "__main__":
    freeze_support()
    [method] = sys.argv[1:]
    context = multiprocessing.get_context(method)
    queue, lock = context.Queue(), context.Lock()
    for code in range(3):
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=(queue, lock, theirs, code))
        child.start()
        theirs.close()
        ours.send(code)
        print(queue.get(timeout=60), ours.recv())
        ours.close()
        child.join(60)
        print(child.exitcode, child.is_alive())
    child = context.Process(target=work, args=(queue, lock, None, 0))
    lock.acquire()
    child.start()
    child.terminate()
    child.join(60)
    print(child.exitcode)
    lock.release()
    with context.Pool(2) as pool:
        print(pool.map(abs, [-1, -2]))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_frozen_program_starts_processes_as_on_python_alone(method: str, tmp_path: Path) -> None:
    program = tmp_path / "frozen"
    program.write_text(f"#!{sys.executable}\n{FROZEN}")
    program.chmod(0o755)
    outputs = {}
    for mode in ("stock", "patch", "explicit"):
        ended = subprocess.run(
            [program, method],
            env={**environment(), "FROZEN_DEPTH": "0", "FROZEN_MODE": mode},
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), (mode, ended.stdout, ended.stderr)
        outputs[mode] = ended.stdout
    assert outputs["stock"].splitlines()[-2:] == ["-15", "[1, 2]"]
    assert outputs["patch"] == outputs["explicit"] == outputs["stock"]
