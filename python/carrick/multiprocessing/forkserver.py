# SPDX-License-Identifier: MIT OR Apache-2.0
"""The fork server: the module :mod:`multiprocessing.forkserver`.

The server keeps some children forked ahead of time. A request goes to one of them without the server's doing, and the
server forks the next child meanwhile. It imports the main module and those of :func:`set_forkserver_preload` once, for
all its children (what CPython has always meant to do, and does from 3.13.8 on).

The server serves the process that started it and all processes below that one, over a socket that has no name.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import io
import os
import pickle
import signal
import sys
from multiprocessing import process, resource_tracker, spawn, util

from carrick import _carrick, _errors, _patch
from carrick._standard import forkserver as _standard
from carrick.multiprocessing import _child
from carrick.multiprocessing.popen_fork import forget_exit_handlers, run_exit_handlers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["connect_to_new_process", "ensure_running", "get_inherited_fds", "set_forkserver_preload"]

_ATTEMPTS = 16
"""How many children may be killed under one request until it fails."""

_MAIN = ("sys_path", "sys_argv", "dir", "orig_dir", "init_main_from_name", "init_main_from_path")
"""The preparation data that it takes to import the main module as a child would."""


class ConnectionError(_errors.ClosedError, builtins.ConnectionError):  # noqa: A001
    """The server has ended by itself; the message says why."""


class ForkServer(_standard.ForkServer):
    """The fork server as its clients see it. ``_forkserver_alive_fd`` is the socket that requests are sent on."""

    _forkserver_alive_fd: int | None
    _forkserver_pid: int | None
    _owner: int | None = None

    def _stop_unlocked(self) -> None:
        if self._forkserver_pid is None:
            return
        self._forget()

    def _forget(self) -> None:
        """Give the server up: it ends when nobody else has its socket."""
        if self._forkserver_alive_fd is not None:
            os.close(self._forkserver_alive_fd)
            self._forkserver_alive_fd = None
        pid, self._forkserver_pid = self._forkserver_pid, None
        if pid is not None and self._owner == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _is_alive(self) -> bool:
        if self._forkserver_alive_fd is None or _carrick.poll(self._forkserver_alive_fd, 0):
            return False
        if self._owner != os.getpid():
            return True
        assert self._forkserver_pid is not None
        ended = os.waitid(os.P_PID, self._forkserver_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is None

    def ensure_running(self) -> None:
        """Make sure that a server is running; a process that was started below another one uses its."""
        with self._lock:
            resource_tracker.ensure_running()
            if self._is_alive():
                return
            self._forget()
            # All of this may be long, arguments of the program above all: the kernel limits those of a command.
            task = {
                "modules": self._preload_modules,
                "on_error": getattr(self, "_preload_on_error", "ignore"),
                "data": {k: v for k, v in spawn.get_preparation_data("ignore").items() if k in _MAIN},
            }
            parcel = _child.Parcel(pickle.dumps(task))
            try:
                clients, server = _carrick.request_pair()
                try:
                    code = _patch.child_command(__name__, server, parcel.fd)
                    program: Any = spawn.get_executable()
                    command = [program, *util._args_from_interpreter_flags(), "-c", code]
                    self._forkserver_pid = util.spawnv_passfds(program, command, [server, parcel.fd])
                except BaseException:
                    os.close(clients)
                    raise
                finally:
                    os.close(server)
                self._forkserver_alive_fd = clients
                self._owner = os.getpid()
                parcel.deliver()
            finally:
                parcel.close()

    def _start(self, body: Any, fds: list[int]) -> tuple[int, int]:
        """Have a child made; returns its number and the descriptor on which its exit code will be."""
        me, _ = _child.parent_handle()
        try:
            for attempt in range(_ATTEMPTS):
                self.ensure_running()
                alive = self._forkserver_alive_fd
                assert alive is not None
                descriptors: list[Any] = [alive, resource_tracker.getfd(), me, *fds]
                try:
                    return _carrick.ask(alive, body, descriptors)
                except _errors.ClosedError as error:
                    # The server or a child was killed; nothing of the request has been done.
                    ended = self._ended(alive)
                    if ended is not None and ended >= 0:
                        raise self._reason(error, ended) from None
                    if attempt == _ATTEMPTS - 1:
                        raise
            raise AssertionError("unreachable")
        finally:
            os.close(me)

    def _ended(self, alive: int) -> int | None:
        """The exit code of the server of this socket; None: it runs, or nobody here can tell."""
        with self._lock:
            if (
                self._forkserver_alive_fd != alive
                or self._owner != os.getpid()
                or not _carrick.poll(alive, 0)
            ):
                return None
            assert self._forkserver_pid is not None
            try:
                ended = os.waitid(os.P_PID, self._forkserver_pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                return None
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def _reason(self, error: OSError, code: int) -> OSError:
        """The error for a server that has ended by itself: another one would do the same."""
        reason = ConnectionError(error.errno, f"{error.strerror or error} (exit code {code})")
        if getattr(self, "_preload_on_error", "ignore") == "fail":
            # In the standard library's words.
            reason.add_note("Forkserver process may have crashed during module preloading. Check stderr.")
        return reason

    def connect_to_new_process(self, fds: Any) -> tuple[int, int]:
        """Not possible here: a request goes out whole. Start a process by its object."""
        raise NotImplementedError("carrick's fork server takes whole requests: use Process.start()")


def _preload(modules: list[str], data: dict[str, Any], on_error: str) -> None:
    def failed(name: str, error: BaseException) -> None:
        util.debug("%s cannot be imported", name)
        if on_error == "fail":
            raise error
        if on_error == "warn":
            import warnings

            warnings.warn(f"Failed to preload {name}: {error}", ImportWarning, stacklevel=3)

    sys.path = data["sys_path"]
    if "__main__" in modules:
        current = process.current_process()
        current._inheriting = True
        try:
            _child.prepare_process(data)
        except (Exception, SystemExit) as error:
            # Each child will try for itself, and say what is wrong.
            failed("__main__", error)
        finally:
            del current._inheriting
    for name in modules:
        try:
            __import__(name)
        except ImportError as error:
            failed(f"module {name!r}", error)
        except Exception:
            if on_error == "fail":
                raise
            sys.excepthook(*sys.exc_info())
    # Children would write the modules' output again.
    util._flush_std_streams()


def _carrick_main(requests: int, body: int) -> None:
    """Run the server."""
    try:
        with open(body, "rb") as stream:
            task = pickle.load(stream)
        _preload(**task)
        _serve(requests)
    except BaseException as error:
        # Not by the usual end, which waits for threads of the modules. The socket is open still, whoever owns it.
        sys.excepthook(*sys.exc_info())
        _carrick.resign(requests, _words(error))
        util._flush_std_streams()
        os._exit(1)


def _words(error: BaseException) -> str:
    """The error with its traceback, in some lines."""
    import traceback

    return "".join(traceback.format_exception(error)).strip()


def _serve(requests: int) -> None:
    util._close_stdin()
    # Ctrl-C is for the children that run something.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The collector of a child would write to every page that it shares with the server.
    gc.collect()
    gc.freeze()
    supply = _carrick.Supply(requests)
    while supply.wait():
        try:
            pid = os.fork()
        except OSError as error:
            supply.fork_failed(error.errno or 0)
            continue
        if pid == 0:
            code, in_good_order = 1, False
            try:
                code = _serve_one(supply, interrupt)
                in_good_order = True
            except Exception:
                sys.excepthook(*sys.exc_info())
                sys.stderr.flush()
            finally:
                run_exit_handlers()
                if in_good_order:
                    _carrick.leave_locks()
                os._exit(code)
        supply.forked(pid)


def _serve_one(supply: Any, interrupt: Any) -> int:
    """In a child: wait for work and do it."""
    try:
        # Those of the server's modules are not for this process.
        signal.set_wakeup_fd(-1)
        forget_exit_handlers()
        _rehearse()
        taken = supply.take()
    except BaseException as error:
        # The client that asks for a child is told, should this be the end of all.
        with contextlib.suppress(Exception):
            supply.give_up(_words(error))
        os._exit(1)
    if taken is None:
        os._exit(0)
    body, (alive, tracker, parent, *fds) = taken
    # None is a handler that is not Python's, which Python cannot put back.
    signal.signal(signal.SIGINT, signal.SIG_DFL if interrupt is None else interrupt)
    _forkserver._forkserver_alive_fd = alive
    _forkserver._inherited_fds = fds
    resource_tracker._resource_tracker._fd = tracker
    _child.arriving_input = _child.replace_input(sys.stdin)
    process_obj = _child.receive(io.BytesIO(body))
    return int(process_obj._bootstrap(parent))


def _rehearse() -> None:
    """Do, while nobody waits, something like what a request takes: what a child touches first it has to copy."""
    # Nothing of the environment plays a part, which may be gone: the folder, for one.
    data = {"name": "", "sys_path": list(map(str, sys.path)), "sys_argv": list(map(str, sys.argv)), "dir": ""}
    stream = io.BytesIO()
    pickle.dump(data, stream)
    pickle.dump(_rehearse, stream)
    stream.seek(0)
    for _ in range(2):
        pickle.load(stream)


_forkserver = ForkServer()
# In the child of a fork the thread that had it is not there.
os.register_at_fork(after_in_child=lambda: _forkserver._lock._at_fork_reinit())
ensure_running = _forkserver.ensure_running
get_inherited_fds = _forkserver.get_inherited_fds
connect_to_new_process = _forkserver.connect_to_new_process
set_forkserver_preload = _forkserver.set_forkserver_preload


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
