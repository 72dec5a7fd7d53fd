# SPDX-License-Identifier: MIT OR Apache-2.0
"""uvicorn with several workers, which it starts by multiprocessing and watches through a pipe; and its reloader."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

APP = """
from states import state
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": state("one")})
"""


def _ask(program, number: int) -> set[int]:
    with ThreadPoolExecutor(8) as clients:
        return {found["pid"] for found in clients.map(lambda _: program.state(), range(number))}


def test_workers_answer_die_reload_and_stop(start, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    program = start("-m", "uvicorn", "app:app", "--port", "0", "--workers", "2", "--lifespan", "off")
    program.listens()
    program.says("Started server process", 2)
    workers = _ask(program, 200)
    assert program.process.pid not in workers
    killed = workers.pop()
    os.kill(killed, signal.SIGKILL)
    program.says("Started server process", 3)
    assert killed not in _ask(program, 100)
    app.write_text(APP.replace('state("one")', 'state("two")'))
    os.kill(program.process.pid, signal.SIGHUP)
    program.says("Started server process", 5)
    program.until(lambda found: found["text"] == "two")
    os.kill(program.process.pid, signal.SIGTERM)
    program.ends(0, -15)


def test_reloader_restarts_the_server_and_ctrl_c_ends_it(start, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    program = start("-m", "uvicorn", "app:app", "--port", "0", "--reload", "--lifespan", "off")
    program.listens()
    first = program.state()
    program.change(app, APP.replace('state("one")', 'state("two")'), "Started server process", 2)
    second = program.until(lambda found: found["text"] == "two")
    assert second["pid"] != first["pid"]
    program.interrupt()
    program.ends(0, -2, 1, 130)
