# SPDX-License-Identifier: MIT OR Apache-2.0
"""hmac.new(...).digest() with SHA-256. Arguments: SIDE LENGTH COUNT. Prints microseconds."""

import sys

import side

hmac = side.load("hmac")
length, count = int(sys.argv[2]), int(sys.argv[3])
message = bytes(length)
new = hmac.new
side.finish(1e6 / side.per_second(count, lambda: new(side.KEY, message, "sha256").digest()))
