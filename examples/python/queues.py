# SPDX-License-Identifier: MIT OR Apache-2.0
"""A chapter on what processes tell each other: a result in a queue, a pipe, queues that are full and empty, producers
and consumers, a queue that can be joined."""

import queue
import sys

import carrick.multiprocessing as multiprocessing

mp = multiprocessing.get_context("fork")


def started(target, *args, daemon=False):
    process = mp.Process(target=target, args=args, daemon=daemon)
    process.start()
    return process


def ended(process):
    process.join()
    return process.exitcode


def add(results, x, y):
    results.put(x + y)


def answer(ours, theirs):
    ours.close()  # the copy that this process has
    while True:
        try:
            theirs.send(theirs.recv().upper())
        except EOFError:  # nobody is there any more
            return


def full(*how):
    try:
        small.put("item", *how)
    except queue.Full:
        return "full"
    return "room"


def empty(*how):
    try:
        small.get(*how)
    except queue.Empty:
        return "empty"
    return "an item"


def produce(items):
    for _ in range(10):
        items.put("rope")


def consume(items):
    taken = 0
    while items.get() is not None:
        taken += 1
    items.put(None)  # None says that there is no more; each consumer leaves it to the next one
    sys.exit(taken)


def use(tasks):
    while tasks.get() is not None:
        tasks.task_done()


def produce_and_join(tasks):
    produce(tasks)
    tasks.join()  # all that was put is used


results = mp.Queue()
process = started(add, results, 2, 3)
print("queue: 2 + 3 =", results.get())
ended(process)

ours, theirs = mp.Pipe()
process = started(answer, ours, theirs)
theirs.close()
print("pipe:", end="")
for word in ("belay", "haul in"):
    ours.send(word)
    print(f" {ours.recv()},", end="")
ours.close()
print(" the end" if ended(process) == 0 else " an error")

small = mp.Queue(3)
for _ in range(3):
    small.put_nowait("item")
print(f"without waiting: {full(False)}, in 10 ms: {full(True, 0.01)}", end="")
for _ in range(3):
    small.get_nowait()
print(f"; without waiting: {empty(False)}, in 10 ms: {empty(True, 0.01)}")

items = mp.Queue(10)
producers = [started(produce, items) for _ in range(2)]
consumers = [started(consume, items) for _ in range(4)]
list(map(ended, producers))
items.put(None)
taken = sum(map(ended, consumers))
print(f"consumed: {taken}, then {'the end' if items.get() is None else 'one more'}")

tasks = mp.JoinableQueue()
for _ in range(2):
    started(use, tasks, daemon=True)
all_used = ended(started(produce_and_join, tasks)) == 0
try:
    tasks.task_done()
    once_more = "accepted"
except ValueError:
    once_more = "refused"
print(f"joined: {'all is used' if all_used else 'an error'}, once more: {once_more}")
