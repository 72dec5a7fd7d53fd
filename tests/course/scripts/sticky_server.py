# SPDX-License-Identifier: MIT OR Apache-2.0
# Sticky packets: TCP has no borders between messages, so a server that comes late finds them stuck together.
import socket

sk = socket.socket()
sk.bind(('127.0.0.1', 0))
sk.listen()
print('port', sk.getsockname()[1], flush=True)

con, addr = sk.accept()
# MSG_WAITALL stands for coming late: it waits until everything has arrived and the client has closed.
msg = con.recv(1024, socket.MSG_WAITALL)
print('one recv for three sends:', msg.decode('utf-8'))
con.close()
sk.close()
