# SPDX-License-Identifier: MIT OR Apache-2.0
"""Flask's development server: the reloader, TLS, many clients, Ctrl-C."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

APP = """
import flask
from states import state
app = flask.Flask(__name__)
@app.route("/")
def index():
    return state("one")
@app.route("/stream")
def stream():
    return flask.Response(f"{n}\\n" for n in range(100))
"""


@pytest.mark.parametrize("reloader", ["auto", "stat"])
def test_debug_server_answers_reloads_answers_and_ends_by_ctrl_c(
    start, tmp_path: Path, reloader: str
) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    arguments = ["-m", "flask", "run", "--debug", "--port", "0"]
    if reloader == "stat":
        app.write_text(
            APP
            + 'if __name__ == "__main__":\n    app.run("127.0.0.1", 0, debug=True, reloader_type="stat")\n'
        )
        arguments = ["app.py"]
    program = start(*arguments)
    program.listens()
    first = program.state()
    assert first["text"] == "one"
    program.change(
        app, app.read_text().replace('state("one")', 'state("two")'), "Detected change|Restarting with", 2
    )
    second = program.until(lambda found: found["text"] == "two")
    assert second["pid"] != first["pid"]
    program.interrupt()
    program.ends(0, -2, 1, 130)


def test_server_without_reloader_takes_fifty_clients_and_streams(start, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    program = start("-m", "flask", "run", "--port", "0")
    program.listens()
    own = program.state()["pid"]
    with ThreadPoolExecutor(50) as clients:
        assert {found["pid"] for found in clients.map(lambda _: program.state(), range(200))} == {own}
    assert program.get("/stream") == b"".join(b"%d\n" % n for n in range(100))
    program.interrupt()
    program.ends(0, -2, 1, 130)


def test_certificate_adhoc_answers_https(start, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    program = start("-m", "flask", "run", "--cert", "adhoc", "--port", "0")
    program.listens()
    with ThreadPoolExecutor(10) as clients:
        list(clients.map(lambda _: program.state(tls=True), range(20)))
    program.interrupt()
    program.ends(0, -2, 1, 130)


def test_debug_server_with_a_certificate_reloads(start, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    program = start("-m", "flask", "run", "--debug", "--cert", "adhoc", "--port", "0")
    program.listens()
    assert program.state(tls=True)["text"] == "one"
    program.change(app, APP.replace('state("one")', 'state("two")'), "Debugger PIN", 2)
    assert program.state(tls=True)["text"] == "two"
    program.interrupt()
    program.ends(0, -2, 1, 130)
