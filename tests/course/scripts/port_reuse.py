# SPDX-License-Identifier: MIT OR Apache-2.0
# A server that has just ended leaves its port in TIME_WAIT. Only who says SO_REUSEADDR gets it again at once.
import errno
import socket
from socket import SOL_SOCKET, SO_REUSEADDR

sk = socket.socket()
sk.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
sk.bind(('127.0.0.1', 0))
sk.listen()
address = sk.getsockname()

client = socket.socket()
client.connect(address)
con, addr = sk.accept()
con.close()                            # the server closes first: TIME_WAIT is on its side
print('the server has closed:', client.recv(1024) == b'')
client.close()
sk.close()

again = socket.socket()
try:
    again.bind(address)
except OSError as e:
    print('without the option:', errno.errorcode[e.errno])
again.close()

again = socket.socket()
again.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
again.bind(address)
again.listen()
print('with the option: the port is ours again:', again.getsockname() == address)
again.close()
