# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two programs that are no relatives meet by a name: this one, and the same one started with the name."""

import os
import subprocess
import sys

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing.queues import Queue


def visit(name):
    Queue.open(name, codec="bytes").put(b"a job from another program")


def main():
    name = f"example-{os.getpid()}"
    queue = multiprocessing.Queue(codec="bytes", name=name)
    try:
        subprocess.run([sys.executable, __file__, name], check=True)
        print(queue.get().decode())
    finally:
        carrick.remove_name(name)
    try:
        Queue.open(name)
    except FileNotFoundError:
        print("the name is gone")


if __name__ == "__main__":
    visit(*sys.argv[1:]) if sys.argv[1:] else main()
