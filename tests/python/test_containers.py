# SPDX-License-Identifier: MIT OR Apache-2.0
"""Places such as containers make them: without /proc or /dev/shm, read-only, as process 1, with little memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import WAIT, environment

PROGRAM = """
import os, signal, sys, threading, warnings
import carrick
carrick.patch()
import multiprocessing, socket, socketserver

method, place = sys.argv[1:]

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())

def die_with(lock):
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)

def work(queue, back, lock, event, condition):
    assert event.wait(20)
    for item in iter(queue.get, None):
        with lock:
            back.put(len(item))
        queue.task_done()
    queue.task_done()
    with condition:
        condition.notify_all()
    sys.exit(3)

def main():
    context = multiprocessing.get_context(method)
    queue, back = context.JoinableQueue(10), context.SimpleQueue()
    lock, event, condition = context.Lock(), context.Event(), context.Condition()
    child = context.Process(target=work, args=(queue, back, lock, event, condition))
    child.start()
    event.set()
    total = threading.Thread(target=lambda: [back.get() for _ in range(200)])
    total.start()
    for _ in range(200):
        queue.put(bytes(1 << 20))
    with condition:
        queue.put(None)
        assert condition.wait(20)
    queue.join()
    total.join()
    child.join()
    assert child.exitcode == 3, child.exitcode

    killed = context.Process(target=die_with, args=(lock,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert lock.acquire(timeout=20)
    assert [one.category for one in seen] == [carrick.OwnerDiedWarning]
    with context.Pool(2) as pool:
        assert pool.map(abs, range(-10, 0)) == list(range(10, 0, -1))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        with socket.create_connection(server.server_address) as client:
            client.sendall(b"ahoy\\n")
            assert client.makefile("rb").readline() == b"ahoy\\n"
        server.shutdown()
        serving.join()
    print("done")

if __name__ == "__main__":
    main()
"""

PRIVATE = "mount --make-rprivate /"
PLACES = {
    "no /proc": ("-m", f"{PRIVATE} && umount -l /proc"),
    "no /dev/shm": ("-m", f"{PRIVATE} && mount -t tmpfs -o ro none /dev/shm"),
    "nothing can be written": (
        "-m",
        f"{PRIVATE} && mount -t tmpfs -o ro none /dev/shm && mount -o remount,bind,ro /",
    ),
    "process 1": ("-mpf", "mount -t proc none /proc && ip link set lo up 2> /dev/null || true"),
    "little memory": ("-m", "true"),
}


def remove(group: Path) -> None:
    """Take a group away as soon as the last helper of its program has ended."""
    limit = time.monotonic() + WAIT
    while True:
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > limit:
                raise
            os.sched_yield()
        else:
            return


@contextlib.contextmanager
def little_memory() -> Iterator[Path]:
    """A group of processes that may use 128 MiB together; yields the file that takes their numbers."""
    for base, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = base / f"carrick-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(128 << 20))
                yield group / "cgroup.procs"
                return
        finally:
            remove(group)
    pytest.skip("no group with a limit on memory can be made here")


def enters(flags: str, steps: str) -> bool:
    """Whether this user may make such a place."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", flags, "sh", "-c", steps]
    return subprocess.run(command, capture_output=True, timeout=WAIT).returncode == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("place", PLACES)
def test_everything_works_in_a_place(place: str, method: str, tmp_path: Path) -> None:
    flags, steps = PLACES[place]
    if not enters(flags, steps):
        pytest.skip("this takes unshare(1) and the right to use it")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    with contextlib.ExitStack() as stack:
        if place == "little memory":
            steps = f"echo $$ > {stack.enter_context(little_memory())}"
        done = subprocess.run(
            ["unshare", flags, "sh", "-c", f'{steps} && exec "$@"', "sh", sys.executable]
            + ["-B", str(script), method, place],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
