# SPDX-License-Identifier: MIT OR Apache-2.0
"""The fork server among modules, folders and sizes that nobody planned for."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support import WAIT, run
from test_processes import HEAD, TAIL

MODULES = {
    "thread": """
        import threading, time
        threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
        """,
    "blocked": """
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        """,
    "ignored": """
        import signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        """,
    "handler": """
        import os, signal
        def reap_all(*arguments):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        signal.signal(signal.SIGCHLD, reap_all)
        """,
    "wakeup": """
        import os, signal, threading, time
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *arguments: None)
        signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
        threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
        """,
    "children": """
        import subprocess, threading
        def start_others():
            while True:
                assert subprocess.call(["false"]) == 1
        threading.Thread(target=start_others, daemon=True).start()
        """,
}
"""Modules that do what debuggers, loggers and metrics do when they are imported."""

PRELOAD = """
sys.path.insert(0, {folder!r})
multiprocessing.set_forkserver_preload(["a_module"])
"""


def scenario(source: str, module: str, folder: Path, mode: str = "explicit", limit: float = WAIT) -> str:
    """Run a program whose fork server has imported a module."""
    # From 3.15 on a fork beside threads fails where this warning is an error, as it is in these programs.
    quiet = "import warnings\nwarnings.filterwarnings('ignore', 'This process .* is multi-threaded')\n"
    (folder / "a_module.py").write_text(quiet + textwrap.dedent(module))
    head = HEAD + PRELOAD.format(folder=str(folder))
    return run(head + textwrap.dedent(source) + TAIL, "forkserver", mode, limit=limit)


@pytest.mark.parametrize("kind", MODULES)
def test_each_end_is_heard_of_whatever_a_module_of_the_server_does(kind: str, tmp_path: Path) -> None:
    scenario(
        """
        for number in range(24):
            process, code = [
                lambda: (start(targets.nothing), 0),
                lambda: (start(targets.leave, 7), 7),
                lambda: (start(targets.die, signal.SIGKILL), -signal.SIGKILL),
            ][number % 3]()
            process.join(20)
            assert process.exitcode == code, (number, process.exitcode)
        """,
        MODULES[kind],
        tmp_path,
    )


def test_none_of_a_thousand_ends_is_lost_among_threads_and_signals_of_modules(tmp_path: Path) -> None:
    module = "\n".join(textwrap.dedent(MODULES[kind]) for kind in ("wakeup", "thread", "blocked", "handler"))
    scenario(
        """
        reading, writing = multiprocessing.Pipe(duplex=False)
        for batch in range(20):
            processes = []
            for number in range(50):
                target, *args = [
                    (targets.nothing,),
                    (targets.leave, 7),
                    (targets.die, signal.SIGKILL),
                    (targets.tell_and_sleep, writing),
                ][number % 4]
                processes.append(start(target, *args))
                if number % 4 == 3:
                    os.kill(reading.recv(), signal.SIGTERM)
            for number, process in enumerate(processes):
                process.join(20)
                expected = [0, 7, -signal.SIGKILL, -signal.SIGTERM][number % 4]
                assert process.exitcode == expected, (batch, number, process.exitcode)
        """,
        module,
        tmp_path,
        limit=4 * WAIT,
    )


def test_a_child_that_is_stopped_and_continued_has_not_ended(tmp_path: Path) -> None:
    scenario(
        """
        def state(pid):
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0]
        process = sleeper()
        for _ in range(3):
            os.kill(process.pid, signal.SIGSTOP)
            while state(process.pid) != "T":
                os.sched_yield()
            # The server has heard of it when it has served others.
            start(targets.nothing).join()
            assert process.is_alive() and process.exitcode is None
            os.kill(process.pid, signal.SIGCONT)
            start(targets.nothing).join()
            assert process.is_alive() and process.exitcode is None
        process.kill()
        process.join(20)
        assert process.exitcode == -signal.SIGKILL
        """,
        MODULES["thread"],
        tmp_path,
    )


@pytest.mark.parametrize("mode", ["explicit", "patch"])
def test_an_executor_notices_a_killed_worker_of_a_server_with_threads(mode: str, tmp_path: Path) -> None:
    scenario(
        """
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            assert list(executor.map(abs, [-1, -2])) == [1, 2]
            try:
                executor.submit(targets.die, signal.SIGKILL).result(20)
            except BrokenProcessPool:
                pass
            else:
                raise AssertionError("it was not noticed")
        """,
        MODULES["thread"],
        tmp_path,
        mode,
    )


DYING = """
import os, signal
FLAG, COUNT = __file__ + ".flag", __file__ + ".count"
def die():
    if os.path.exists(FLAG):
        with open(COUNT, "a") as file:
            file.write("x")
        HOW
