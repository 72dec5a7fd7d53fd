# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Python end of the matrix of shared memory; shared.py has the contract."""

import os
import signal
import subprocess
import sys
import warnings

import carrick
from carrick.multiprocessing import context, queues, synchronize

ITEMS = 500
SECONDS = 30


def item(number):
    return b"%d:" % number + bytes([number % 251]) * (number * 37 % 3000)


def create(commands):
    ctx = context.get_context("spawn")
    items, report = (queues.Queue(ctx=ctx, codec="bytes") for _ in range(2))
    lock, held = synchronize.Lock(ctx=ctx), synchronize.Event(ctx=ctx)
    handed_on = [*items.descriptors(), *report.descriptors(), *lock.place(), *held.place()]
    return start(commands, report, handed_on, {*handed_on[:4], handed_on[4], handed_on[6]})


def name(commands):
    ctx = context.get_context("spawn")
    beginning = f"actor-{os.getpid()}"
    names = [f"{beginning}-{what}" for what in ("items", "report", "lock", "held")]
    made = [queues.Queue(ctx=ctx, codec="bytes", name=name) for name in names[:2]]
    made += [synchronize.Lock(ctx=ctx, name=names[2]), synchronize.Event(ctx=ctx, name=names[3])]
    try:
        return start(commands, made[1], [beginning], ())
    finally:
        for name in names:
            carrick.remove_name(name)


def start(commands, report, handed_on, descriptors):
    actors = [
        subprocess.Popen([*command.split("\x1f"), role, *map(str, handed_on)], pass_fds=descriptors)
        for role, command in zip(("produce", "consume", "hold"), commands, strict=True)
    ]
    print(report.get(timeout=SECONDS).decode())
    codes = [actor.wait(SECONDS) for actor in actors]
    return 0 if codes == [0, 0, -signal.SIGKILL] else f"exit codes {codes}"


def produce(items, _report, lock, held):
    assert held.wait(SECONDS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert lock.acquire(timeout=SECONDS)
    died = [one.category for one in caught] == [carrick.OwnerDiedWarning]
    items.put(b"died" if died else b"free")
    for number in range(ITEMS):
        items.put(item(number))
    lock.release()


def consume(items, report, _lock, _held):
    first = items.get(timeout=SECONDS)
    for number in range(ITEMS):
        assert items.get(timeout=SECONDS) == item(number), number
    report.put(b"%s, then %d items" % (first, ITEMS))


def hold(_items, _report, lock, held):
    assert lock.acquire(timeout=SECONDS)
    held.set()
    os.kill(os.getpid(), signal.SIGKILL)


def main():
    role, *arguments = sys.argv[1:]
    if role in ("create", "name"):
        sys.exit({"create": create, "name": name}[role](arguments))
    if len(arguments) == 1:
        (beginning,) = arguments
        items, report = (
            queues.Queue.open(f"{beginning}-{what}", codec="bytes") for what in ("items", "report")
        )
        lock = synchronize.Lock.open(f"{beginning}-lock")
        held = synchronize.Event.open(f"{beginning}-held")
    else:
        numbers = list(map(int, arguments))
        items = queues.Queue.attach(numbers[0], numbers[1], codec="bytes")
        report = queues.Queue.attach(numbers[2], numbers[3], codec="bytes")
        lock = synchronize.Lock.attach(numbers[4], numbers[5])
        held = synchronize.Event.attach(numbers[6], numbers[7])
    {"produce": produce, "consume": consume, "hold": hold}[role](items, report, lock, held)


if __name__ == "__main__":
    main()
