# SPDX-License-Identifier: MIT OR Apache-2.0
"""Numbers of descriptors: none of carrick's own is that of a standard one."""

import fcntl

__all__ = ()


def lift(fd: int) -> int:
    """Return a new descriptor or, where its number is 0, 1 or 2, a copy with another number in its place.

    A program that was started with one of these closed would use it as its standard input, output or error.
    """
    if fd > 2:
        return fd
    import os

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)
