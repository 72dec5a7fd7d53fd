# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.dummy`, as it is."""

import sys
from multiprocessing import dummy

sys.modules[__name__] = dummy
