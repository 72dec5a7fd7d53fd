# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.shared_memory`, as it is."""

import sys
from multiprocessing import shared_memory

sys.modules[__name__] = shared_memory
