# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.util`, as it is."""

import sys
from multiprocessing import util

sys.modules[__name__] = util
