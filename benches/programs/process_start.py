# SPDX-License-Identifier: MIT OR Apache-2.0
"""Processes that do nothing, one after the other. Arguments: SIDE fork|forkserver|spawn COUNT.

Prints the microseconds that starting and joining one takes.
"""

import sys

import side

multiprocessing = side.load("multiprocessing")


def nothing() -> None:
    pass


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])

    def start_and_join() -> None:
        process = context.Process(target=nothing)
        process.start()
        process.join()
        if process.exitcode != 0:
            sys.exit(f"exit code {process.exitcode}")

    side.finish(1e6 / side.per_second(int(sys.argv[3]), start_and_join))
