# SPDX-License-Identifier: MIT OR Apache-2.0
"""The contenders: each measures itself once and returns one number.

Every measurement starts fresh processes and ends them, so nothing of one is left for the next.
"""

import importlib.util
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BUILT = ROOT / "build" / "bench"
RUST = ROOT / "target" / "peers" / "release"
PROGRAMS = HERE / "programs"
CHANNELS = RUST / "bench-channels"
PATIENCE = 120
"""Seconds after which a program that has not ended is taken for stuck."""

CONNECTIONS = 8
IDLE_CONNECTIONS = 10_000

Command = list[str]


class BenchError(Exception):
    """A program of a benchmark failed."""


@dataclass(frozen=True)
class Scale:
    """How much work one measurement is; the quick one only shows that everything works."""

    seconds: float
    part: float
    connections: int

    def count(self, full: int) -> int:
        """``full`` operations, or their part in a quick run."""
        return max(20, int(full * self.part))


FULL = Scale(seconds=1.0, part=1.0, connections=IDLE_CONNECTIONS)
QUICK = Scale(seconds=0.1, part=0.02, connections=500)


@dataclass(frozen=True)
class Contender:
    """A library in one of its ways. ``program`` and ``module`` must exist for it to take part.

    A ``large`` one is left out of quick runs.
    """

    name: str
    measure: Callable[[Scale], float]
    program: pathlib.Path | None = None
    module: str = ""
    large: bool = False

    def is_there(self) -> bool:
        """Whether it was built, or installed."""
        if self.module and importlib.util.find_spec(self.module) is None:
            return False
        return self.program is None or self.program.exists()


def _line(stream: IO[str] | None, command: Command) -> str:
    line = stream.readline().strip() if stream is not None else ""
    if not line:
        raise BenchError(f"{' '.join(command)} ended without a word")
    return line


@contextmanager
def running(command: Command) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program while it runs, and the first line it prints. It is killed at the end."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, _line(process.stdout, command)
        finally:
            process.kill()


def number(command: Command) -> float:
    """The number that a program prints."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
        return float(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise BenchError(f"{' '.join(command)}: {error}") from error


def python(program: str, *arguments: object) -> Command:
    """A program of benches/programs, on this interpreter."""
    return [sys.executable, str(PROGRAMS / f"{program}.py"), *map(str, arguments)]


def built(program: str, *arguments: object) -> Command:
    """A C program."""
    return [str(BUILT / program), *map(str, arguments)]


def against(server: Command, client: Callable[[str], Command]) -> float:
    """The number that a client of a server prints, given the server's port."""
    with running(server) as (_, port):
        return number(client(port))


# ---- Python ----


def handshake(server: str, client: str, full: int) -> Callable[[Scale], float]:
    """Microseconds of connect, handshake, echo and close."""
    return lambda scale: against(
        python("listener", server, "authkey"),
        lambda port: python("client", client, "connect", port, scale.count(full)),
    )


def tcp_round_trip(side: str) -> Callable[[Scale], float]:
    """Microseconds of an echo by TCP."""
    return lambda scale: against(
        python("listener", side), lambda port: python("client", side, "roundtrip", port, scale.count(20_000))
    )


def pipe(side: str, what: str, full: int) -> Callable[[Scale], float]:
    """Microseconds of an echo, or megabytes per second, by Pipe()."""
    return lambda scale: number(python("pipe", side, what, scale.count(full)))


def queue(side: str, what: str, full: int) -> Callable[[Scale], float]:
    """Messages, or megabytes, per second through a Queue()."""
    return lambda scale: number(python("shared_queue", side, what, scale.count(full)))


def lock(side: str, what: str, full: int) -> Callable[[Scale], float]:
    """Nanoseconds of what is done with a Lock() or an Event()."""
    return lambda scale: number(python("locks", side, what, scale.count(full)))


def process_start(side: str, method: str, full: int) -> Callable[[Scale], float]:
    """Microseconds of starting and joining a process."""
    return lambda scale: number(python("process_start", side, method, scale.count(full)))


