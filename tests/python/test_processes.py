# SPDX-License-Identifier: MIT OR Apache-2.0
"""Processes: how they start and end, by every start method, in both ways to have carrick, and with bad luck."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest
from support import WAIT, environment, program, run, wait_until_asleep

METHODS = ("fork", "spawn", "forkserver")

HEAD = """
import errno, os, resource, select, signal, sys, time
import process_targets as targets
method, mode = sys.argv[1:3]
if mode == "patch":
    import carrick
    carrick.patch()
    import multiprocessing
else:
    import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import forkserver
context = multiprocessing.get_context(method)
explicit = mode == "explicit"

def start(target, *args, **options):
    process = context.Process(target=target, args=args, **options)
    process.start()
    return process

def sleeper(**options):
    reading, writing = multiprocessing.Pipe(duplex=False)
    process = start(targets.tell_and_sleep, writing, **options)
    writing.close()
    assert reading.recv() == process.pid
    reading.close()
    return process

def ended(pid):
    # Readable when it has ended, or gone.
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 30)[0])
    finally:
        os.close(fd)

def idle_children():
    with open(f"/proc/{server()}/task/{server()}/children") as file:
        return [int(pid) for pid in file.read().split()]

def server():
    return forkserver._forkserver._forkserver_pid

def first_sleep():
    # From then on the main thread keeps two descriptors for signals.
    ends = multiprocessing.Pipe()
    assert not ends[0].poll(0.001)
    for end in ends:
        end.close()

def descriptors():
    return sorted(os.listdir("/proc/self/fd"))

