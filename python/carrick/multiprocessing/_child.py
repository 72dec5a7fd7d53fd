# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a child does before its process object runs, whatever its start method.

A daemon holds on to its parent's lifeline: the kernel kills it when the parent ends, also by SIGKILL. And a
KeyboardInterrupt that nobody catches ends a child without a traceback, with the exit code that it always had: Ctrl-C
reaches every process of a terminal, and the parent's traceback says enough.
"""

import io
import os
import pickle
import signal
import sys
from multiprocessing import process, reduction
from types import ModuleType

from carrick._descriptor import lift

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ()

_MAIN = "__mp_main__"

_null: int = -1
_inputs: "dict[bool, Any]" = {}

arriving_input: "Any" = None
"""What process objects that arrive here are to have as ``sys.stdin``; None leaves it alone."""


def empty_input() -> "tuple[Any, int]":
    """What children of fork have as ``sys.stdin``: made once, in the parent, for all of them.

    Returns the file and, where descriptor 0 is what ``sys.stdin`` reads, the descriptor that is to become the child's
    descriptor 0 (else -1, and the file has a descriptor of its own).
    """
    global _null
    try:
        standard = type(sys.stdin) is io.TextIOWrapper and sys.stdin.fileno() == 0
    except ValueError:
        standard = False
    file = _inputs.get(standard)
    if file is None or file.closed:
        # As in the standard library, nobody closes the descriptor.
        if _null < 0:
            _null = lift(os.open(os.devnull, os.O_RDONLY))
        file = _inputs[standard] = open(0 if standard else _null, encoding="utf-8", closefd=False)  # noqa: SIM115
    return file, _null if standard else -1


def replace_input(replacement: "Any", null: int = -1) -> "Any":
    """Take ``sys.stdin`` away, as the standard library does, and return what is to be in its place.

    It is None meanwhile, which keeps ``_bootstrap`` from opening /dev/null in every child; that takes longer than
    the rest of it. Descriptor 0 becomes what ``null`` is, if that is one.
    """
    before, sys.stdin = sys.stdin, None
    if before is None:
        return None
    if before is not replacement:
        try:
            before.close()
        except (OSError, ValueError):
            return replacement
    if null >= 0:
        os.dup2(null, 0)
    return replacement


def prepare(process_obj: "Any", stdin: "Any" = None) -> None:
    """Have the process object run as a child does; ``stdin`` is what ``sys.stdin`` is to be then."""
    run = process_obj.run
    attributes = vars(process_obj)
    own = attributes.get("run")

    def run_quietly() -> None:
        # Its method is to find the object as the parent made it, and may start another process with it.
        if own is None:
            del attributes["run"]
        else:
            attributes["run"] = own
        if stdin is not None:
            sys.stdin = stdin
        try:
            run()
        except KeyboardInterrupt:
            raise SystemExit(1) from None

    attributes["run"] = run_quietly


def hold_on(lifeline: int) -> None:
    """End with the process that the lifeline is of; the descriptor is taken over."""
    from carrick import _carrick

    if not _carrick.hold_on(lifeline):
        os.kill(os.getpid(), signal.SIGKILL)


def receive(stream: "Any") -> "Any":
    """Read what a parent wrote for its child, make this process ready for it and return the process object."""
    current: Any = process.current_process()
    current._inheriting = True
    try:
        prepare_process(pickle.load(stream))
        return pickle.load(stream)
    finally:
        del current._inheriting


def prepare_process(data: "dict[str, Any]") -> None:
    """``multiprocessing.spawn.prepare``, which takes modules of its own, and time, to import the main module."""
    from multiprocessing import spawn

    path = data.get("init_main_from_path")
    # A script of the name ipython is left alone by the standard function: it once had no guard. A function that a
    # program has put in its place is called.
    if not (
        isinstance(path, str)
        and path.endswith(".py")
        and os.path.basename(path) != "ipython.py"
        and os.path.isfile(path)
        and spawn._fixup_main_from_path.__module__ == spawn.__name__  # type: ignore[attr-defined]
    ):
        spawn.prepare(data)
        return
    spawn.prepare({name: value for name, value in data.items() if name != "init_main_from_path"})
    if getattr(sys.modules["__main__"], "__file__", None) != path:
        _import_main(path)


def _import_main(path: str) -> None:
    """Import the file as ``__mp_main__``; it sees what ``runpy.run_path`` has it see."""
    from multiprocessing import spawn

    main = ModuleType(_MAIN)
    vars(main).update(__file__=path, __package__="")
    options: dict[str, Any] = {}
    if sys.version_info < (3, 15):
        vars(main)["__cached__"] = None
    else:
        options["module"] = _MAIN
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True, **options)
    spawn.old_main_modules.append(sys.modules["__main__"])
    before = sys.modules.get(_MAIN)
    sys.modules[_MAIN] = main
    argument, sys.argv[0] = sys.argv[0], path
    try:
        exec(code, vars(main))  # noqa: S102
    except BaseException:
        if before is None:
            del sys.modules[_MAIN]
        else:
            sys.modules[_MAIN] = before
        raise
    finally:
        sys.argv[0] = argument
    sys.modules["__main__"] = main


class Arrival:
    """A process object on its way to a child that unpickles it; there, it is the process object, prepared."""

    def __init__(self, process_obj: "Any") -> None:
        self._process = process_obj
        self._name = process_obj._name
        self._lifeline = -1
        if process_obj.daemon:
            from carrick import _carrick

            self._lifeline = _carrick.lifeline()

    def write(self, stream: "Any", popen: "Any") -> None:
        """Write what :func:`receive` reads; ``popen`` passes the descriptors on."""
        from multiprocessing import context, spawn

        preparation = spawn.get_preparation_data(self._name)
        context.set_spawning_popen(popen)
        try:
            reduction.dump(preparation, stream)
            reduction.dump(self, stream)
        finally:
            context.set_spawning_popen(None)

    def close(self) -> None:
        """Close what it has opened, when the child has it or there is none."""
        if self._lifeline >= 0:
            os.close(self._lifeline)

    def __reduce__(self) -> "Any":
        lifeline = None if self._lifeline < 0 else reduction.DupFd(self._lifeline)
        return _arrive, (self._process, lifeline)


def _arrive(process_obj: "Any", lifeline: "Any") -> "Any":
    if lifeline is not None:
        hold_on(lifeline.detach())
    prepare(process_obj, arriving_input)
    return process_obj
