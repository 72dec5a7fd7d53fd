# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package :mod:`multiprocessing`, with carrick's processes, connections, queues and locks in it.

All objects made by a name of the package, of a context or of a submodule stand on these: pools, managers and shared
values, too. Submodules are imported when they are used. Those that only look at processes or are told how to start them
(``process``, ``reduction``, ``spawn``, ``util`` and so on) are the standard ones.
"""

from importlib import import_module as _import_module

from carrick._standard import multiprocessing as _standard
from carrick.multiprocessing import context as context
from carrick.multiprocessing.context import default_context as _default

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]

# As in the standard package, all but the classes are methods of the default context.
globals().update((name, getattr(_default, name)) for name in __all__)

_SUBMODULES = frozenset(
    {
        "connection",
        "dummy",
        "forkserver",
        "heap",
        "managers",
        "pool",
        "popen_fork",
        "popen_forkserver",
        "popen_spawn_posix",
        "process",
        "queues",
        "reduction",
        "resource_sharer",
        "resource_tracker",
        "shared_memory",
        "sharedctypes",
        "spawn",
        "synchronize",
        "util",
    }
)


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    return getattr(_standard, name)
