# SPDX-License-Identifier: MIT OR Apache-2.0
# Other operations, of clients: connect raises, connect_ex returns the error code.
import errno
import socket

server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen()

s = socket.socket()
print('connect gives', s.connect(server.getsockname()))
s.close()
s = socket.socket()
print('connect_ex gives', s.connect_ex(server.getsockname()))
s.close()

address = server.getsockname()
server.close()                         # from here on nobody listens
s = socket.socket()
try:
    s.connect(address)
except ConnectionRefusedError as e:
    print('connect raises', type(e).__name__, errno.errorcode[e.errno])
s.close()
s = socket.socket()
print('connect_ex gives', errno.errorcode[s.connect_ex(address)])
s.close()
