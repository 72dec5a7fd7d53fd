# SPDX-License-Identifier: MIT OR Apache-2.0
"""The standard module :mod:`multiprocessing.resource_tracker`, as it is."""

import sys
from multiprocessing import resource_tracker

sys.modules[__name__] = resource_tracker
