# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a child by spawn or the fork server imports the main module: as the standard library's children do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import WAIT, environment

SHOW = """
import json, multiprocessing, sys

def describe(connection):
    import __main__, __mp_main__
    kinds = {name: type(value).__name__ for name, value in vars(__main__).items() if name.startswith("__")}
    connection.send((kinds, __main__ is __mp_main__, __main__.__name__, describe.__module__, sys.argv, SEEN))

import __main__
SEEN = [__name__, sys.argv[0], __file__, __package__, getattr(__spec__, "name", 0), "__mp_main__" in sys.modules, __doc__]

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    reading, writing = context.Pipe(False)
    child = context.Process(target=describe, args=(writing,))
    child.start()
    writing.close()
    print(json.dumps(reading.recv()))
    child.join()
    if sys.argv[1] == "forkserver":
        from multiprocessing import forkserver
        forkserver._forkserver._stop()
"""

UNGUARDED = """
import multiprocessing, sys
print("ran", __name__, flush=True)
method = multiprocessing.get_start_method(allow_none=True) or sys.argv[1]
child = multiprocessing.get_context(sys.argv[1]).Process(target=print, args=("child",))
child.start()
child.join()
print(child.exitcode)
if sys.argv[1] == "forkserver":
    from multiprocessing import forkserver
    forkserver._forkserver._stop()
"""


def ends(folder: Path, *arguments: str) -> list[tuple[int, str, str]]:
    """The end of a program on Python alone, and on carrick."""
    return [
        (done.returncode, done.stdout, done.stderr)
        for options in ([], ["-m", "carrick"])
        for done in [
            subprocess.run(
                [sys.executable, *options, *arguments],
                cwd=folder,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=WAIT,
            )
        ]
    ]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("form", ["script", "no suffix", "module", "documented"])
def test_a_child_sees_the_main_module_as_a_standard_child_does(
    form: str, method: str, tmp_path: Path
) -> None:
    name = {"no suffix": "script", "module": "script.py"}.get(form, "script.py")
    (tmp_path / name).write_text(('"""A text."""' if form == "documented" else "") + SHOW)
    arguments = ["-m", "script"] if form == "module" else [name]
    stock, ours = ends(tmp_path, *arguments, method, "argument")
    assert stock[0] == 0, stock
    assert ours == stock


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("name", ["ipython.py", "ipython"])
def test_a_script_of_this_name_is_not_imported_by_its_children(
    name: str, method: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(UNGUARDED)
    stock, ours = ends(tmp_path, name, method)
    assert stock == (0, "ran __main__\nchild\n0\n", "")
    assert ours == stock


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_an_unguarded_script_fails_in_its_children_and_hangs_nobody(method: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    stock, ours = ends(tmp_path, "script.py", method)
    assert "child" not in ours[1] + stock[1]
    assert "bootstrapping phase" in ours[2] and "bootstrapping phase" in stock[2]
    # The standard fork server of 3.14 ends by it, and start() fails.
    assert (ours[0], ours[1].splitlines()[-1]) == (0, "1")
    assert method == "forkserver" or (stock[0], stock[1].splitlines()[-1]) == (0, "1")


def test_a_function_that_a_program_puts_in_place_imports_the_main_module(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import multiprocessing, sys\n"
        "from multiprocessing import spawn\n"
        "from carrick.multiprocessing import _child\n"
        "def instead(path):\n    seen.append(path)\n"
        "seen = []\n"
        "spawn._fixup_main_from_path = instead\n"
        "_child.prepare_process({'init_main_from_path': __file__ + '/../other.py'})\n"
        "print(len(seen))\n"
    )
    (tmp_path / "other.py").write_text("")
    assert ends(tmp_path, "script.py")[0][:2] == (0, "1\n")
