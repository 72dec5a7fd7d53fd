# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arguments that make no sense: the exception names the argument, its value and what to give."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import carrick
import carrick.multiprocessing as multiprocessing
from carrick.multiprocessing import queues, synchronize

BAD: Any = "many"
FIVE: Any = 5

OUT_OF_RANGE: list[tuple[Callable[[], object], str]] = [
    (lambda: multiprocessing.Queue(max_bytes=-1), r"max_bytes -1; give an int from 0 to \d+"),
    (
        lambda: multiprocessing.JoinableQueue(max_bytes=1 << 70),
        r"max_bytes 1180591620717411303424; give an int",
    ),
    (lambda: multiprocessing.Queue(1 << 70), r"maxsize 1180591620717411303424; give an int"),
    (lambda: multiprocessing.Semaphore(-1), r"value -1; give an int from 0 to 2147483647"),
    (lambda: multiprocessing.BoundedSemaphore(1 << 31), r"value 2147483648; give an int from 0 to"),
    (lambda: multiprocessing.Barrier(1 << 40), r"parties 1099511627776; give an int from 0 to 4294967295"),
    (lambda: synchronize.Lock.attach(0, -1), r"slot -1; give an int from 0 to 4294967295"),
    (lambda: synchronize.Condition.attach(0, -2, multiprocessing.Lock()), r"slot -2; give an int"),
    (lambda: synchronize.Event.attach(1 << 40, 0), r"fd 1099511627776; give the number of a descriptor"),
]

OF_ANOTHER_TYPE: list[tuple[Callable[[], object], str]] = [
    (lambda: multiprocessing.Queue(max_bytes=BAD), r"max_bytes 'many'; give an int from 0"),
    (lambda: multiprocessing.Queue(name=FIVE), r"name 5; give a str"),
    (lambda: multiprocessing.Lock(name=FIVE), r"name 5; give a str"),
    (lambda: multiprocessing.Event(name=FIVE), r"name 5; give a str"),
    (lambda: multiprocessing.Barrier(2, name=FIVE), r"name 5; give a str"),
    (lambda: multiprocessing.Condition(multiprocessing.Lock(), name=FIVE), r"name 5; give a str"),
    (lambda: multiprocessing.Lock(on_owner_death=FIVE), r"on_owner_death 5; give a str"),
    (lambda: multiprocessing.Semaphore(BAD), r"value 'many'; give an int from 0"),
    (lambda: multiprocessing.Barrier(BAD), r"parties 'many'; give an int from 0"),
    (lambda: synchronize.RLock.open(FIVE), r"name 5; give a str"),
    (lambda: queues.Queue.open(FIVE), r"name 5; give a str"),
    (lambda: carrick.remove_name(FIVE), r"name 5; give a str"),
    (lambda: synchronize.Barrier.attach(BAD, 0), r"fd 'many'; give the number of a descriptor"),
    (lambda: synchronize.Semaphore.attach(0, BAD), r"slot 'many'; give an int"),
]


@pytest.mark.parametrize("case", range(len(OUT_OF_RANGE)))
def test_a_number_out_of_range_is_a_value_error_that_names_it(case: int) -> None:
    call, words = OUT_OF_RANGE[case]
    with pytest.raises(ValueError, match=f"^{words}"):
        call()


@pytest.mark.parametrize("case", range(len(OF_ANOTHER_TYPE)))
def test_another_type_is_a_type_error_that_names_the_argument(case: int) -> None:
    call, words = OF_ANOTHER_TYPE[case]
    with pytest.raises(TypeError, match=f"^{words}"):
        call()


def test_how_many_items_are_taken_is_not_negative() -> None:
    queue = multiprocessing.Queue()
    queue.put(1)
    with pytest.raises(ValueError, match=r"^max_items -1; give an int from 0"):
        queue.get_many(-1)
    with pytest.raises(TypeError, match=r"^max_items 'many'; give an int"):
        queue.get_many(BAD)
    assert queue.get_many(0) == []
    assert queue.get_many(1 << 40) == [1]


def test_what_fails_within_an_argument_stays_what_it_is() -> None:
    class Odd:
        def __index__(self) -> int:
            raise LookupError("odd")

    odd: Any = Odd()
    with pytest.raises(LookupError, match="odd"):
        multiprocessing.Semaphore(odd)
    with pytest.raises(UnicodeEncodeError):
        multiprocessing.Lock(name="\udcff")


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Event", "SimpleQueue"])
def test_an_argument_too_many_is_told_by_the_public_name(kind: str) -> None:
    for context in (multiprocessing, multiprocessing.get_context("spawn")):
        with pytest.raises(TypeError, match=rf"^multiprocessing\.{kind}\(\) takes 1 positional argument"):
            getattr(context, kind)(5)


def test_to_notify_fewer_than_none_is_to_notify_none() -> None:
    condition = multiprocessing.Condition()
    with condition:
        condition.notify(-1)


def test_a_refused_argument_leaves_the_descriptor_to_the_caller() -> None:
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="slot"):
        synchronize.Lock.attach(reading, -1)
    os.close(reading), os.close(writing)
