# SPDX-License-Identifier: MIT OR Apache-2.0
# The client of tcp_server.py. usage: tcp_client.py PORT
import socket
import sys

sk = socket.socket()
sk.connect(('127.0.0.1', int(sys.argv[1])))
for word in ('reef', 'tack', '\u7ef3\u7ed3'):
    sk.send(word.encode('utf-8'))
    print('server says:', ascii(sk.recv(1024).decode('utf-8')))
sk.close()
