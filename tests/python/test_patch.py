# SPDX-License-Identifier: MIT OR Apache-2.0
"""carrick.patch(): the standard names mean carrick's modules, here and in children of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import run

CHECK = """
import sys

def check():
    import hmac, multiprocessing, socketserver, multiprocessing.connection, multiprocessing.managers
    import carrick, carrick.hmac, carrick.socketserver, carrick.multiprocessing.connection as ours
    assert carrick.is_patched()
    assert hmac is carrick.hmac
    assert socketserver is carrick.socketserver
    assert multiprocessing.connection is ours is sys.modules["multiprocessing.connection"]
    assert multiprocessing.Pipe()[0].__class__ is ours.Connection
    assert multiprocessing.managers.listener_client["pickle"] == (ours.Listener, ours.Client)
    from multiprocessing import connection
    assert connection is ours
    return True
"""


def test_the_standard_names_mean_the_same_module_objects() -> None:
    run(CHECK + "import carrick\ncarrick.patch()\ncarrick.patch()\nassert check()\n")


def test_it_works_whatever_was_imported_before() -> None:
    source = """
import multiprocessing.connection, multiprocessing.managers, multiprocessing.pool, socketserver, hmac
import carrick
assert not carrick.is_patched()
carrick.patch()
assert check()
"""
    run(CHECK + source)


def test_nothing_is_loaded_twice() -> None:
    source = """
import carrick
carrick.patch()
import multiprocessing.connection, socketserver, hmac
files = [m.__file__ for m in set(map(id, ())) or sys.modules.values() if getattr(m, "__file__", None)]
kept = {}
for name, module in sys.modules.items():
    kept.setdefault(getattr(module, "__file__", None) or name, set()).add(id(module))
assert [file for file, ids in kept.items() if len(ids) > 1] == []
"""
    run("import sys\n" + source)


def test_nothing_is_loaded_before_it_is_used() -> None:
    run(
        """
        import carrick, sys
        carrick.patch()
        mine = {name for name in sys.modules if name.startswith("carrick")}
        assert mine == {"carrick", "carrick._patch"}, mine
        assert not {"multiprocessing", "queue", "hmac", "socketserver", "threading", "socket"} & set(sys.modules)
        """
    )


NAMES = """
NAMES = ["hmac", "queue", "socketserver"] + ["multiprocessing." + leaf for leaf in (
    "connection", "forkserver", "popen_fork", "popen_forkserver", "popen_spawn_posix", "queues", "synchronize")]
"""


@pytest.mark.parametrize("order", ["standard first", "ours first", "before the patch"])
def test_the_standard_modules_stay_in_reach_of_ours_whichever_is_imported_first(order: str) -> None:
    source = """
import carrick, importlib, sys
from carrick import _standard
order = sys.argv[1]
if order == "before the patch":
    for name in NAMES:
        importlib.import_module(name)
carrick.patch()
for name in NAMES:
    first, second = (name, "carrick." + name) if order != "ours first" else ("carrick." + name, name)
    one, other = importlib.import_module(first), importlib.import_module(second)
    assert one is other and one.__spec__.name == "carrick." + name, (one, other)
    standard = getattr(_standard, name.rpartition(".")[2])
    assert standard is not one and standard.__spec__.name == name, standard
    assert importlib.reload(one) is one and sys.modules[name] is one
    if "." in name:
        import multiprocessing
        assert getattr(multiprocessing, name.rpartition(".")[2]) is one
"""
    run(NAMES + source, order)


def test_threads_that_import_at_once_get_our_modules() -> None:
    source = """
import carrick, importlib, threading
carrick.patch()
start, wrong = threading.Barrier(8), []
def work():
    start.wait()
    for name in NAMES:
        module = importlib.import_module(name)
        if module.__name__ != "carrick." + name:
            wrong.append(module)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not wrong, wrong
"""
    for _ in range(5):
        run(NAMES + source)


def test_nobody_gets_to_see_a_standard_module_while_ours_is_imported() -> None:
    run(
        NAMES
        + """
import carrick, importlib, sys
carrick.patch()
seen = set()
def look(frame, event, argument):
    seen.update(name for name in NAMES if getattr(sys.modules.get(name), "__name__", None) == name)
    parent = sys.modules.get("multiprocessing")
    seen.update(
        name for name in NAMES if getattr(getattr(parent, name.rpartition(".")[2], None), "__name__", None) == name
    )
sys.setprofile(look)
for name in NAMES:
    importlib.import_module(name)
sys.setprofile(None)
assert not seen, seen
"""
    )


FIRST_AT_ONCE = """
import sys, threading
import multiprocessing

def work(kind, method):
    start.wait()
    try:
        context = multiprocessing.get_context(method)
        arguments = () if kind == "Process" else (getattr(context, kind)(),)
        process = context.Process(target=id, args=(arguments,))
        process.start()
        process.join()
        made = [type(one).__module__ for one in (process._popen, *arguments)]
        done.append((process.exitcode, [module for module in made if not module.startswith("carrick.")]))
    except Exception as error:
        done.append(repr(error))

