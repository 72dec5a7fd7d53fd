# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard library's own servers by their standard names: http.server, wsgiref, xmlrpc, logging.config, smtpd's kin."""

from __future__ import annotations

import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HTTP = """
import http.server, sys
from states import state
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = state()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
if __name__ == "__main__":
    with getattr(http.server, sys.argv[1])(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    print("closed", flush=True)
"""

WSGI = """
import socketserver
from wsgiref.simple_server import WSGIServer, make_server
from states import state
class Threading(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
def app(environ, start_response):
    body = state()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
if __name__ == "__main__":
    with make_server("127.0.0.1", 0, app, server_class=Threading) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    print("closed", flush=True)
"""

XMLRPC = """
from socketserver import ThreadingMixIn
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer
from states import state
class Server(ThreadingMixIn, SimpleXMLRPCServer):
    pass
class Handler(SimpleXMLRPCRequestHandler):
    def log_message(self, *arguments):
        pass
if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Handler, allow_none=True) as server:
        server.register_introspection_functions()
        server.register_function(pow)
        server.register_function(lambda: state().decode(), "state")
        server.register_function(server.shutdown, "end")
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
    print("closed", flush=True)
"""

LOGGING = """
import logging, logging.config, logging.handlers, socketserver, struct, pickle, threading, queue
from states import state
records = queue.Queue()
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(4):
            records.put(logging.makeLogRecord(pickle.loads(self.rfile.read(struct.unpack(">L", head)[0]))))
if __name__ == "__main__":
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        log = logging.getLogger("far")
        log.setLevel(logging.INFO)
        handler = logging.handlers.SocketHandler(*server.server_address)
        log.addHandler(handler)
        buffer = queue.Queue()
        listener = logging.handlers.QueueListener(buffer, handler)
        listener.start()
        near = logging.getLogger("near")
        near.addHandler(logging.handlers.QueueHandler(buffer))
        near.setLevel(logging.INFO)
        for number in range(100):
            log.info("number %d", number)
            near.info("number %d", number)
        listener.stop()
        handler.close()
        texts = [records.get(timeout=20).getMessage() for _ in range(200)]
        server.shutdown()
    assert sorted(texts) == sorted(f"number {n}" for n in range(100) for _ in range(2)), texts
    print(state().decode())
"""


@pytest.mark.parametrize("server", ["HTTPServer", "ThreadingHTTPServer"])
def test_http_server(start, tmp_path: Path, server: str) -> None:
    (tmp_path / "program.py").write_text(HTTP)
    program = start("program.py", server)
    program.listens()
    with ThreadPoolExecutor(20) as clients:
        list(clients.map(lambda _: program.state(), range(200)))
    program.interrupt()
    program.ends(0)
    assert program.output.endswith("interrupted\nclosed\n<end of output>")


def test_http_server_of_the_command_line(start, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import http.server\nhttp.server.test(http.server.SimpleHTTPRequestHandler, http.server.ThreadingHTTPServer,"
        ' "HTTP/1.0", 0, "127.0.0.1")\n'
    )
    (tmp_path / "page.txt").write_text("page\n" * 10_000)
    program = start("program.py")
    program.listens(r"port (\d+)")
    with ThreadPoolExecutor(10) as clients:
        pages = set(clients.map(lambda _: program.get("/page.txt"), range(100)))
    assert pages == {b"page\n" * 10_000}
    program.interrupt()
    program.ends(0)
    assert "Keyboard interrupt received, exiting." in program.output


def test_wsgiref(start, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WSGI)
    program = start("program.py")
    program.listens()
    with ThreadPoolExecutor(20) as clients:
        list(clients.map(lambda _: program.state(), range(200)))
    program.interrupt()
    program.ends(0)
    assert program.output.endswith("interrupted\nclosed\n<end of output>")


def test_xmlrpc(start, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(XMLRPC)
    program = start("program.py")
    program.listens()
    address = f"http://127.0.0.1:{program.port}"

    def ask(number: int) -> int:
        with xmlrpc.client.ServerProxy(address, allow_none=True) as server:
            assert "pow" in server.system.listMethods()
            return int(server.pow(number, 2))

    with ThreadPoolExecutor(10) as clients:
        assert list(clients.map(ask, range(50))) == [number**2 for number in range(50)]
    with xmlrpc.client.ServerProxy(address, allow_none=True) as server:
        assert '"text": "one"' in server.state()
        server.end()
    program.ends(0)
    assert program.output.endswith("closed\n<end of output>")


def test_logging_over_sockets_and_queues(run_program, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(LOGGING)
    run_program("program.py")
