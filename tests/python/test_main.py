# SPDX-License-Identifier: MIT OR Apache-2.0
"""``python -m carrick``: programs run on carrick as they run on Python."""

from __future__ import annotations

import py_compile
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import WAIT, environment

PROGRAM = """
import json, os, sys
import helper
import multiprocessing, queue

class Local:
    pass

def child(connection):
    import carrick, queue
    connection.send((queue.__name__, carrick.is_patched(), type(connection).__module__))

if __name__ == "__main__":
    import __main__
    assert vars(__main__) is globals() and __main__.Local is Local
    seen = [sys.argv, sys.path[0], __name__, globals().get("__file__"), __package__, getattr(__spec__, "name", None)]
    print(json.dumps([*seen, type(__loader__).__name__, os.path.exists("helper.py")]))
    print(queue.__name__, file=sys.stderr)
    if sys.argv[1] == "raise":
        raise ValueError("on purpose")
    if sys.argv[1] == "exit":
        sys.exit(3)
    if sys.argv[1] != "plain":
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context(sys.argv[1]).Process(target=child, args=(writing,))
        process.start()
        print(reading.recv(), file=sys.stderr)
        process.join()
"""


def forms(folder: Path) -> dict[str, list[str]]:
    """The ways to name the program."""
    (folder / "helper.py").write_text("")
    (folder / "script.py").write_text(PROGRAM)
    for name in ("package", "app"):
        (folder / name).mkdir()
        (folder / name / "__main__.py").write_text(PROGRAM)
        (folder / name / "helper.py").write_text("")
    (folder / "package" / "__init__.py").write_text("")
    py_compile.compile(str(folder / "script.py"), str(folder / "script.pyc"))
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", PROGRAM)
        archive.writestr("helper.py", "")
    return {
        "script": ["script.py"],
        "path": [str(folder / "script.py")],
        "module": ["-m", "script"],
        "package": ["-m", "package"],
        "code": ["-c", PROGRAM],
        "compiled": ["script.pyc"],
        "folder": ["app"],
        "archive": ["app.zip"],
    }


def execute(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=WAIT,
    )


@pytest.mark.parametrize(
    "form", ["script", "path", "module", "package", "code", "compiled", "folder", "archive"]
)
def test_a_program_sees_what_python_shows_it_and_has_our_modules(form: str, tmp_path: Path) -> None:
    arguments = forms(tmp_path)[form]
    for what in ("plain", "exit", "raise"):
        stock = execute(tmp_path, *arguments, what, "--option", "-c")
        ours = execute(tmp_path, "-m", "carrick", *arguments, what, "--option", "-c")
        assert (ours.stdout, ours.returncode) == (stock.stdout, stock.returncode), ours.stderr
        assert ours.stderr.splitlines()[0] == "carrick.queue" and stock.stderr.splitlines()[0] == "queue"

        def lines(text: str) -> list[str]:
            frames = text.splitlines()[1:]
            runs = [i for i, line in enumerate(frames) if "runpy" in line]
            return [re.sub("File .*runpy.*", "", line) for i, line in enumerate(frames) if i not in runs]

        # 3.13 shows the line of a program that was given as -c, too.
        last = -1 if form == "code" else -2
        assert lines(ours.stderr)[last:] == lines(stock.stderr)[last:]
        assert "carrick/__main__" not in ours.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("form", ["script", "module"])
def test_children_of_a_program_have_our_modules_too(form: str, method: str, tmp_path: Path) -> None:
    done = execute(tmp_path, "-m", "carrick", *forms(tmp_path)[form], method)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "carrick.queue",
        "('carrick.queue', True, 'carrick.multiprocessing.connection')",
    ]


def test_python_ends_by_the_interrupt_that_a_program_does_not_catch(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    assert execute(tmp_path, "-m", "carrick", "-c", code).returncode == -2


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 0, "usage: python -m carrick"),
        (["--help"], 0, "zip archive"),
        (["--version"], 0, "carrick 0."),
        (["-m"], 2, "-m needs an argument"),
        (["-x", "script.py"], 2, "-x is no option of carrick"),
        (["absent.py"], 1, "can't open file"),
        (["-m", "absent"], 1, "No module named"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments: list[str], code: int, text: str, tmp_path: Path) -> None:
    done = execute(tmp_path, "-m", "carrick", *arguments)
    assert done.returncode == code and text in done.stdout + done.stderr, done
