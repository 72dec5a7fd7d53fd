# SPDX-License-Identifier: MIT OR Apache-2.0
"""The parts of carrick that are written in Rust. Private: use the package ``carrick``."""

from collections.abc import Callable
from socket import socket as _Socket
from types import ModuleType
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypeVar, final

from typing_extensions import Buffer, disjoint_base

__all__ = [
    "HMAC",
    "Answer",
    "Challenge",
    "Gate",
    "Job",
    "MessageServer",
    "QueueMutex",
    "Request",
    "SemLock",
    "SharedBarrier",
    "SharedCondition",
    "SharedEvent",
    "SharedQueue",
    "StreamServer",
    "Supply",
    "ThreadQueue",
    "Waker",
    "__version__",
    "about_to_block",
    "ask",
    "course_answer",
    "error_table",
    "handshake",
    "hmac_digest",
    "hold_on",
    "is_socket",
    "last_words",
    "leave_locks",
    "lifeline",
    "new",
    "open_name",
    "poll",
    "reap",
    "reap_served",
    "recv_bytes",
    "recv_bytes_into",
    "recv_frame",
    "remove_name",
    "request_pair",
    "resign",
    "send_bytes",
    "send_frame",
    "sock_recv",
    "sock_send",
    "sock_sendall",
    "thread_dict",
]

_T = TypeVar("_T")

__version__: str

_DigestMod: TypeAlias = str | Callable[[], Any] | ModuleType | None
_Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | str | bytes
_FrameFormat: TypeAlias = str | tuple[int, str, bool]
_Role: TypeAlias = Literal["server", "client", "unknown"]

def error_table() -> list[tuple[str, int, str, int | None, str]]:
    """The error table of the core: name, code, text, errno and standard class of each kind."""

# hmac

@disjoint_base
class HMAC:
    """A keyed hash being computed (RFC 2104)."""

    blocksize: ClassVar[int]
    digest_size: int
    """The length of the digest in bytes."""
    block_size: int
    """The length of the algorithm's block in bytes."""
    _hmac: Any
    _inner: Any
    _outer: Any
    @property
    def name(self) -> str:
        """The name of the algorithm, such as ``hmac-sha256``."""
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def __init__(
        self, key: bytes | bytearray, msg: Buffer | None = None, digestmod: _DigestMod = None
    ) -> None: ...
    def _init_hmac(self, key: bytes | bytearray, msg: Buffer | None, digestmod: _DigestMod) -> None: ...
    def _init_openssl_hmac(
        self, key: bytes | bytearray, msg: Buffer | None, digestmod: _DigestMod
    ) -> None: ...
    def _init_builtin_hmac(
        self, key: bytes | bytearray, msg: Buffer | None, digestmod: _DigestMod
    ) -> None: ...
    def _init_old(self, key: bytes | bytearray, msg: Buffer | None, digestmod: _DigestMod) -> None: ...
    def __copy__(self) -> Self:
        """The result of copy.copy: an object with the same attributes that shares the message."""
    def update(self, msg: Buffer) -> None:
        """Add ``msg`` to the message.

        Raises TypeError for what is not bytes-like.
        """
    def digest(self) -> bytes:
        """The digest of the message so far, as bytes."""
    def hexdigest(self) -> str:
        """The digest of the message so far, as a string of hexadecimal digits."""
    def copy(self) -> HMAC:
        """A copy that goes on by itself."""

def new(key: bytes | bytearray, msg: Buffer | None = None, digestmod: _DigestMod = "") -> HMAC:
    """Create a new hashing object and return it."""

def hmac_digest(key: Buffer, msg: Buffer, digest: _DigestMod) -> bytes: ...

# multiprocessing.connection

def is_socket(fd: int) -> bool: ...
def send_bytes(fd: int, socket: bool, data: Buffer) -> None: ...
def recv_bytes(fd: int, socket: bool, maxlength: int | None = None) -> bytes | None: ...
def recv_bytes_into(fd: int, socket: bool, buffer: Buffer, offset: int) -> int | bytes: ...
def poll(fd: int, timeout: float | None = None) -> bool: ...

# Authentication

def handshake(
    fd: int,
    socket: bool,
    key: Buffer,
    role: str,
    *,
    scheme: str = "multiprocessing",
    digest: str = "sha256",
    min_digest: str = "md5",
    timeout: float | None = None,
) -> None: ...
def course_answer(fd: int, key: Buffer, *, digest: str = "sha256", timeout: float | None = None) -> None: ...

