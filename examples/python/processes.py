# SPDX-License-Identifier: MIT OR Apache-2.0
"""A chapter on processes: starting and joining, isolation, daemons, a lock, a pipe, queues with and without waiting."""

import os
import queue
import tempfile

import carrick.multiprocessing as multiprocessing

mp = multiprocessing.get_context("fork")
count = 100


def started(target, *args, daemon=False):
    process = mp.Process(target=target, args=args, daemon=daemon)
    process.start()
    return process


def codes(processes):
    for process in processes:
        process.join()
    return " ".join(str(process.exitcode) for process in processes)


def square(number):
    os._exit(number * number)


def forget():
    global count
    count = 0


def sleep_for_ever():
    mp.Event().wait()


def buy(lock, tickets):
    with lock:
        left = int(os.pread(tickets, 8, 0))
        if left > 0:
            os.pwrite(tickets, b"%d" % (left - 1), 0)
    os._exit(0 if left > 0 else 1)


def shout(channel):
    channel.send_bytes(channel.recv_bytes().upper())


def produce(items):
    for number in range(5):
        items.put(b"%d" % number)


def consume(items, results):
    taken = 0
    while items.get():
        taken += 1
    results.put(b"%d" % taken)


def work(tasks):
    while tasks.get():
        tasks.task_done()
    tasks.task_done()


print("many:", codes([started(square, number) for number in (1, 2, 3)]))

codes([started(forget)])
print("isolation:", count)

daemon = started(sleep_for_ever, daemon=True)
alive = daemon.is_alive()
daemon.terminate()
print("daemon:", "alive" if alive else "dead", codes([daemon]))

with tempfile.TemporaryFile() as file:
    os.pwrite(file.fileno(), b"3", 0)
    lock = mp.Lock()
    sold = codes([started(buy, lock, file.fileno()) for _ in range(6)])
    print("tickets:", sold.count("0"), "sold,", sold.count("1"), "refused")

ours, theirs = mp.Pipe()
child = started(shout, theirs)
ours.send_bytes(b"hello")
print("pipe:", ours.recv_bytes().decode())
child.join()

small = mp.Queue(1, codec="bytes")
small.put_nowait(b"one")
try:
    small.put_nowait(b"two")
except queue.Full:
    print("nowait: full", end="")
small.get_nowait()
try:
    small.get_nowait()
except queue.Empty:
    print(", empty")

items, results = mp.Queue(codec="bytes"), mp.Queue(codec="bytes")
producers = [started(produce, items) for _ in range(2)]
consumers = [started(consume, items, results) for _ in range(2)]
codes(producers)
items.put_many([b""] * 2)
print("consumed:", sum(int(results.get(timeout=30)) for _ in range(2)))
codes(consumers)

tasks = mp.JoinableQueue(codec="bytes")
worker = started(work, tasks)
tasks.put_many([b"task", b"task", b"task", b""])
tasks.join()
print("joined:", codes([worker]))
