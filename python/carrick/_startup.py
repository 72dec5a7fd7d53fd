# SPDX-License-Identifier: MIT OR Apache-2.0
"""Programs that are on carrick without a word in them: what ``carrick.pth``, which comes with the wheel, runs at the
start of every Python whose environment has one of two variables.

``CARRICK_PATCH=1`` is for the user to set: this program and all that it starts are patched. ``CARRICK_PROGRAM`` is set
by ``python -m carrick`` and names the program that it runs, so that this one, and no other, is patched when it is
started again. Options of Python that keep it from its environment or from site-packages (-E, -I, -S) keep it from this,
too.
"""

import os
import sys

PATCH = "CARRICK_PATCH"
PROGRAM = "CARRICK_PROGRAM"

_OFF = ("", "0")


def announce(module: str | None, path: str = "") -> None:
    """Name the program of this process, a module or a script, for those that start it again."""
    os.environ[PROGRAM] = f"-m {module}" if module is not None else os.path.realpath(path)


def _is_again(program: str) -> bool:
    """Whether this process was started to run the program that was announced."""
    first = sys.argv[0] if sys.argv else ""
    if first in ("", "-", "-c"):
        return False
    if first == "-m":
        # Only its arguments come after the module, which may be in one word with the option.
        name = sys.orig_argv[-len(sys.argv)]
        return program == f"-m {name.partition('m')[2] if name.startswith('-') else name}"
    path = os.path.realpath(first)
    if program.startswith("-m "):
        # A module that starts itself again by its file.
        place = program[3:].replace(".", os.sep)
        return path.endswith((f"{os.sep}{place}.py", f"{os.sep}{place}{os.sep}__main__.py"))
    return path in (program, os.path.join(program, "__main__.py"))


def start() -> None:
    """Patch this process if its environment says so."""
    if sys.flags.ignore_environment:
        return
    program = os.environ.get(PROGRAM)
    if os.environ.get(PATCH, "") not in _OFF or (program and _is_again(program)):
        from carrick._patch import patch

        patch()
