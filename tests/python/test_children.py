# SPDX-License-Identifier: MIT OR Apache-2.0
"""The state that a child finds, and that it leaves to be found: main module, standard input, its process object."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support import WAIT, environment


def python(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the interpreter in the folder to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(),
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WAIT,
    )


SEEN_BY_MAIN = """
import json, os, sys
import MULTIPROCESSING as multiprocessing

seen = [__name__, __file__, globals().get("__cached__", "none from 3.15 on"), __package__, getattr(__spec__, 'name', None), __loader__ is None, __doc__, sys.argv]
seen.append(sys.modules[__name__].__dict__ is globals())

class Local:
    pass

def target(connection, local):
    main = sys.modules["__main__"]
    assert main is sys.modules["__mp_main__"] and main.Local is type(local) is Local and main.target is target
    connection.send(json.dumps([*seen, main.__name__, sys.argv, sys.path[0], os.readlink("/proc/self/fd/0")]))

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    reading, writing = multiprocessing.Pipe(duplex=False)
    process = context.Process(target=target, args=(writing, Local()))
    process.start()
    print(reading.recv())
    process.join()
    assert process.exitcode == 0
"""


@pytest.mark.parametrize("form", ["file", "module"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_import_the_main_module_as_those_of_the_standard_library_do(
    method: str, form: str, tmp_path: Path
) -> None:
    def child_of(package: str) -> str:
        source = SEEN_BY_MAIN.replace("MULTIPROCESSING", package)
        path = tmp_path / "script.py"
        path.write_text(source, "utf-8")
        program = ["-m", "script"] if form == "module" else [str(path)]
        done = python(tmp_path, *program, method, "argument")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert child_of("carrick.multiprocessing") == child_of("multiprocessing")


@pytest.mark.parametrize("form", ["raises", "is gone"])
def test_a_main_module_that_cannot_be_imported_ends_a_spawned_child(form: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys
            import carrick.multiprocessing as multiprocessing
            if __name__ != "__main__":
                raise ValueError("on purpose")
            process = multiprocessing.get_context("spawn").Process(target=os.getpid)
            if sys.argv[1] == "is gone":
                os.unlink(__file__)
            process.start()
            process.join()
            print(process.exitcode)
            """
        )
    )
    done = python(tmp_path, str(script), form)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    error = (
        "ValueError: on purpose"
        if form == "raises"
        else f"FileNotFoundError: [Errno 2] No such file or directory: {str(script)!r}"
    )
    assert done.stderr.splitlines()[-1] == error


def test_the_standard_input_of_a_fork_is_empty_and_the_parent_keeps_its_own(tmp_path: Path) -> None:
    source = """
        import os, sys
        import carrick.multiprocessing as multiprocessing

        def target(connection):
            own = sys.stdin.fileno() > 2
            connection.send((own, sys.stdin.read(), os.readlink("/proc/self/fd/0"), sys.__stdin__.closed))

        if __name__ == "__main__":
            assert sys.stdin.readline() == "first\\n"
            context = multiprocessing.get_context("fork")
            for _ in range(2):
                reading, writing = multiprocessing.Pipe(duplex=False)
                process = context.Process(target=target, args=(writing,))
                process.start()
                assert reading.recv() == (True, "", os.readlink("/proc/self/fd/0"), True)
                process.join()
            assert sys.stdin.read() == "second\\n"
        """
    done = python(tmp_path, "-c", textwrap.dedent(source), stdin="first\nsecond\n")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", ["/dev/stdin", "/proc/self/fd/0", "descriptor"])
