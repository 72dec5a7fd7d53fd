# SPDX-License-Identifier: MIT OR Apache-2.0
# The client of check_advanced_server.py: what is typed is sent, q ends. usage: check_advanced_client.py PORT
# hmac.new() has two arguments as in the course: TypeError on the standard library of Python 3.8 and later, where
# the result this is compared to is made with digestmod='sha256'.
from carrick.socket import *
import carrick.hmac as hmac,os
import sys

secret_key = b'sheet bend double'


def conn_auth(conn):
    '''Shows the server that this client has the key'''
    msg = conn.recv(32)
    h = hmac.new(secret_key, msg)
    digest = h.digest()
    conn.sendall(digest)


def client_handler(ip_port, bufsize=1024):
    tcp_socket_client = socket(AF_INET, SOCK_STREAM)
    tcp_socket_client.connect(ip_port)
    conn_auth(tcp_socket_client)
    while True:
        data = input('>>: ').strip()
        if not data:
            continue                   # TCP sends no empty messages
        if data.lower() == 'q':
            break
        tcp_socket_client.sendall(data.encode('utf-8'))
        response = tcp_socket_client.recv(bufsize)
        print(response.decode('utf-8'))
    tcp_socket_client.close()


if __name__ == '__main__':
    client_handler(('127.0.0.1', int(sys.argv[1])))
