# SPDX-License-Identifier: MIT OR Apache-2.0
"""Standard methods that look names up in a scope of ours.

A class of the standard library that makes a ``Listener`` or asks for the default context looks these names up in its
own module. A subclass of ours is to use carrick's without a copy of the method: the method's code runs with other
globals. Only methods that look up one of the exchanged names are made so; all others are inherited.
"""

from types import CodeType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ()


def with_names(
    function: "Any", names: "dict[str, Any]", home: str, defaults: "tuple[Any, ...] | None" = None
) -> "Any":
    """The standard function as one of the module ``home``, for which ``names`` mean what they are given as."""
    scope = {**function.__globals__, **names, "__name__": home}
    made = FunctionType(
        function.__code__, scope, function.__name__, defaults or function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__, made.__doc__, made.__module__ = function.__qualname__, function.__doc__, home
    return made


def _looks_up(code: CodeType, names: "dict[str, Any]") -> bool:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return not names.keys().isdisjoint(code.co_names) or any(_looks_up(one, names) for one in inner)


def use(standard: "Any", **names: "Any") -> "Any":
    """A decorator: in a subclass of ``standard`` the methods of that class find ``names``."""

    def decorate(cls: "Any") -> "Any":
        for name, method in vars(standard).items():
            if name in vars(cls):
                continue
            wrapper = type(method) if isinstance(method, (classmethod, staticmethod)) else None
            function = method.__func__ if wrapper else method
            if isinstance(function, FunctionType) and _looks_up(function.__code__, names):
                made = with_names(function, names, cls.__module__)
                setattr(cls, name, wrapper(made) if wrapper else made)
        return cls

    return decorate