@final
class Gate:
    """Accepts connections whose handshakes run side by side."""

    def __new__(cls, key: Buffer, *, min_digest: str = "md5", timeout: float | None = None) -> Self: ...
    def accept(self, fd: int, waker: Waker, timeout: float | None) -> tuple[int, Any] | None:
        """The descriptor and the address of the next client that has proved itself; None when the waker was set."""

@final
class SharedQueue:
    """A queue of messages in shared memory."""

    def __new__(cls, max_items: int, max_bytes: int, soft: bool = False, name: str | None = None) -> Self: ...
    @staticmethod
    def attach(fd: int, bell: int) -> SharedQueue:
        """The queue behind the descriptors of another process, which are taken over; without a bell it is -1."""

    def max_items(self) -> int:
        """The most items, 0 is no limit."""

    def descriptors(self) -> tuple[int, int]:
        """The two descriptors to hand to another process; without a bell the second one is -1."""

    def event_fileno(self) -> int:
        """A descriptor that is readable while an item is there."""

    def put(self, data: Buffer, block: bool = True, timeout: float | None = None) -> None:
        """Put one item."""

    def put_bytes(self, data: bytes, block: bool = True, timeout: float | None = None) -> None:
        """Put the pickle of a bytes object of less than 4 GiB."""

    def get(self, loads: Callable[[Any], Any], block: bool = True, timeout: float | None = None) -> Any:
        """Take one item and return what ``loads`` makes of it."""

    def get_in_place(
        self, read: Callable[[memoryview], _T], block: bool = True, timeout: float | None = None
    ) -> _T:
        """Take one item, which ``read`` has as a memoryview where it lies."""

    def get_many(
        self, loads: Callable[[Any], Any], most: int, block: bool = True, timeout: float | None = None
    ) -> list[Any]:
        """Take up to ``most`` items, waiting for the first one only."""

    def qsize(self) -> int:
        """How many items are in the queue."""

    def poll(self, timeout: float | None) -> bool:
        """Wait until an item is there; False when ``timeout`` seconds passed first, None is for ever."""

    def task_done(self) -> None:
        """Say that a taker is done with an item."""

    def unfinished(self) -> int:
        """How many items were put that nobody is done with yet."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until every item is done."""

@final
class Challenge:
    """The asking half of the handshake of ``multiprocessing``."""

    def __new__(
        cls, key: Buffer, digest: str = "sha256", min_digest: str = "md5", role: _Role = "unknown"
    ) -> Self: ...
    @property
    def message(self) -> bytes:
        """The challenge, to be sent."""
    def verdict(self, response: Buffer) -> tuple[bytes, str | None]:
        """The verdict on a response, to be sent, and why it is a refusal (None when it is a welcome)."""

@final
class Answer:
    """The proving half of the handshake of ``multiprocessing``."""

    def __new__(cls, key: Buffer, min_digest: str = "md5", role: _Role = "unknown") -> Self: ...
    def response(self, challenge: Buffer) -> bytes:
        """The response to a challenge.

        Raises AuthenticationError for a challenge that is malformed, too weak or of this process's own making.
        """
    def verdict(self, verdict: Buffer) -> None:
        """Take the peer's verdict.

        Raises AuthenticationError when it is not a welcome.
        """

# socket

def sock_recv(socket: _Socket, bufsize: int) -> bytes | None: ...
def sock_send(socket: _Socket, data: Buffer) -> int | None: ...
def sock_sendall(socket: _Socket, data: Buffer) -> bool: ...
def send_frame(socket: _Socket, data: Buffer, format: _FrameFormat, cap: int | None) -> None: ...
def recv_frame(socket: _Socket, format: _FrameFormat, cap: int | None) -> bytes: ...

# Servers

@final
class Waker:
    """Ends waits of this process's threads for a listening socket."""

    def __new__(cls) -> Self: ...
    def set(self) -> bool:
        """End waits until :meth:`clear`; True when a thread may be asleep where one call is not enough."""

    def clear(self) -> None: ...
    def fileno(self) -> int: ...
    def accept(self, fd: int, timeout: float | None = None) -> tuple[int, Any] | None:
        """The descriptor and the address of the next connection; None when this was set first."""

def thread_dict() -> dict[Any, Any] | None: ...

@final
class Job:
    """The body of a thread, to be called once by the thread that Python starts for it."""

    def __call__(self) -> None: ...

