# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where the extension module cannot be loaded a patched program goes on with the standard modules, and is told once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import WAIT, environment, run

import carrick

PROGRAM = """
import queue, sys
import carrick
carrick.patch()
carrick.patch()

def work(numbers, lock):
    with lock:
        numbers.put(queue.__name__)

if __name__ == "__main__":
    import hmac, socketserver, multiprocessing
    import multiprocessing.connection, multiprocessing.queues, multiprocessing.shared_memory
    import concurrent.futures.process
    for name in carrick._patch.EXCHANGED:
        assert getattr(sys.modules.get(name), "__name__", name) == name, name
    assert hmac.new(b"key", b"message", "sha256").digest_size == 32
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        numbers, lock = context.Queue(), context.Lock()
        child = context.Process(target=work, args=(numbers, lock))
        child.start()
        print(numbers.get(timeout=20))
        child.join()
"""


@pytest.mark.parametrize("what", ["missing", "broken", "of another Python"])
@pytest.mark.parametrize("warnings", ["default", "error"])
def test_without_its_extension_the_patch_leaves_the_standard_modules(
    what: str, warnings: str, tmp_path: Path
) -> None:
    home = tmp_path / "home" / "carrick"
    shutil.copytree(Path(carrick.__file__).parent, home, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    if what != "missing":
        (home / "_carrick.abi3.so").write_bytes(b"" if what == "broken" else b"\x7fELF" + bytes(100))
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", warnings, "program.py"],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": str(home.parent)},
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["queue"] * 3), done.stderr
    # Each interpreter that imports the program says so once: this one, and those of spawn and the fork server.
    told = [
        line for line in done.stderr.splitlines() if "RuntimeWarning: carrick.patch() changes nothing" in line
    ]
    assert 1 <= len(told) <= 4 and "_carrick" in told[0], done.stderr


def test_a_sub_interpreter_that_cannot_load_the_extension_has_the_standard_modules() -> None:
    run(
        """
        import sys
        import carrick.queue, carrick.hmac
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        interpreter = interpreters.create()
        code = '''
        import sys, warnings
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            import carrick
            carrick.patch()
            import queue, hmac, socketserver
            import queue as again
        names = {module.__name__ for module in (queue, hmac, socketserver)}
        told = [str(w.message) for w in told if "carrick" in str(w.message)]
        # Python 3.11 loads it into any interpreter.
        loaded = "carrick._carrick" in sys.modules
        assert loaded == (sys.version_info < (3, 12)), loaded
        if loaded:
            assert (names, told) == ({"carrick.queue", "carrick.hmac", "carrick.socketserver"}, []), (names, told)
        else:
            assert names == {"queue", "hmac", "socketserver"} and len(told) == 1, (names, told)
        '''
        import textwrap
        run = getattr(interpreters, "exec", None) or interpreters.run_string
        failed = run(interpreter, textwrap.dedent(code))
        assert failed is None, failed
        interpreters.destroy(interpreter)
        assert carrick.queue.Queue.__module__ == "carrick.queue"
        """
    )


POOL = """
import sys
import carrick
if len(sys.argv) == 1:
    carrick.patch()
from concurrent.futures import InterpreterPoolExecutor

FACTOR = 2

class Number:
    def __init__(self, value):
        self.value = value

def work(number):
    import queue
    return number.value * FACTOR, queue.__name__

def begin(name):
    import hmac
    assert FACTOR == 2 and hmac.__name__ == name

if __name__ == "__main__":
    import queue
    with InterpreterPoolExecutor(2, initializer=begin, initargs=("hmac",)) as pool:
        print(*pool.map(work, map(Number, range(3))), queue.__name__)
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="InterpreterPoolExecutor is new in Python 3.14")
@pytest.mark.parametrize("form", ["script", "module", "folder"])
@pytest.mark.parametrize("how", ["launcher", "patch"])
def test_functions_of_the_main_module_reach_the_workers_of_an_interpreter_pool(
    how: str, form: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(POOL)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text(POOL)
    arguments = {"script": ["program.py"], "module": ["-m", "program"], "folder": ["app"]}[form]
    command = [sys.executable, *(["-m", "carrick"] if how == "launcher" else []), *arguments]
    if how == "launcher":
        command.append("launched")
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=WAIT
    )
    assert done.stdout == "(0, 'queue') (2, 'queue') (4, 'queue') carrick.queue\n", done.stderr
