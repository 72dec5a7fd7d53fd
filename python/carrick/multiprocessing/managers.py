# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.managers`, as it is."""

import sys
from multiprocessing import managers

sys.modules[__name__] = managers
