# SPDX-License-Identifier: MIT OR Apache-2.0
# Three clients of threading_server.py, connected at the same time. usage: threading_client.py PORT
import socket
import sys

clients = []
for turn in range(3):
    sk = socket.socket()
    sk.connect(('127.0.0.1', int(sys.argv[1])))
    clients.append(sk)
for number, sk in reversed(list(enumerate(clients))):
    sk.sendall('client {}'.format(number).encode('utf-8'))
    print(sk.recv(1024))
for sk in clients:
    sk.close()