if __name__ == "__main__":
    start, done = threading.Barrier(4), []
    threads = [threading.Thread(target=work, args=sys.argv[1:3]) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    if sys.argv[2] == "forkserver":
        from multiprocessing import forkserver
        forkserver._forkserver._stop()
    assert done == [(0, [])] * 4, done
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("kind", ["Process", "Lock", "Event", "Queue"])
def test_threads_that_make_their_first_object_at_once_get_ours(
    kind: str, method: str, tmp_path: Path
) -> None:
    script = tmp_path / "first_at_once.py"
    script.write_text(FIRST_AT_ONCE, "utf-8")
    run(
        "import runpy; runpy.run_module('carrick', run_name='__main__', alter_sys=True)",
        str(script),
        kind,
        method,
    )


def test_import_hooks_of_others_are_asked_for_the_standard_module() -> None:
    run(
        """
        import carrick, importlib.util, sys, warnings
        warnings.simplefilter("ignore", ImportWarning)
        carrick.patch()

        class Without:
            "Has no find_spec, as was the rule once."

            def find_module(self, name, path=None):
                return None

        class Hook:
            "Asks the other finders, as those of wrapt do."
            asking = False
            found = []

            def find_spec(self, name, path=None, target=None):
                if name != "queue" or self.asking:
                    return None
                self.asking = True
                try:
                    spec = importlib.util.find_spec(name)
                finally:
                    self.asking = False
                self.found.append(type(spec.loader).__module__)
                return spec

        sys.meta_path[:0] = [Without(), Hook()]
        import queue
        import carrick.queue
        assert queue is carrick.queue
        assert Hook.found == ["carrick._patch", "_frozen_importlib_external"], Hook.found
        """
    )


def test_a_module_that_a_program_wants_nobody_to_import_stays_so() -> None:
    run(
        """
        import sys
        sys.modules["multiprocessing.shared_memory"] = None
        import carrick
        carrick.patch()
        import multiprocessing.connection
        try:
            import multiprocessing.shared_memory
        except ModuleNotFoundError:
            sys.exit()
        raise AssertionError
        """
    )


@pytest.mark.parametrize(("name", "barred"), [("queue", "_queue"), ("hmac", "_hashlib"), ("hmac", "_hmac")])
def test_who_bars_the_c_code_of_a_module_gets_the_standard_one(name: str, barred: str) -> None:
    run(
        """
        import importlib, sys
        import carrick
        carrick.patch()
        name, barred = sys.argv[1:]
        ours = importlib.import_module(name)
        assert ours is importlib.import_module(f"carrick.{name}")
        del sys.modules[name]
        sys.modules[barred] = None
        theirs = importlib.import_module(name)
        assert theirs.__file__.endswith(f"{name}.py") and "carrick" not in theirs.__file__, theirs.__file__
        del sys.modules[barred], sys.modules[name]
        assert importlib.import_module(name) is ours
        """,
        name,
        barred,
    )


def test_the_classes_of_socketserver_say_that_they_are_of_socketserver() -> None:
    run(
        """
        import carrick
        carrick.patch()
        import socketserver
        for name in socketserver.__all__:
            assert getattr(socketserver, name).__module__ == "socketserver", name
        """
    )


# Children find this module through its file.
CHILD = (
    CHECK
    + """
import os
def work(connection):
    connection.send((os.getpid(), check()))
    connection.close()
"""
)

PARENT = """
import sys
sys.path.insert(0, sys.argv[2])
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
import carrick
carrick.patch()
import multiprocessing, os
import patched_child

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    ours, theirs = context.Pipe()
    process = context.Process(target=patched_child.work, args=(theirs,))
    process.start()
    theirs.close()
    pid, checked = ours.recv()
    process.join()
    assert process.exitcode == 0 and pid == process.pid and checked
    ours.close()
    if sys.argv[1] == "forkserver":
        from multiprocessing import forkserver
        forkserver._forkserver._stop()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_are_patched(method: str, tmp_path: Path) -> None:
    (tmp_path / "patched_child.py").write_text(CHILD, "utf-8")
    run(PARENT, method, str(tmp_path))


def test_a_manager_works_on_our_connections() -> None:
    run(
        """
        import carrick
        carrick.patch()
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Manager() as manager:
            shared = manager.dict()
            shared["a"] = [1]
            assert dict(shared) == {"a": [1]}
        """
    )


@pytest.mark.parametrize("name", ["queue", "socket", "socketserver"])
def test_a_name_that_the_standard_module_warns_of_is_reported_where_it_is_used(name: str) -> None:
    run(
        """
        import importlib, sys, warnings
        from carrick import _standard
        standard = getattr(_standard, sys.argv[1])
        ours = importlib.import_module("carrick." + sys.argv[1])

        def old(name):
            if name != "old":
                raise AttributeError(f"module {sys.argv[1]!r} has no attribute {name!r}")
            warnings.warn("old", DeprecationWarning, stacklevel=2)
            return 1

        standard.__getattr__ = old
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert ours.old == 1
        assert [warning.filename for warning in told] == ["<string>"], told
        try:
            ours.absent
        except AttributeError as error:
            assert "has no attribute 'absent'" in str(error)
        """,
        name,
    )
