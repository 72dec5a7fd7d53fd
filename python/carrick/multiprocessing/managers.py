# SPDX-License-Identifier: MIT OR Apache-2.0
"""Managers: the module :mod:`multiprocessing.managers`.

The server process, the connections to it, and the queues and pools that it makes are carrick's. Each class is a
subclass of the standard one; the proxies are, too, and derive from one another here as they do there. A server and its
clients say to each other what the standard library's do, so either side may be stock Python.
"""

from multiprocessing import managers as _standard
from multiprocessing import pool as _standard_pool

from carrick import queue as _queue
from carrick._standard import queue as _standard_queue
from carrick.multiprocessing import connection as _connection
from carrick.multiprocessing import pool as _pool
from carrick.multiprocessing._scope import use as _use
from carrick.multiprocessing._scope import with_names as _with_names
from carrick.multiprocessing.context import get_context as _get_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = list(_standard.__all__)  # pyright: ignore[reportUnsupportedDunderAll]

listener_client: "dict[str, Any]" = {
    "pickle": (_connection.Listener, _connection.Client),
    "xmlrpclib": (_connection.XmlListener, _connection.XmlClient),
}
"""For each way to write objects as bytes, what makes the two ends of a connection."""


@_use(_standard.BaseProxy, listener_client=listener_client)
class BaseProxy(_standard.BaseProxy):
    """The base of all proxies."""

    def __reduce__(self) -> "Any":
        rebuild, (make, *rest) = super().__reduce__()
        return rebuild, (AutoProxy if make is _standard.AutoProxy else make, *rest)


# The last argument is where it keeps the types that it has made.
MakeProxyType = _with_names(_standard.MakeProxyType, {"BaseProxy": BaseProxy}, __name__, ({},))
AutoProxy = _with_names(
    _standard.AutoProxy, {"MakeProxyType": MakeProxyType, "listener_client": listener_client}, __name__
)

_proxies: "dict[Any, Any]" = {_standard.BaseProxy: BaseProxy, _standard.AutoProxy: AutoProxy}
for _name, _proxy in list(vars(_standard).items()):
    # In the order of their definition: bases come first.
    if isinstance(_proxy, type) and issubclass(_proxy, _standard.BaseProxy) and _proxy not in _proxies:
        _bases = (_proxy, *(_proxies[_base] for _base in _proxy.__bases__ if _base in _proxies))
        _proxies[_proxy] = globals()[_name] = type(_name, _bases, {"__module__": __name__})
del _name, _proxy


@_use(_standard.Server, listener_client=listener_client, connection=_connection)
class Server(_standard.Server):
    """The server in the process of a manager."""


@_use(
    _standard.BaseManager,
    AutoProxy=AutoProxy,
    Server=Server,
    connection=_connection,
    get_context=_get_context,
    listener_client=listener_client,
)
class BaseManager(_standard.BaseManager):
    """A base for managers, to register types with."""

    _Server = Server


class SyncManager(_standard.SyncManager, BaseManager):
    """A manager of the types that processes share."""


_made_by_ours = {
    _standard_queue.Queue: _queue.Queue,
    _queue.Queue: _queue.Queue,
    _standard_pool.Pool: _pool.Pool,
}
for _name, (_make, _exposed, _returned, _proxy) in _standard.SyncManager._registry.items():
    SyncManager.register(
        _name,
        _made_by_ours.get(_make, _make),
        _proxies.get(_proxy, _proxy),
        _exposed,
        _returned,
        hasattr(_standard.SyncManager, _name),
    )
del _name, _make, _exposed, _returned, _proxy

if _standard.HAS_SHMEM:
    from carrick.multiprocessing import shared_memory as _shared_memory

    @_use(_standard.SharedMemoryServer, Server=Server, shared_memory=_shared_memory)
    class SharedMemoryServer(_standard.SharedMemoryServer, Server):
        """The server in the process of a manager of shared memory."""

    @_use(_standard.SharedMemoryManager, SharedMemoryServer=SharedMemoryServer, shared_memory=_shared_memory)
    class SharedMemoryManager(_standard.SharedMemoryManager, BaseManager):
        """A manager that removes the segments that were made by it when it ends."""

        _Server = SharedMemoryServer


def __getattr__(name: str) -> "Any":
    return getattr(_standard, name)
