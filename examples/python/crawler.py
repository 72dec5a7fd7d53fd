# SPDX-License-Identifier: MIT OR Apache-2.0
"""A crawler: three processes take URLs from a queue and fetch the pages of a server, two find in them what they look
for. The server is a process of its own, on this machine; nothing goes out to a network. None says that there is no
more, and each process leaves it to the next one."""

import re
from http.server import BaseHTTPRequestHandler
from urllib.request import urlopen

import carrick.multiprocessing as multiprocessing
from carrick.socketserver import ThreadingTCPServer

mp = multiprocessing.get_context("fork")
ON_A_PAGE = 2
KNOTS = (
    "bowline",
    "clove hitch",
    "figure eight",
    "reef knot",
    "sheet bend",
    "half hitch",
    "rolling hitch",
    "carrick bend",
    "cleat hitch",
    "anchor hitch",
)
ITEM = '<em>%d</em><span class="title">%s</span><span class="uses">%d uses</span>\n'
FIND = re.compile(r'<em>(.*?)</em><span class="title">(.*?)</span><span class="uses">(.*?)</span>')


class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        start = int(self.path.partition("start=")[2])
        self.send_response(200)
        self.end_headers()
        for number in range(start, min(start + ON_A_PAGE, len(KNOTS))):
            self.wfile.write((ITEM % (number, KNOTS[number], number * number)).encode())

    def log_message(self, *args):
        pass


def run_server(channel):
    """The server has threads, so it has a process of its own. Its port goes to the parent, with which it ends."""
    with ThreadingTCPServer(("127.0.0.1", 0), Pages) as server:
        channel.send(server.server_address[1])
        server.serve_forever()


def fetch(urls, pages):
    for url in iter(urls.get, None):
        with urlopen(url) as response:
            pages.put(response.read().decode())
    urls.put(None)


def find(pages, found):
    for page in iter(pages.get, None):
        for match in FIND.finditer(page):
            found.put("{}: {}, {}".format(*match.groups()))
    pages.put(None)


def started(count, target, *args):
    processes = [mp.Process(target=target, args=args) for _ in range(count)]
    for process in processes:
        process.start()
    return processes


def joined(processes):
    for process in processes:
        process.join()
        if process.exitcode != 0:
            raise SystemExit("a worker failed")


urls, pages, found = mp.Queue(), mp.Queue(2), mp.Queue()
ours, theirs = mp.Pipe()
mp.Process(target=run_server, args=(theirs,), daemon=True).start()
port = ours.recv()

fetchers = started(3, fetch, urls, pages)
finders = started(2, find, pages, found)
for start in range(0, len(KNOTS), ON_A_PAGE):
    urls.put(f"http://127.0.0.1:{port}/top?start={start}")
urls.put(None)
joined(fetchers)
pages.put(None)
joined(finders)

for line in sorted(found.get() for _ in KNOTS):
    print(line)
