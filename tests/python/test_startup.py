# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.pth: programs that start themselves again go on with carrick, and CARRICK_PATCH is for all others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import WAIT, environment

import carrick

HOME = Path(carrick.__file__).parents[1]

PROGRAM = """
import os, subprocess, sys
import queue
import __main__

def by_spec():
    "As Django's runserver does."
    spec = __main__.__spec__
    if spec is None or spec.name == "__main__":
        return list(sys.argv)
    name = spec.parent if spec.name.endswith(".__main__") else spec.name
    return ["-m", name, *sys.argv[1:]]

def by_package():
    "As werkzeug did before Python 3.10."
    script = sys.argv[0]
    if __main__.__package__ is None or os.path.isdir(script):
        return [os.path.abspath(script), *sys.argv[1:]]
    base = os.path.splitext(os.path.basename(script))[0]
    name = __main__.__package__ + ("" if base == "__main__" else "." + base)
    return ["-m", name.lstrip("."), *sys.argv[1:]]

HOW = {
    "argv": lambda: list(sys.argv),
    "original": lambda: sys.orig_argv[1:],
    "spec": by_spec,
    "package": by_package,
    "one word": lambda: ["-Xutf8", "-bm" + by_spec()[1], *sys.argv[1:]] if by_spec()[0] == "-m" else list(sys.argv),
    "file": lambda: [__main__.__file__, *sys.argv[1:]],
}

if __name__ == "__main__":
    how, times = sys.argv[1].replace("_", " "), int(os.environ.get("TIMES", "0"))
    print(queue.__name__, *sys.argv[1:], flush=True)
    if times < 2:
        os.environ["TIMES"] = str(times + 1)
        command = [sys.executable, *HOW[how]()]
        if times:
            os.execv(sys.executable, command)
        sys.exit(subprocess.run(command).returncode)
"""

OTHER = "import sys\nprint('carrick' in sys.modules)\nimport queue\nprint(queue.__name__)\n"


def execute(folder: Path, *arguments: str, **variables: str) -> str:
    """Run a program in an interpreter that has carrick installed, and return what it printed."""
    (folder / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(HOME)!r})\n")
    env = {name: value for name, value in environment().items() if not name.startswith("CARRICK_")}
    env["PYTHONPATH"] = os.pathsep.join([str(folder), env["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**env, **variables},
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("how", ["argv", "original", "spec", "package", "one word", "file"])
@pytest.mark.parametrize("form", ["script", "path", "module", "package", "folder"])
def test_a_program_that_starts_itself_again_goes_on_with_carrick(form: str, how: str, tmp_path: Path) -> None:
    for name in ("package/inner", "app"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__main__.py").write_text(PROGRAM)
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner" / "__init__.py").write_text("")
    (tmp_path / "program.py").write_text(PROGRAM)
    arguments = {
        "script": ["program.py"],
        "path": [str(tmp_path / "program.py")],
        "module": ["-m", "program"],
        "package": ["-m", "package.inner"],
        "folder": ["app"],
    }[form]
    for launcher, name in (("", "queue"), ("-m carrick", "carrick.queue")):
        printed = execute(tmp_path, *launcher.split(), *arguments, how.replace(" ", "_"), "-m", "x")
        assert printed.splitlines() == [f"{name} {how.replace(' ', '_')} -m x"] * 3, launcher


def test_another_program_that_a_program_starts_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(OTHER)
    (tmp_path / "program.py").write_text(
        "import subprocess, sys\n"
        "for command in (['other.py'], ['-m', 'other'], ['-c', 'import other']):\n"
        "    subprocess.run([sys.executable, *command], check=True)\n"
    )
    assert execute(tmp_path, "-m", "carrick", "program.py").split()[1::2] == ["queue"] * 3
    assert execute(tmp_path, "-m", "carrick", "-m", "program").split()[1::2] == ["queue"] * 3


@pytest.mark.parametrize("value", ["", "0", "1"])
def test_the_variable_patches_every_program_and_costs_nothing_without(value: str, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(OTHER)
    (tmp_path / "program.py").write_text(
        "import subprocess, sys\nimport other\nsubprocess.run([sys.executable, 'other.py'], check=True)\n"
    )
    wanted = ["True", "carrick.queue"] if value == "1" else [str(value == "0"), "queue"]
    for command in (["program.py"], ["-m", "program"], ["-c", "import program"]):
        assert execute(tmp_path, *command, CARRICK_PATCH=value).split() == wanted * 2
    assert execute(tmp_path, "other.py").split() == ["False", "queue"]


@pytest.mark.parametrize("option", ["-E", "-I", "-S", "-Es"])
def test_an_option_that_keeps_python_from_its_environment_keeps_it_from_the_patch(
    option: str, tmp_path: Path
) -> None:
    (tmp_path / "other.py").write_text(OTHER)
    assert execute(tmp_path, option, "other.py", CARRICK_PATCH="1").split()[1] == "queue"
