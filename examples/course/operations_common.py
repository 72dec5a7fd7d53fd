# SPDX-License-Identifier: MIT OR Apache-2.0
# Other operations, of both sides: recv, send, sendall, recvfrom, sendto, names of both ends, options, close.
import errno
import carrick.socket as socket

server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen()
s = socket.socket()
s.connect(server.getsockname())
con, addr = server.accept()

print('send', s.send(b'larboard'), 'sendall', con.sendall(b'starboard'))
print('recv', con.recv(1024), s.recv(5), s.recv(1024))
print('peer of the client is the server:', s.getpeername() == con.getsockname())
print('peer of the server is the client:', con.getpeername() == s.getsockname())

one = socket.socket(type=socket.SOCK_DGRAM)
two = socket.socket(type=socket.SOCK_DGRAM)
one.bind(('127.0.0.1', 0))
print('sendto', two.sendto(b'jib', one.getsockname()))
data, sender = one.recvfrom(1024)
print('recvfrom', data, sender[0], sender == ('127.0.0.1', two.getsockname()[1]))
one.close()
two.close()

print('type', s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM)
print('keep-alive', s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
print('keep-alive', s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
print('no-delay', s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print('no-delay', s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)

s.close()
s.close()                              # the second time does nothing
print('the end of the stream:', con.recv(1024))
for call in (lambda: s.send(b'too late'), lambda: s.sendall(b''), lambda: s.recv(1)):
    try:
        call()
    except OSError as e:
        print('a closed socket:', type(e).__name__, errno.errorcode[e.errno], e)
con.close()
server.close()

left, right = socket.socketpair()
right.close()
for call in (left.send, left.sendall):
    try:
        call(b'nobody is there')
    except OSError as e:
        print('a peer that has closed:', type(e).__name__, e)
left.close()
