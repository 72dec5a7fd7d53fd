# SPDX-License-Identifier: MIT OR Apache-2.0
"""Values and arrays of :mod:`ctypes` in shared memory: the module :mod:`multiprocessing.sharedctypes`.

The memory is the standard library's. The locks are carrick's unless one, or a context, is given.
"""

from multiprocessing import sharedctypes as _standard
from multiprocessing.sharedctypes import RawArray, RawValue, copy

from carrick.multiprocessing._scope import with_names as _with_names
from carrick.multiprocessing.context import get_context as _get_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]

_names = {"get_context": _get_context}
synchronized = _with_names(_standard.synchronized, _names, __name__)
_names["synchronized"] = synchronized
Value = _with_names(_standard.Value, _names, __name__)
Array = _with_names(_standard.Array, _names, __name__)


def __getattr__(name: str) -> "Any":
    return getattr(_standard, name)