def test_a_fork_reads_the_standard_input_of_its_parent_by_descriptor_and_path(
    path: str, tmp_path: Path
) -> None:
    source = f"""
        import os, subprocess, sys
        import carrick.multiprocessing as multiprocessing

        def target():
            place = 0 if {path!r} == "descriptor" else {path!r}
            with open(place, closefd=False if place == 0 else True) as file:
                assert file.readline() == "first\\n"
            # A program that it starts inherits it, too.
            subprocess.run(["cat"], check=True)

        if __name__ == "__main__":
            process = multiprocessing.get_context("fork").Process(target=target)
            process.start()
            process.join()
            assert process.exitcode == 0
        """
    done = python(tmp_path, "-c", textwrap.dedent(source), stdin="first\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fork_server_imports_the_main_module_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys
            import carrick.multiprocessing as multiprocessing
            who = os.getpid()

            def target(connection):
                connection.send((who, os.getppid(), sys.modules["__main__"].__name__))

            if __name__ == "__main__":
                context = multiprocessing.get_context("forkserver")
                reading, writing = multiprocessing.Pipe(duplex=False)
                for _ in range(3):
                    process = context.Process(target=target, args=(writing,))
                    process.start()
                    imported_by, parent, name = reading.recv()
                    assert (imported_by, name) == (parent, "__mp_main__"), (imported_by, parent, name)
                    process.join()
            """
        )
    )
    done = python(tmp_path, str(script))
    assert (done.returncode, done.stderr) == (0, "")


def outcome(source: str, folder: Path, *arguments: str) -> str:
    """The output of a script whose main module its children can import; it must succeed and complain of nothing."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(source), "utf-8")
    done = python(folder, *arguments[:-1], str(script), arguments[-1])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


WAYS = {"explicit": [], "main": ["-m", "carrick"]}
every_way = pytest.mark.parametrize(
    ("method", "way"), [(method, way) for method in ("fork", "spawn", "forkserver") for way in WAYS]
)


def script_for(way: str, source: str) -> str:
    return source.replace("PACKAGE", "carrick.multiprocessing" if way == "explicit" else "multiprocessing")


@pytest.mark.parametrize("way", WAYS)
def test_a_spawned_child_finalizes_what_its_modules_and_its_process_object_hold(
    way: str, tmp_path: Path
) -> None:
    source = """
        import os, sys
        import PACKAGE as multiprocessing
        context = multiprocessing.get_context(sys.argv[1])

        class Loud:
            def __init__(self, name):
                self.name, self.file = name, open(f"{os.getpid()}-{name}", "w")
                self.file.write("in a buffer")
            # From 3.14 on sys.stdout has gone before the main module does.
            def __del__(self, write=os.write, getpid=os.getpid):
                write(1, (self.name + " of the child" * (parent != getpid()) + "\\n").encode())

        parent = os.getppid()
        in_a_module = None

        class Process(context.Process):
            def run(self):
                global in_a_module
                in_a_module = Loud("module")
                in_a_module.itself = in_a_module
                self.held = Loud("process object")

        if __name__ == "__main__":
            process = Process()
            process.start()
            process.join()
            print(process.exitcode)
            for name in ("module", "process object"):
                with open(f"{process.pid}-{name}") as file:
                    print(file.read())
        """
    printed = outcome(script_for(way, source), tmp_path, *WAYS[way], "spawn").splitlines()
    assert sorted(printed[:2]) == ["module of the child", "process object of the child"]
    assert printed[2:] == ["0", "in a buffer", "in a buffer"]


@every_way
def test_a_run_method_finds_its_object_as_it_was_and_starts_processes_with_it(
    method: str, way: str, tmp_path: Path
) -> None:
    source = """
        import sys
        import PACKAGE as multiprocessing
        context = multiprocessing.get_context(sys.argv[1])

        class Process(context.Process):
            def run(self):
                print(sorted(name for name in vars(self) if not name.startswith("_")), flush=True)
                for other in ("spawn", "fork"):
                    process = multiprocessing.get_context(other).Process(target=self.help, args=(other,))
                    process.start()
                    process.join()
                    print(process.exitcode, flush=True)

            def help(self, other):
                print("started by", other, self.public, flush=True)

            def __init__(self):
                super().__init__()
                self.public = "of the object"

        class Own(Process):
            def __init__(self):
                super().__init__()
                self.run = self.other
            def other(self):
                print(self.run == self.other, flush=True)

        if __name__ == "__main__":
            for cls in (Process, Own):
                process = cls()
                process.start()
                process.join()
                print(process.exitcode)
        """
    printed = outcome(script_for(way, source), tmp_path, *WAYS[way], method).splitlines()
    helped = [line for other in ("spawn", "fork") for line in (f"started by {other} of the object", "0")]
    assert printed == ["['public']", *helped, "0", "True", "0"]


@every_way
@pytest.mark.parametrize("end", ["return", "sys.exit(0)", "sys.exit(3)", "sys.exit('words')", "1 / 0"])
def test_a_child_cleans_up_however_it_ends(method: str, way: str, end: str, tmp_path: Path) -> None:
    source = """
        import os, sys, threading, weakref
        import PACKAGE as multiprocessing
        import PACKAGE.util as util

        class Anything:
            pass

        def late(reading):
            # Only an end of the pipe, which the end of its parent's run is, lets it end.
            os.write(1, b"the child's child waited for: " + reading.recv_bytes() + b"\\n")

        def work(method):
            util.Finalize(None, os.write, (1, b"the finalizer ran\\n"), exitpriority=10)
            reading, writing = multiprocessing.Pipe(duplex=False)
            multiprocessing.get_context(method).Process(target=late, args=(reading,)).start()
            util.Finalize(None, writing.send_bytes, (b"its parent",), exitpriority=5)
            hooks.append(os.getpid())
            END

        hooks = []
        anything = Anything()
        util.register_after_fork(anything, lambda _: hooks.append("again") if hooks else None)

        if __name__ == "__main__":
            method = sys.argv[1]
            process = multiprocessing.get_context(method).Process(target=work, args=(method,))
            process.start()
            process.join()
            print("the child ended with", process.exitcode)
        """
    script = tmp_path / "script.py"
    source = script_for(way, textwrap.dedent(source)).replace("END", end)
    script.write_text(source, "utf-8")
    done = python(tmp_path, *WAYS[way], str(script), method)
    code = {"return": 0, "sys.exit(0)": 0, "sys.exit(3)": 3}.get(end, 1)
    assert done.stdout.splitlines() == [
        "the finalizer ran",
        "the child's child waited for: its parent",
        f"the child ended with {code}",
    ]
    last = {"sys.exit('words')": "words", "1 / 0": "ZeroDivisionError: division by zero"}.get(end)
    assert done.stderr.splitlines()[-1:] == ([last] if last else [])


ORDER_AT_THE_END = """
import atexit, multiprocessing, sys, threading
from multiprocessing import util

def target(released):
    atexit.register(print, "exit handler", flush=True)
    util.Finalize(None, print, ("finalizer",), {"flush": True}, exitpriority=1)
    util.Finalize(None, released.set, exitpriority=0)
    threading.Thread(target=lambda: (released.wait(WAITS), print("thread", flush=True))).start()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    released = context.Event()
    process = context.Process(target=target, args=(released,))
    process.start()
    process.join()
    print(process.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_threads_exit_handlers_and_finalizers_of_a_child_end_in_the_standard_order(
    method: str, tmp_path: Path
) -> None:
    # Where threads come first this one waits in vain for the finalizer.
    source = ORDER_AT_THE_END.replace("WAITS", "0.2")
    (tmp_path / "script.py").write_text(source)
    standard = python(tmp_path, "script.py", method)
    ours = python(tmp_path, "-m", "carrick", "script.py", method)
    assert (ours.stdout, ours.stderr) == (standard.stdout, standard.stderr)
