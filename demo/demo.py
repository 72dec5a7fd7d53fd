# SPDX-License-Identifier: MIT OR Apache-2.0
"""The course's network chapter end to end, on real sockets: see README.md.

Needs PYTHON with carrick to run on, and the peers: usage: demo.py C-PEER RUST-PEER
"""

from __future__ import annotations

import contextlib
import hmac as standard_hmac
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection as standard_connection
from pathlib import Path
from statistics import median

import carrick
from carrick import hmac as carrick_hmac
from carrick.multiprocessing import connection as carrick_connection

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "cross"))

from interpreters import discover, one_per_minor  # noqa: E402

TIMING_KEY = b"a key for timing"

WATCHDOG = 60.0
"""Seconds after which a program that has not ended is killed."""

KEY, WRONG_KEY = "bowline", "granny"
EXPECTED = "REFUSED\nANSWERED HAUL IN|THE MAIN|SHEET\n"
ROUNDS = 5

failures: list[str] = []


class Peers:
    """The programs that take part, by name."""

    def __init__(self, c: str, rust: str) -> None:
        self.rust = rust
        own = [sys.executable, str(HERE / "peer.py")]
        self.servers = {"C": [c], "Rust": [rust], "Python": own}
        self.clients = {"C": [c], "Rust": [rust], "Python": own}
        stock = one_per_minor(discover())
        for minor, interpreter in stock.items():
            self.clients[minor] = [interpreter.executable, "-I", str(HERE / "stock_client.py")]
        if not stock:
            self.clients["stock"] = [sys.executable, "-I", str(HERE / "stock_client.py")]


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A server as a process; it ends when its standard input does, at the latest at the end of the block."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(WATCHDOG, process.kill)
    watchdog.start()
    try:
        yield process
        process.communicate(timeout=WATCHDOG)
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
            process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    """The line of a server that says it can be connected to."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def output(command: list[str]) -> str:
    """The output of a client, or its failure."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG, check=False)
    except subprocess.TimeoutExpired:
        return f"not ended within {WATCHDOG} s"
    return done.stdout if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr}"


def verdict(what: str, got: str, expected: str) -> str:
    """'ok', or a failure that is told at the end."""
    if got == expected:
        return "ok"
    failures.append(f"{what}: expected {expected!r}, got {got!r}")
    return "WRONG"


def row(server: str, command: list[str], scheme: str, address: str, peers: Peers) -> list[str]:
    """One server and all clients: a word for each client, and one for what the server counted."""
    cells = []
    with serving([*command, "server", scheme, address, KEY]) as process:
        word, _, where = first_line(process).partition(" ")
        if word != "LISTENING":
            failures.append(f"{server} server, {scheme}: does not listen")
            return ["-"] * (len(peers.clients) + 1)
        asked = {
            name: [*client, "client", scheme, where, KEY, WRONG_KEY] for name, client in peers.clients.items()
        }
        with ThreadPoolExecutor(2) as pool:
            for name, got in zip(asked, pool.map(output, asked.values()), strict=True):
                cells.append(verdict(f"{server} server, {name} client, {scheme}", got, EXPECTED))
        counted, _ = process.communicate(timeout=WATCHDOG)
    expected = f"SERVED {3 * len(asked)} REFUSED {len(asked)}\n"
    cells.append(verdict(f"{server} server, {scheme}, its count", counted, expected))
    return cells


def cell(name: str, text: str) -> str:
    """A column's word below its name."""
    return f"{text:>{max(len(name), 5) + 2}}"


def heading(names: list[str]) -> None:
    """The names of the clients, over two lines."""
    clients = "".join(cell(name, name) for name in names)
    stock = clients.find("3.") if "3." in clients else clients.find("stock")
    print(f"  {'':31}{'  carrick in':<{stock}}stock CPython")
    print(f"  {'server':27}{'over':4}{clients}")


def talk(peers: Peers) -> None:
    """Every client to every server."""
    with tempfile.TemporaryDirectory() as folder:
        plans = [
            (
                "Authenticated messages: mutual HMAC handshake and frames of multiprocessing.connection",
                "multiprocessing",
                [
                    (name, what, over, address)
                    for over, address in (("TCP", "127.0.0.1:0"), ("Unix", f"unix:{folder}/socket"))
                    for name, what in (
                        ("C", "MessageServer"),
                        ("Rust", "MessageServer"),
                        ("Python", "MessageServer"),
                    )
                ],
            ),
            (
                "The course's client check, and struct.pack('i', length) against sticky packets",
                "course",
                [
                    ("C", "MessageServer", "TCP", "127.0.0.1:0"),
                    ("Rust", "MessageServer", "TCP", "127.0.0.1:0"),
                    ("Python", "ThreadingTCPServer", "TCP", "127.0.0.1:0"),
                ],
            ),
        ]
        for title, scheme, servers in plans:
            print(f"\n{title}\n")
            names = [*peers.clients, "counted"]
            heading(names)
            for name, what, over, address in servers:
                cells = row(name, peers.servers[name], scheme, address, peers)
                print(f"  {name + ' ' + what:27}{over:4}" + "".join(map(cell, names, cells)), flush=True)
            if Path(folder, "socket").exists():
                failures.append("a socket file was left behind")
    print(
        "\n  ok: with a wrong key the client was refused; with the right one its three messages, sent at once,"
        "\n  came back as three. counted: the server served and refused as many as there were. Stock clients have"
        f"\n  the standard library alone; all else is carrick {carrick.__version__}."
    )


