# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packages that change the standard library, too, imported before carrick and after it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

WAY = os.environ["ECOSYSTEM_WAY"]

CARRICK = {
    "stock": "",
    "module": "import carrick, carrick.queue, carrick.multiprocessing, carrick.socketserver, carrick.socket, carrick.hmac\n",
    "patch": "import carrick; carrick.patch()\n",
}
"""For the way "module" the drop-ins themselves are imported, as the program is run by `python -m carrick` anyhow."""

OTHERS = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()\n",
    "eventlet": "import eventlet; eventlet.monkey_patch()\n",
    "freezegun": "import freezegun; freezer = freezegun.freeze_time('2020-02-02', tick=True); freezer.start()\n",
    "coverage": "import coverage; measure = coverage.Coverage(data_file=None); measure.start()\n",
    "debugpy": "import debugpy; debugpy.listen(('127.0.0.1', 0))\n",
    "ddtrace": "import ddtrace.auto\n",
    "sentry": "import sentry_sdk; sentry_sdk.init(dsn='http://key@127.0.0.1:9/1', transport=lambda event: None)\n",
}

WORK = """
import hmac, queue, socket, socketserver, sys, threading
import multiprocessing
from states import state

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())

def square(number):
    return number * number

def main():
    assert hmac.new(b"key", b"message", "sha256").hexdigest().startswith("6e9ef29b")
    tasks, results = queue.Queue(), queue.Queue(2)
    def work():
        for number in iter(tasks.get, None):
            results.put(square(number))
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(20):
        tasks.put(number)
    assert sorted(results.get(timeout=20) for _ in range(20)) == [square(n) for n in range(20)]
    for _ in threads:
        tasks.put(None)
    for thread in threads:
        thread.join()
    try:
        results.get(timeout=0.01)
    except queue.Empty:
        pass
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        for _ in range(10):
            with socket.create_connection(server.server_address) as client:
                client.sendall(b"ahoy\\n")
                assert client.makefile("rb").readline() == b"AHOY\\n"
        server.shutdown()
        serving.join()
    if METHOD:
        context = multiprocessing.get_context(METHOD)
        with context.Pool(2) as pool:
            assert pool.map(square, range(10)) == [square(n) for n in range(10)]
        results = context.Queue()
        children = [context.Process(target=results.put, args=(n,)) for n in range(3)]
        for child in children:
            child.start()
        assert sorted(results.get(timeout=20) for _ in range(3)) == [0, 1, 2]
        for child in children:
            child.join()
            assert child.exitcode == 0
    print(state().decode(), flush=True)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("other", OTHERS)
def test_a_program_works_with(run_command, tmp_path: Path, other: str, order: str) -> None:
    ours = CARRICK[WAY]
    head = OTHERS[other] + ours if order == "before" else ours + OTHERS[other]
    # Green threads and processes of multiprocessing do not go together on stock either.
    method = {"gevent": "", "eventlet": "", "freezegun": "fork"}.get(other, "spawn")
    if method == "spawn":
        # Its children read this file, too, and are to be on carrick without the other package.
        lines = "".join(f"    {line}\n" for line in head.splitlines())
        head = f"if __name__ == '__main__':\n{lines}else:\n    pass\n    {ours}"
    text = f"METHOD = {method!r}\n{head}{WORK}"
    (tmp_path / "program.py").write_text(text)
    run_command([sys.executable, *(["-m", "carrick"] if WAY == "module" else []), "program.py"])


@pytest.mark.parametrize("tool", ["coverage", "debugpy", "ddtrace"])
def test_a_program_is_run_by_the_command_of(run_command, tmp_path: Path, tool: str) -> None:
    (tmp_path / "program.py").write_text(f"METHOD = 'spawn'\n{CARRICK[WAY] if WAY == 'patch' else ''}{WORK}")
    python = [sys.executable]
    carrick = ["-m", "carrick"] if WAY == "module" else []
    run_command(
        {
            "coverage": [*python, *carrick, "-m", "coverage", "run", "program.py"],
            "debugpy": [*python, *carrick, "-m", "debugpy", "--listen", "127.0.0.1:0", "program.py"],
            "ddtrace": [str(Path(sys.executable).parent / "ddtrace-run"), *python, *carrick, "program.py"],
        }[tool]
    )
