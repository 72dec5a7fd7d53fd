# SPDX-License-Identifier: MIT OR Apache-2.0
"""The fork server: the module :mod:`multiprocessing.forkserver`.

The server keeps some children forked ahead of time. A request goes to one of them without the server's doing, and the
server forks the next child meanwhile. It imports the main module and those of :func:`set_forkserver_preload` once, for
all its children (what CPython has always meant to do, and does from 3.13.8 on).

The server serves the process that started it and all processes below that one, over a socket that has no name.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import signal
import sys
from multiprocessing import process, resource_tracker, spawn, util

from carrick import _carrick, _errors, _patch
from carrick._descriptor import lift as _lift
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
"""What of the preparation data it takes to import the main module as a child would."""


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
            data = {k: v for k, v in spawn.get_preparation_data("ignore").items() if k in _MAIN}
            clients, server = _carrick.request_pair()
            try:
                code = _patch.child_command(__name__, server, self._preload_modules, data)
                program: Any = spawn.get_executable()
                command = [program, *util._args_from_interpreter_flags(), "-c", code]
                self._forkserver_pid = util.spawnv_passfds(program, command, [server])
            except BaseException:
                os.close(clients)
                raise
            finally:
                os.close(server)
            self._forkserver_alive_fd = clients
            self._owner = os.getpid()

    def _start(self, body: Any, fds: list[int]) -> tuple[int, int]:
        """Have a child made; returns its number and the descriptor on which its exit code will be."""
        me = _lift(os.pidfd_open(os.getpid()))
        try:
            for attempt in range(_ATTEMPTS):
                self.ensure_running()
                alive = self._forkserver_alive_fd
                assert alive is not None
                descriptors: list[Any] = [alive, resource_tracker.getfd(), me, *fds]
                try:
                    return _carrick.ask(alive, body, descriptors)
                except _errors.ClosedError:
                    # The server or a child was killed; nothing of the request has been done.
                    if attempt == _ATTEMPTS - 1:
                        raise
            raise AssertionError("unreachable")
        finally:
            os.close(me)

    def connect_to_new_process(self, fds: Any) -> tuple[int, int]:
        """Not possible here: a request goes out whole. Start a process by its object."""
        raise NotImplementedError("carrick's fork server takes whole requests: use Process.start()")


def _preload(modules: list[str], data: dict[str, Any]) -> None:
    sys.path = data["sys_path"]
    if "__main__" in modules:
        current = process.current_process()
        current._inheriting = True
        try:
            _child.prepare_process(data)
        except (Exception, SystemExit):
            # Each child will try for itself, and say what is wrong.
            util.debug("the main module cannot be imported")
        finally:
            del current._inheriting
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            util.debug("%s cannot be imported", name)
        except Exception:
            sys.excepthook(*sys.exc_info())


def main(requests: int, modules: list[str], data: dict[str, Any]) -> None:
    """Run the server."""
    _preload(modules, data)
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
    forget_exit_handlers()
    _rehearse()
    taken = supply.take()
    if taken is None:
        os._exit(0)
    body, (alive, tracker, parent, *fds) = taken
    signal.signal(signal.SIGINT, interrupt)
    _forkserver._forkserver_alive_fd = alive
    _forkserver._inherited_fds = fds
    resource_tracker._resource_tracker._fd = tracker
    _child.arriving_input = _child.replace_input(sys.stdin)
    process_obj = _child.receive(io.BytesIO(body))
    return int(process_obj._bootstrap(parent))


def _rehearse() -> None:
    """Do, while nobody waits, something like what a request takes: what a child touches first it has to copy."""
    data = {"name": "", "sys_path": sys.path, "sys_argv": sys.argv, "dir": os.getcwd()}
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
