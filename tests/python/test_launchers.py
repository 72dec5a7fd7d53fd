# SPDX-License-Identifier: MIT OR Apache-2.0
"""Our launchers do all that those of this Python do: docs/launchers.md has the list."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from support import run
from test_processes import HEAD, TAIL

METHODS = ("fork", "spawn", "forkserver")

every_way = pytest.mark.parametrize(
    ("method", "mode"), [(method, mode) for method in METHODS for mode in ("explicit", "patch")]
)


def scenario(source: str, method: str, mode: str = "explicit") -> None:
    """Run a program that has the names of HEAD."""
    run(HEAD + textwrap.dedent(source) + TAIL, method, mode)


@every_way
def test_a_child_shares_the_resource_tracker_of_its_parent(method: str, mode: str) -> None:
    scenario(
        """
        from multiprocessing import resource_tracker, shared_memory
        resource_tracker.ensure_running()
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = start(targets.make_segment, writing)
        name, reused = reading.recv()
        assert reused
        process.join()
        assert process.exitcode == 0
        # A segment that a child has made is there when it has ended, and nobody calls it leaked.
        segment = shared_memory.SharedMemory(name)
        assert bytes(segment.buf[:5]) == b"hello"
        segment.close()
        segment.unlink()
        segment = shared_memory.SharedMemory(create=True, size=100)
        process = start(targets.unlink_segment, segment.name)
        process.join()
        assert process.exitcode == 0
        segment.close()
        # A fork of the program's own gives the tracker up or has it, as this Python has it.
        intent = getattr(resource_tracker, "_fork_intent", None)
        assert not getattr(intent, "preserve_fd", False)
        """,
        method,
        mode,
    )


@pytest.mark.skipif(sys.version_info < (3, 14), reason="since 3.14")
@every_way
def test_a_process_can_be_interrupted(method: str, mode: str) -> None:
    scenario(
        """
        process = sleeper()
        process.interrupt()
        process.join(30)
        assert process.exitcode == 1
        """,
        method,
        mode,
    )


@pytest.mark.skipif(sys.version_info < (3, 15), reason="since 3.15")
def test_modules_that_cannot_be_preloaded_are_ignored_warned_of_or_fail() -> None:
    scenario(
        """
        for options in ({}, {"on_error": "ignore"}):
            context.set_forkserver_preload(["no_such_module"], **options)
            process = start(targets.leave, 4)
            process.join()
            assert process.exitcode == 4
            forkserver._forkserver._stop()
        context.set_forkserver_preload(["no_such_module"], on_error="fail")
        kept = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            start(targets.nothing)
        except ConnectionError as error:
            assert "no_such_module" in str(error)
            assert "may have crashed during module preloading" in error.__notes__[0]
        else:
            raise AssertionError("it went through")
        os.dup2(kept, 2)
        try:
            context.set_forkserver_preload([], on_error="?")
        except ValueError:
            pass
        else:
            raise AssertionError("it went through")
        context.set_forkserver_preload(["os"], on_error="fail")
        process = start(targets.leave, 4)
        process.join()
        assert process.exitcode == 4
        """,
        "forkserver",
    )


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="3.15 has it")
def test_options_that_this_python_does_not_have_are_refused() -> None:
    scenario(
        """
        try:
            context.set_forkserver_preload([], on_error="ignore")
        except TypeError:
            pass
        else:
            raise AssertionError("it went through")
        """,
        "forkserver",
    )


def test_what_a_preloaded_module_has_printed_is_printed_once(tmp_path: Path) -> None:
    (tmp_path / "printing.py").write_text("import sys\nprint('preloaded')\nsys.stderr.write('')\n")
    source = f"""
        sys.path.insert(0, {str(tmp_path)!r})
        context.set_forkserver_preload(["printing"])
        for _ in range(3):
            process = start(targets.nothing)
            process.join()
            assert process.exitcode == 0
        """
    printed = run(HEAD + textwrap.dedent(source) + TAIL, "forkserver", "explicit")
    assert printed == "preloaded\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize(
    "kind",
    [
        "Lock",
        "RLock",
        "Semaphore",
        "BoundedSemaphore",
        "Condition",
        "Event",
        "Barrier",
        "Queue",
        "SimpleQueue",
    ],
)
def test_a_new_primitive_finds_a_resource_tracker_that_has_died(kind: str, method: str) -> None:
    run(
        """
        import os, select, signal, sys, warnings
        from multiprocessing import resource_tracker
        import carrick.multiprocessing as multiprocessing

        kind, method = sys.argv[1:]
        context = multiprocessing.get_context(method)
        make = getattr(context, kind)
        arguments = [2] if kind == "Barrier" else []
        # Nobody has needed a tracker yet.
        make(*arguments)
        tracker = resource_tracker._resource_tracker
        assert tracker._fd is None
        tracker.ensure_running()
        first = tracker._pid
        make(*arguments)
        assert tracker._pid == first
        ended = os.pidfd_open(first)
        os.kill(first, signal.SIGKILL)
        assert select.select([ended], [], [], 20)[0]
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            make(*arguments)
        assert tracker._pid not in (None, first)
        [warning] = seen
        assert "resource_tracker: process died" in str(warning.message), warning
        """,
        kind,
        method,
    )
