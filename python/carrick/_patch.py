# SPDX-License-Identifier: MIT OR Apache-2.0
"""Putting carrick's modules in place of the standard ones.

The package ``multiprocessing`` stays CPython's and its leaves are exchanged, ``connection``, ``queues``,
``shared_memory``, ``synchronize`` and those that start processes: contexts, processes and all who import late find
ours. Modules that looked them up before are given ours too. Children made by fork inherit all this; those made by
spawn and the fork server are started with the patch before anything else.

Modules imported before are exchanged at once, and all others when they are first imported: a finder before all others
answers for the names of the standard modules. :mod:`carrick._standard`, which asks for the standard module itself,
finds it by the other finders, past :data:`sys.modules`.

Where the extension module cannot be loaded, as in a sub-interpreter or after an installation that went wrong, the
finder answers for nothing, so that a program goes on with the standard modules; a warning says so once.
"""

import os
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_WHOLE = ("hmac", "queue", "socketserver")
LEAVES = (
    "connection",
    "forkserver",
    "popen_fork",
    "popen_forkserver",
    "popen_spawn_posix",
    "queues",
    "shared_memory",
    "synchronize",
)
"""The modules of ``multiprocessing`` that have one of ours below ``carrick.multiprocessing``."""

EXCHANGED = {*_WHOLE, *(f"multiprocessing.{leaf}" for leaf in LEAVES)}
"""The standard modules that have one of ours in their place; it has the same name below ``carrick``."""

_BARRED = {"hmac": ("_hashlib", "_hmac"), "queue": ("_queue",)}
"""The C code of standard modules. A program that bars it, by a None in :data:`sys.modules`, and imports the module asks
for the code in Python, and gets the standard module."""

_DIGESTS = ("md5", "sha1", "sha256", "sha384", "sha512", "sha3_256", "sha3_384")
"""The digests that the core computes."""

hmac_default: str | None = None
"""The argument of :func:`patch`."""

_finder: "_Finder | None" = None

_loads: bool | None = None
"""Whether the extension module can be loaded; None until somebody needs it."""


def is_patched() -> bool:
    """Whether :func:`patch` has been called in this process or in the one that made it."""
    return _finder is not None


def _check_digest(name: str | None) -> None:
    """Raise ValueError for what ``hmac.new`` would not take."""
    if name is None or name in _DIGESTS:
        return
    if not isinstance(name, str):
        raise TypeError(f"hmac_default {name!r}; give the name of a digest, a str, or None")
    import hashlib

    try:
        # One without a size, such as shake_128, is none of HMAC's.
        usable = hashlib.new(name).digest_size > 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"hmac_default {name!r} is no digest of hmac's; give one such as 'sha256', or None")


def patch(*, hmac_default: str | None = None) -> None:
    """Put carrick's modules in place of the standard library's, in this process and its future children.

    ``hmac``, ``queue``, ``socketserver`` and of ``multiprocessing`` the modules ``connection``, ``queues``,
    ``shared_memory``, ``synchronize``, ``forkserver`` and ``popen_...`` are exchanged; what is imported from them
    later, and what the package ``multiprocessing`` took from them before, is carrick's. Names that a program imported
    before stay as they are: call it first. Calling it again does nothing.

    ``hmac_default`` names the digest that ``hmac.new(key, msg)`` means; None, as in the standard library, makes
    it a TypeError. An unknown digest is a ValueError here; to look up one that is not the core's imports hashlib.
    """
    global _finder
    _check_digest(hmac_default)
    globals()["hmac_default"] = hmac_default
    ours = sys.modules.get("carrick.hmac")
    if ours is not None:
        vars(ours)["_DEFAULT"] = hmac_default
    if _finder is not None:
        return
    _finder = _Finder()
    sys.meta_path.insert(0, _finder)
    for name in sorted(EXCHANGED & sys.modules.keys()):
        # None is for a module that a program wants nobody to import.
        if sys.modules.get(name) is not None and _extension_loads():
            _exchange(name)


def _extension_loads() -> bool:
    global _loads
    if _loads is None:
        try:
            from importlib import import_module

            import_module("carrick._carrick")
        except Exception as error:
            _loads = False
            _warn(error)
        else:
            _loads = True
    return _loads