"""

TAIL = """
from multiprocessing import resource_tracker
forkserver._forkserver._stop()
resource_tracker._resource_tracker._stop()
"""


def scenario(source: str, method: str, mode: str) -> str:
    """Run a program that has the names of HEAD."""
    return run(HEAD + textwrap.dedent(source) + TAIL, method, mode)


every_way = pytest.mark.parametrize(
    ("method", "mode"), [(method, mode) for method in METHODS for mode in ("explicit", "patch")]
)
every_method = pytest.mark.parametrize("method", METHODS)


@every_way
def test_a_process_has_the_exit_code_that_it_ended_with(method: str, mode: str) -> None:
    scenario(
        """
        def outcome(*arguments):
            process = start(*arguments)
            process.join()
            assert not process.is_alive()
            return process.exitcode
        assert outcome(targets.nothing) == 0
        assert outcome(targets.leave, None) == 0
        assert outcome(targets.leave, 7) == 7
        assert outcome(targets.vanish, 3) == 3
        assert outcome(targets.die, signal.SIGTERM) == -signal.SIGTERM
        assert outcome(targets.die, signal.SIGKILL) == -signal.SIGKILL
        """,
        method,
        mode,
    )


@every_way
def test_what_a_child_does_not_catch_is_printed_as_ever(method: str, mode: str) -> None:
    source = HEAD + "\nfor t, a in ((targets.fail, ()), (targets.leave, ('words',))):\n"
    source += "    p = start(t, *a, name='Fred')\n    p.join()\n    assert p.exitcode == 1\n" + TAIL
    ended = subprocess.run(
        program(source, method, mode), env=environment(), capture_output=True, text=True, timeout=WAIT
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("Process Fred:\nTraceback"), ended.stderr
    assert "ValueError: on purpose\nwords\n" in ended.stderr, ended.stderr


@every_way
def test_terminate_kill_and_close(method: str, mode: str) -> None:
    scenario(
        """
        process = sleeper()
        assert process.is_alive() and process.exitcode is None
        try:
            process.close()
        except ValueError:
            pass
        else:
            raise AssertionError("closed while it ran")
        process.terminate()
        process.join()
        assert process.exitcode == -signal.SIGTERM
        process.close()
        process = sleeper()
        process.kill()
        assert select.select([process.sentinel], [], [], 30)[0]
        process.join(30)
        assert process.exitcode == -signal.SIGKILL and not process.is_alive()
        process.close()
        """,
        method,
        mode,
    )


@every_way
def test_a_child_sees_what_the_standard_library_shows_it(method: str, mode: str, tmp_path: Path) -> None:
    scenario(
        f"""
        os.environ["CARRICK_TEST"] = "before"
        start(targets.nothing).join()
        os.environ["CARRICK_TEST"] = "after"
        sys.argv = ["a", "b"]
        os.chdir({str(tmp_path)!r})
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = start(targets.describe, writing, name="Fred")
        seen = reading.recv()
        process.join()
        assert process.exitcode == 0
        assert seen["stdin"] == "" and seen["closed"], seen
        assert seen["argv"] == ["a", "b"] and seen["cwd"] == {str(tmp_path)!r}, seen
        # The environment of a fork server is that of its start.
        assert seen["variable"] == ("before" if method == "forkserver" else "after"), seen
        assert seen["parent"] == (os.getpid(), True) and seen["name"] == "Fred", seen
        assert seen["method"] == method and seen["threads"] == 1 and seen["children"] == [], seen
        assert seen["interrupt"] and seen["blocked"] == [], seen
        assert seen["server"] == (server() if method == "forkserver" else os.getpid()), seen
        """,
        method,
        mode,
    )


@every_method
def test_a_join_with_a_deadline_gives_up_on_a_stopped_child(method: str) -> None:
    scenario(
        """
        import warnings
        warnings.simplefilter("ignore", ResourceWarning)
        process = sleeper()
        os.kill(process.pid, signal.SIGSTOP)
        while open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()[0] != "T":
            os.sched_yield()
        process.terminate()
        process.join(0.05)
        assert process.is_alive() and process.exitcode is None
        os.kill(process.pid, signal.SIGCONT)
        process.join(30)
        assert process.exitcode == -signal.SIGTERM
        """,
        method,
        "explicit",
    )


@every_method
def test_a_child_that_executes_another_program_is_the_same_process(method: str) -> None:
    scenario(
        """
        ours, theirs = multiprocessing.Pipe()
        process = start(targets.execute, theirs)
        theirs.close()
        assert os.read(ours.fileno(), 1) == b"x"
        if method != "spawn":
            process.join(0.05)
        assert process.is_alive() and process.exitcode is None
        os.write(ours.fileno(), b"y")
        process.join()
        assert process.exitcode == 5
        """,
        method,
        "explicit",
    )


@every_method
def test_a_process_has_ended_though_a_child_of_its_own_lives(method: str) -> None:
    scenario(
        """
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = start(targets.leave_a_child, writing)
        orphan = reading.recv()
        process.join(30)
        assert process.exitcode == 0
        os.kill(orphan, signal.SIGKILL)
        """,
        method,
        "explicit",
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["explicit", "patch"])
@pytest.mark.parametrize("in_thread", [False, True])
def test_daemons_end_with_a_parent_that_is_killed(method: str, mode: str, in_thread: bool) -> None:
    scenario(
        f"""
        reading, writing = multiprocessing.Pipe(duplex=False)
        # The parent is a fork of this process in any case: it need not know the fork server of this one.
        parent = multiprocessing.get_context("fork").Process(
            target=targets.start_daemons, args=(writing, explicit, method, {in_thread}, True))
        parent.start()
        daemons, sibling = reading.recv()
        parent.kill()
        parent.join()
        assert all(map(ended, daemons)), daemons
        # A fork of the parent that is no daemon is none of our business, and held nothing up.
        os.kill(sibling, 0)
        os.kill(sibling, signal.SIGKILL)
        """,
        method,
        mode,
    )


@every_method
def test_processes_that_are_no_daemons_outlive_a_parent_that_is_killed(method: str) -> None:
    source = HEAD + "print(sleeper().pid, server() or 0, flush=True)\nsignal.pause()\n"
    with subprocess.Popen(
        program(source, method, "explicit"), env=environment(), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child, fork_server = map(int, parent.stdout.readline().split())
        parent.kill()
        parent.wait()
        if fork_server:
            fd = os.pidfd_open(fork_server)
            os.kill(child, 0)
            os.kill(child, signal.SIGKILL)
            signal.pidfd_send_signal(fd, 0)
            os.close(fd)
        else:
            os.kill(child, 0)
            os.kill(child, signal.SIGKILL)


@every_method
def test_no_descriptor_is_left_of_a_process(method: str) -> None:
    scenario(
        """
        first_sleep()
        start(targets.nothing, daemon=True).join()
        before = descriptors()
        for _ in range(10):
            process = start(targets.nothing)
            process.join()
            process.close()
        assert descriptors() == before
        """,
        method,
        "explicit",
    )


@every_method
def test_without_descriptors_a_start_fails_and_leaves_nothing(method: str) -> None:
    scenario(
        """
        first_sleep()
        start(targets.nothing, daemon=True).join()
        before = descriptors()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        failed = 0
        for more in range(16):
            # One is the listing's own.
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(before) - 1 + more, limits[1]))
            try:
                process = start(targets.nothing, daemon=True)
            except OSError as error:
                assert error.errno == errno.EMFILE, error
                failed += 1
            else:
                process.join()
                process.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert descriptors() == before
            assert multiprocessing.active_children() == []
        assert 0 < failed < 16, failed
        """,
        method,
        "explicit",
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_cannot_be_pickled_is_refused_and_leaves_nothing(method: str) -> None:
    scenario(
        """
        first_sleep()
        start(targets.nothing, daemon=True).join()
        before = descriptors()
        for daemon in (False, True):
            process = context.Process(target=lambda: None, daemon=daemon)
            try:
                process.start()
            except Exception as error:
                assert "pickle" in str(error), error
            else:
                raise AssertionError("it was pickled")
            del process
            assert descriptors() == before
            assert multiprocessing.active_children() == []
        """,
        method,
        "explicit",
    )


@every_method
def test_processes_and_objects_of_the_standard_library_may_be_mixed_with_ours(method: str) -> None:
    scenario(
        """
        import multiprocessing as standard
        assert standard is not multiprocessing
        ours, theirs = context, standard.get_context(method)
        for processes, objects in ((ours, theirs), (theirs, ours)):
            lock, queue, event = objects.Lock(), objects.Queue(), objects.Event()
            process = processes.Process(target=targets.put_and_set, args=(lock, queue, event))
            process.start()
            assert event.wait(30) and queue.get() == process.pid
            process.join()
            assert process.exitcode == 0 and lock.acquire(False)
            queue.close()
        standard.forkserver._forkserver._stop()
        """,
        method,
        "explicit",
    )


@every_method
def test_many_processes_at_once(method: str) -> None:
    scenario(
        """
        processes = [sleeper() for _ in range(10 if method == "spawn" else 60)]
        assert len({process.pid for process in processes}) == len(processes)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        assert {process.exitcode for process in processes} == {-signal.SIGTERM}
        """,
        method,
        "explicit",
    )


def test_a_process_starts_where_dead_children_are_not_kept() -> None:
    scenario(
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        process = start(targets.nothing)
        process.join(30)
        assert not os.path.exists(f"/proc/{process.pid}")
        """,
        "fork",
        "explicit",
    )


