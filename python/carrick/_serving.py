# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a server of :mod:`carrick.socketserver` runs: its state, and its three loops.

*State.* A server has one state for each process that it serves in, found by the process's generation, which a fork
changes. So the child of a fork finds a state of its own, in which nobody serves, and touches nothing of its parent's.
A state has a seat for each thread that is in ``serve_forever``; a seat has a waker, which ends the waits of its
thread. The event that tells the end is the standard class's (``_BaseServer__is_shut_down``), and
``_BaseServer__shutdown_request`` is a property, since programs are known to use both.

*Loops.* ``by_polling`` is what the standard module does. ``in_turn`` accepts in Rust and handles on the same thread.
``on_threads`` has Rust accept and hand out on threads that are kept. The listening socket's flags are left alone:
others may have it, too.

*The end of the interpreter.* Once the main thread has ended, threads go on serving as with the standard module, but by
polling: one that sleeps in Rust when the interpreter ends would be stopped in the middle of Rust's frames.

*Signal handlers* may stop a server: :meth:`State.request` takes no lock.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import select
import selectors
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator
from typing import Any

from carrick import _carrick
from carrick import socket as _socket
from carrick._standard import socket as _standard_socket
from carrick._standard import socketserver as _standard

_UNLIMITED = 1 << 20
_LAST_WAIT = 1.0
"""Seconds that the interpreter's end waits for threads to leave Rust."""
_LAST_MOMENT = 0.02
"""Seconds that it waits for those that handle a request, which are ended wherever they are."""
_ACCEPT_REST = 0.02
"""Seconds that accept rests after it failed for want of descriptors."""
_ROUSE = 0.01
"""Seconds after which a thread that may be asleep in accept is woken again."""

_END = "_BaseServer__is_shut_down"

_generation = 0
"""Counts the forks between the program's first process and this one."""
_ending = False
"""Whether the main thread has ended."""
_servers: weakref.WeakSet[Any] = weakref.WeakSet()
"""The servers that serve in this process."""


class State:
    """The state of a server's serving in one process."""

    def __init__(self) -> None:
        self.requested = False
        self.closed = False
        """Whether the server was closed while it serves."""
        self.seats: dict[int, Seat] = {}
        """Those who serve, by their threads."""
        self.lock = threading.Lock()
        """Held while a thread begins or ends to serve."""
        self.native: _carrick.StreamServer | None = None
        self.accepted: dict[int, tuple[Any, Any]] = {}
        """The next result of get_request, by thread."""

    def __reduce__(self) -> Any:
        # A copy of the server does not serve.
        return State, ()

    def request(self) -> None:
        """Have the server stop."""
        self.requested = True
        self.wake()

    def wake(self) -> bool:
        """Have each thread look at the state; True when one may be asleep where one call is not enough."""
        native = self.native
        if native is not None:
            native.request_shutdown()
        again = False
        for seat in list(self.seats.values()):
            again |= seat.waker.set()
        return again

    def leave_rust(self, limit: float) -> None:
        """Wait until no other thread is in Rust, or until a time; each must have a reason not to go back there."""
        self.wake()
        me = threading.get_ident()
        while any(seat.inside for thread, seat in list(self.seats.items()) if thread != me):
            if time.monotonic() > limit:
                return
            time.sleep(0.001)
            self.wake()


class Seat:
    """A thread that serves."""

    def __init__(self, server: Any, state: State) -> None:
        self.server = server
        self.state = state
        self.waker = _carrick.Waker()
        self.inside = False
        """Whether the thread waits in Rust."""

    def goes_on(self) -> bool:
        """Whether the server is to go on, in the state in which it began."""
        return not self.state.requested and _states(self.server).get(_generation) is self.state

    def wait(self) -> None:
        """Wait until there is a reason to look at the state."""
        _readable(self.waker.fileno(), None)
        self.waker.clear()

    def rest(self) -> None:
        """Wait a little after a failure."""
        _readable(self.waker.fileno(), _ACCEPT_REST)