def _warn(error: Exception) -> None:
    import warnings

    text = (
        "carrick.patch() changes nothing here, the standard modules are used:"
        f" the extension module of carrick cannot be loaded ({type(error).__name__}: {error})"
    )
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        # Where warnings are errors this one would be an ImportError of a standard module.
        print(f"RuntimeWarning: {text}", file=sys.stderr)


class _Finder:
    """Finder and loader of the names in ``EXCHANGED``, for :data:`sys.meta_path`."""

    def __init__(self) -> None:
        self.standard: set[tuple[str, int]] = set()
        """The names that mean the standard module to a thread, for as long as it looks for that."""

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None", target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if fullname not in EXCHANGED or (fullname, get_ident()) in self.standard or not _extension_loads():
            return None
        modules: dict[str, object] = sys.modules  # type: ignore[assignment]
        if any(modules.get(barred, self) is None for barred in _BARRED.get(fullname, ())):
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: "ModuleSpec") -> "ModuleType":
        ours = _exchange(spec.name)
        # An import by this loader gives the module a new specification.
        spec.loader_state = ours.__spec__
        return ours

    def exec_module(self, module: "ModuleType") -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def forget_threads() -> None:
    """In the child of a fork: this is the only thread that looks for standard modules."""
    if _finder is not None:
        me = get_ident()
        _finder.standard = {entry for entry in _finder.standard if entry[1] == me}


def import_standard(name: str) -> "ModuleType":
    """Import the standard module ``name``. If ours is to go by that name, nobody else gets to see the standard one.

    The caller sees to it that no other thread imports the same.
    """
    from importlib import import_module

    if _finder is None or name not in EXCHANGED or name in sys.modules:
        return import_module(name)
    from importlib.util import find_spec, module_from_spec

    # Finders may ask all finders in turn, those of import hooks do, and are not to find ours.
    me = (name, get_ident())
    _finder.standard.add(me)
    try:
        spec = find_spec(name)
    finally:
        _finder.standard.discard(me)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _exchange(name: str) -> "ModuleType":
    """Have the name mean our module, for those too who looked it up before, and return that one."""
    from importlib import import_module

    from carrick import _standard

    parent, _, leaf = name.rpartition(".")
    standard = getattr(_standard, leaf)
    ours = import_module(f"carrick.{name}")
    sys.modules[name] = ours
    if not parent:
        for public in getattr(ours, "__all__", ()):
            cls = getattr(ours, public)
            if cls.__module__ == ours.__name__:
                cls.__module__ = name
        return ours
    setattr(sys.modules[parent], leaf, ours)
    for other, module in list(sys.modules.items()):
        if other.startswith(f"{parent}.") and getattr(module, "__dict__", {}).get(leaf) is standard:
            setattr(module, leaf, ours)
    if leaf == "connection":
        _exchange_classes(standard, ours)
    return ours


def _exchange_classes(standard: "ModuleType", ours: "ModuleType") -> None:
    exchanged = {getattr(standard, name): getattr(ours, name) for name in ("Listener", "Client")}
    # Imported later, or not yet done with its imports, it takes ours by itself.
    managers = sys.modules.get("multiprocessing.managers")
    pairs: dict[str, Any] = getattr(managers, "listener_client", {})
    for serializer, pair in list(pairs.items()):
        pairs[serializer] = tuple(exchanged.get(one, one) for one in pair)
    # Two functions of the standard module itself look their classes up there: XmlListener and XmlClient.
    for name in ("Listener", "Client"):
        setattr(standard, name, getattr(ours, name))


def child_command(module: str, *arguments: "Any") -> str:
    """Source that calls ``_carrick_main`` of a module of ours in a fresh interpreter, patched if this one is."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    call = f"carrick.patch(hmac_default={hmac_default!r}); " if is_patched() else ""
    return (
        f"import sys; sys.path.append({home!r}); import carrick; sys.path.remove({home!r}); {call}"
        f"from {module} import _carrick_main; _carrick_main(*{arguments!r})"
    )
