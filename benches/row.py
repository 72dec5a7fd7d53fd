# SPDX-License-Identifier: MIT OR Apache-2.0
"""The rows of the table: who is compared, in what unit, and what the target is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import contender as c
from contender import BUILT, Contender
from curve import CURVES, Curve, point

STOCK = "standard library"
CARRICK = "carrick"


@dataclass(frozen=True)
class Claim:
    """That one contender is ``target`` times as good as the best of the others."""

    text: str
    ours: str
    others: tuple[str, ...]
    target: float


@dataclass(frozen=True)
class Ceiling:
    """That one contender's number is at most ``limit``."""

    text: str
    ours: str
    limit: float


@dataclass(frozen=True)
class Everywhere:
    """That carrick is ``target`` times as good as the standard library at the size where it is worst."""

    text: str
    target: float


@dataclass(frozen=True)
class Row:
    """One workload. ``floors`` measure what the bare system calls cost, for comparison only."""

    name: str
    title: str
    unit: str
    less_is_better: bool
    contenders: tuple[Contender, ...]
    claims: tuple[Claim | Ceiling | Everywhere, ...]
    floors: tuple[Contender, ...] = field(default=())
    floor_note: str = ""
    sizes: tuple[int, ...] = ()
    """Where the contenders are both sides at several sizes: which ones."""


def _of_sizes(curve: Curve) -> Row:
    claim: Ceiling | Everywhere = Everywhere("carrick against the standard library, at the worst size", 1)
    if curve.limit is not None:
        size, limit = curve.limit
        claim = Ceiling(f"carrick, {size:,} waiters", point(CARRICK, size), limit)
    return Row(curve.name, curve.title, curve.unit, True, curve.contenders(), (claim,), sizes=curve.sizes)


def _both(measure: Callable[..., Callable[[c.Scale], float]], *arguments: object) -> tuple[Contender, ...]:
    return Contender(STOCK, measure("stock", *arguments)), Contender(CARRICK, measure("carrick", *arguments))


def _floor(name: str, *arguments: object, full: int | None = None) -> Contender:
    def measure(scale: c.Scale) -> float:
        last = () if full is None else (scale.count(full),)
        return c.number(c.built("floor", *arguments, *last))

    return Contender(name, measure, BUILT / "floor")


def _framed(depth: int) -> tuple[Contender, ...]:
    return (
        Contender("carrick, Rust", c.framed(c.CARRICK_RUST, depth)),
        Contender("carrick, C", c.framed(c.CARRICK_C, depth)),
        Contender("tokio, multi-thread", c.framed(c.TOKIO_MULTI, depth)),
        Contender("tokio, current-thread", c.framed(c.TOKIO_CURRENT, depth)),
        Contender("libuv", c.framed(c.LIBUV, depth), BUILT / "uv_server"),
        Contender("libuv, a handler per frame", c.framed(c.LIBUV_HANDLER, depth), BUILT / "uv_server"),
        Contender("nng REQ/REP", c.natural("nng_peer", depth), BUILT / "nng_peer"),
        Contender("ZeroMQ ROUTER/DEALER", c.natural("zmq_peer", depth), BUILT / "zmq_peer"),
    )


_PEERS = (
    "tokio, multi-thread",
    "tokio, current-thread",
    "libuv",
    "libuv, a handler per frame",
    "nng REQ/REP",
    "ZeroMQ ROUTER/DEALER",
)
_FRAMED_CLAIMS = (
    Claim("Rust against the best of the others", "carrick, Rust", _PEERS, 1.0),
    Claim("C against the best of the others", "carrick, C", _PEERS, 1.0),
    Claim("C against Rust", "carrick, C", ("carrick, Rust",), 0.95),
)


FASTER_FIFO = "faster-fifo"


def _queues(measure: Callable[..., Callable[[c.Scale], float]], *arguments: object) -> tuple[Contender, ...]:
    peer = Contender(FASTER_FIFO, measure("faster-fifo", *arguments), module="faster_fifo")
    return *_both(measure, *arguments), peer


def _better(target: float) -> tuple[Claim, ...]:
    return (Claim("carrick against the better one", CARRICK, (STOCK, FASTER_FIFO), target),)


def _channels(what: str, length: int, count: int) -> tuple[Contender, ...]:
    libraries = (
        ("carrick, Rust", "carrick"),
        ("carrick, Rust, in place", "carrick in place"),
        ("carrick, C", "C"),
        ("carrick, C, in place", "C in place"),
        ("ipc-channel", "ipc-channel"),
        ("iceoryx2", "iceoryx2"),
        ("Unix socketpair", "socketpair"),
        ("SPSC ring, spinning", "ring"),
    )
    return tuple(Contender(name, c.channel(library, what, length, count)) for name, library in libraries)


def _channel_claims() -> tuple[Claim, ...]:
    blocking = ("ipc-channel", "Unix socketpair")
    return tuple(
        claim
        for language in ("Rust", "C")
        for claim in (
            Claim(
                f"{language} against the better of the blocking ones", f"carrick, {language}", blocking, 1.0
            ),
            Claim(
                f"{language}, in place, against iceoryx2, which spins",
                f"carrick, {language}, in place",
                ("iceoryx2",),
                0.5,
            ),
        )
    )


