# SPDX-License-Identifier: MIT OR Apache-2.0
"""Queues and locks by their descriptors: handed to a program that is no relative, and of memory of another version."""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import WAIT, running

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import queues, synchronize
from carrick.multiprocessing.connection import wait

RECEIVER = """
import os, socket, sys
from carrick.multiprocessing import queues, synchronize

with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(sys.argv[1])
    slot, descriptors, _, _ = socket.recv_fds(asked, 100, 5)
there, back = queues.Queue.attach(*descriptors[:2]), queues.Queue.attach(*descriptors[2:4])
lock = synchronize.Lock.attach(descriptors[4], int(slot))
for descriptor in descriptors:
    os.close(descriptor)
item = there.get()
assert not lock.acquire(block=False)
back.put([item, "it is held"])
with lock:
    back.put("it is mine")
    sys.stdin.readline()
"""


def test_a_program_that_is_no_relative_attaches_by_descriptors_from_a_unix_socket(scratch: Path) -> None:
    there, back, lock = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Lock()
    path = str(scratch / "socket")
    lock.acquire()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        listening.settimeout(WAIT)
        with running(RECEIVER, path) as receiver:
            asked, _ = listening.accept()
            os.unlink(path)
            memory, slot = lock.place()
            with asked:
                descriptors = [*there.descriptors(), *back.descriptors(), memory]
                socket.send_fds(asked, [str(slot).encode()], descriptors)
            there.put({"any": "object"})
            # An object that both have is waited for here as ever.
            assert wait([back._reader], WAIT) == [back._reader]
            assert back.get() == [{"any": "object"}, "it is held"]
            lock.release()
            assert back.get(timeout=WAIT) == "it is mine"
            assert not lock.acquire(block=False)
            _, complaint = receiver.communicate("go on\n", timeout=WAIT)
            assert (receiver.returncode, complaint) == (0, "")
            assert lock.acquire(timeout=WAIT)


PLACE_OF_THE_VERSION = 7
"""The last byte of the word that a file, and each slot, begins with."""

HEAD_OF_SLOTS = 1024

KINDS: dict[str, tuple[Any, ...]] = {
    "Lock": (),
    "RLock": (),
    "Semaphore": (),
    "BoundedSemaphore": (),
    "Condition": (),
    "Event": (),
    "Barrier": (2,),
    "Queue": (),
}


def slot_bytes(kind: str) -> int:
    return {"Condition": 16 << 10, "Barrier": 1 << 10}.get(kind, 64)


def copy(memory: int) -> int:
    """A copy of memory that is shared, sealed as the original is."""
    made = os.memfd_create("copy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    # All that is written of it is at its beginning; the file of a queue has the length of all that it may ever hold.
    os.pwrite(made, os.pread(memory, 1 << 20, 0), 0)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return made


def check(file: int, places: list[int], attach: Callable[[], object]) -> None:
    """With the present version it is attached to, and with no other."""
    attach()
    # An object that is attached already is known, and its head is not looked at again.
    gc.collect()
    for place, step in itertools.product(places, (1, -1)):
        at = place + PLACE_OF_THE_VERSION
        present = os.pread(file, 1, at)
        os.pwrite(file, bytes([present[0] + step]), at)
        with pytest.raises(ValueError, match=r"of this version|holds no") as refused:
            attach()
        assert isinstance(refused.value, carrick.Error)
        os.pwrite(file, present, at)
    attach()


@pytest.mark.parametrize("kind", KINDS)
def test_memory_of_another_version_is_no_such_thing(kind: str) -> None:
    made = getattr(multiprocessing, kind)(*KINDS[kind])
    module: Any = queues if kind == "Queue" else synchronize
    attach, extra = getattr(module, kind).attach, (multiprocessing.Lock(),) if kind == "Condition" else ()
    memory, place = made.descriptors() if kind == "Queue" else made.place()
    places = [0] if kind == "Queue" else [0, HEAD_OF_SLOTS + place * slot_bytes(kind)]
    file = copy(memory)
    try:
        check(file, places, lambda: attach(file, place, *extra))
    finally:
        os.close(file)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_a_name_and_of_another_version_is_no_such_thing(kind: str) -> None:
    # This process knows the memory of what it has made, and would not look at its head again.
    name, other = f"version-{os.getpid()}", f"other-version-{os.getpid()}"
    extra = (multiprocessing.Lock(),) if kind == "Condition" else ()
    made = getattr(multiprocessing, kind)(*(extra or KINDS[kind]), name=name)
    module: Any = queues if kind == "Queue" else synchronize
    path = f"/dev/shm/carrick.{os.geteuid()}."
    try:
        shutil.copy(path + name, path + other)
        file = os.open(path + other, os.O_RDWR)
        try:
            places = [0] if kind == "Queue" else [0, HEAD_OF_SLOTS]
            check(file, places, lambda: getattr(module, kind).open(other, *extra))
        finally:
            os.close(file)
            carrick.remove_name(other)
    finally:
        carrick.remove_name(name)
    del made
