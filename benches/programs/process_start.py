# SPDX-License-Identifier: MIT OR Apache-2.0
"""Processes that do nothing, one after the other. Arguments: SIDE fork|forkserver|spawn|bare COUNT.

Prints the microseconds that starting and joining one takes; ``bare`` are ``os.fork`` and ``os.waitpid`` of a process
that has the same modules.
"""

import os
import sys

import side

multiprocessing = side.load("multiprocessing")


def nothing() -> None:
    pass


if __name__ == "__main__":
    bare = sys.argv[2] == "bare"
    context = multiprocessing.get_context("fork" if bare else sys.argv[2])

    def start_and_join() -> None:
        process = context.Process(target=nothing)
        process.start()
        process.join()
        if process.exitcode != 0:
            sys.exit(f"exit code {process.exitcode}")

    def fork_and_wait() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    start_and_join()
    side.finish(1e6 / side.per_second(int(sys.argv[3]), fork_and_wait if bare else start_and_join))
