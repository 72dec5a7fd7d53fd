# SPDX-License-Identifier: MIT OR Apache-2.0
"""``python -m carrick [SCRIPT | -m MODULE | -c CODE] [ARGUMENT ...]``: a program on carrick, without an edit.

The program runs as ``python`` would run it, after :func:`carrick.patch`; so do the children that it makes by
:mod:`multiprocessing`. A program that starts itself again, as reloaders do, goes on with carrick: ``sys.orig_argv`` is
left as it is, and one that goes by ``sys.argv`` or ``__main__.__spec__`` is known to :mod:`carrick._startup` by an
environment variable.
"""

from __future__ import annotations

import builtins
import functools
import os
import pkgutil
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from types import ModuleType

import carrick
from carrick import _startup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

USAGE = "usage: python -m carrick [-h] [--version] (SCRIPT | -m MODULE | -c CODE | -) [ARGUMENT ...]"

HELP = f"""{USAGE}

Runs a program as python does, with carrick's modules in place of hmac, queue, socketserver and those of
multiprocessing that make processes, queues, locks and connections; in the children that multiprocessing makes, too.
SCRIPT is a file, a folder or a zip archive with a __main__.py; - is the standard input. Other programs in Python
that it starts are on carrick where the environment variable {_startup.PATCH} is 1."""


def main() -> None:
    """Run the program that the command line names."""
    first, *rest = sys.argv[1:] or ["-h"]
    if first[:2] in ("-m", "-c") and len(first) > 2:
        first, *rest = first[:2], first[2:], *rest
    if first in ("-h", "--help"):
        print(HELP)
    elif first in ("-V", "--version"):
        print(f"carrick {carrick.__version__}")
    elif first in ("-m", "-c") and not rest:
        _refuse(f"{first} needs an argument")
    elif first.startswith("-") and first not in ("-m", "-c", "-"):
        _refuse(f"{first} is no option of carrick: options of python go before -m carrick")
    else:
        try:
            _run(first, rest)
        except BaseException:
            # Not before there is one: programs look whether sys.excepthook is the one that Python came with.
            sys.excepthook = functools.partial(_report, sys.excepthook)
            raise


def _refuse(why: str) -> None:
    print(f"{USAGE}\npython -m carrick: {why}", file=sys.stderr)
    sys.exit(2)


def _run(first: str, rest: list[str]) -> None:
    carrick.patch()
    if first == "-m":
        sys.argv = ["-m", *rest[1:]]
        _startup.announce(rest[0])
        _run_as_main(rest[0])
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        _in_front("")
        if sys.version_info >= (3, 13):
            import linecache

            # So that tracebacks have the lines.
            lines = [f"{line}\n" for line in rest[0].splitlines()]
            linecache.cache["<string>"] = (len(rest[0]), None, lines, "<string>")
        _execute(compile(rest[0], "<string>", "exec", dont_inherit=True), {"__loader__": BuiltinImporter})
    elif first == "-":
        sys.argv = ["-", *rest]
        _in_front("")
        _run_input()
    else:
        sys.argv = [first, *rest]
        _run_path(first)


def _run_path(first: str) -> None:
    # As python writes it, not normalised: programs see it in __file__ and in tracebacks.
    path = first if os.path.isabs(first) else os.path.join(os.getcwd(), first)
    _startup.announce(None, path)
    if pkgutil.get_importer(path) is not None:
        # A folder or an archive. In front even where the folders of scripts are not.
        sys.path[: not sys.flags.safe_path] = [path]
        _run_as_main("__main__", False)
        return
    source = _read(path)
    _in_front(os.path.dirname(os.path.realpath(path)))
    loader: Any
    if source[2:4] == b"\r\n":
        # The number at the beginning of compiled code ends so.
        loader = SourcelessFileLoader("__main__", path)
        code = loader.get_code("__main__")
    else:
        loader = SourceFileLoader("__main__", path)
        code = compile(source, path, "exec", dont_inherit=True)
    _execute(code, {"__file__": path, **_CACHED, "__loader__": loader})


def _run_input() -> None:
    names = {"__loader__": BuiltinImporter}
    if sys.stdin is not None and sys.stdin.isatty():
        from code import interact

        program = _main_module(names)
        if hasattr(sys, "__interactivehook__"):
            sys.__interactivehook__()
        interact(local=vars(program))
        return
    source = sys.stdin.buffer.read() if sys.stdin is not None else b""
    code = compile(source, "<stdin>", "exec", dont_inherit=True)
    _execute(code, {"__file__": "<stdin>", **_CACHED, **names})


_CACHED = {"__cached__": None} if sys.version_info < (3, 15) else {}


def _main_module(names: dict[str, Any]) -> ModuleType:
    program = ModuleType("__main__")
    vars(program).update(names, __builtins__=builtins)
    if sys.version_info < (3, 14):
        vars(program)["__annotations__"] = {}
    sys.modules["__main__"] = program
    return program


def _run_as_main(name: str, alter_argv: bool = True) -> None:
    """The function that ``python -m`` calls: it reports in python's words what cannot be run."""
    _main_module({})
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        print(
            f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}",
            file=sys.stderr,
        )
        sys.exit(2)


def _in_front(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _execute(code: Any, names: dict[str, Any]) -> None:
    exec(code, vars(_main_module(names)))  # noqa: S102


def _report(
    hook: Callable[..., Any], kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Leave out of the traceback how this module was run and what it did itself."""
    rest = traceback
    while rest is not None and rest.tb_frame.f_code.co_filename in ("<frozen runpy>", runpy.__file__):
        rest = rest.tb_next
    if rest is not None and rest.tb_frame.f_code.co_filename == __file__:
        while rest is not None and rest.tb_frame.f_code.co_filename == __file__:
            rest = rest.tb_next
        traceback = rest
    error.__traceback__ = traceback
    hook(kind, error, traceback)


if __name__ == "__main__":
    main()