def queue_round_trip(side: str, pairs: int, full: int) -> Callable[[Scale], float]:
    """Microseconds of a round trip through two queues, ``pairs`` of processes at a time."""
    return lambda scale: number(python("queue_round_trip", side, pairs, scale.count(full)))


def channel(library: str, what: str, length: int, full: int) -> Callable[[Scale], float]:
    """Messages per second between two processes in Rust, or microseconds of a round trip."""
    in_c = {"C": "copy", "C in place": "in-place"}
    program = [*built("carrick_channel"), in_c[library]] if library in in_c else [str(CHANNELS), library]
    return lambda scale: number([*program, what, str(length), str(scale.count(full))])


def thread_queue(side: str, kind: str, what: str, full: int) -> Callable[[Scale], float]:
    """Items per second through a queue for threads."""
    return lambda scale: number(python("thread_queue", side, kind, what, scale.count(full)))


def digest(side: str, length: int, full: int) -> Callable[[Scale], float]:
    """Microseconds of one HMAC."""
    return lambda scale: number(python("digest", side, length, scale.count(full)))


def _used(pid: int) -> int:
    """Nanoseconds that all threads of a process have had of the cores."""
    # As clock_getcpuclockid(3) computes it: the number of the clock of another process.
    return time.clock_gettime_ns(~pid << 3 | 2)


def _idle(pid: int, seconds: float) -> float:
    # Sleeping is what is measured here; nothing waits for anybody by it.
    time.sleep(0.1)
    before, started = _used(pid), time.monotonic()
    time.sleep(seconds)
    return (_used(pid) - before) / 1000 / (time.monotonic() - started)


def idle_connections(side: str) -> Callable[[Scale], float]:
    """Microseconds of processor time in a second that two idle connections use."""

    def measure(scale: Scale) -> float:
        with running(python("idle", side)) as (process, pid):
            try:
                return _idle(int(pid), scale.seconds)
            finally:
                process.communicate(timeout=PATIENCE)

    return measure


def idle_server(server: Command) -> Callable[[Scale], float]:
    """Microseconds of processor time in a second of a server with idle connections."""

    def measure(scale: Scale) -> float:
        with running(server) as (process, port), running(built("load", "idle", port, 100)):
            return _idle(process.pid, scale.seconds)

    return measure


def threading_server(side: str, handler: str, mode: str) -> Callable[[Scale], float]:
    """Connections or requests per second of a ThreadingTCPServer, by clients in C."""
    return lambda scale: against(
        python("socket_server", side, handler),
        lambda port: built("load", mode, port, CONNECTIONS, scale.seconds),
    )


# ---- framed servers ----


def framed(server: Command, depth: int) -> Callable[[Scale], float]:
    """Requests per second of a framed server, by the common client."""
    return lambda scale: against(
        server, lambda port: built("load", "framed", port, CONNECTIONS, depth, scale.seconds)
    )


def natural(peer: str, depth: int) -> Callable[[Scale], float]:
    """Requests per second between both ends of a library of its own protocol."""
    return lambda scale: against(
        built(peer, "server"), lambda port: built(peer, "client", port, CONNECTIONS, depth, scale.seconds)
    )


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} has no VmRSS")


def memory(server: Command) -> Callable[[Scale], float]:
    """Bytes of the server's memory for each idle connection, after it has had one request."""

    def measure(scale: Scale) -> float:
        # One connection first: what the server makes only once does not count.
        with running(server) as (process, port), running(built("load", "idle", port, 1)):
            before = _resident(process.pid)
            with running(built("load", "idle", port, scale.connections)):
                return (_resident(process.pid) - before) / scale.connections

    return measure


CARRICK_RUST = [str(RUST / "carrick_server")]
CARRICK_C = built("carrick_server")
TOKIO_MULTI = [str(RUST / "tokio_server"), "multi"]
TOKIO_CURRENT = [str(RUST / "tokio_server"), "current"]
LIBUV = built("uv_server")
LIBUV_HANDLER = built("uv_server", "handler")
FLOOR = built("floor", "echo")
