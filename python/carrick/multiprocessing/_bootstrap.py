# SPDX-License-Identifier: MIT OR Apache-2.0
"""``Process._bootstrap`` for children of fork, in fewer steps.

A page that a child writes to, if only to count a reference, is copied first, and that is most of what starting a
process costs. So what a child is to have is made before the fork, and steps that would change nothing are left out.
Unusual cases are left to the standard method: a process class with methods of its own, logging, and a
standard library that is not as we know it.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from multiprocessing import context, process, util

from carrick.multiprocessing import _child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ()

_STANDARD = process.BaseProcess._bootstrap
_AFTER_FORK = (process.BaseProcess._after_fork, context.Process._after_fork)

_USED: dict[Any, tuple[str, ...]] = {
    process: ("_children", "_current_process", "_parent_process", "_process_counter", "_ParentProcess"),
    context: ("_concrete_contexts", "_default_context"),
    util: ("_afterfork_registry", "_exit_function", "_finalizer_registry", "_flush_std_streams", "_logger"),
    threading: ("_HAVE_THREAD_NATIVE_ID", "_active", "_limbo", "_shutdown", "_threading_atexits"),
}

_SET_NATIVE_ID = getattr(threading.Thread, "_set_native_id", None)

_IS_KNOWN = _STANDARD.__module__ == process.__name__ and all(
    hasattr(module, name) for module, names in _USED.items() for name in names
)


def child_of_fork(process_obj: Any, parent: int, at_exit: bool) -> Callable[[], int]:
    """The function for the child to call, to run the process object and to have its exit code. Made before the fork.

    ``parent`` is the descriptor of the parent. ``at_exit`` says that finalizers are an exit handler's to run, after
    the threads of the child have ended.
    """
    stdin = None if sys.stdin is None else _child.empty_input()
    cls = type(process_obj)
    if not (_IS_KNOWN and cls._bootstrap is _STANDARD and cls._after_fork in _AFTER_FORK) or util._logger:

        def slowly() -> int:
            _child.replace_input(stdin)
            _child.prepare(process_obj, stdin)
            code: int = process_obj._bootstrap(parent_sentinel=parent)
            return code

        return slowly

    method = process_obj._start_method
    default = vars(context._default_context)
    default_context = default["_actual_context"] if method is None else context._concrete_contexts[method]
    names = vars(process)
    fresh = {
        "_children": set(),
        "_current_process": process_obj,
        "_parent_process": process._ParentProcess(process_obj._parent_name, process_obj._parent_pid, parent),
        "_process_counter": itertools.count(1),
    }
    after_fork = process_obj._after_fork if util._afterfork_registry else util._finalizer_registry.clear

    def quickly() -> int:
        # Until after the finalizers are forgotten: the object that this process was before may have some.
        _before = names["_current_process"]
        code = 1
        try:
            default["_actual_context"] = default_context
            names.update(fresh)
            sys.stdin = _child.replace_input(stdin)
            if _SET_NATIVE_ID is not None:
                _SET_NATIVE_ID(threading.main_thread())
            after_fork()
            try:
                process_obj.run()
            finally:
                if not at_exit and (util._finalizer_registry or names["_children"] or util._logger):
                    util._exit_function()
            code = 0
        except BaseException as error:
            code = _exit_code(process_obj, error)
        if len(threading._active) != 1 or threading._limbo or threading._threading_atexits:
            threading._shutdown()
        util.info("process exiting with exitcode %d", code)
        util._flush_std_streams()
        return code

    return quickly


def _exit_code(process_obj: Any, error: BaseException) -> int:
    """The exit code of a process that ends by an exception, which is printed where nobody asked for it."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
    elif not isinstance(error, KeyboardInterrupt):
        import traceback

        sys.stderr.write(f"Process {process_obj.name}:\n")
        traceback.print_exception(error)
    return 1
