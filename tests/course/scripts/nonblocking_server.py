# SPDX-License-Identifier: MIT OR Apache-2.0
# A non-blocking server: one thread, many clients, and exceptions instead of waiting.
import socket

sk = socket.socket()
sk.bind(('127.0.0.1', 0))
sk.setblocking(False)
sk.listen()
print('port', sk.getsockname()[1], flush=True)

user = []
del_user = []
served = 0
while served < 3:
    try:
        con, addr = sk.accept()
        con.setblocking(False)         # a connection is blocking until it is told not to be
        user.append(con)
    except BlockingIOError:
        for i in user:
            try:
                content = i.recv(1024).decode('utf-8')
                if not content:        # this client has closed
                    del_user.append(i)
                    continue
                i.send(content.upper().encode('utf-8'))
            except BlockingIOError:
                pass                   # nothing from this one yet
        for i in del_user:
            user.remove(i)
            i.close()
            served += 1
        del_user.clear()
print('served', served, 'clients')
sk.close()
