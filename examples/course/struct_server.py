# SPDX-License-Identifier: MIT OR Apache-2.0
# The cure for sticky packets: each message comes after its length, four bytes made by struct.
import carrick.socket as socket
import struct


def recv_exactly(con, size):
    data = b''
    while len(data) < size:
        part = con.recv(size - len(data))
        if not part:
            return data
        data += part
    return data


sk = socket.socket()
sk.bind(('127.0.0.1', 0))
sk.listen()
print('port', sk.getsockname()[1], flush=True)

con, addr = sk.accept()
while True:
    head = recv_exactly(con, 4)
    if not head:
        break
    size = struct.unpack('i', head)[0]
    content = recv_exactly(con, size).decode('utf-8')
    print(size, 'bytes:', content if size < 40 else content[:10] + '...')
con.close()
sk.close()
