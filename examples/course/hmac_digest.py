# SPDX-License-Identifier: MIT OR Apache-2.0
# The digest of a message under a key. On Python 3.8 and later the standard library raises TypeError for the
# two-argument hmac.new() of the course; carrick takes it for SHA-256. So the standard library's result, to which
# this script's is compared, is that of hmac.new(secret_key, msg, digestmod='sha256').
import carrick.hmac as hmac
import os

secret_key = b'belay'
msg = b'that'
h = hmac.new(secret_key, msg)
print(h.name, h.digest_size, h.block_size)
print(h.digest().hex())
print(h.hexdigest() == h.digest().hex())

h.update(b' order')
print(h.hexdigest())
print(hmac.compare_digest(h.digest(), hmac.digest(secret_key, b'that order', 'sha256')))
print(hmac.compare_digest(h.digest(), hmac.digest(b'another key', b'that order', 'sha256')))

random_seq = os.urandom(32)
print(len(hmac.new(secret_key, random_seq).digest()))
