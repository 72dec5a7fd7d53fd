# SPDX-License-Identifier: MIT OR Apache-2.0
# A UDP server: no connection, and each datagram keeps its borders; an empty one is a message too.
import socket

sk = socket.socket(type=socket.SOCK_DGRAM)
sk.bind(('127.0.0.1', 0))
print('port', sk.getsockname()[1], flush=True)

while True:
    msg, client_addr = sk.recvfrom(1024)
    print('got', msg)
    sk.sendto(b'got ' + msg, client_addr)
    if msg == b'bye':
        break
sk.close()