def test_forks_of_a_process_class_with_methods_of_its_own_run_them() -> None:
    scenario(
        """
        class Counted(context.Process):
            def _bootstrap(self, *args, **kwargs):
                super()._bootstrap(*args, **kwargs)
                return 9
        process = Counted(target=targets.nothing)
        process.start()
        process.join()
        assert process.exitcode == 9
        from multiprocessing import util
        class Noted:
            pass
        note = Noted()
        util.register_after_fork(note, lambda note: os._exit(8))
        process = start(targets.nothing)
        process.join()
        assert process.exitcode == 8
        """,
        "fork",
        "explicit",
    )


@pytest.mark.parametrize("mode", ["explicit", "patch"])
def test_a_request_whose_warm_child_is_killed_falls_to_another(mode: str) -> None:
    scenario(
        """
        start(targets.nothing).join()
        first = server()
        for _ in range(5):
            for pid in idle_children():
                os.kill(pid, signal.SIGKILL)
            process = start(targets.leave, 4)
            process.join()
            assert process.exitcode == 4
        assert server() == first
        """,
        "forkserver",
        mode,
    )


@pytest.mark.parametrize("mode", ["explicit", "patch"])
def test_a_fork_server_that_is_killed_is_replaced(mode: str) -> None:
    scenario(
        """
        running = sleeper()
        idle = [pid for pid in idle_children() if pid != running.pid]
        first = server()
        os.kill(first, signal.SIGKILL)
        assert ended(first)
        process = start(targets.leave, 4)
        process.join()
        assert process.exitcode == 4 and server() != first
        assert all(map(ended, idle))
        # Nobody can tell any more how this one ends, and its sentinel is ready.
        assert running.exitcode == 255
        os.kill(running.pid, 0)
        os.kill(running.pid, signal.SIGKILL)
        """,
        "forkserver",
        mode,
    )


