# SPDX-License-Identifier: MIT OR Apache-2.0
# The client of udp_server.py. usage: udp_client.py PORT
import carrick.socket as socket
import sys

server = ('127.0.0.1', int(sys.argv[1]))
sk = socket.socket(type=socket.SOCK_DGRAM)
for msg in (b'ahoy', b'', b'bye'):
    sk.sendto(msg, server)
    print(sk.recv(1024))
sk.close()
