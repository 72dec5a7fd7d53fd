# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.pool`, as it is."""

import sys
from multiprocessing import pool

sys.modules[__name__] = pool
