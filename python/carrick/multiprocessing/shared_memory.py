# SPDX-License-Identifier: MIT OR Apache-2.0
"""Shared memory with names: the module :mod:`multiprocessing.shared_memory`, where who attaches does not destroy.

The standard classes tell the resource tracker of every segment that a process attaches to, and the tracker of an
unrelated process unlinks it when that process ends, although its maker and others still use it (gh-82300). Here the
tracker hears of those that a process makes: they are unlinked when the maker's tree of processes has ended without
doing so, and no sooner.
"""

from __future__ import annotations

from multiprocessing import resource_tracker
from types import FunctionType, SimpleNamespace

from carrick._standard import shared_memory as _standard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

del TYPE_CHECKING, annotations  # No names of the standard module.

__all__ = ["ShareableList", "SharedMemory"]

_KIND = "shared_memory"
_HAS_TRACK = "track" in (_standard.SharedMemory.__init__.__kwdefaults__ or ())


def _standard_method(method: Any, **names: Any) -> Any:
    """The standard function, for which names of its module mean what they do in this one, or what is given."""
    of_ours = {name: value for name, value in globals().items() if name in vars(_standard)}
    scope = vars(_standard) | of_ours | names
    made = FunctionType(method.__code__, scope, method.__name__, method.__defaults__)
    made.__kwdefaults__ = method.__kwdefaults__
    return made


_SILENT = SimpleNamespace(register=lambda name, kind: None)
"""A resource tracker that is told nothing: what ``track=False`` means from Python 3.13 on."""


class SharedMemory(_standard.SharedMemory):
    """A segment of shared memory with a name, made (``create=True``, of ``size`` bytes) or attached to.

    ``track`` says whether the resource tracker unlinks it when this tree of processes has ended without doing so. None,
    the default, is True for a segment that is made and False for one that is attached to; in the standard library
    it is True for both, and Python 3.12 and older have no choice.
    """

    _name: str
    _track = True
    _is_balanced = True

    def __init__(
        self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool | None = None
    ) -> None:
        tracked = bool(create if track is None else track)
        names = {} if tracked or _HAS_TRACK else {"resource_tracker": _SILENT}
        options = {"track": tracked} if _HAS_TRACK else {}
        _standard_method(_standard.SharedMemory.__init__, **names)(self, name, create, size, **options)
        # The standard method tells the tracker that a name is gone, whoever told it of the name.
        self._is_balanced = tracked or (_HAS_TRACK and track is not None)

    def unlink(self) -> None:
        """Remove the name; the memory goes with the last one who has it."""
        if self._is_balanced:
            super().unlink()
            return
        # It may be this process's tracker that the maker told.
        resource_tracker.register(self._name, _KIND)
        self._track = self._is_balanced = True
        try:
            super().unlink()
        except FileNotFoundError:
            resource_tracker.unregister(self._name, _KIND)
            raise


class ShareableList(_standard.ShareableList):  # type: ignore[type-arg]
    """A list of a fixed length in a :class:`SharedMemory`; attached to by ``name``."""

    def __init__(self, sequence: Iterable[Any] | None = None, *, name: str | None = None) -> None:
        _standard_method(_standard.ShareableList.__init__)(self, sequence, name=name)


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
