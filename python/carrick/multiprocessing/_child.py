# SPDX-License-Identifier: MIT OR Apache-2.0
"""The preparation of a child before its process object runs, whatever its start method.

A daemon holds on to its parent's lifeline: the kernel kills it when the parent ends, also by SIGKILL. And a
KeyboardInterrupt that nobody catches ends a child without a traceback, with the exit code that it always had: Ctrl-C
reaches every process of a terminal, and the parent's traceback says enough.
"""

import contextlib
import errno
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

_REFUSED = (errno.ENOSYS, errno.EPERM, errno.EACCES)

_empty: "Any" = None

arriving_input: "Any" = None
"""The ``sys.stdin`` for process objects that arrive here; None leaves it alone."""


def empty_input() -> "Any":
    """The file that children of fork have as ``sys.stdin``: made once, in the parent, for all of them.

    As in the standard library it has a descriptor of its own, which nobody closes, and descriptor 0 stays: what a child
    starts, and ``/dev/stdin``, read what the parent's read.
    """
    global _empty
    if _empty is None or _empty.closed:
        _empty = open(lift(os.open(os.devnull, os.O_RDONLY)), encoding="utf-8", closefd=False)  # noqa: SIM115
    return _empty


def replace_input(replacement: "Any") -> "Any":
    """Take ``sys.stdin`` away, as the standard library does, and return what is to be in its place.

    It is None meanwhile, which keeps ``_bootstrap`` from opening /dev/null in every child; that takes longer than
    the rest of it.
    """
    before, sys.stdin = sys.stdin, None
    if before is None:
        return None
    if before is not replacement:
        with contextlib.suppress(OSError, ValueError):
            before.close()
    return replacement


def parent_handle() -> "tuple[int, bool]":
    """A descriptor that is ready when this process has ended, for its children; and whether pidfds are to be had.

    Sandboxes and old kernels refuse them. Then it is one of the lifeline, which this process alone holds.
    """
    try:
        return lift(os.pidfd_open(os.getpid())), True
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
    from carrick import _carrick

    return _carrick.lifeline(), False


def watch(pid: int, otherwise: int) -> int:
    """A descriptor that is ready when the child has ended. There is a number for it: the parent's has just gone.

    ``otherwise`` is, where pidfds are refused, the reading end of a pipe that the child holds the other end of, and is
    taken over; else it is -1.
    """
    if otherwise >= 0:
        return otherwise
    try:
        return lift(os.pidfd_open(pid))
    except ProcessLookupError:
        # Where SIGCHLD is ignored the kernel has taken the child away already.
        ready, writing = os.pipe()
        os.close(writing)
        return lift(ready)


class Parcel:
    """Bytes for a child that is a program of its own, which reads ``fd`` to the end.

    They are in a file in memory, and the child does not have to be awake for the parent to go on; or, where this
    process may have none of that length (RLIMIT_FSIZE, a sandbox), in a pipe.
    """

    def __init__(self, data: "Any") -> None:
        self._rest: Any = None
        self._writing = -1
        try:
            self.fd = lift(os.memfd_create("carrick-process"))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            self._pipe(data)
            return
        try:
            with open(self.fd, "wb", closefd=False) as file:
                file.write(data)
            os.lseek(self.fd, 0, os.SEEK_SET)
        except OSError:
            os.close(self.fd)
            self._pipe(data)

    def _pipe(self, data: "Any") -> None:
        self.fd, self._writing = map(lift, os.pipe())
        self._rest = data

    def deliver(self) -> None:
        """Write what the child does not have yet, when it has been started."""
        os.close(self.fd)
        self.fd = -1
        if self._rest is not None:
            try:
                with open(self._writing, "wb", closefd=False) as file:
                    file.write(self._rest)
            except BrokenPipeError:
                # It has ended, and its exit code will say so.
                pass

    def close(self) -> None:
        """Close what is open."""
        for fd in (self.fd, self._writing):
            if fd >= 0:
                os.close(fd)
        self.fd = self._writing = -1


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
    """End with the process that the lifeline is of; the descriptor is taken over.

    Where there is no /proc a killed parent's daemon lives on, as with the standard library.
    """
    from carrick import _carrick

    try:
        is_held = _carrick.hold_on(lifeline)
    except FileNotFoundError:
        return
    if not is_held:
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
