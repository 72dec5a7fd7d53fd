# SPDX-License-Identifier: MIT OR Apache-2.0
# The client check in functions, with every name of socket imported. It serves as many clients as its argument
# says. usage: check_advanced_server.py CLIENTS
# hmac.new() has two arguments as in the course: TypeError on the standard library of Python 3.8 and later, where
# the result this is compared to is made with digestmod='sha256'.
from socket import *
import hmac,os
import sys

secret_key = b'sheet bend double'


def conn_auth(conn):
    '''Whether the client at the other end has the key'''
    print('checking a new connection')
    msg = os.urandom(32)
    conn.sendall(msg)
    h = hmac.new(secret_key, msg)
    digest = h.digest()
    response = conn.recv(len(digest))
    return hmac.compare_digest(response, digest)


def data_handler(conn, bufsize=1024):
    if not conn_auth(conn):
        print('refused, closing')
        conn.close()
        return
    print('accepted, talking')
    while True:
        data = conn.recv(bufsize)
        if not data:
            break
        conn.sendall(data.upper())
    conn.close()


def server_handler(ip_port, bufsize, backlog=5):
    '''Only takes connections'''
    tcp_socket_server = socket(AF_INET, SOCK_STREAM)
    tcp_socket_server.bind(ip_port)
    tcp_socket_server.listen(backlog)
    print('port', tcp_socket_server.getsockname()[1], flush=True)
    for turn in range(int(sys.argv[1])):
        conn, addr = tcp_socket_server.accept()
        print('new connection from %s' % addr[0])
        data_handler(conn, bufsize)
    tcp_socket_server.close()


if __name__ == '__main__':
    server_handler(('127.0.0.1', 0), 1024)
