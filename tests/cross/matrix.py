# SPDX-License-Identifier: MIT OR Apache-2.0
"""The scenario matrix: every peer as a server against every peer as a client, with a wrong and a right key.

Each pair is three child processes: a listener for two connections, a client with a wrong key, which both
ends must report as refused, then a client with the right key, whose messages must all come back.
README.md has the command line the children obey. Exit code 1 if any cell is red or a required peer is
missing.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import interpreters
import stock_peer

HERE = Path(__file__).resolve().parent
RIGHT_KEY = "7468652072696768742063617272696b206b6579"
WRONG_KEY = "7468652077726f6e672063617272696b206b6579"
CARRICK_MODULE = "carrick.multiprocessing.connection"


@dataclass(frozen=True)
class Peer:
    """A program that obeys the contract, and the environment it needs beside ours."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass
class Cell:
    """The result of one pair: no fault means green."""

    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "/".join("FAIL" if faults else "ok" for faults in (self.right, self.wrong))


class Child:
    """A peer as a child process, in a session of its own so that nothing of it survives the test."""

    def __init__(self, peer: Peer, *arguments: str) -> None:
        self.pending = b""
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in stop)
        self.process = subprocess.Popen(
            [*peer.command, *arguments],
            env={**os.environ, **dict(peer.environment)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )

    def line(self, deadline: float) -> str:
        """The next line of its output; empty when it ended, and TimeoutError when the deadline passed."""
        assert self.process.stdout is not None
        while b"\n" not in self.pending:
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("said nothing before the watchdog")
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                return self.pending.decode(errors="replace")
            self.pending += chunk
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode(errors="replace").rstrip()

    def code(self, deadline: float) -> int:
        """Its exit code."""
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def complaint(self) -> str:
        """The end of what it wrote to stderr."""
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip()
        return " | ".join(text.splitlines()[-3:])

    def stop(self) -> None:
        """Kill its whole session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


@contextmanager
def child(peer: Peer, *arguments: str) -> Iterator[Child]:
    """A child that is gone at the end of the block."""
    started = Child(peer, *arguments)
    try:
        yield started
    finally:
        started.stop()


def expect(who: str, one: Child, line: str, code: int | None, deadline: float) -> list[str]:
    """The faults of a child that should now say `line` and, unless None, end with `code`."""
    faults = []
    try:
        if (said := one.line(deadline)) != line:
            faults.append(f"{who} said {said!r}, not {line!r}; {one.complaint()}")
        if code is not None and (ended := one.code(deadline)) != code:
            faults.append(f"{who} ended with {ended}, not {code}")
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        faults.append(f"{who}: {error}; {one.complaint()}")
    return faults


def play(server: Peer, client: Peer, family: str, timeout: float) -> Cell:
    """Run one pair."""
    cell = Cell()
    count = len(stock_peer.DEFAULT_MESSAGES.split(","))
    deadline = time.monotonic() + timeout
    limit = str(timeout)
    with tempfile.TemporaryDirectory(prefix="carrick-cross-") as folder:
        path = os.path.join(folder, "socket")
        place = path if family == "unix" else "127.0.0.1:0"
        fixed = ("--family", family, "--timeout", limit, "--key", RIGHT_KEY)
        options = ("--address", place, "--count", str(count), "--connections", "2")
        with child(server, "listener", *fixed, *options) as listener:
            try:
                word, _, rest = listener.line(deadline).partition(" ")
            except TimeoutError as error:
                word, rest = f"{error}", ""
            if word != "LISTENING" or not rest.startswith(f"{family} "):
                fault = f"listener did not listen: {word!r} {rest!r}; {listener.complaint()}"
                return Cell([fault], [fault])
            address = rest.removeprefix(f"{family} ")
            common = ("client", "--family", family, "--timeout", limit, "--address", address)
            for key, line, code, faults in (
                (WRONG_KEY, "AUTH-FAILED", stock_peer.AUTH_FAILED, cell.wrong),
                (RIGHT_KEY, f"OK {count}", stock_peer.OK, cell.right),
            ):
                with child(client, *common, "--key", key) as one:
                    faults += expect("client", one, line, code, deadline)
                    faults += expect("listener", listener, line, None, deadline)
            if not cell.wrong:
                cell.right += expect("listener at its end", listener, "", stock_peer.AUTH_FAILED, deadline)
        if family == "unix" and os.path.exists(path):
            cell.right.append("the listener left its socket file behind")
    return cell


def python_peer(name: str, executable: str, module: str | None = None, path: str | None = None) -> Peer:
    """stock_peer.py under an interpreter, over the standard library or over carrick."""
    command: tuple[str, ...] = (executable, str(HERE / "stock_peer.py"))
    if module is not None:
        command += ("--module", module)
    parts = [part for part in (path, os.environ.get("PYTHONPATH")) if part]
    return Peer(name, command, (("PYTHONPATH", os.pathsep.join(parts)),) if path else ())


def imports(peer: Peer, module: str) -> bool:
    """Whether this peer's interpreter has the module."""
    environment = {**os.environ, **dict(peer.environment)}
    run = [peer.command[0], "-c", f"import {module}"]
    return subprocess.run(run, env=environment, capture_output=True, timeout=60, check=False).returncode == 0


def peers(carrick_path: str | None, carrick_python: str | None) -> list[Peer]:
    """Every peer there is: stock interpreters, carrick under each that can import it, Rust and C."""
    stock = interpreters.one_per_minor(interpreters.discover())
    found = [python_peer(f"stock-{minor}", one.executable) for minor, one in stock.items()]
    homes = {f"carrick-{minor}": one.executable for minor, one in stock.items() if one.version >= (3, 11)}
    if carrick_python:
        homes = {"carrick": carrick_python}
    for name, executable in homes.items():
        peer = python_peer(name, executable, CARRICK_MODULE, carrick_path)
        if imports(peer, CARRICK_MODULE):
            found.append(peer)
    for name in ("rust", "c"):
        if binary := os.environ.get(f"CARRICK_PEER_{name.upper()}"):
            found.append(Peer(name, (binary,)))
    return found


def table(family: str, names: Sequence[str], cells: dict[tuple[str, str, str], Cell]) -> str:
    """The table of one family, rows are servers, columns are clients."""
    width = max(11, *(len(name) + 2 for name in names))
    lines = [f"{family}: server (row) and client (column); a cell is right key/wrong key"]
    lines.append("".join(name.ljust(width) for name in ("", *names)))
    for row in names:
        row_cells = (cells.get((family, row, column), ".....") for column in names)
        lines.append(row.ljust(width) + "".join(str(cell).ljust(width) for cell in row_cells))
    return "\n".join(line.rstrip() for line in lines)


def provided(word: str, names: Sequence[str]) -> bool:
    """Whether a peer of this kind is among the names."""
    return any(name == word or name.startswith(word + "-") for name in names)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--carrick-path",
        type=os.path.abspath,
        help="folder with an installed carrick package, for PYTHONPATH",
    )
    parser.add_argument("--carrick-python", help="the one interpreter to run carrick, say of a venv")
    parser.add_argument("--require", default="", help="peers that must be there: stock,carrick,rust,c")
    parser.add_argument("--only", default="", help="only pairs in which a peer's name starts with this")
    parser.add_argument("--families", default="tcp,unix")
    parser.add_argument("--timeout", type=float, default=60.0, help="watchdog of one pair, in seconds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pairs at a time")
    return parser.parse_args()


