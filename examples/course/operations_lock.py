# SPDX-License-Identifier: MIT OR Apache-2.0
# Other operations, about waiting: setblocking, settimeout, gettimeout.
import carrick.socket as socket

server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen()
s = socket.socket()
s.connect(server.getsockname())
con, addr = server.accept()

print('a new socket waits for ever:', s.gettimeout())
s.settimeout(0.05)
print('timeout', s.gettimeout())
try:
    s.recv(1024)
except socket.timeout as e:
    print('nothing came:', type(e).__name__, e, e.errno)

s.setblocking(False)
print('not blocking:', s.gettimeout(), s.getblocking())
for call in (lambda: s.recv(1024), lambda: server.accept()):
    server.setblocking(False)
    try:
        call()
    except BlockingIOError as e:
        print('nothing there:', type(e).__name__)

con.sendall(b'now')
s.setblocking(True)
print('blocking again:', s.gettimeout(), s.recv(1024))
s.settimeout(5)
con.sendall(b'in time')
print('with time left:', s.recv(1024))
try:
    s.settimeout(-1)
except ValueError as e:
    print(type(e).__name__, e)
for each in (con, s, server):
    each.close()
