# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.process`, as it is."""

import sys
from multiprocessing import process

sys.modules[__name__] = process
