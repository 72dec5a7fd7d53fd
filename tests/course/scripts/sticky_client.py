# SPDX-License-Identifier: MIT OR Apache-2.0
# The client of sticky_server.py: three sends. usage: sticky_client.py PORT
import socket
import sys

sk = socket.socket()
sk.connect(('127.0.0.1', int(sys.argv[1])))
for line in ('haul in', 'the main', 'sheet'):
    print('sent', sk.send(line.encode('utf-8')), 'bytes')
sk.close()
