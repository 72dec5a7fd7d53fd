# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.spawn`, as it is."""

import sys
from multiprocessing import spawn

sys.modules[__name__] = spawn
