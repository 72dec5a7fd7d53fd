# SPDX-License-Identifier: MIT OR Apache-2.0
"""The targets of the processes of test_processes.py: children by spawn and by the fork server import them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from typing import Any


def nothing() -> None:
    """End at once."""


def leave(code: Any) -> None:
    """End with SystemExit."""
    sys.exit(code)


def fail() -> None:
    """End with an exception."""
    raise ValueError("on purpose")


def die(number: int) -> None:
    """End by a signal."""
    os.kill(os.getpid(), number)


def vanish(code: int) -> None:
    """End in the middle."""
    os._exit(code)


def put_and_set(lock: Any, queue: Any, event: Any) -> None:
    """Use each of them."""
    with lock:
        queue.put(os.getpid())
    event.set()


def tell_and_sleep(connection: Any) -> None:
    """Say that it has begun, and wait for a signal."""
    connection.send(os.getpid())
    while True:
        # Not pause(): a signal just before it would be slept through.
        time.sleep(0.1)


def execute(connection: Any) -> None:
    """Become another program, which sends a byte and ends with 5 when it has had a byte."""
    fd = os.dup(connection.fileno())
    os.set_inheritable(fd, True)
    code = f"import os, sys; os.write({fd}, b'x'); os.read({fd}, 1); sys.exit(5)"
    os.execv(sys.executable, [sys.executable, "-c", code])  # noqa: S606


def leave_a_child(connection: Any) -> None:
    """End, and leave a child that has inherited everything."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    connection.send(pid)


def describe(connection: Any) -> None:
    """Send what a child sees of the world."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.send(
        {
            "stdin": sys.stdin.read(),
            "closed": sys.__stdin__ is None or sys.__stdin__.closed or sys.__stdin__ is sys.stdin,
            "argv": sys.argv,
            "cwd": os.getcwd(),
            "variable": os.environ.get("CARRICK_TEST"),
            "parent": (parent.pid, parent.is_alive()),
            "name": multiprocessing.current_process().name,
            "method": multiprocessing.get_start_method(),
            "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "threads": threading.active_count(),
            "server": os.getppid(),
            "children": multiprocessing.active_children(),
        }
    )


def measure(connection: Any, argument: bytes) -> None:
    """Send the length of an argument."""
    connection.send(len(argument))


def send_numbers(connections: list[Any]) -> None:
    """Send each connection its place in the list."""
    for number, connection in enumerate(connections):
        connection.send(number)


def put_numbers(queues: list[Any]) -> None:
    """Put into each queue its place in the list."""
    for number, queue in enumerate(queues):
        queue.put(number)


def start_another(connection: Any, explicit: bool) -> None:
    """Start a process by the same start method, and send both ones' parents."""
    module: Any
    if explicit:
        import carrick.multiprocessing as module
    else:
        import multiprocessing as module
    reading, writing = module.Pipe(duplex=False)
    process = module.get_context(module.get_start_method()).Process(target=tell_parent, args=(writing,))
    process.start()
    connection.send((os.getppid(), reading.recv()))
    process.join()
    assert process.exitcode == 0


def tell_parent(connection: Any) -> None:
    """Send the number of the parent."""
    connection.send(os.getppid())


def start_daemons(connection: Any, explicit: bool, method: str, in_thread: bool, sibling: bool) -> None:
    """Start two daemons, from a thread that then ends, and send their numbers; wait for a signal.

    With ``sibling`` there is a fork of this process besides, which stays.
    """
    module: Any
    if explicit:
        import carrick.multiprocessing as module
    else:
        import multiprocessing as module
    context = module.get_context(method)
    pids = []

    def start() -> None:
        for _ in range(2):
            reading, writing = module.Pipe(duplex=False)
            context.Process(target=tell_and_sleep, args=(writing,), daemon=True).start()
            pids.append(reading.recv())

    if in_thread:
        # From Python 3.15 on this warning is raised where it is an error, after the fork.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
    else:
        start()
    pid = os.fork() if sibling else 0
    if sibling and pid == 0:
        signal.pause()
        os._exit(0)
    connection.send((pids, pid))
    signal.pause()


def make_segment(connection: Any) -> None:
    """Make shared memory, and send its name and whether the resource tracker is the parent's."""
    from multiprocessing import resource_tracker, shared_memory

    before = resource_tracker._resource_tracker._fd  # type: ignore[attr-defined]
    segment = shared_memory.SharedMemory(create=True, size=100)
    segment.buf[:5] = b"hello"
    reused = before is not None and resource_tracker.getfd() == before  # type: ignore[no-untyped-call]
    connection.send((segment.name, reused))
    segment.close()


def unlink_segment(name: str) -> None:
    """Attach to shared memory and remove its name."""
    from multiprocessing import shared_memory

    segment = shared_memory.SharedMemory(name)
    segment.close()
    segment.unlink()


def leave_a_process_that_waits_for_the_end(connection: Any, explicit: bool, method: str) -> None:
    """Start a process that sends its number and, when this one has ended, whether it takes it for alive."""
    module: Any
    if explicit:
        import carrick.multiprocessing as module
    else:
        import multiprocessing as module
    module.get_context(method).Process(target=_see_the_end, args=(connection,)).start()
    signal.pause()


def _see_the_end(connection: Any) -> None:
    import multiprocessing

    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.send(os.getpid())
    parent.join()
    connection.send((os.getpid(), parent.is_alive()))


def block(connection: Any, call: str, thing: Any) -> None:
    """Send the number of this process, and wait for ever in a call."""
    connection.send([os.getpid()])
    if call == "get":
        thing.get()
    elif call == "acquire":
        thing.acquire()
    else:
        time.sleep(1000)


def branch(connection: Any, explicit: bool, method: str, queue: Any, lock: Any, deeper: int) -> None:
    """Start a process for each call to wait in, and one that does the same again, ``deeper`` times.

    Sends the numbers of all; waits for the first one's end.
    """
    module: Any
    if explicit:
        import carrick.multiprocessing as module
    else:
        import multiprocessing as module
    context = module.get_context(method)
    reading, writing = module.Pipe(duplex=False)
    children = [
        (block, (writing, call, thing)) for call, thing in (("get", queue), ("acquire", lock), ("sleep", 0))
    ]
    if deeper:
        children.append((branch, (writing, explicit, method, queue, lock, deeper - 1)))
    processes = [context.Process(target=target, args=args) for target, args in children]
    pids = [os.getpid()]
    for process in processes:
        process.start()
        pids += reading.recv()
    connection.send(pids)
    processes[0].join()
