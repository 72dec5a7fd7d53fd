# SPDX-License-Identifier: MIT OR Apache-2.0
"""``python -m carrick``: programs run on carrick as they run on Python."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import WAIT, Background, environment

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

        # 3.13 shows the line of a program that was given as -c, too.
        first, last = 1, -1 if form == "code" else None
        assert ours.stderr.splitlines()[first:last] == stock.stderr.splitlines()[first:last]


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
    ],
)
def test_a_command_line_that_names_no_program_is_answered(
    arguments: list[str], code: int, text: str, tmp_path: Path
) -> None:
    done = execute(tmp_path, "-m", "carrick", *arguments)
    assert done.returncode == code and text in done.stdout + done.stderr, done


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.py"],
        ["./absent/absent.py"],
        ["fine.py/absent.py"],
        ["empty"],
        ["./empty/"],
        ["empty.zip"],
        ["broken.zip"],
        ["syntax.py"],
        ["./syntax.py"],
        ["indentation.py"],
        ["syntax"],
        ["importing.py"],
        ["-m", "absent"],
        ["-m", "absent.part"],
        ["-m", "fine.absent"],
        ["-m", "fine.py"],
        ["-m", ".fine"],
        ["-m", "package"],
        ["-m", "package.absent"],
        ["-m", "empty"],
        ["-m", "syntax"],
        ["-m", "importing"],
        ["-c", "def f(:"],
        ["-c", "import syntax"],
    ],
    ids=" ".join,
)
def test_what_cannot_run_ends_as_with_python(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "fine.py").write_text("")
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("other.py", "")
    for folder in ("empty", "package", "syntax"):
        (tmp_path / folder).mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "syntax" / "__main__.py").write_text("def f(:\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "indentation.py").write_text("a = 1\n  b = 2\n")
    (tmp_path / "importing.py").write_text("import syntax, indentation\n")
    stock = execute(tmp_path, *arguments)
    ours = execute(tmp_path, "-m", "carrick", *arguments)
    assert stock.returncode != 0 and stock.stderr
    assert (ours.stdout, ours.stderr, ours.returncode) == (stock.stdout, stock.stderr, stock.returncode)


def test_an_archive_after_a_first_line_for_the_shell_is_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", "import queue; print(queue.__name__)")
    packed = (tmp_path / "app.zip").read_bytes()
    (tmp_path / "app").write_bytes(b"#!/usr/bin/env python3\n" + packed)
    assert execute(tmp_path, "-m", "carrick", "app").stdout == "carrick.queue\n"


def test_a_script_in_a_pipe_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = Background((tmp_path / "pipe").write_text, "import queue; print(queue.__name__)")
    assert execute(tmp_path, "-m", "carrick", "pipe").stdout == "carrick.queue\n"
    writer.result()


def test_a_program_that_reports_an_exception_itself_shows_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "reports.py").write_text(
        "import sys\ndef f():\n    raise ValueError\ntry:\n    f()\nexcept ValueError:\n    sys.excepthook(*sys.exc_info())\n"
    )
    for arguments in (["reports.py"], ["-m", "reports"]):
        stock, ours = (execute(tmp_path, *arguments), execute(tmp_path, "-m", "carrick", *arguments))
        assert ours.stderr == stock.stderr and "line 3, in f" in ours.stderr


SHOW = """
import json, sys
import __main__
plain = sorted(name for name in vars(__main__) if name not in ("json", "sys", "plain"))
kinds = {name: type(vars(__main__)[name]).__name__ for name in plain}
print(json.dumps([kinds, sys.argv, sys.path[:1], sys.excepthook is sys.__excepthook__, __name__, getattr(__spec__, "name", 0)]))
print(__builtins__.len("four"), getattr(__main__, "__file__", None), "__mp_main__" in sys.modules)
"""


@pytest.mark.parametrize("form", ["script", "module", "package", "code", "folder", "archive", "input"])
def test_the_main_module_is_as_python_makes_it(form: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SHOW)
    for name in ("package", "app"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__main__.py").write_text(SHOW)
    (tmp_path / "package" / "__init__.py").write_text("")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", SHOW)
    arguments = {
        "script": ["script.py"],
        "module": ["-mscript"],
        "package": ["-m", "package"],
        "code": ["-c" + SHOW],
        "folder": ["app"],
        "archive": ["app.zip"],
        "input": ["-"],
    }[form]
    ends = [
        subprocess.run(
            [sys.executable, *options, *arguments, "argument"],
            cwd=tmp_path,
            env=environment(),
            input=SHOW if form == "input" else "",
            capture_output=True,
            text=True,
            timeout=WAIT,
        )
        for options in ([], ["-m", "carrick"])
    ]
    stock, ours = [(end.returncode, end.stdout, end.stderr) for end in ends]
    assert stock[0] == 0, stock
    assert ours == stock


def test_a_program_on_the_standard_input_fails_as_with_python(tmp_path: Path) -> None:
    for source in (
        "import queue\nprint(queue.__name__.rpartition('.')[2])\nraise ValueError('on purpose')\n",
        "f(:\n",
    ):
        stock, ours = [
            subprocess.run(
                [sys.executable, *options, "-"],
                input=source,
                env=environment(),
                capture_output=True,
                text=True,
            )
            for options in ([], ["-m", "carrick"])
        ]
        assert (ours.returncode, ours.stdout, ours.stderr) == (stock.returncode, stock.stdout, stock.stderr)
        assert stock.returncode == 1
