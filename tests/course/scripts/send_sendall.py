# SPDX-License-Identifier: MIT OR Apache-2.0
# send takes what there is room for and says how much that was; sendall goes on until all is sent.
import socket
import threading


def receiver(con, results):
    size = 0
    while True:
        part = con.recv(65536)
        if not part:
            break
        size += len(part)
    results.append(size)


def transfer(how):
    left, right = socket.socketpair()
    results = []
    thread = threading.Thread(target=receiver, args=(right, results))
    thread.start()
    print(how.__name__, 'gives', how(left))
    left.close()
    thread.join()
    right.close()
    print('received', results[0])


content = b'knot ' * 400000


def by_sendall(sk):
    return sk.sendall(content)


def by_send(sk):                       # the same, by hand
    buffer = memoryview(content)
    while buffer:
        sent = sk.send(buffer)
        buffer = buffer[sent:]


transfer(by_sendall)
transfer(by_send)

left, right = socket.socketpair()
left.setblocking(False)
sent = left.send(content)              # nobody receives: there is no room for all of it
print('send took a part:', 0 < sent < len(content))
try:
    left.sendall(content)
except BlockingIOError:
    print('sendall cannot go on')
left.close()
right.close()