def _readable(descriptor: int, timeout: float | None) -> None:
    # Not select(), which refuses descriptors above 1023.
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.poll(None if timeout is None else timeout * 1000)


def _states(server: Any) -> dict[int, State]:
    states: dict[int, State] = server.__dict__.setdefault("_carrick_states", {})
    return states


def state_of(server: Any) -> State:
    """The state of a server in this process."""
    try:
        state: State = server.__dict__["_carrick_states"][_generation]
        return state
    except KeyError:
        pass
    states = _states(server)
    for other in list(states):
        if other != _generation:
            states.pop(other, None)
            # A thread of the parent's may have held its lock.
            server.__dict__.pop(_END, None)
            end_of(server).set()
    return states.setdefault(_generation, State())


def end_of(server: Any) -> threading.Event:
    """The event that is set while the server does not serve."""
    end: threading.Event = server.__dict__.setdefault(_END, threading.Event())
    return end


def _forked() -> None:
    """In the child of a fork no server serves, and what those of the parent have is closed, in the child."""
    global _generation, _servers
    for server in list(_servers):
        state: State | None = _states(server).get(_generation)
        native = state.native if state is not None else None
        if native is not None:
            _close_copy(native.listening, server)
        threads = vars(server).get("_threads")
        if isinstance(threads, list):
            threads[:] = filter(_can_be_joined, threads)
    _generation += 1
    _servers = weakref.WeakSet()
    _kept.clear()


def _can_be_joined(thread: threading.Thread) -> bool:
    """Whether ``server_close`` can wait for a thread: not if it was about to be started when the process forked."""
    try:
        thread.join(0)
    except RuntimeError:
        return False
    return True


def _close_copy(descriptor: int, server: Any) -> None:
    # Unless it was closed in just this moment, and the number is another file's by now.
    with contextlib.suppress(OSError, AttributeError):
        if os.path.sameopenfile(descriptor, server.socket.fileno()):
            os.close(descriptor)


os.register_at_fork(after_in_child=_forked)


def _main_has_ended() -> None:
    global _ending
    _ending = True
    limit = time.monotonic() + _LAST_WAIT
    for server in list(_servers):
        state_of(server).leave_rust(limit)
    # Threads of servers that were stopped before, too. The interpreter itself waits for those that are no daemons.
    moment = time.monotonic() + _LAST_MOMENT
    while any(kept.daemon and (not kept.busy or time.monotonic() < moment) for kept in list(_kept.values())):
        if time.monotonic() > limit:
            return
        time.sleep(0.001)


# Runs before the interpreter waits for its threads: those that are kept for requests to come must not keep it waiting.
_register: Callable[[Callable[[], None]], object] | None = getattr(threading, "_register_atexit", None)
if _register is not None:
    _register(_main_has_ended)


def option(server: Any, name: str, kinds: Any) -> Any:
    """The value of an option; None where it is something of the program's own that has the same name."""
    value = getattr(server, name, None)
    return value if isinstance(value, kinds) and not isinstance(value, bool) else None


def is_plain(sock: Any) -> bool:
    """Whether it is a socket and nothing more: TLS, and a library that has put a class of its own in place, is more."""
    return type(sock).__module__ in (_socket.__name__, "socket") and type(sock).__name__ == "socket"


def uses(server: Any, **hooks: tuple[Any, ...]) -> bool:
    """Whether each hook is one of those given for it, and none is replaced on the instance."""
    return all(
        name not in server.__dict__ and getattr(type(server), name, None) in known
        for name, known in hooks.items()
    )


def family_of(sock: Any) -> Any:
    """The address family of a socket, whatever the object believes."""
    duplicate = os.dup(sock.fileno())
    try:
        probe = _standard_socket.socket(fileno=duplicate)
    except BaseException:
        os.close(duplicate)
        raise
    with probe:
        return probe.family


