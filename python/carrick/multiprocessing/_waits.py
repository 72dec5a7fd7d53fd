# SPDX-License-Identifier: MIT OR Apache-2.0
"""Whether pickling an object may wait for a lock, and calling what may in a thread that can wait.

Nobody can tell in advance whether a function waits. So one counts as harmless if all that it calls is known and does
not wait: methods of the builtin containers, what is written in C, the standard library, and functions of which that can
be said, too. One that has a ``with``, ``acquire`` or an unknown method in it may wait. A wrong guess in that direction
costs two changes of threads for an object.
"""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

del TYPE_CHECKING, annotations

__all__ = ()

_HOOKS = (
    "__reduce_ex__",
    "__reduce__",
    "__getstate__",
    "__getnewargs_ex__",
    "__getnewargs__",
    "__getattribute__",
)
"""The methods of an object that a pickler calls."""

_WAITING = frozenset(("acquire", "enter_context", "wait", "wait_for"))

_HARMLESS = frozenset(
    name
    for cls in (
        bytearray,
        bytes,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        memoryview,
        object,
        set,
        str,
        tuple,
    )
    for name in dir(cls)
) | frozenset(_HOOKS)
"""Methods of the builtin types."""

_DEEPEST = 6
"""Calls within calls that are looked at."""

PATIENCE = 0.05
"""Seconds that a caller waits for a call in another thread."""

_IDLE = 1.0
"""Seconds after which a thread that has nothing to do ends."""


def class_may_wait(cls: type) -> bool:
    """Whether a pickler of an object of the class may wait."""
    for name in _HOOKS:
        for base in cls.__mro__:
            if base is object or _is_of_the_system(base):
                continue
            if name in vars(base):
                if may_wait(vars(base)[name], cls):
                    return True
                break
    return False


def _is_of_the_system(thing: Any) -> bool:
    module = getattr(thing, "__module__", None)
    if not isinstance(module, str):
        return False
    top = module.partition(".")[0]
    return (top in sys.stdlib_module_names and top != "__main__") or top == "carrick"


def may_wait(called: Any, cls: type | None = None) -> bool:
    """Whether a call of this, a method of ``cls`` if that is given, may wait for a lock."""
    return _may_wait(called, cls, set(), 0)


def _may_wait(called: Any, cls: type | None, seen: set[Any], depth: int) -> bool:
    while True:
        inner = (
            getattr(called, "__func__", None)
            or getattr(called, "func", None)
            or getattr(called, "fget", None)
        )
        if inner is None or isinstance(called, types.FunctionType):
            break
        called = inner
    if isinstance(called, type):
        if _is_of_the_system(called):
            return False
        return any(
            _may_wait(vars(called)[name], called, seen, depth + 1)
            for name in ("__new__", "__init__")
            if name in vars(called)
        )
    if not isinstance(called, types.FunctionType):
        # An object with a __call__ of its own may do anything; what is written in C does not wait.
        return isinstance(vars(type(called)).get("__call__"), types.FunctionType)
    if called in seen or _is_of_the_system(called):
        return False
    if depth >= _DEEPEST:
        return True
    seen.add(called)
    scope = dict(called.__globals__)
    for name, cell in zip(called.__code__.co_freevars, called.__closure__ or (), strict=False):
        try:
            scope[name] = cell.cell_contents
        except ValueError:
            return True
    return _code_may_wait(called.__code__, scope, cls, seen, depth)


def _code_may_wait(
    code: types.CodeType, scope: dict[str, Any], cls: type | None, seen: set[Any], depth: int
) -> bool:
    import dis

    if not _WAITING.isdisjoint(code.co_names):
        return True
    for instruction in dis.get_instructions(code):
        kind, name = instruction.opname, instruction.argval
        if kind == "WITH_EXCEPT_START":
            return True
        if kind in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
            found = scope.get(name)
            if callable(found) and _may_wait(found, None, seen, depth + 1):
                return True
        elif kind in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            member = _member(cls, name)
            if member is not None:
                if _may_wait(member, cls, seen, depth + 1):
                    return True
            elif name not in _HARMLESS and _is_method(instruction):
                return True
    return any(
        _code_may_wait(inner, scope, cls, seen, depth)
        for inner in code.co_consts
        if isinstance(inner, types.CodeType)
    )


def _is_method(instruction: Any) -> bool:
    """Whether an attribute is loaded to be called."""
    return instruction.opname == "LOAD_METHOD" or (
        sys.version_info >= (3, 12) and instruction.arg is not None and bool(instruction.arg & 1)
    )


def _member(cls: type | None, name: str) -> Any:
    for base in () if cls is None else cls.__mro__:
        if base is not object and name in vars(base):
            return vars(base)[name]
    return None


class _Worker:
    """A thread that calls one thing after the other, and ends when it has had nothing to do for some time."""

    def __init__(self) -> None:
        self._call: Call | None = None
        self._work = threading.Semaphore(0)
        threading.Thread(target=self._run, name="carrick-pickles", daemon=True).start()

    def give(self, call: Call) -> None:
        self._call = call
        self._work.release()

    def _run(self) -> None:
        while True:
            if not self._work.acquire(timeout=_IDLE):
                try:
                    _idle.remove(self)
                except ValueError:
                    # A caller has just taken it, and is about to give it something to do.
                    self._work.acquire()
                else:
                    return
            call, self._call = self._call, None
            assert call is not None
            call.run()
            del call
            _idle.append(self)


_idle: list[_Worker] = []


def _forget() -> None:
    # The threads are the parent's.
    _idle.clear()


_watched = False


class Call:
    """A call in another thread, which has begun."""

    def __init__(self, function: Callable[[Any], Any], argument: Any) -> None:
        global _watched
        if not _watched:
            import os

            os.register_at_fork(after_in_child=_forget)
            _watched = True
        self._function, self._argument = function, argument
        self._done = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None
        try:
            worker = _idle.pop()
        except IndexError:
            worker = _Worker()
        worker.give(self)

    def run(self) -> None:
        try:
            self._result = self._function(self._argument)
        except BaseException as error:
            self._error = error
        self._done.set()

    def ended(self) -> bool:
        """Whether it ends within :data:`PATIENCE`."""
        return self._done.wait(PATIENCE)

    def result(self) -> Any:
        """Wait for the end and return what the function returned, or raise what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result
