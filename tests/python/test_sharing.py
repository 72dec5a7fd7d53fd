# SPDX-License-Identifier: MIT OR Apache-2.0
"""An object that can be handed to another process with the standard library can be with ours."""

from __future__ import annotations

import pickle
import socket as standard_socket
import subprocess
import sys
from typing import Any

import pytest
from support import WAIT, serving

import carrick.multiprocessing as multiprocessing
from carrick import socket, socketserver

EVERY_METHOD = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


def answer(connection: Any, done: Any) -> None:
    connection.sendall(f"from the worker: {type(connection).__module__}".encode())
    connection.close()
    done.put(True)


def answer_all(jobs: Any, done: Any) -> None:
    for connection in iter(jobs.get, None):
        answer(connection, done)


class ToAWorker(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.server.jobs.put(self.request)  # type: ignore[attr-defined]
        self.server.done.get(timeout=WAIT)  # type: ignore[attr-defined]


class ToAProcess(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        process = server.context.Process(target=answer, args=(self.request, server.done))
        process.start()
        server.done.get(timeout=WAIT)
        process.join(WAIT)


@EVERY_METHOD
@pytest.mark.parametrize("kind", ["TCPServer", "ThreadingTCPServer"])
@pytest.mark.parametrize("handler", [ToAWorker, ToAProcess])
def test_an_accepted_socket_goes_to_another_process(method: str, kind: str, handler: Any) -> None:
    context = multiprocessing.get_context(method)
    server: Any = getattr(socketserver, kind)(("127.0.0.1", 0), handler)
    server.context, server.jobs, server.done = context, context.Queue(), context.Queue()
    worker = context.Process(target=answer_all, args=(server.jobs, server.done))
    worker.start()
    with serving(server), standard_socket.create_connection(server.server_address, timeout=WAIT) as client:
        assert client.recv(100) == b"from the worker: carrick.socket"
    server.jobs.put(None)
    worker.join(WAIT)
    assert worker.exitcode == 0
    # The thread that has passed sockets on ends.
    from multiprocessing import resource_sharer

    resource_sharer.stop()


def test_a_socket_is_refused_by_pickle_itself_as_ever() -> None:
    left, right = socket.socketpair()
    with left, right:
        for one in (left, standard_socket.socket()):
            with pytest.raises(TypeError, match="cannot pickle 'socket' object"):
                pickle.dumps(one)
            one.close()

    class Own(socket.socket):
        pass

    with Own() as own, pytest.raises(TypeError, match="cannot pickle 'Own' object"):
        pickle.dumps(own)


IMPORTED_LATER = """
import sys
from carrick import socket
import multiprocessing

def work(one):
    one.sendall(type(one).__module__.encode())

if __name__ == "__main__":
    left, right = socket.socketpair()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(left,))
    process.start()
    print(right.recv(100).decode())
    process.join()
"""


def test_the_standard_multiprocessing_passes_ours_on_though_it_was_imported_later(tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(IMPORTED_LATER)
    done = subprocess.run(
        [sys.executable, "-B", str(script)], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert (done.stdout, done.stderr) == ("carrick.socket\n", "")


def use(box: Any, back: Any) -> None:
    with box["lock"], box["rlock"], box["condition"]:
        box["condition"].notify_all()
    box["semaphore"].release()
    box["bounded"].acquire()
    box["queue"].put("queue")
    box["joinable"].put("joinable")
    box["simple"].put("simple")
    box["connection"].send("connection")
    box["value"].value = 5
    box["event"].set()
    box["barrier"].wait(WAIT)
    back.put(sorted(box))


class Holder:
    """An object of a program's that has such things inside."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def __iter__(self) -> Any:
        return iter(self.parts)


@EVERY_METHOD
@pytest.mark.parametrize("container", [dict, Holder])
def test_everything_goes_to_a_process_inside_of_containers(method: str, container: Any) -> None:
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    lock = context.RLock()
    box = container(
        lock=context.Lock(),
        rlock=lock,
        condition=context.Condition(context.Lock()),
        semaphore=context.Semaphore(0),
        bounded=context.BoundedSemaphore(1),
        queue=context.Queue(),
        joinable=context.JoinableQueue(),
        simple=context.SimpleQueue(),
        connection=theirs,
        value=context.Value("i", 0),
        event=context.Event(),
        barrier=context.Barrier(2),
    )
    back = context.Queue()
    process = context.Process(target=use, args=(box, back))
    process.start()
    assert box["event"].wait(WAIT)
    assert [box[name].get() for name in ("queue", "joinable", "simple")] == ["queue", "joinable", "simple"]
    assert ours.recv() == "connection" and box["value"].value == 5
    assert box["semaphore"].acquire(timeout=WAIT) and not box["bounded"].acquire(block=False)
    box["barrier"].wait(WAIT)
    assert back.get(timeout=WAIT) == sorted(box)
    process.join(WAIT)
    assert process.exitcode == 0
    for end in (ours, theirs):
        end.close()
