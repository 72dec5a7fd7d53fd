# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.reduction`, as it is."""

import sys
from multiprocessing import reduction

sys.modules[__name__] = reduction