def test_warm_children_that_are_stopped_do_not_hold_a_request_up() -> None:
    scenario(
        """
        # Some take a request before they stop, others do not.
        for _ in range(6):
            start(targets.nothing).join()
            for pid in idle_children():
                os.kill(pid, signal.SIGSTOP)
            processes = [start(targets.leave, 4) for _ in range(4)]
            for process in processes:
                process.join()
                assert process.exitcode == 4
        """,
        "forkserver",
        "explicit",
    )


@pytest.mark.parametrize("mode", ["explicit", "patch"])
def test_a_child_of_the_fork_server_uses_it_too(mode: str) -> None:
    scenario(
        """
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = start(targets.start_another, writing, explicit)
        assert reading.recv() == (server(), server())
        process.join()
        assert process.exitcode == 0
        """,
        "forkserver",
        mode,
    )


def test_arguments_of_many_mebibytes_reach_a_child_of_the_fork_server() -> None:
    scenario(
        """
        reading, writing = multiprocessing.Pipe(duplex=False)
        for length in (0, 32 << 10, 64 << 10, 5 << 20):
            process = start(targets.measure, writing, bytes(length))
            assert reading.recv() == length
            process.join()
        """,
        "forkserver",
        "explicit",
    )


@every_way
def test_control_c_ends_a_tree_of_processes_with_one_traceback(method: str, mode: str) -> None:
    # Children, and children of a child: one of each waits for an item, a lock and the end of a sleep.
    source = HEAD + (
        "class Tell:\n"
        "    def send(self, pids):\n"
        "        print(*pids, flush=True)\n"
        "lock = context.Lock()\n"
        "with lock:\n"
        "    targets.branch(Tell(), explicit, method, context.Queue(), lock, 1)\n"
    )
    with subprocess.Popen(
        program(source, method, mode),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(set(pids)) == 8 and pids[0] == parent.pid
        ends = [os.pidfd_open(pid) for pid in pids]
        try:
            for pid in pids:
                wait_until_asleep(pid)
            os.killpg(parent.pid, signal.SIGINT)
            _, complaint = parent.communicate(timeout=WAIT)
            assert all(select.select([end], [], [], WAIT)[0] for end in ends), "a process of the tree lives"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)
            for end in ends:
                os.close(end)
    assert parent.returncode == -signal.SIGINT
    assert complaint.count("Traceback") == complaint.count("KeyboardInterrupt") == 1, complaint


@every_method
def test_a_child_that_is_interrupted_ends_with_the_exit_code_that_it_always_had(method: str) -> None:
    scenario(
        """
        process = sleeper()
        os.kill(process.pid, signal.SIGINT)
        process.join()
        assert process.exitcode == 1
        """,
        method,
        "patch",
    )
