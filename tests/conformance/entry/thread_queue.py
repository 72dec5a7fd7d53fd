# SPDX-License-Identifier: MIT OR Apache-2.0
"""CPython's test_queue on the module that `queue` is.

The tests import `queue` afresh, with and without the C module `_queue`, and would get the standard module whatever
was put in place of it. A finder gives them that instead.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import queue
import sys
import unittest
from types import ModuleType
from typing import Any


class InPlace(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds for `queue` the module that was put in place."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(name, self) if name == "queue" else None

    def create_module(self, spec: Any) -> ModuleType:
        return queue

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed."""


def tests(file: str) -> "dict[str, type[unittest.TestCase]]":
    """The classes of the tests in a file, all of them about the module in place."""
    ours = "carrick" in sys.modules
    if ours:
        sys.meta_path.insert(0, InPlace())
    spec = importlib.util.spec_from_file_location("tests_of_queue", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if ours and not (module.py_queue is module.c_queue is sys.modules["carrick.queue"]):
        raise RuntimeError("the tests have another queue than the one in place")
    return {
        name: thing
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, unittest.TestCase)
    }


def own() -> str:
    """The file of this version's tests."""
    spec = importlib.util.find_spec("test.test_queue")
    assert spec is not None and spec.origin is not None
    return spec.origin
