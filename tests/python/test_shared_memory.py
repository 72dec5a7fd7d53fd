# SPDX-License-Identifier: MIT OR Apache-2.0
"""multiprocessing.shared_memory: who attaches to a segment does not destroy it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import WAIT, environment, program

HEAD = """
import sys
if sys.argv[1] == "patch":
    import carrick
    carrick.patch()
    import multiprocessing
    from multiprocessing.shared_memory import ShareableList, SharedMemory
else:
    import carrick.multiprocessing as multiprocessing
    from carrick.multiprocessing.shared_memory import ShareableList, SharedMemory
"""

EVERY_MODE = pytest.mark.parametrize("mode", ["explicit", "patch"])


def ended(source: str, mode: str, *arguments: str) -> tuple[str, str]:
    """The output of a process of its own, until its resource tracker has ended, too."""
    done = subprocess.run(
        program(HEAD + source, mode, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=True,
    )
    return done.stdout, done.stderr


MAKER = """
import subprocess
made = SharedMemory(create=True, size=100)
numbers = ShareableList([1, "two", None])
made.buf[0] = 7
other = subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1], made.name, numbers.shm.name],
    capture_output=True, text=True, check=True)
# The attacher's tracker has its standard error: it has ended, too.
print(other.stdout, other.stderr, made.buf[0], SharedMemory(made.name).size >= 100, ShareableList(name=numbers.shm.name)[1])
for segment in (made, numbers.shm):
    segment.close()
    segment.unlink()
"""


@EVERY_MODE
def test_an_unrelated_process_that_attaches_leaves_it_there(mode: str) -> None:
    attacher = """
memory, numbers = SharedMemory(sys.argv[2]), ShareableList(name=sys.argv[3])
print(memory.buf[0], list(numbers), end="")
memory.buf[0] = 8
memory.close()
numbers.shm.close()
"""
    assert ended(MAKER, mode, HEAD + attacher) == ("7 [1, 'two', None]  8 True two\n", "")


IN_THE_TREE = """
def use(name):
    memory = SharedMemory(name)
    memory.buf[0] = 8
    memory.close()
    memory.unlink()

if __name__ == "__main__":
    made = SharedMemory(create=True, size=1)
    process = multiprocessing.get_context("fork").Process(target=use, args=(made.name,))
    process.start()
    process.join()
    print(process.exitcode, made.buf[0])
    try:
        made.unlink()
    except FileNotFoundError:
        print("gone")
    try:
        SharedMemory(made.name)
    except FileNotFoundError:
        print("gone")
"""


@EVERY_MODE
def test_a_child_may_remove_what_its_parent_made(mode: str) -> None:
    stdout, stderr = ended(IN_THE_TREE, mode)
    assert stdout == "0 8\ngone\ngone\n"
    # The maker's own unlink fails as in the standard library, whose tracker had been told of the name by the maker.
    assert "Error" not in stderr


@EVERY_MODE
def test_what_its_maker_left_is_removed_as_ever(mode: str) -> None:
    name, _ = ended("print(SharedMemory(create=True, size=1).name)", mode)
    assert not Path("/dev/shm", name.strip()).exists()


@EVERY_MODE
def test_track_is_obeyed(mode: str) -> None:
    name, _ = ended("print(SharedMemory(create=True, size=1, track=False).name)", mode)
    assert Path("/dev/shm", name.strip()).exists()
    ended("SharedMemory(sys.argv[2], track=True)", mode, name.strip())
    assert not Path("/dev/shm", name.strip()).exists()