os.register_at_fork(after_in_child=die)
"""

WAYS = {
    "exit": ("os._exit(7)", "exit code 7"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
    # A child of the server fails before it takes a request.
    "raise": (
        "import carrick.multiprocessing.forkserver as module; module._rehearse = lambda: 1 / 0",
        "ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_whose_children_die_before_they_take_a_request_is_told_why(way: str, tmp_path: Path) -> None:
    how, reason = WAYS[way]
    flag = tmp_path / "a_module.py.flag"
    flag.touch()
    scenario(
        f"""
        for _ in range(3):
            try:
                start(targets.nothing)
            except RuntimeError as error:
                assert {reason!r} in str(error), error
            else:
                raise AssertionError("it was not refused")
        first = server()
        count = os.path.getsize({str(tmp_path / "a_module.py.count")!r})
        # Not without end: some to see what happens, and one for each that asks.
        assert 4 <= count <= 12, count
        os.unlink({str(flag)!r})
        for _ in range(3):
            process = start(targets.leave, 4)
            process.join()
            assert process.exitcode == 4
        assert server() == first
        """,
        DYING.replace("HOW", how),
        tmp_path,
    )


ENDING = {
    "exit": ("import os; os._exit(5)", "exit code 5"),
    "leave": ("raise SystemExit(3)", "SystemExit: 3"),
    "thread": (
        "import threading; threading.Thread(target=threading.Event().wait).start(); raise SystemExit",
        "SystemExit",
    ),
}


@pytest.mark.parametrize("way", ENDING)
def test_a_server_that_ends_at_once_says_why(way: str, tmp_path: Path) -> None:
    module, reason = ENDING[way]
    (tmp_path / "a_module.py").write_text(module)
    source = f"""
        # The server's standard error has the traceback, too.
        os.dup2(os.open({str(tmp_path / "stderr")!r}, os.O_WRONLY | os.O_CREAT), 2)
        for _ in range(3):
            try:
                start(targets.nothing)
            except ConnectionError as error:
                assert {reason!r} in str(error), error
                assert type(error).__name__ == "ConnectionError"
            else:
                raise AssertionError("it was not refused")
        multiprocessing.set_forkserver_preload([])
        process = start(targets.leave, 4)
        process.join()
        assert process.exitcode == 4
        """
    head = HEAD + PRELOAD.format(folder=str(tmp_path))
    run(head + textwrap.dedent(source) + TAIL, "forkserver", "explicit")


def test_the_folder_of_the_first_user_plays_no_part(tmp_path: Path) -> None:
    scenario(
        """
        import shutil, tempfile
        home = os.getcwd()
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        reading, writing = multiprocessing.Pipe(duplex=False)
        start(targets.describe, writing).join()
        assert reading.recv()["cwd"] == os.path.realpath(folder)
        os.chdir(home)
        shutil.rmtree(folder)
        for _ in range(8):
            process = start(targets.describe, writing)
            assert reading.recv()["cwd"] == home
            process.join()
            assert process.exitcode == 0
        """,
        "",
        tmp_path,
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("limited", [False, True])
def test_arguments_of_any_size_reach_children(method: str, limited: bool) -> None:
    source = """
        sys.argv[:] = ["program", "x" * 300_000, *map(str, range(20_000))]
        sys.path += [f"/nowhere/{number}" for number in range(20_000)]
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = start(targets.describe, writing)
        assert reading.recv()["argv"] == sys.argv
        process.join()
        assert process.exitcode == 0
        """
    if limited:
        # No file in memory of that length is to be had.
        source = "\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n" + textwrap.dedent(source)
    run(HEAD + textwrap.dedent(source) + TAIL, method, "explicit")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_more_descriptors_than_fit_into_a_message_reach_a_child(method: str) -> None:
    source = """
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
        for count in (60, 150, 400):
            pipes = [multiprocessing.Pipe(duplex=False) for _ in range(count)]
            process = start(targets.send_numbers, [writing for _, writing in pipes])
            assert [reading.recv() for reading, _ in pipes] == list(range(count))
            process.join()
            assert process.exitcode == 0
        queues = [context.Queue() for _ in range(150)]
        process = start(targets.put_numbers, queues)
        assert [queue.get() for queue in queues] == list(range(150))
        process.join()
        assert process.exitcode == 0
        """
    run(HEAD + textwrap.dedent(source) + TAIL, method, "explicit")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_join_in_each_of_several_threads_returns_when_the_exit_code_is_known(method: str) -> None:
    source = """
        import threading
        seen = []
        def join(process, barrier, timeout):
            barrier.wait()
            process.join(timeout)
            seen.append(process.exitcode)
        for number in range(15):
            process = start(targets.leave, 7)
            barrier = threading.Barrier(4)
            threads = [threading.Thread(target=join, args=(process, barrier, t)) for t in (None, 20, None, 20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert seen == [7] * 60, seen
        """
    run(HEAD + textwrap.dedent(source) + TAIL, method, "explicit")