@final
class StreamServer:
    """Accepts connections and calls ``handle(fd, address)`` for each, on threads that ``start(job)`` starts."""

    def __new__(
        cls,
        fd: int,
        max_threads: int,
        overload: str,
        handle: Callable[[int, Any], None],
        start: Callable[[Job], None],
    ) -> Self: ...
    @property
    def listening(self) -> int:
        """Its copy of the listening descriptor, while it serves."""

    def serve(self) -> None: ...
    def request_shutdown(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def stats(self) -> dict[str, int]: ...

@disjoint_base
class MessageServer:
    """An event-driven server of framed requests. See ``carrick.MessageServer``."""

    def __new__(
        cls,
        address: _Address,
        *,
        authkey: Buffer | None = None,
        scheme: str = "multiprocessing",
        digest: str = "sha256",
        min_digest: str = "md5",
        handshake_timeout: float | None = 10.0,
        frame_format: _FrameFormat | None = None,
        max_frame: int | None = None,
        backlog: int = 4096,
        reuse_port: bool = False,
        max_connections: int = 100_000,
        overload: str = "block",
        request_timeout: float | None = 30.0,
        idle_timeout: float | None = None,
        max_unsent: int = 1_048_576,
        max_threads: int = 64,
        drain: float | None = 30.0,
    ) -> Self: ...
    @property
    def address(self) -> Any:
        """Where the server listens, as ``socket`` writes addresses."""
    def _carrick_serve(self, handler: Callable[[Request], Any], start: Callable[[Job], None]) -> None: ...
    def _carrick_wait(self) -> None: ...
    def shutdown(self, timeout: float | None = None) -> None:
        """Stop serving: what has been begun may finish for up to ``timeout`` seconds (None is for ever).

        Raises TimeoutError when a handler does not return.
        """
    def request_shutdown(self) -> None:
        """Ask the server to stop and return at once; may be called in a signal handler."""
    def stats(self) -> dict[str, int]:
        """Counters of what the server has done.

        Returns a dict with ``connections``, ``active``, ``rejected``, ``requests``, ``bytes_received``,
        ``bytes_sent``, ``failures``, ``auth_failures``, ``limit_failures``, ``accept_failures`` and
        ``handler_nanos``.
        """

@final
class Request:
    """A request: what the client sent, and where answers go. Answers leave when the handler returns."""

    @property
    def body(self) -> bytes:
        """The bytes that the client sent."""
    @property
    def peer(self) -> Any:
        """Where the client is, as ``socket`` writes addresses."""
    @property
    def connection(self) -> int:
        """A number for the connection, different from that of every other open one."""
    def reply(self, body: Buffer) -> None:
        """Send a frame back; a handler may reply several times, or not at all.

        Arguments: ``body`` is bytes-like. Any other raises TypeError when the handler has returned, and ends
        the connection like any exception of a handler.
        """
    def close(self) -> None:
        """End the connection after the replies."""

def about_to_block() -> None:
    """Tell the server whose handler runs on this thread that it is about to block.

    Others are served by another thread from here on. carrick's own waits tell it by themselves; call it
    before a wait that carrick does not see, such as a database call. Elsewhere it does nothing.
    """

_Place: TypeAlias = tuple[int, int, int]

@disjoint_base
class SemLock:
    """A lock, a recursive lock or a semaphore."""

    SEM_VALUE_MAX: ClassVar[int]
    kind: int
    maxvalue: int
    name: None
    handle: int
    def __new__(
        cls,
        kind: int,
        value: int,
        maxvalue: int,
        on_owner_death: str | None = None,
        name: str | None = None,
    ) -> Self: ...
    @staticmethod
    def _attach(fd: int | None, slot: int, segment: int, state: tuple[int, str | None]) -> SemLock: ...
    def _place(self) -> _Place: ...
    def _state(self) -> tuple[int, str | None]: ...
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool: ...
    def _acquire(self, block: bool = True, timeout: float | None = None) -> bool: ...
    def release(self) -> None: ...
    def _release(self) -> None: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *args: object) -> None: ...
    def _count(self) -> int: ...
    def _is_mine(self) -> bool: ...
    def _get_value(self) -> int: ...
    def _is_zero(self) -> bool: ...
    def _after_fork(self) -> None: ...

@final
class SharedCondition:
    """A condition to wait for with a lock."""

    def __new__(cls, name: str | None = None) -> Self: ...
    @staticmethod
    def _attach(fd: int | None, slot: int, segment: int) -> SharedCondition: ...
    def _place(self) -> _Place: ...
    def wait(self, lock: SemLock, timeout: float | None = None) -> bool: ...
    def notify(self, count: int) -> None: ...
    def notify_all(self) -> None: ...
    def waiting(self) -> int: ...

