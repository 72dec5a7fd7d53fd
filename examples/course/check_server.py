# SPDX-License-Identifier: MIT OR Apache-2.0
# Is the client one of ours? It gets 32 random bytes and must send back their digest under the common key.
# hmac.new() has two arguments as in the course: TypeError on the standard library of Python 3.8 and later, where
# the result this is compared to is made with digestmod='sha256'.
import carrick.hmac as hmac
import os
import carrick.socket as socket


def chat(con):
    while True:
        msg = con.recv(1024).decode('utf-8')
        if not msg:
            break
        print('------>', msg)
        con.send(msg.upper().encode('utf-8'))


sk = socket.socket()
sk.bind(('127.0.0.1', 0))
sk.listen()
print('port', sk.getsockname()[1], flush=True)

com_key = b'bowline'
for turn in range(2):
    con, addr = sk.accept()
    sec_key = os.urandom(32)
    con.send(sec_key)
    val = hmac.new(com_key, sec_key).digest()
    data = con.recv(32)
    if data == val:
        print('a client of ours')
        chat(con)
    else:
        print('not a client of ours')
    con.close()
sk.close()