@contextlib.contextmanager
def _seated(server: Any) -> Generator[Seat]:
    """A seat for the calling thread."""
    me = threading.get_ident()
    state = state_of(server)
    if me in state.seats:
        raise RuntimeError("serve_forever: this thread is serving already, and calls it from a handler")
    seat = Seat(server, state)
    with state.lock:
        end_of(server).clear()
        if not state.seats:
            state.closed = False
        state.seats[me] = seat
        _servers.add(server)
    try:
        yield seat
    finally:
        state = seat.state
        # In the child of a fork that a handler has made, the parent's state is left alone.
        if _states(server).get(_generation) is state:
            with state.lock:
                if list(state.seats) == [me]:
                    state.requested = False
                    end_of(server).set()
                    _servers.discard(server)
                del state.seats[me]


def serve(server: Any, poll_interval: float, loop: Callable[[Any], Callable[..., None]]) -> None:
    """Serve until the server is to stop, by the loop that ``loop`` chooses."""
    with _seated(server) as seat:
        begun = False
        while True:
            state = state_of(server)
            if state is not seat.state:
                # The child of a fork has come back from a handler; as with the standard module it serves, too.
                seat.state = state
                state.seats[threading.get_ident()] = seat
                end_of(server).clear()
                _servers.add(server)
            if state.requested:
                return
            if begun and (state.closed or server.fileno() < 0):
                seat.wait()
            elif _ending:
                by_polling(server, seat, poll_interval)
            else:
                loop(server)(server, seat, poll_interval)
            begun = True


def stop(server: Any, timeout: float | None) -> None:
    """Stop a server and wait until it has."""
    state = state_of(server)
    state.request()
    if not state.seats or threading.get_ident() in state.seats:
        return
    limit = None if timeout is None else time.monotonic() + timeout
    while True:
        again = _ROUSE if state.wake() else None
        left = None if limit is None else max(0.0, limit - time.monotonic())
        if end_of(server).wait(min(filter(None, (again, left)), default=left)):
            return
        if limit is not None and time.monotonic() >= limit:
            raise TimeoutError(f"shutdown: serve_forever has not returned in {timeout} s")


def release(server: Any) -> None:
    """Have those who serve let go of the listening socket, which is about to be closed."""
    state = state_of(server)
    if state.seats:
        state.closed = True
        state.leave_rust(time.monotonic() + _LAST_WAIT)
        state.wake()


def by_polling(server: Any, seat: Seat, poll_interval: float) -> None:
    """Serve by the hooks of the standard module alone."""
    state = seat.state
    # As the standard module: eventlet takes away all selectors but one.
    with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
        listening = selector.register(server, selectors.EVENT_READ).fd
        selector.register(seat.waker, selectors.EVENT_READ)
        while seat.goes_on():
            ready = {key.fd for key, _ in selector.select(poll_interval)}
            if not seat.goes_on():
                break
            if state.closed:
                # There is nothing to accept from any more, and a closed descriptor is always ready.
                with contextlib.suppress(KeyError):
                    selector.unregister(listening)
            if seat.waker.fileno() in ready:
                seat.waker.clear()
            if listening in ready and not state.closed:
                server._handle_request_noblock()
            server.service_actions()


def in_turn(server: Any, seat: Seat, poll_interval: float) -> None:
    """Handle one connection after the other on this thread."""
    state, me = seat.state, threading.get_ident()
    listening = server.socket.fileno()
    if listening < 0:
        raise ValueError(f"Invalid file descriptor: {listening}")
    family = family_of(server.socket)
    accept, wrap = seat.waker.accept, _socket.socket
    while True:
        accepted = None
        seat.inside = True
        try:
            if not seat.goes_on() or state.closed or _ending or server.socket.fileno() != listening:
                return
            accepted = accept(listening)
        except OSError:
            seat.rest()
        finally:
            seat.inside = False
        if accepted is None:
            seat.waker.clear()
            continue
        request = wrap(family, server.socket_type, server.socket.proto, accepted[0])
        state.accepted[me] = (request, accepted[1])
        server._handle_request_noblock()


