# SPDX-License-Identifier: MIT OR Apache-2.0
# The client of check_server.py: first with a wrong key, then with the right one. usage: check_client.py PORT
# hmac.new() has two arguments as in the course: TypeError on the standard library of Python 3.8 and later, where
# the result this is compared to is made with digestmod='sha256'.
import carrick.hmac as hmac
import carrick.socket as socket
import sys


def chat(sk):
    for word in ('port', 'starboard'):
        sk.send(word.encode('utf-8'))
        msg = sk.recv(1024).decode('utf-8')
        print('------>', [msg])
        if not msg:
            break


for com_key in (b'granny', b'bowline'):
    sk = socket.socket()
    sk.connect(('127.0.0.1', int(sys.argv[1])))
    sec_key = sk.recv(32)
    val = hmac.new(com_key, sec_key).digest()
    sk.send(val)
    if com_key == b'granny':
        print('refused:', sk.recv(1024) == b'')
    else:
        chat(sk)
    sk.close()