def main() -> int:
    """Run the matrix and print it."""
    args = arguments()
    present = peers(args.carrick_path, args.carrick_python)
    names = [peer.name for peer in present]
    required = [word for word in args.require.split(",") if word]
    missing = [word for word in required if not provided(word, names)]
    families = args.families.split(",")
    pairs = [
        (family, server, client)
        for family in families
        for server in present
        for client in present
        if server.name.startswith(args.only) or client.name.startswith(args.only)
    ]
    started = time.monotonic()
    with ThreadPoolExecutor(args.jobs) as executor:
        done = executor.map(lambda pair: play(pair[1], pair[2], pair[0], args.timeout), pairs)
        keys = [(family, server.name, client.name) for family, server, client in pairs]
        cells = dict(zip(keys, done, strict=True))
    for family in families:
        print(table(family, names, cells), end="\n\n")
    red = 0
    for (family, server, client), cell in cells.items():
        for key, faults in (("right", cell.right), ("wrong", cell.wrong)):
            red += bool(faults)
            for fault in faults:
                print(f"{family} server {server}, client {client}, {key} key: {fault}")
    for word in ("carrick", "rust", "c"):
        if not provided(word, names):
            print(f"absent: {word}")
    for word in missing:
        print(f"MISSING: {word} is required and not there")
    seconds = time.monotonic() - started
    runs = 2 * len(cells)
    print(f"{len(present)} peers, {len(cells)} pairs, {runs - red} of {runs} runs green, {seconds:.0f} s")
    return 1 if red or missing or not cells else 0


if __name__ == "__main__":
    sys.exit(main())