@final
class SharedEvent:
    """A flag that can be waited for."""

    def __new__(cls, name: str | None = None) -> Self: ...
    @staticmethod
    def _attach(fd: int | None, slot: int, segment: int) -> SharedEvent: ...
    def _place(self) -> _Place: ...
    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...

@final
class SharedBarrier:
    """A meeting point."""

    parties: int
    waiting: int
    broken: bool
    def __new__(cls, parties: int, name: str | None = None) -> Self: ...
    @staticmethod
    def _attach(fd: int | None, slot: int, segment: int) -> SharedBarrier: ...
    def _place(self) -> _Place: ...
    def wait(self, action: Callable[[], object] | None = None, timeout: float | None = None) -> int: ...
    def reset(self) -> None: ...
    def abort(self) -> None: ...

# names

def open_name(name: str) -> int:
    """The descriptor of what has a name."""

def remove_name(name: str) -> None:
    """Take a name away: another queue, lock or the like can have it.

    A process that has the named object keeps it. Names that nobody takes away stay until the machine starts again.
    """

# processes

@final
class Supply:
    """The children that a fork server keeps, forked ahead of time."""

    def __new__(cls, requests: int) -> Self: ...
    def wait(self) -> bool:
        """Wait until a child is to be forked (True) or the last client is gone (False)."""
    def forked(self, pid: int) -> None:
        """The server has forked this child."""
    def fork_failed(self, errno: int) -> None:
        """The server could not fork."""
    def give_up(self, reason: str) -> None:
        """In the child: say why it ends before it has taken a request."""
    def take(self) -> tuple[bytes, list[int]] | None:
        """In the child: wait for a request; returns its body and descriptors, None when there will be none."""

def request_pair() -> tuple[int, int]:
    """The descriptors of a fork server: its clients', and its own."""

def resign(requests: int, reason: str) -> None:
    """Tell the clients of a fork server, of which this is its descriptor, why it ends though they are there."""

def last_words(server: int) -> str | None:
    """Why a fork server has ended, if it could say."""

def ask(server: int, body: Buffer, descriptors: list[int]) -> tuple[int, int]:
    """Ask a fork server for a child; returns its number and a descriptor on which its exit code will be."""

def reap(popen: Any) -> bool:
    """Set ``returncode`` of an object that has a child's number as ``pid`` if that has ended; False while it runs."""

def reap_served(popen: Any) -> bool:
    """The same for a child of a fork server, by the descriptor of ``ask``, the object's ``sentinel``."""

def lifeline() -> int:
    """A new descriptor of this process's lifeline."""

def hold_on(lifeline: int) -> bool:
    """Have this process killed when the one that the lifeline is of ends; False when it has ended."""

def leave_locks() -> None:
    """Leave the locks that this process holds taken: it ends in good order."""

# queue

@disjoint_base
class ThreadQueue:
    """A queue for threads; ``carrick.queue`` derives its classes from it."""

    maxsize: Any
    unfinished_tasks: int
    is_shutdown: bool
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item into the queue."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Remove an item from the queue and return it."""

    def qsize(self) -> int:
        """The number of items in the queue, at this moment."""

    def empty(self) -> bool:
        """Whether no item is in the queue, at this moment."""

    def full(self) -> bool:
        """Whether the queue has as many items as it may have, at this moment."""

    def task_done(self) -> None:
        """Say that an item taken from the queue is done."""

    def join(self) -> None:
        """Wait until every item that was put is done."""

    def shutdown(self, immediate: bool = False) -> None:
        """Shut the queue down."""

    def _carrick_set_up(self, maxsize: Any, order: int) -> tuple[bool, bool]: ...
    def _carrick_open(self) -> None: ...
    def _carrick_expose(self) -> QueueMutex: ...
    def _carrick_give_away(self) -> None: ...

@final
class QueueMutex:
    """The lock that a queue's conditions share."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False when it was not to be had in ``timeout`` seconds, or at once where not ``blocking``."""

    def release(self) -> None:
        """Give the lock up, whichever thread took it."""

    def locked(self) -> bool:
        """Whether somebody holds the lock."""

    def __enter__(self) -> bool: ...
    def __exit__(self, *_args: object) -> None: ...
    def _wake(self, side: int, count: int) -> None: ...
    @staticmethod
    def _generation() -> int: ...
