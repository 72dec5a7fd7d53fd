# SPDX-License-Identifier: MIT OR Apache-2.0
# The client of struct_server.py: length, then content. usage: struct_client.py PORT
import socket
import struct
import sys

sk = socket.socket()
sk.connect(('127.0.0.1', int(sys.argv[1])))
for line in ('haul in', 'the main', 'sheet', '', 'rope ' * 40000):
    content = line.encode('utf-8')
    sk.send(struct.pack('i', len(content)))
    sk.sendall(content)
    print('sent', len(content))
sk.close()
