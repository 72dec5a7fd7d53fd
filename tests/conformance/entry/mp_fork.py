# SPDX-License-Identifier: MIT OR Apache-2.0
"""CPython's _test_multiprocessing under fork, as test.test_multiprocessing_fork has it."""

import test._test_multiprocessing

test._test_multiprocessing.install_tests_in_module_dict(globals(), "fork")
