# SPDX-License-Identifier: MIT OR Apache-2.0
"""The processor time that idle connections use. Argument: SIDE.

A child serves one connection by TCP and one by Pipe(), each of which has just been busy; then nobody sends
anything until stdin ends. Prints the process id of the child, for the benchmark to watch.
"""

import multiprocessing
import sys
import threading
from typing import Any

import side

connection = side.load("multiprocessing.connection")


def answer(peer: Any) -> None:
    try:
        while True:
            peer.send_bytes(peer.recv_bytes())
    except EOFError:
        pass


def serve(pipe: Any, listener: Any) -> None:
    threading.Thread(target=answer, args=(listener.accept(),), daemon=True).start()
    answer(pipe)


here, there = connection.Pipe()
with connection.Listener(("127.0.0.1", 0)) as listener:
    child = multiprocessing.get_context("fork").Process(target=serve, args=(there, listener), daemon=True)
    child.start()
    there.close()
    peers = [here, connection.Client(listener.address)]
for peer in peers:
    for _ in range(1000):
        peer.send_bytes(side.BODY)
        peer.recv_bytes()
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
child.join()
