# SPDX-License-Identifier: MIT OR Apache-2.0
# Other operations, as of files: fileno and makefile.
import os
import carrick.socket as socket

left, right = socket.socketpair()
print('a descriptor:', left.fileno() >= 0, os.fstat(left.fileno()).st_ino > 0)

writer = left.makefile('w', encoding='utf-8', newline='\n')
writer.write('first line\nsecond line\n')
writer.flush()
reader = right.makefile('r', encoding='utf-8')
print(repr(reader.readline()), repr(reader.readline()))

left.close()                           # the file keeps the connection open
writer.write('third line\n')
writer.close()
print(reader.read().splitlines())
reader.close()
print('open while a file was:', right.fileno() >= 0)
right.close()
print('after close:', left.fileno(), right.fileno())

left, right = socket.socketpair()
with left, right, left.makefile('rwb', buffering=0) as raw:
    right.sendall(b'raw')
    print(raw.read(3), raw.write(b'back'), right.recv(16))
