# SPDX-License-Identifier: MIT OR Apache-2.0
"""Putting carrick's modules in place of the standard ones.

The package ``multiprocessing`` stays CPython's and its leaves are exchanged, ``connection``, ``queues``,
``synchronize`` and those that start processes: contexts, processes and all who import late find ours. Modules that
looked them up before are given ours too. Children made by fork inherit all this; those made by spawn and the fork
server are started with the patch before anything else.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_patched = False

_CHILD_ENTRIES = ("from multiprocessing.spawn import", "from multiprocessing.forkserver import")


def is_patched() -> bool:
    """Whether :func:`patch` has been called in this process or in the one that made it."""
    return _patched


def patch(*, hmac_default: str | None = None) -> None:
    """Put carrick's modules in place of the standard library's, in this process and its future children.

    ``hmac``, ``queue``, ``socketserver`` and of ``multiprocessing`` the modules ``connection``, ``queues``,
    ``synchronize``, ``forkserver`` and ``popen_...`` are exchanged; what is imported from them later, and what the
    package ``multiprocessing`` took from them before, is carrick's. Names that a program imported before stay as
    they are: call it first. Calling it again does nothing.

    ``hmac_default`` names the digest that ``hmac.new(key, msg)`` means; None, as in the standard library, makes
    it a TypeError.
    """
    global _patched
    from carrick import hmac, queue, socketserver
    from carrick.multiprocessing import (
        connection,
        forkserver,
        popen_fork,
        popen_forkserver,
        popen_spawn_posix,
        queues,
        synchronize,
    )

    hmac._DEFAULT = hmac_default
    if _patched:
        return
    _patched = True
    sys.modules["hmac"] = hmac
    for module in (queue, socketserver):
        home = module.__name__.removeprefix("carrick.")
        sys.modules[home] = module
        for name in module.__all__:
            cls = getattr(module, name)
            if cls.__module__ == module.__name__:
                cls.__module__ = home
    for leaf in (queues, synchronize, popen_fork, popen_spawn_posix, forkserver, popen_forkserver):
        _exchange_leaf(leaf.__name__.rpartition(".")[2], leaf)
    _exchange_connection(connection)
    _patch_children()


def _exchange_leaf(leaf: str, ours: ModuleType) -> ModuleType:
    """Put a module in place of one of the package's, and return that one."""
    import multiprocessing

    standard = sys.modules[f"multiprocessing.{leaf}"]
    sys.modules[f"multiprocessing.{leaf}"] = ours
    setattr(multiprocessing, leaf, ours)
    for name, module in list(sys.modules.items()):
        if name.startswith("multiprocessing.") and getattr(module, leaf, None) is standard:
            setattr(module, leaf, ours)
    return standard


def _exchange_connection(ours: ModuleType) -> None:
    standard = _exchange_leaf("connection", ours)
    # Imported later, it takes ours by itself.
    managers = sys.modules.get("multiprocessing.managers")
    listener_client: dict[str, Any] = vars(managers)["listener_client"] if managers else {}
    for serializer, (listener, client) in list(listener_client.items()):
        listener_client[serializer] = (_ours(listener, standard, ours), _ours(client, standard, ours))
    # Two functions of the standard module itself look their classes up there: XmlListener and XmlClient.
    for name in ("Listener", "Client"):
        setattr(standard, name, getattr(ours, name))


def _ours(thing: Any, standard: ModuleType, ours: ModuleType) -> Any:
    for name in ("Listener", "Client"):
        if thing is getattr(standard, name):
            return getattr(ours, name)
    return thing


def _patch_children() -> None:
    from multiprocessing import util

    start = util.spawnv_passfds

    def spawnv_passfds(path: Any, args: Any, passfds: Any) -> int:
        args = list(args)
        for i, arg in enumerate(args[:-1]):
            code = args[i + 1]
            if arg == "-c" and isinstance(code, str) and code.startswith(_CHILD_ENTRIES):
                args[i + 1] = child_prelude() + code
        return start(path, args, passfds)

    util.spawnv_passfds = spawnv_passfds


def child_prelude() -> str:
    """What an interpreter that this one starts is to run first: it has this package, and is patched as this one is."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    call = ""
    if _patched:
        from carrick import hmac

        call = f"carrick.patch(hmac_default={hmac._DEFAULT!r}); "
    return f"import sys; sys.path.append({home!r}); import carrick; sys.path.remove({home!r}); {call}"
