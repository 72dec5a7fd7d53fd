# SPDX-License-Identifier: MIT OR Apache-2.0
# Other operations, of servers: bind, listen, accept.
import errno
import carrick.socket as socket

s = socket.socket()
s.bind(('127.0.0.1', 0))
print('bound to', s.getsockname()[0], 'on a port:', s.getsockname()[1] > 0)
s.listen(5)

other = socket.socket()
try:
    other.bind(s.getsockname())
except OSError as e:
    print('the address is taken:', errno.errorcode[e.errno])
other.close()

client = socket.socket()
client.connect(s.getsockname())
con, addr = s.accept()
print('accepted the client that connected:', addr == client.getsockname())
print('a', type(con).__name__, 'of its own:', con.fileno() != s.fileno())
con.close()
client.close()
s.close()
