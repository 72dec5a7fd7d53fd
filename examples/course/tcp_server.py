# SPDX-License-Identifier: MIT OR Apache-2.0
# A TCP server: it answers one client until that one has nothing more to say.
import carrick.socket as socket

sk = socket.socket()
sk.bind(('127.0.0.1', 0))              # port 0: the kernel chooses a free one
sk.listen()
print('port', sk.getsockname()[1], flush=True)

con, cli_addr = sk.accept()            # waits for a client
while True:
    msg = con.recv(1024)
    if not msg:                        # the client has closed
        break
    print('client says:', msg.decode('utf-8'))
    con.send(('yes, ' + msg.decode('utf-8')).encode('utf-8'))
con.close()
sk.close()