def _thread_queues(what: str, count: int) -> tuple[Contender, ...]:
    kind = "PriorityQueue" if what == "priority" else "Queue"
    both = _both(c.thread_queue, kind, what, count)
    if kind != "Queue" or what == "bounded":
        return both
    # C code, without maxsize, task_done, shutdown and subclassing: what can be had.
    return *both, Contender("SimpleQueue", c.thread_queue("stock", "SimpleQueue", what, count))


def _times(target: float) -> tuple[Claim, ...]:
    return (Claim("carrick against the standard library", CARRICK, (STOCK,), target),)


ROWS = (
    Row(
        "handshake",
        "Listener/Client with authkey over TCP: connect, handshake, one echo, close",
        "us",
        True,
        (
            Contender("stock both", c.handshake("stock", "stock", 25)),
            Contender("carrick both", c.handshake("carrick", "carrick", 1500)),
            Contender("stock client, carrick listener", c.handshake("carrick", "stock", 500)),
            Contender("carrick client, stock listener", c.handshake("stock", "carrick", 500)),
        ),
        (
            Claim("carrick at both ends", "carrick both", ("stock both",), 80.0),
            Claim("stock client, carrick listener", "stock client, carrick listener", ("stock both",), 20.0),
            Claim("carrick client, stock listener", "carrick client, stock listener", ("stock both",), 20.0),
        ),
    ),
    Row(
        "roundtrip-tcp",
        "send_bytes/recv_bytes round trip of 64 B over TCP",
        "us",
        True,
        _both(c.tcp_round_trip),
        _times(2.0),
        (
            _floor("C, sleeping", "roundtrip", "tcp", "sleep", full=20_000),
            _floor("C, spinning", "roundtrip", "tcp", "spin", full=20_000),
        ),
    ),
    Row(
        "roundtrip-pipe",
        "send_bytes/recv_bytes round trip of 64 B through Pipe(), with a child",
        "us",
        True,
        _both(c.pipe, "roundtrip", 20_000),
        _times(2.0),
        (
            _floor("C, sleeping", "roundtrip", "unix", "sleep", full=20_000),
            _floor("C, spinning", "roundtrip", "unix", "spin", full=20_000),
        ),
    ),
    Row(
        "idle",
        "processor time of idle connections",
        "us/s",
        True,
        (
            Contender(CARRICK, c.idle_connections("carrick")),
            Contender(STOCK, c.idle_connections("stock")),
            Contender("carrick MessageServer", c.idle_server(c.CARRICK_RUST)),
        ),
        (
            Ceiling("a Connection, TCP and Pipe()", CARRICK, 50.0),
            Ceiling("a MessageServer of 100 connections", "carrick MessageServer", 50.0),
        ),
    ),
    Row(
        "pipe-stream",
        "Pipe() messages of 1 MiB",
        "MB/s",
        False,
        _both(c.pipe, "stream", 2000),
        _times(4.0),
        (
            _floor("C, Unix socket, 256 KiB a call", "stream", 256 << 10, 1 << 20, 2 << 30),
            _floor("C, Unix socket, 1 MiB a call", "stream", 1 << 20, 1 << 20, 2 << 30),
        ),
    ),
    *(
        Row(f"queue-{name}", title, unit, False, _queues(c.queue, name, count), claims, floors)
        for name, title, unit, count, claims, floors in (
            (
                "int",
                "Queue, small ints, one producer process to one consumer",
                "messages/s",
                200_000,
                _better(5.0),
                (),
            ),
            (
                "two",
                "Queue, small ints, two producer processes to one consumer",
                "messages/s",
                200_000,
                _better(4.0),
                (),
            ),
            ("dict", "Queue, small dicts", "messages/s", 100_000, _better(3.0), ()),
            ("bounded", "Queue(10), small ints", "messages/s", 100_000, _better(3.0), ()),
            (
                "large",
                "Queue, bytes objects of 1 MiB",
                "MB/s",
                2_000,
                (*_times(12.0), Claim("carrick against faster-fifo", CARRICK, (FASTER_FIFO,), 1.0)),
                (_floor("C, memcpy of 1 MiB on one core", "copy", 1 << 20, full=10_000),),
            ),
        )
    ),
    Row(
        "queue-roundtrip",
        "round trip of a small int through two Queues",
        "us",
        True,
        _queues(c.queue_round_trip, 1, 5_000),
        _better(8.0),
    ),
    Row(
        "queue-roundtrips",
        "the same between four pairs of processes at a time",
        "us",
        True,
        _queues(c.queue_round_trip, 4, 2_000),
        _better(0.9),
    ),
    *(
        Row(
            f"channel-{name}",
            title,
            unit,
            unit == "us",
            _channels(what, length, count),
            _channel_claims(),
        )
        for name, title, unit, what, length, count in (
            (
                "small",
                "messages of 64 B between two processes, Rust and C",
                "messages/s",
                "stream",
                64,
                500_000,
            ),
            (
                "large",
                "messages of 1 MiB between two processes, Rust and C",
                "messages/s",
                "stream",
                1 << 20,
                3_000,
            ),
            (
                "roundtrip",
                "round trip of 64 B between two processes, Rust and C",
                "us",
                "roundtrip",
                64,
                20_000,
            ),
            (
                "roundtrip-large",
                "round trip of 1 MiB between two processes, Rust and C",
                "us",
                "roundtrip",
                1 << 20,
                1_000,
            ),
        )
    ),
    *(
        Row(f"lock-{name}", title, "ns", True, _both(c.lock, name, count), _times(target), floors)
        for name, title, count, target, floors in (
            (
                "alone",
                "Lock: acquire and release, uncontended",
                500_000,
                1.3,
                (Contender("Python, two calls that do nothing", c.lock("stock", "calls", 500_000)),),
            ),
            ("with", "Lock: with statement, uncontended", 500_000, 1.3, ()),
            ("two", "Lock: two processes that do nothing else", 200_000, 1.5, ()),
            ("make", "1,000 Lock() made and dropped, for each", 10, 1.0, ()),
            ("event", "round trip between two processes by two Event()s", 5_000, 1.0, ()),
        )
    ),
    *(
        Row(
            f"process-{method}",
            f"Process of the start method {method}: start and join",
            "us",
            True,
            _both(c.process_start, method, count),
            _times(target),
            (
                Contender("Python, os.fork and os.waitpid", c.process_start("stock", "bare", 500)),
                _floor("C, fork and wait", "fork", full=2_000),
            ),
        )
        for method, count, target in (("fork", 500, 1.3), ("forkserver", 200, 6.0), ("spawn", 40, 1.0))
    ),
    *(
        Row(f"threads-{name}", title, "items/s", False, _thread_queues(name, count), claims)
        for name, title, count, claims in (
            ("alone", "queue.Queue(): put and get, no other thread", 200_000, _times(10.0)),
            ("pair", "queue.Queue(), one producer thread and one consumer", 100_000, _times(10.0)),
            ("crowd", "queue.Queue(), four producer threads and four consumers", 100_000, _times(10.0)),
            ("timeout", "queue.Queue(), get(timeout=10), one producer thread", 100_000, _times(10.0)),
            ("bounded", "queue.Queue(10), one producer thread and one consumer", 50_000, _times(5.0)),
            ("turns", "queue.Queue(), there and back between two threads", 10_000, _times(10.0)),
            ("priority", "queue.PriorityQueue(): put and get, no other thread", 100_000, _times(2.0)),
        )
    ),
    Row(
        "hmac-small",
        "hmac.new(key, 32 B, 'sha256').digest()",
        "us",
        True,
        _both(c.digest, 32, 200_000),
        _times(4.0),
    ),
    Row(
        "hmac-large",
        "hmac.new(key, 1 MiB, 'sha256').digest()",
        "us",
        True,
        _both(c.digest, 1 << 20, 500),
        _times(0.95),
    ),
    Row(
        "threading-connect",
        "ThreadingTCPServer, a connection per request, 8 client threads",
        "connections/s",
        False,
        _both(c.threading_server, "once", "connect"),
        _times(3.5),
        (_floor("C, one at a time", "connect", full=10_000),),
    ),
    Row(
        "threading-persistent",
        "ThreadingTCPServer, 8 persistent connections",
        "requests/s",
        False,
        _both(c.threading_server, "persistent", "persistent"),
        _times(1.1),
    ),
    Row(
        "framed-closed",
        "framed requests of 64 B, 8 connections, closed loop",
        "requests/s",
        False,
        _framed(1),
        _FRAMED_CLAIMS,
        (Contender("C, bare epoll", c.framed(c.FLOOR, 1)),),
    ),
    Row(
        "framed-pipelined",
        "framed requests of 64 B, 8 connections, 16 under way on each",
        "requests/s",
        False,
        _framed(16),
        _FRAMED_CLAIMS,
        (Contender("C, bare epoll", c.framed(c.FLOOR, 16)),),
    ),
    Row(
        "memory",
        f"memory of each of {c.IDLE_CONNECTIONS:,} idle connections in MessageServer",
        "bytes",
        True,
        (
            Contender(CARRICK, c.memory(c.CARRICK_RUST)),
            Contender("tokio, multi-thread", c.memory(c.TOKIO_MULTI)),
            Contender("tokio, current-thread", c.memory(c.TOKIO_CURRENT)),
            Contender("libuv", c.memory(c.LIBUV), BUILT / "uv_server"),
        ),
        (
            Ceiling("carrick", CARRICK, 2048.0),
            Claim(
                "against the best of the others",
                CARRICK,
                ("tokio, multi-thread", "tokio, current-thread", "libuv"),
                1.0,
            ),
        ),
    ),
    *(_of_sizes(curve) for curve in CURVES),
)
