# SPDX-License-Identifier: MIT OR Apache-2.0
"""A newer version's test_queue on the module that `queue` is."""

import os

import thread_queue

globals().update(thread_queue.tests(os.environ["CARRICK_TEST_QUEUE"]))
