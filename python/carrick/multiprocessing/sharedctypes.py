# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.sharedctypes`, as it is."""

import sys
from multiprocessing import sharedctypes

sys.modules[__name__] = sharedctypes
