# SPDX-License-Identifier: MIT OR Apache-2.0
# socketserver in turn, with an address that may be used again at once. It ends after two requests.
import carrick.socketserver as socketserver
import threading


class Myserver(socketserver.BaseRequestHandler):
    requests = 0

    def handle(self):
        self.data = self.request.recv(1024).strip()
        print("{} wrote:".format(self.client_address[0]))
        print(self.data)
        self.request.sendall(self.data.upper())
        Myserver.requests += 1
        if Myserver.requests == 2:     # shutdown waits for serve_forever, so it needs a thread of its own
            threading.Thread(target=self.server.shutdown).start()


if __name__ == "__main__":
    HOST, PORT = "127.0.0.1", 0
    socketserver.TCPServer.allow_reuse_address = True
    server = socketserver.TCPServer((HOST, PORT), Myserver)
    print("port", server.server_address[1], flush=True)
    server.serve_forever()
    server.server_close()
