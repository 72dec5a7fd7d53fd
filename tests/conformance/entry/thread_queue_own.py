# SPDX-License-Identifier: MIT OR Apache-2.0
"""This version's test_queue on the module that `queue` is."""

import thread_queue

globals().update(thread_queue.tests(thread_queue.own()))