def sticky() -> None:
    """Three sends without frames and with them, from a stock socket to a server of carrick."""
    import socket

    from carrick import socketserver

    got: dict[str, list[bytes]] = {"without": [], "with": []}
    finished = threading.Semaphore(0)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(1) == b"f":
                with contextlib.suppress(EOFError):
                    while True:
                        got["with"].append(self.request.recv_frame())
            else:
                # The server comes late: it looks when everything has arrived.
                got["without"].append(self.request.recv(1024, socket.MSG_WAITALL))

        def finish(self) -> None:
            finished.release()

    words = [b"haul in", b"the main", b"sheet"]
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with socket.create_connection(server.server_address) as client:
            client.sendall(b"r")
            for word in words:
                client.sendall(word)
        with socket.create_connection(server.server_address) as client:
            client.sendall(b"f")
            for word in words:
                client.sendall(len(word).to_bytes(4, sys.byteorder) + word)
        finished.acquire()
        finished.acquire()
        server.shutdown()
        thread.join()
    print("\nSticky packets: three sends of a stock socket to a server of carrick.socketserver\n")
    for how, expected in (("without", [b"".join(words)]), ("with", words)):
        word = verdict(f"sticky packets, {how} frames", repr(got[how]), repr(expected))
        print(f"  {word:6}{how:8}frames: {len(got[how])} received: {', '.join(map(repr, got[how]))}")


def handshakes(connection: object, port: int, count: int) -> float:
    """Seconds for a connection, the handshake, one echo, and the end."""
    started = time.perf_counter()
    for _ in range(count):
        with connection.Client(("127.0.0.1", port), authkey=TIMING_KEY) as client:  # type: ignore[attr-defined]
            client.send_bytes(b"x" * 64)
            client.recv_bytes()
    return (time.perf_counter() - started) / count


def round_trips(connection: object, port: int, count: int) -> float:
    """Seconds for one message there and back on a connection that stays."""
    with connection.Client(("127.0.0.1", port), authkey=TIMING_KEY) as client:  # type: ignore[attr-defined]
        body = b"x" * 64
        started = time.perf_counter()
        for _ in range(count):
            client.send_bytes(body)
            client.recv_bytes()
        return (time.perf_counter() - started) / count


def digests(module: object, count: int) -> float:
    """Seconds for one HMAC-SHA256 of 32 bytes."""
    key, message = b"k" * 32, b"m" * 32
    started = time.perf_counter()
    for _ in range(count):
        module.new(key, message, "sha256").digest()  # type: ignore[attr-defined]
    return (time.perf_counter() - started) / count


def load(rust: str, port: int, clients: int, connections: int, requests: int) -> float:
    """Seconds for one request, clients working side by side; the load is a Rust program for both libraries."""
    numbers = [str(number) for number in (clients, connections, requests)]
    got = output([rust, "load", f"127.0.0.1:{port}", *numbers])
    word, _, seconds = got.partition(" ")
    if word != "SECONDS":
        failures.append(f"load: {got}")
        return float("nan")
    return float(seconds) / (clients * connections * requests)


def compare(what: str, standard: Callable[[], float], ours: Callable[[], float]) -> None:
    """A line of the table of times: the medians of alternating runs."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        times[0].append(standard())
        times[1].append(ours())
    first, second = median(times[0]) * 1e6, median(times[1]) * 1e6
    print(f"  {what:58}{first:12,.1f}{second:12,.1f}{first / second:9.1f} x", flush=True)


def times(peers: Peers) -> None:
    """The standard library against carrick, the same program but for the imports."""
    print(
        f"\nTime for one, in microseconds: medians of {ROUNDS} runs of each in turn, Python {sys.version.split()[0]}\n"
    )
    print(f"  {'':58}{'standard':>12}{'carrick':>12}{'faster':>11}")
    with contextlib.ExitStack() as stack:
        port = {}
        for library in ("standard", "carrick"):
            for kind in ("listener", "threading"):
                command = [sys.executable, str(HERE / "timing_server.py"), library, kind]
                port[library, kind] = int(first_line(stack.enter_context(serving(command))))
        compare(
            "Listener, Client: connect, handshake, echo, close (TCP)",
            lambda: handshakes(standard_connection, port["standard", "listener"], 5),
            lambda: handshakes(carrick_connection, port["carrick", "listener"], 100),
        )
        compare(
            "send_bytes, recv_bytes: 64 bytes there and back (TCP)",
            lambda: round_trips(standard_connection, port["standard", "listener"], 1000),
            lambda: round_trips(carrick_connection, port["carrick", "listener"], 1000),
        )
        compare(
            "ThreadingTCPServer: a connection for each request",
            lambda: load(peers.rust, port["standard", "threading"], 8, 40, 1),
            lambda: load(peers.rust, port["carrick", "threading"], 8, 40, 1),
        )
        compare(
            "ThreadingTCPServer: 8 connections that stay",
            lambda: load(peers.rust, port["standard", "threading"], 8, 1, 1000),
            lambda: load(peers.rust, port["carrick", "threading"], 8, 1, 1000),
        )
    compare(
        "hmac.new(key, 32 bytes, 'sha256').digest()",
        lambda: digests(standard_hmac, 5000),
        lambda: digests(carrick_hmac, 5000),
    )


def main() -> int:
    """Run all of it."""
    peers = Peers(*sys.argv[1:3])
    talk(peers)
    sticky()
    times(peers)
    print()
    for failure in failures:
        print("NOT AS IT SHOULD BE:", failure)
    print("The demo failed." if failures else "Everything was as it should be.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
