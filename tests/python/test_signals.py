# SPDX-License-Identifier: MIT OR Apache-2.0
"""A blocking call in the main thread runs signal handlers and goes on (PEP 475); Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from support import WAIT, run, running

# Each call waits in the main thread; `release` lets it go on, and `after` says that it did.
PRELUDE = """
import os, signal, socket as standard, sys, threading
import carrick
import carrick.multiprocessing.connection as connection
import carrick.socket as socket
import carrick.socketserver as socketserver
KEY = b"key"
ADDRESS = ("127.0.0.1", 0)

def told(number, frame):
    print("handled", flush=True)

def released(release):
    def wait():
        for line in sys.stdin:
            if line == "signal\\n":
                # This thread takes it.
                signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            else:
                return release()
    threading.Thread(target=wait, daemon=True).start()

signal.signal(signal.SIGUSR1, told)
"""

CALLS = {
    "recv of a connection": """
left, right = connection.Pipe()
released(lambda: left.send("done"))
print("ready", flush=True)
assert right.recv() == "done"
left.close(); right.close()
""",
    "poll of a connection": """
left, right = connection.Pipe()
released(lambda: left.send("done"))
print("ready", flush=True)
assert right.poll(None)
left.close(); right.close()
""",
    "recv of a socket": """
left, right = socket.socketpair()
released(lambda: left.sendall(b"done"))
print("ready", flush=True)
assert right.recv(10) == b"done"
left.close(); right.close()
""",
    "recv_frame of a socket": """
left, right = socket.socketpair()
released(lambda: left.send_frame(b"done"))
print("ready", flush=True)
assert right.recv_frame() == b"done"
left.close(); right.close()
""",
    "sendall of a socket": """
left, right = socket.socketpair()
data = bytes(8 << 20)
def drain():
    left_over = len(data)
    while left_over:
        left_over -= len(right.recv(1 << 20))
released(drain)
print("ready", flush=True)
left.sendall(data)
left.close(); right.close()
""",
    "accept of a listener": """
listener = connection.Listener(ADDRESS)
released(lambda: connection.Client(listener.address).close())
print("ready", flush=True)
listener.accept().close()
listener.close()
""",
    "accept of a listener with a key": """
listener = connection.Listener(ADDRESS, authkey=KEY)
released(lambda: connection.Client(listener.address, authkey=KEY).close())
print("ready", flush=True)
listener.accept().close()
listener.close()
""",
    "handshake of a client": """
connection.HANDSHAKE_TIMEOUT = None
listener = connection.Listener(ADDRESS)  # without a key: it says nothing until it is told to
def answer():
    served = listener.accept()
    connection.deliver_challenge(served, KEY)
    connection.answer_challenge(served, KEY)
    served.close()
released(answer)
print("ready", flush=True)
connection.Client(listener.address, authkey=KEY).close()
listener.close()
""",
    "serve_forever of TCPServer": """
server = socketserver.TCPServer(ADDRESS, socketserver.BaseRequestHandler)
released(server.shutdown)
print("ready", flush=True)
server.serve_forever()
server.server_close()
""",
    "serve_forever of ThreadingTCPServer": """
server = socketserver.ThreadingTCPServer(ADDRESS, socketserver.BaseRequestHandler)
released(server.shutdown)
print("ready", flush=True)
server.serve_forever()
server.server_close()
""",
    "serve_forever of MessageServer": """
server = carrick.MessageServer(ADDRESS, lambda request: None)
released(server.request_shutdown)
print("ready", flush=True)
server.serve_forever()
""",
}


def wait_until_asleep(pid: int) -> None:
    """Wait until the main thread of a process sleeps in the kernel: nothing else tells that it waits."""
    limit = time.monotonic() + WAIT
    while time.monotonic() < limit:
        with open(f"/proc/{pid}/task/{pid}/stat", encoding="ascii") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        if state == "S":
            return
        os.sched_yield()
    raise AssertionError("the program does not wait")


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


@pytest.mark.parametrize("call", CALLS)
def test_a_signal_that_another_thread_took_is_handled_by_the_call(call: str) -> None:
    with running(PRELUDE + CALLS[call]) as process:
        ready(process)
        assert process.stdin is not None and process.stdout is not None
        for _ in range(3):
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
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
else:
    raise AssertionError("not interrupted")
os._exit(0)
"""


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_the_call(call: str) -> None:
    body = CALLS[call].strip().replace("\n", "\n    ")
    with running(PRELUDE + INTERRUPTED.format(call=body)) as process:
        ready(process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=WAIT)
        assert (process.returncode, output, errors) == (0, "interrupted\n", "")


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
