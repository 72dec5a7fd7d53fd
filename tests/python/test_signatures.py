# SPDX-License-Identifier: MIT OR Apache-2.0
"""The public parts of a drop-in have the names and the signatures of the standard library."""

from __future__ import annotations

import hmac as standard_hmac
import inspect
import multiprocessing
import multiprocessing.connection as standard_connection
import queue as standard_queue
import socket as standard_socket
import socketserver as standard_socketserver
from typing import Any

import pytest

import carrick.hmac
import carrick.multiprocessing
import carrick.multiprocessing.connection
import carrick.queue
import carrick.socket
import carrick.socketserver

MODULES = [
    (carrick.hmac, standard_hmac),
    (carrick.queue, standard_queue),
    (carrick.socket, standard_socket),
    (carrick.socketserver, standard_socketserver),
    (carrick.multiprocessing, multiprocessing),
    (carrick.multiprocessing.connection, standard_connection),
]

# Parameters that the standard signature has not, each with the reason.
MORE_PARAMETERS = {
    "socketserver.*.shutdown": ("timeout", "a limit for the wait"),
    "socketserver.*.server_close": ("timeout", "a limit for the wait"),
    "connection.deliver_challenge": ("digest_name", "Python 3.12 has it, 3.11 has not"),
    "multiprocessing.Queue": (
        "codec max_bytes name",
        "what items are between languages, a limit in bytes, and what other programs find it by",
    ),
    "multiprocessing.JoinableQueue": ("codec max_bytes name", "as Queue"),
    "multiprocessing.Lock": ("on_owner_death name", "what to do about a holder that has died; as Queue"),
    "multiprocessing.RLock": ("on_owner_death name", "as Lock"),
    "multiprocessing.Semaphore": ("name", "as Queue"),
    "multiprocessing.BoundedSemaphore": ("name", "as Queue"),
    "multiprocessing.Condition": ("name", "as Queue"),
    "multiprocessing.Event": ("name", "as Queue"),
    "multiprocessing.Barrier": ("name", "as Queue"),
}

# Signatures that cannot be compared, each with the reason.
NOT_COMPARED = {
    "hmac.HMAC": "made in Rust: what is called is the function new()",
    "hmac.HMAC.__init__": "a slot of a Rust class has no signature",
    "socket.create_connection": "passes everything on, whatever the running Python takes",
    "socket.create_server": "as create_connection",
    "socket.fromfd": "as create_connection",
    "socket.socketpair": "as create_connection",
}

# Public names that a drop-in has beyond the standard ones, each with the reason.
MORE_NAMES = {
    "carrick.hmac": {"HMAC", "hmac_digest", "hmac_new"},
    "carrick.queue": {"ShutDown": "Python 3.13 has it, 3.11 has not"},
    "carrick.multiprocessing.connection": {
        "HANDSHAKE_TIMEOUT": "the limit of a handshake",
        "MIN_DIGEST": "the policy of a handshake",
    },
}


def parameters(function: Any) -> list[tuple[str, Any, Any]] | None:
    """Name, kind and default of each parameter; None where Python knows none."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    # Whether self may be given by name is no part of how a method is called.
    return [(p.name, p.kind, p.default) for p in signature.parameters.values() if p.name != "self"]


def members() -> list[Any]:
    """Each public function, class and method of a drop-in that differs from the standard one, with that."""
    found = []
    for ours, theirs in MODULES:
        short = ours.__name__.rpartition(".")[2]
        public = getattr(theirs, "__all__", None) or [n for n in dir(theirs) if not n.startswith("_")]
        if theirs is standard_connection:
            public = [*public, "Connection", "deliver_challenge", "answer_challenge", "SocketClient"]
        for name in public:
            mine, its = getattr(ours, name), getattr(theirs, name)
            if mine is its or not callable(mine) or inspect.ismodule(mine):
                continue
            found.append(pytest.param(f"{short}.{name}", mine, its, id=f"{short}.{name}"))
            if not isinstance(mine, type):
                continue
            for attribute in dir(its):
                if attribute.startswith("_") and attribute != "__init__":
                    continue
                one, other = getattr(mine, attribute), getattr(its, attribute)
                if one is not other and callable(one) and not isinstance(one, type):
                    label = f"{short}.{name}.{attribute}"
                    found.append(pytest.param(label, one, other, id=label))
    return found


@pytest.mark.parametrize(("label", "ours", "theirs"), members())
def test_signatures_are_equal(label: str, ours: Any, theirs: Any) -> None:
    if label in NOT_COMPARED:
        return
    mine, its = parameters(ours), parameters(theirs)
    if its is None:
        return  # a builtin without a signature
    assert mine is not None
    module, *_, last = label.split(".")
    more = MORE_PARAMETERS.get(label) or MORE_PARAMETERS.get(f"{module}.*.{last}")
    if more:
        names = set(more[0].split()) - {name for name, *_ in its}
        mine = [one for one in mine if one[0] not in names]
    assert mine == its


def test_every_exception_from_the_rule_still_exists() -> None:
    labels = {param.values[0] for param in members()}
    short = {f"{label.split('.')[0]}.*.{label.split('.')[-1]}" for label in labels}
    assert set(NOT_COMPARED) - {"hmac.HMAC.__init__"} <= labels
    assert set(MORE_PARAMETERS) <= labels | short


@pytest.mark.parametrize(("ours", "theirs"), MODULES, ids=lambda m: m.__name__)
def test_a_drop_in_has_every_name_and_no_public_name_more(ours: Any, theirs: Any) -> None:
    assert [name for name in dir(theirs) if not hasattr(ours, name)] == []
    if hasattr(theirs, "__all__"):
        more = set(MORE_NAMES.get(ours.__name__, ())) & set(ours.__all__)
        assert sorted(ours.__all__) == sorted({*theirs.__all__, *more})
    here = {
        name for name, thing in vars(ours).items() if not name.startswith("_") and not inspect.ismodule(thing)
    }
    extra = {
        name
        for name in here - set(dir(theirs))
        if getattr(vars(ours)[name], "__module__", None)
        not in ("typing", "collections.abc", "carrick._carrick")
    }
    assert extra <= set(MORE_NAMES.get(ours.__name__, ()))


@pytest.mark.parametrize(("ours", "theirs"), MODULES, ids=lambda m: m.__name__)
def test_public_classes_and_functions_are_documented(ours: Any, theirs: Any) -> None:
    for name in getattr(theirs, "__all__", ["new", "digest"]):
        thing = getattr(ours, name)
        if getattr(thing, "__module__", "").startswith("carrick"):
            assert thing.__doc__, name
