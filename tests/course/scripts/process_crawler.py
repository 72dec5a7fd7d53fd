# SPDX-License-Identifier: MIT OR Apache-2.0
# A crawler: five processes fetch the pages of a server, three find in them what they look for. The server is local and
# serves in the main process.
# Start methods: fork, spawn. The order of the lines is not determined.
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import Process, Queue
from urllib.request import urlopen

ITEM = '<div class="item"><em>%d</em><span class="title">knot %d</span><span class="uses">%d uses</span></div>\n'
FIND = re.compile(
    r'<em>(?P<id>\d+)</em>.*?<span class="title">(?P<title>.*?)</span>.*?<span class="uses">(?P<uses>\d+) uses</span>'
)


class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        start = int(self.path.partition('start=')[2])
        body = ''.join(ITEM % (i, i, i * i) for i in range(start, start + 4)).encode('utf-8')
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def producer(q, url):
    with urlopen(url) as response:
        q.put(response.read().decode('utf-8'))


def consumer(q):
    while True:
        s = q.get()
        if not s:
            q.put(None)
            break
        for found in FIND.finditer(s):
            print(found.groupdict())


if __name__ == '__main__':
    q = Queue()
    with HTTPServer(('127.0.0.1', 0), Pages) as server:
        url = 'http://127.0.0.1:%s/top?start=%s'
        producers = [Process(target=producer, args=(q, url % (server.server_port, i * 4))) for i in range(5)]
        consumers = [Process(target=consumer, args=(q,)) for i in range(3)]
        for p in producers + consumers:
            p.start()
        for p in producers:
            server.handle_request()
    for p in producers:
        p.join()
    q.put(None)
    for p in consumers:
        p.join()
    print('exit codes', [p.exitcode for p in producers + consumers], q.get())
