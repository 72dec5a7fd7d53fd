# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.heap`, as it is."""

import sys
from multiprocessing import heap

sys.modules[__name__] = heap
