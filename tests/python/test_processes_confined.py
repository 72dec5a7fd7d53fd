# SPDX-License-Identifier: MIT OR Apache-2.0
"""Processes in a sandbox that refuses system calls, as containers and valgrind do."""

from __future__ import annotations

import platform
import textwrap

import pytest
from support import run
from test_processes import HEAD, TAIL

METHODS = ("fork", "spawn", "forkserver")

# pidfd_open has the same number on all machines but alpha.
REFUSE = """
import ctypes, struct
def refuse(call, error):
    # Loads the number of the call, compares it, and returns the error or lets it through.
    lines = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x50000 | error), (0x06, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0, os.strerror(ctypes.get_errno())
refuse(434, getattr(errno, sys.argv[3]))
"""

pytestmark = pytest.mark.skipif(platform.machine() == "alpha", reason="the number of the call")


def scenario(source: str, method: str, mode: str, error: str) -> None:
    """Run a program that may not have a pidfd."""
    run(HEAD + REFUSE + textwrap.dedent(source) + TAIL, method, mode, error)


@pytest.mark.parametrize("error", ["EPERM", "ENOSYS"])
@pytest.mark.parametrize("mode", ["explicit", "patch"])
@pytest.mark.parametrize("method", METHODS)
def test_processes_work_where_pidfds_are_refused(method: str, mode: str, error: str) -> None:
    scenario(
        """
        def outcome(*arguments):
            process = start(*arguments)
            process.join()
            assert not process.is_alive()
            return process.exitcode
        first_sleep()
        assert outcome(targets.leave, 7) == 7
        before = descriptors()
        assert outcome(targets.nothing) == 0
        assert outcome(targets.die, signal.SIGKILL) == -signal.SIGKILL
        process = sleeper()
        process.join(0.01)
        assert process.is_alive() and process.exitcode is None
        process.terminate()
        assert select.select([process.sentinel], [], [], 30)[0]
        process.join()
        assert process.exitcode == -signal.SIGTERM
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = start(targets.describe, writing)
        assert reading.recv()["parent"] == (os.getpid(), True)
        process.join()
        reading.close(), writing.close()
        del process
        assert descriptors() == before, (descriptors(), before)
        """,
        method,
        mode,
        error,
    )


@pytest.mark.parametrize("method", METHODS)
def test_daemons_end_with_their_parent_where_pidfds_are_refused(method: str) -> None:
    scenario(
        """
        reading, writing = multiprocessing.Pipe(duplex=False)
        parent = start(targets.start_daemons, writing, explicit, method, False, False)
        (pids, _) = reading.recv()
        parent.kill()
        parent.join()
        limit = time.monotonic() + 30
        def runs(pid):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    return file.read().rpartition(")")[2].split()[0] not in "ZX"
            except OSError:
                return False
        while any(map(runs, pids)):
            assert time.monotonic() < limit
            time.sleep(0.01)
        """,
        method,
        "explicit",
        "EPERM",
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_child_sees_the_end_of_its_parent_where_pidfds_are_refused(method: str) -> None:
    scenario(
        """
        reading, writing = multiprocessing.Pipe(duplex=False)
        parent = start(targets.leave_a_process_that_waits_for_the_end, writing, explicit, method)
        pid = reading.recv()
        parent.kill()
        assert reading.recv() == (pid, False)
        parent.join()
        """,
        method,
        "explicit",
        "ENOSYS",
    )
