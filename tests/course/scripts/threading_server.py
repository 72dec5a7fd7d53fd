# SPDX-License-Identifier: MIT OR Apache-2.0
# socketserver with a thread for each client: all three clients are served at the same time.
import socketserver
import threading

finished = threading.Semaphore(0)


class Myserver(socketserver.BaseRequestHandler):
    def handle(self):
        while True:                    # self.request is the connection
            msg = self.request.recv(1024)
            if not msg:
                break
            self.request.sendall(msg.upper())

    def finish(self):
        finished.release()


server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Myserver)
print('port', server.server_address[1], flush=True)
thread = threading.Thread(target=server.serve_forever)
thread.start()
for turn in range(3):
    finished.acquire()
server.shutdown()
thread.join()
server.server_close()
print('three clients served')
