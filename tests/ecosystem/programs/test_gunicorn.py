# SPDX-License-Identifier: MIT OR Apache-2.0
"""gunicorn with several workers: requests, a killed worker, SIGHUP, SIGTERM."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

APP = """
import queue, threading
from states import state
tasks, results = queue.Queue(), queue.Queue()
def work():
    while True:
        results.put(tasks.get())
threading.Thread(target=work, daemon=True).start()
def app(environ, start_response):
    tasks.put("one")
    body = state(results.get())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_workers_answer_die_reload_and_stop(start, tmp_path: Path, kind: str) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    more = {"sync": [], "gthread": ["--threads", "4"], "gevent": []}[kind]
    program = start(
        "-m",
        "gunicorn",
        "-b",
        "127.0.0.1:0",
        "-w",
        "2",
        "-k",
        kind,
        "--graceful-timeout",
        "5",
        *more,
        "app:app",
    )
    program.listens()

    def ask(number: int) -> set[int]:
        with ThreadPoolExecutor(8) as clients:
            return {found["pid"] for found in clients.map(lambda _: program.state(), range(number))}

    program.says("Booting worker", 2)
    workers = ask(200)
    assert program.process.pid not in workers
    killed = workers.pop()
    os.kill(killed, signal.SIGKILL)
    program.says("Booting worker", 3)
    assert killed not in ask(100)
    app.write_text(APP.replace('put("one")', 'put("two")'))
    os.kill(program.process.pid, signal.SIGHUP)
    program.says("Booting worker", 5)
    program.until(lambda found: found["text"] == "two")
    program.says("Worker exiting", 2)
    ask(100)
    os.kill(program.process.pid, signal.SIGTERM)
    program.ends(0)
