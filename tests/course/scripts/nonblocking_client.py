# SPDX-License-Identifier: MIT OR Apache-2.0
# Three clients of nonblocking_server.py at the same time. usage: nonblocking_client.py PORT
import socket
import sys

clients = []
for name in ('anchor', 'bow', 'capstan'):
    sk = socket.socket()
    sk.connect(('127.0.0.1', int(sys.argv[1])))
    clients.append((name, sk))

for turn in range(3):
    for name, sk in clients:
        sk.send('{} {}'.format(name, turn).encode('utf-8'))
    for name, sk in reversed(clients):
        print(name, sk.recv(1024))

for name, sk in clients:
    sk.close()
