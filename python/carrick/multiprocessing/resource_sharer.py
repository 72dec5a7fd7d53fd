# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.resource_sharer`, as it is."""

import sys
from multiprocessing import resource_sharer

sys.modules[__name__] = resource_sharer
