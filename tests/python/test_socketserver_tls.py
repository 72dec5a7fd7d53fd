# SPDX-License-Identifier: MIT OR Apache-2.0
"""TLS: servers that have an ``ssl_context``, and the standard library's ways to serve it."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest
from support import CERTIFICATE, WAIT, serving
from test_socketserver import ADDRESS, Echo, connect

import carrick.socketserver as socketserver


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.create_default_context(cafile=CERTIFICATE)
    client.check_hostname = False
    return server, client


def ask_secured(server: Any, context: ssl.SSLContext) -> bytes:
    """One request over TLS."""
    with context.wrap_socket(connect(server)) as secured:
        secured.sendall(b"hello")
        return secured.recv(100)


@pytest.mark.parametrize("cls", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_ssl_context_makes_each_request_a_tls_one(cls: Any, contexts: Any) -> None:
    server = cls(ADDRESS, Echo)
    server.ssl_context = contexts[0]
    with serving(server):
        assert [ask_secured(server, contexts[1]) for _ in range(3)] == [b"HELLO"] * 3


def test_a_client_that_is_silent_in_the_tls_handshake_stops_no_other(contexts: Any) -> None:
    class Secured(socketserver.ThreadingTCPServer):
        ssl_context = contexts[0]
        handshake_timeout = None

    with serving(Secured(ADDRESS, Echo)) as server:
        silent = [connect(server) for _ in range(3)]
        assert [ask_secured(server, contexts[1]) for _ in range(3)] == [b"HELLO"] * 3
        for one in silent:
            one.close()


@pytest.mark.parametrize("cls", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_a_tls_handshake_ends_at_its_timeout_and_serving_goes_on(cls: Any, contexts: Any) -> None:
    class Secured(cls):  # type: ignore[misc]
        ssl_context = contexts[0]
        handshake_timeout = 0.05

    with serving(Secured(ADDRESS, Echo)) as server:
        with connect(server) as silent:
            assert silent.recv(1) == b""
        with connect(server) as garbage:
            garbage.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while garbage.recv(100):
                    pass
        server.handshake_timeout = WAIT
        assert ask_secured(server, contexts[1]) == b"HELLO"


@pytest.mark.parametrize("cls", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_a_listening_socket_that_is_wrapped_for_tls_serves_tls(cls: Any, contexts: Any) -> None:
    server = cls(ADDRESS, Echo)
    server.socket = contexts[0].wrap_socket(server.socket, server_side=True)
    with serving(server):
        assert [ask_secured(server, contexts[1]) for _ in range(3)] == [b"HELLO"] * 3


@pytest.mark.parametrize("cls", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_get_request_may_wrap_what_the_standard_method_accepts(cls: Any, contexts: Any) -> None:
    class Secured(cls):  # type: ignore[misc]
        def get_request(self) -> tuple[Any, Any]:
            request, address = super().get_request()
            return contexts[0].wrap_socket(request, server_side=True), address

    with serving(Secured(ADDRESS, Echo)) as server:
        assert [ask_secured(server, contexts[1]) for _ in range(3)] == [b"HELLO"] * 3
