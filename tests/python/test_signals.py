# SPDX-License-Identifier: MIT OR Apache-2.0
"""A blocking call in the main thread runs signal handlers and goes on (PEP 475); Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from blocking_calls import CALLS, ELSEWHERE, PRELUDE, UNCHANGED
from support import WAIT, run, running, wait_until_asleep


def ready(process: subprocess.Popen[str]) -> None:
    """Wait until the call has begun to wait."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", line + (process.stderr.read() if process.stderr else "")
    wait_until_asleep(process.pid)


@pytest.mark.parametrize("call", CALLS)
def test_a_signal_handler_runs_and_the_call_goes_on(call: str) -> None:
    with running(PRELUDE + CALLS[call]) as process:
        ready(process)
        for _ in range(2):
            process.send_signal(signal.SIGUSR1)
            assert process.stdout is not None and process.stdout.readline() == "handled\n"
            wait_until_asleep(process.pid)
        _, errors = process.communicate("go on\n", timeout=WAIT)
        assert (process.returncode, errors) == (0, "")


STANDARD = ("wait for connections", "get of a SimpleQueue for threads")
"""Calls that are the standard library's: their sleeps go on when another thread takes the signal."""


@pytest.mark.parametrize("call", [call for call in CALLS if call not in STANDARD])
def test_a_signal_that_another_thread_took_is_handled_by_the_call(call: str) -> None:
    with running(PRELUDE + CALLS[call]) as process:
        ready(process)
        assert process.stdin is not None and process.stdout is not None
        for _ in range(2):
            process.stdin.write("signal\n")
            process.stdin.flush()
            assert process.stdout.readline() == "handled\n"
        _, errors = process.communicate("go on\n", timeout=WAIT)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("call", CALLS)
def test_a_call_gives_the_wakeup_descriptor_back(call: str) -> None:
    source = """
reader, writer = socket.socketpair()
writer.setblocking(False)
reader.settimeout(10)
assert signal.set_wakeup_fd(writer.fileno()) == -1
{call}
assert reader.recv(10)[0] == signal.SIGUSR1
assert signal.set_wakeup_fd(-1) == writer.fileno()
reader.close(); writer.close()
"""
    with running(PRELUDE + source.replace("{call}", CALLS[call])) as process:
        ready(process)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None and process.stdout.readline() == "handled\n"
        _, errors = process.communicate("go on\n", timeout=WAIT)
        assert (process.returncode, errors) == (0, "")


def test_the_child_of_a_thread_that_forks_handles_its_signals() -> None:
    source = """
child_end, end = connection.Pipe()
ended, wait = connection.Pipe()
# From 3.15 on this warning is raised where it is an error, after the fork.
import warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

def fork():
    pid = os.fork()
    if pid == 0:
        assert child_end.recv() == "done"
        os._exit(0)
    print(pid, flush=True)
    sys.stdin.readline()
    end.send("done")
    ended.send(os.waitpid(pid, 0)[1])

threading.Thread(target=fork, daemon=True).start()
assert wait.recv() == 0
"""
    with running(PRELUDE + source) as process:
        assert process.stdin is not None and process.stdout is not None
        pid = int(process.stdout.readline())
        wait_until_asleep(pid)
        os.kill(pid, signal.SIGUSR1)
        assert process.stdout.readline() == "handled\n"
        _, errors = process.communicate("go on\n", timeout=WAIT)
        assert (process.returncode, errors) == (0, "")


INTERRUPTED = """
def leave(number, frame):
    sys.exit("told to")
signal.signal(signal.SIGTERM, leave)
try:
    {call}
except (KeyboardInterrupt, SystemExit) as error:
    print(type(error).__name__, flush=True)
else:
    raise AssertionError("not interrupted")
{unchanged}
os._exit(0)
"""


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "SystemExit")]
)
def test_a_handler_that_raises_ends_the_call_and_nothing_was_put_or_taken(
    call: str, number: int, raised: str
) -> None:
    body = CALLS[call].strip().replace("\n", "\n    ")
    source = PRELUDE + ELSEWHERE + INTERRUPTED.format(call=body, unchanged=UNCHANGED.get(call, ""))
    with running(source) as process:
        ready(process)
        process.send_signal(number)
        output, errors = process.communicate(timeout=WAIT)
        assert (process.returncode, output, errors) == (0, raised + "\n", "")


def test_what_must_be_unchanged_is_known_for_all_calls_of_queues_and_locks() -> None:
    assert UNCHANGED.keys() <= CALLS.keys()
    words = ("queue", "Queue", "lock", "semaphore", "condition", "event")
    assert [call for call in CALLS if any(word in call for word in words) and call not in UNCHANGED] == []


def test_ctrl_c_in_a_program_that_serves_closes_the_server_and_leaves_nothing() -> None:
    source = """
import carrick.socketserver as socketserver, threading

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)

with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
    try:
        print("ready", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped", flush=True)
assert server.fileno() == -1 and threading.active_count() == 1
"""
    with running(source) as process:
        ready(process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=WAIT)
        assert (process.returncode, output, errors) == (0, "stopped\n", "")


def test_request_shutdown_may_be_called_in_a_signal_handler() -> None:
    source = """
import carrick, signal
server = carrick.MessageServer(("127.0.0.1", 0), lambda request: None)
signal.signal(signal.SIGTERM, lambda number, frame: server.request_shutdown())
print("ready", flush=True)
server.serve_forever()
print("ended", flush=True)
"""
    with running(source) as process:
        ready(process)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=WAIT)
        assert (process.returncode, output, errors) == (0, "ended\n", "")


INTERRUPTED_WHILE_ASKING = """
import os, signal, threading
import carrick.multiprocessing as multiprocessing
event = multiprocessing.Event()
real = threading.main_thread
def main_thread():
    threading.main_thread = real
    os.kill(os.getpid(), signal.SIGINT)
    return real()
threading.main_thread = main_thread
try:
    event.wait()
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_that_comes_while_the_first_wait_is_being_prepared_is_not_lost() -> None:
    assert run(INTERRUPTED_WHILE_ASKING) == "interrupted\n"


def test_what_a_handler_raises_is_raised_though_the_handler_freed_what_was_waited_for() -> None:
    source = """
    import signal
    import carrick.multiprocessing as multiprocessing

    def waits(wait, free):
        def handler(*_):
            free()
            raise LookupError("on purpose")
        signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            wait()
        except LookupError:
            return
        raise AssertionError("the exception was lost")

    lock = multiprocessing.Lock()
    lock.acquire()
    waits(lock.acquire, lock.release)
    # It was not taken.
    assert lock.acquire(False)
    queue = multiprocessing.Queue(1)
    waits(queue.get, lambda: queue.put("item"))
    waits(lambda: queue.put("another"), queue.get)
    assert queue.empty()
    """
    assert run(source) == ""
