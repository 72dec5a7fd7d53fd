# SPDX-License-Identifier: MIT OR Apache-2.0
"""Processes that limit themselves: a queue and a lock obey no limit that a pipe and a semaphore would not meet."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from support import WAIT

HEAD = """
import os, resource, signal, sys, threading
import carrick.multiprocessing as multiprocessing

def limit(kind, value, hard=True):
    resource.setrlimit(kind, (value, value if hard else resource.getrlimit(kind)[1]))
"""


def program(text: str, *args: str, **options: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + text, *args],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout  # type: ignore[no-any-return]


WORKER = """
def work(q, kind, value, size):
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if kind:
        limit(getattr(resource, kind), value)
    for _ in range(3):
        q.put(b"x" * size)
    q.put("".join(["y"] * size))

kind, value, size = sys.argv[1], int(sys.argv[2]), 3 << 20
context = multiprocessing.get_context("fork")
q = context.Queue()
process = context.Process(target=work, args=(q, kind, value, size))
process.start()
print([len(q.get(timeout=25)) == size for _ in range(4)])
process.join()
print(process.exitcode)
"""


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_FSIZE", 1 << 20),
        ("RLIMIT_NOFILE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_DATA", 256 << 20),
    ],
)
def test_a_worker_with_a_limit_sends_a_large_result(kind: str, value: int) -> None:
    assert program(WORKER, kind, str(value)) == "[True, True, True, True]\n0\n"


NO_SPACE = """
size = 24 << 20
q = multiprocessing.Queue(codec="bytes")
item = os.urandom(size)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
# Room for the item once more, and for no ring of 32 MiB, which would be there twice.
soft = used + size + (8 << 20)
limit(resource.RLIMIT_AS, soft, hard=False)
q.put(b"first")
q.put(item)
q.put(b"last")
assert q.get() == b"first"
assert q.get() == item
assert q.get() == b"last"
# The items of a ring that goes round are in two pieces there.
for number in range(40):
    q.put(item[: 1 << 20])
    q.put(item[number : number + 700_001])
    assert q.get() == item[: 1 << 20]
    assert q.get() == item[number : number + 700_001]
print("done")
"""


def test_a_process_without_address_space_for_a_ring_puts_and_takes() -> None:
    assert program(NO_SPACE) == "done\n"


BEFORE = """
import multiprocessing.process
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
limit(resource.RLIMIT_FSIZE, int(sys.argv[1]))
method = sys.argv[2]

def work(lock, event, connection, data, queues):
    for q in queues:
        q.put(b"x" * 300_000)
    with lock:
        connection.send(len(data))
    event.set()

if __name__ == "__main__":
    context = multiprocessing.get_context(method)
    # One by one, until there are more than fit into one segment.
    locks = [context.Lock() for _ in range(200)]
    for lock in locks:
        assert lock.acquire(timeout=1) and not lock.acquire(block=False)
        lock.release()
    queues = [context.Queue(), context.JoinableQueue(), context.SimpleQueue()]
    event = context.Event()
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(locks[-1], event, theirs, b"x" * 300_000, queues[:2]))
    process.start()
    for q in queues[:2]:
        assert len(q.get(timeout=25)) == 300_000
    queues[2].put(5)
    assert queues[2].get() == 5
    assert event.wait(25)
    print(ours.recv())
    process.join()
    print(process.exitcode)
"""


@pytest.mark.parametrize("value", [4096, 100_000])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_locks_and_processes_are_made_under_a_limit_of_file_sizes(
    value: int, method: str, tmp_path: object
) -> None:
    script = f"{tmp_path}/script.py"
    with open(script, "w", encoding="utf-8") as file:
        file.write(HEAD + BEFORE)
    done = subprocess.run(
        [sys.executable, "-B", script, str(value), method],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("300000\n0\n", "")


CLOSED = """
import fcntl
import carrick
from carrick.multiprocessing import connection

ours = []
q, lock, simple = multiprocessing.Queue(), multiprocessing.Lock(), multiprocessing.SimpleQueue()
pipes = [*multiprocessing.Pipe(), *multiprocessing.Pipe(duplex=False)]
listener = connection.Listener(("127.0.0.1", 0), backlog=1)
q._reader.fileno()
context = multiprocessing.get_context("fork")

def work(q):
    # As a library does that knows of no standard descriptors: it reports an error.
    for number in (0, 1, 2):
        try:
            os.write(number, b"all of it is lost" * 10)
        except OSError:
            pass
    q.put(os.getpid())

for method in ("fork",):
    process = context.Process(target=work, args=(q,))
    process.start()
    assert q.get(timeout=25) == process.pid
    process.join()
places = {n: os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2) if os.path.exists(f"/proc/self/fd/{n}")}
report = fcntl.fcntl(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), fcntl.F_DUPFD, 100)
os.write(report, repr(places).encode())
"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>&- 2>&-"])
def test_no_descriptor_of_ours_is_a_standard_one(closed: str, tmp_path: object) -> None:
    script, report = f"{tmp_path}/script.py", f"{tmp_path}/report"
    with open(script, "w", encoding="utf-8") as file:
        file.write(HEAD + CLOSED)
    command = f'exec "$0" -B "$1" "$2" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, script, report],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 0
    with open(report, encoding="utf-8") as file:
        found = ast.literal_eval(file.read())
    # Files of the interpreter's may be there: they are nobody's memory.
    ours = {n: place for n, place in found.items() if not place.startswith("/") or "memfd" in place}
    assert ours == {}