def on_threads(server: Any, seat: Seat, poll_interval: float) -> None:
    """Handle connections on threads that are kept."""
    state = seat.state
    with state.lock:
        if state.native is not None:
            native = None
        else:
            limit = option(server, "max_threads", int)
            overload = option(server, "overload", str)
            native = _carrick.StreamServer(
                _descriptor(server),
                _UNLIMITED if limit is None else limit,
                "block" if overload is None else overload,
                _Attendant(server),
                lambda job: start_thread(server, job),
            )
            state.native = native
    if native is None:
        # Another thread of the program's serves, and its threads are enough for both.
        seat.wait()
        return
    try:
        seat.inside = True
        if seat.goes_on() and not state.closed and not _ending:
            native.serve()
    finally:
        seat.inside = False
        state.native = None
        for other in list(state.seats.values()):
            if other is not seat:
                other.waker.set()


def _descriptor(server: Any) -> int:
    listening: int = server.socket.fileno()
    if listening < 0:
        raise ValueError(f"Invalid file descriptor: {listening}")
    return listening


class _Attendant:
    """Handles the connections of a server, each as if on a thread of its own."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.family = family_of(server.socket)
        inherits = getattr(sys.flags, "thread_inherit_context", False)
        self.context = contextvars.copy_context() if inherits else None

    def __call__(self, fd: int, address: Any) -> None:
        kept = _kept[threading.get_ident()]
        kept.busy = True
        kept.refresh()
        context = contextvars.Context() if self.context is None else self.context.copy()
        context.run(self.attend, fd, address)
        kept.busy = False

    def attend(self, fd: int, address: Any) -> None:
        """Handle one connection."""
        server = self.server
        try:
            request = _socket.socket(self.family, server.socket_type, server.socket.proto, fd)
            timeout = option(server, "request_timeout", (int, float))
            if timeout is not None:
                request.settimeout(timeout)
            if server.verify_request(request, address):
                server.process_request_thread(request, address)
            else:
                server.shutdown_request(request)
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), threading.current_thread()]))


class _Kept:
    """A thread that is kept from one request to the next, and what it was when it was new."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.daemon = thread.daemon
        self.name = thread.name
        self.attributes = len(vars(thread))
        self.busy = False

    def refresh(self) -> None:
        """Make it as fresh as a new one, as far as that can be had; docs/python.md lists what cannot."""
        if sys.gettrace() is not threading.gettrace():
            sys.settrace(threading.gettrace())
        if sys.getprofile() is not threading.getprofile():
            sys.setprofile(threading.getprofile())
        if self.thread.name != self.name:
            self.thread.name = self.name
        attributes = vars(self.thread)
        for attribute in list(attributes)[self.attributes :]:
            del attributes[attribute]
        own = _carrick.thread_dict()
        if own:
            # As at the end of a thread, on the versions of Python that keep thread-locals here. Others of the
            # dict's entries may be known elsewhere.
            for key in [key for key in own if isinstance(key, str) and key.startswith("thread.local.")]:
                own.pop(key, None)


_kept: dict[int, _Kept] = {}
"""Threads that are kept for requests, by their idents."""


def start_thread(server: Any, job: Callable[[], None]) -> None:
    """Start a thread that handles requests until it is not needed any more."""

    def process_request_thread() -> None:
        me = threading.get_ident()
        _kept[me] = _Kept(thread)
        try:
            job()
        finally:
            _kept.pop(me, None)

    threads = server._threads
    if server.block_on_close:
        threads = vars(server).setdefault("_threads", _standard._Threads())  # type: ignore[attr-defined]
    thread = threading.Thread(target=process_request_thread, daemon=server.daemon_threads)
    threads.append(thread)
    thread.start()
