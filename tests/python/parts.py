# SPDX-License-Identifier: MIT OR Apache-2.0
"""The parts of an object, and whether any of them is the standard library's where it should be carrick's."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

STOCK = {
    "_multiprocessing",
    "multiprocessing.connection",
    "multiprocessing.context",
    "multiprocessing.dummy.connection",
    "multiprocessing.managers",
    "multiprocessing.pool",
    "multiprocessing.popen_fork",
    "multiprocessing.popen_forkserver",
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.queues",
    "multiprocessing.shared_memory",
    "multiprocessing.synchronize",
    "queue",
}
"""The modules of types that carrick has its own of."""

_AS_IT_IS = {
    ("multiprocessing.managers", "Token"),
    ("multiprocessing.managers", "State"),
    ("multiprocessing.managers", "ProcessLocalSet"),
    ("multiprocessing.managers", "_SharedMemoryTracker"),
    ("multiprocessing.dummy.connection", "Connection"),
    ("multiprocessing.pool", "ApplyResult"),
    ("multiprocessing.pool", "_PoolCache"),
}
"""Plain data of the standard library's, or made of what it was given."""

_LEAVES = (type, types.ModuleType, types.BuiltinFunctionType, str, bytes, int)


def parts(*objects: Any) -> Iterator[Any]:
    """The objects and all that their attributes, items and closures lead to."""
    seen: dict[int, Any] = {}
    left = list(objects)
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, _LEAVES):
            continue
        seen[id(one)] = one
        yield one
        if isinstance(one, types.FunctionType):
            left += [cell.cell_contents for cell in one.__closure__ or ()]
        elif isinstance(one, types.MethodType):
            left.append(one.__self__)
        elif isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            left += one
        else:
            left += getattr(one, "__dict__", {}).values()


def stock_parts(*objects: Any) -> list[str]:
    """The types of the standard library's that are found inside, of those that carrick has its own of."""
    found = set()
    for part in parts(*objects):
        kind = part if isinstance(part, types.FunctionType) else type(part)
        place = (kind.__module__, kind.__qualname__)
        if kind.__module__ in STOCK and place not in _AS_IT_IS and isinstance(kind, type):
            found.add(".".join(place))
    return sorted(found)


def stock_parts_of_this_server() -> list[str]:
    """In the process of a manager: what is found in its server and in the objects that it has made."""
    import multiprocessing

    server: Any = multiprocessing.current_process()._manager_server  # type: ignore[attr-defined]
    assert server is not None
    return stock_parts(server.listener, server.id_to_obj, server)


def hold_and_die(value: Any, connection: Any) -> None:
    """Take the lock of a shared value and wait to be killed with it."""
    value.get_lock().acquire()
    value.get_obj().value = 1
    connection.send("held")
    connection.recv()
