# SPDX-License-Identifier: MIT OR Apache-2.0
"""Programs whose main thread waits in one blocking call each, for the tests of signals."""

from __future__ import annotations

# Each call waits in the main thread; `release` lets it go on, and `after` says that it did.
PRELUDE = """
import os, signal, socket as standard, sys, threading
import carrick
import carrick.multiprocessing.connection as connection
import carrick.socket as socket
import carrick.multiprocessing as multiprocessing
import carrick.queue as queue
import carrick.socketserver as socketserver
KEY = b"key"
ADDRESS = ("127.0.0.1", 0)

def told(number, frame):
    print("handled", flush=True)

def released(release):
    def wait():
        for line in sys.stdin:
            if line == "signal\\n":
                # This thread takes it.
                signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            else:
                return release()
    threading.Thread(target=wait, daemon=True).start()

def join_of(method):
    event = multiprocessing.get_context(method).Event()
    # As a daemon it ends with this program, whatever becomes of that.
    child = multiprocessing.get_context(method).Process(target=event.wait, daemon=True)
    child.start()
    released(event.set)
    print("ready", flush=True)
    child.join()
    assert child.exitcode == 0

signal.signal(signal.SIGUSR1, told)
"""


def _got(make: str, check: str = 'get() == "done"') -> str:
    """A call that waits for the item of a queue."""
    return f"""
q = {make}
released(lambda: q.put("done"))
print("ready", flush=True)
assert q.{check}
"""


CALLS = {
    "recv of a connection": """
left, right = connection.Pipe()
released(lambda: left.send("done"))
print("ready", flush=True)
assert right.recv() == "done"
left.close(); right.close()
""",
    "send of a connection": """
left, right = connection.Pipe()
data = bytes(8 << 20)
released(right.recv)
print("ready", flush=True)
left.send(data)
left.close(); right.close()
""",
    "wait for connections": """
left, right = connection.Pipe()
released(lambda: left.send("done"))
print("ready", flush=True)
assert connection.wait([right]) == [right]
left.close(); right.close()
""",
    "poll of a connection": """
left, right = connection.Pipe()
released(lambda: left.send("done"))
print("ready", flush=True)
assert right.poll(None)
left.close(); right.close()
""",
    "recv of a socket": """
left, right = socket.socketpair()
released(lambda: left.sendall(b"done"))
print("ready", flush=True)
assert right.recv(10) == b"done"
left.close(); right.close()
""",
    "recv_frame of a socket": """
left, right = socket.socketpair()
released(lambda: left.send_frame(b"done"))
print("ready", flush=True)
assert right.recv_frame() == b"done"
left.close(); right.close()
""",
    "sendall of a socket": """
left, right = socket.socketpair()
data = bytes(8 << 20)
def drain():
    left_over = len(data)
    while left_over:
        left_over -= len(right.recv(1 << 20))
released(drain)
print("ready", flush=True)
left.sendall(data)
left.close(); right.close()
""",
    "accept of a listener": """
listener = connection.Listener(ADDRESS)
released(lambda: connection.Client(listener.address).close())
print("ready", flush=True)
listener.accept().close()
listener.close()
""",
    "accept of a listener with a key": """
listener = connection.Listener(ADDRESS, authkey=KEY)
released(lambda: connection.Client(listener.address, authkey=KEY).close())
print("ready", flush=True)
listener.accept().close()
listener.close()
""",
    "handshake of a client": """
connection.HANDSHAKE_TIMEOUT = None
listener = connection.Listener(ADDRESS)  # without a key: it says nothing until it is told to
def answer():
    served = listener.accept()
    connection.deliver_challenge(served, KEY)
    connection.answer_challenge(served, KEY)
    served.close()
released(answer)
print("ready", flush=True)
connection.Client(listener.address, authkey=KEY).close()
listener.close()
""",
    "serve_forever of TCPServer": """
server = socketserver.TCPServer(ADDRESS, socketserver.BaseRequestHandler)
released(server.shutdown)
print("ready", flush=True)
server.serve_forever()
server.server_close()
""",
    "serve_forever of ThreadingTCPServer": """
server = socketserver.ThreadingTCPServer(ADDRESS, socketserver.BaseRequestHandler)
released(server.shutdown)
print("ready", flush=True)
server.serve_forever()
server.server_close()
""",
    "serve_forever of MessageServer": """
server = carrick.MessageServer(ADDRESS, lambda request: None)
released(server.request_shutdown)
print("ready", flush=True)
server.serve_forever()
""",
    "get of a queue": _got("multiprocessing.Queue()"),
    "get of a SimpleQueue": _got("multiprocessing.SimpleQueue()"),
    "get of a queue for threads": _got("queue.Queue()"),
    "get of a LifoQueue for threads": _got("queue.LifoQueue()"),
    "get of a PriorityQueue for threads": _got("queue.PriorityQueue()"),
    "get of a SimpleQueue for threads": _got("queue.SimpleQueue()"),
    "get of a queue with a timeout": _got("multiprocessing.Queue()", 'get(timeout=60) == "done"'),
    "get_many of a queue": _got("multiprocessing.Queue()", 'get_many() == ["done"]'),
    "get_in_place of a queue": """
q = multiprocessing.Queue(codec="bytes")
released(lambda: q.put(b"done"))
print("ready", flush=True)
assert q.get_in_place(bytes) == b"done"
""",
    "recv of a queue's reader": _got("multiprocessing.Queue()", '_reader.recv() == "done"'),
    "poll of a queue's reader": _got("multiprocessing.Queue()", "_reader.poll(None)"),
    "put of a full queue": """
q = multiprocessing.Queue(1)
q.put(1)
released(q.get)
print("ready", flush=True)
q.put(2)
""",
    "put of a full queue with a timeout": """
q = multiprocessing.Queue(1)
q.put(1)
released(q.get)
print("ready", flush=True)
q.put(2, timeout=60)
""",
    "put_many into a full queue": """
q = multiprocessing.Queue(1)
q.put(1)
released(lambda: (q.get(), q.get()))
print("ready", flush=True)
q.put_many([2, 3])
""",
    "put of a full SimpleQueue": """
q = multiprocessing.SimpleQueue()
q.put(bytes(2 << 20))
released(q.get)
print("ready", flush=True)
q.put(2)
""",
    "put of a full queue for threads": """
q = queue.Queue(1)
q.put(1)
released(q.get)
print("ready", flush=True)
q.put(2)
""",
    "put of a full LifoQueue for threads": """
q = queue.LifoQueue(1)
q.put(1)
released(q.get)
print("ready", flush=True)
q.put(2)
""",
    "put of a full PriorityQueue for threads": """
q = queue.PriorityQueue(1)
q.put(1)
released(q.get)
print("ready", flush=True)
q.put(2)
""",
    "join of a queue": """
q = multiprocessing.JoinableQueue()
q.put(1)
released(q.task_done)
print("ready", flush=True)
q.join()
""",
    "join of a queue for threads": """
q = queue.Queue()
q.put(1)
released(q.task_done)
print("ready", flush=True)
q.join()
""",
    "acquire of a lock": """
lock = multiprocessing.Lock()
lock.acquire()
released(lock.release)
print("ready", flush=True)
lock.acquire()
""",
    "acquire of a lock with a timeout": """
lock = multiprocessing.Lock()
lock.acquire()
released(lock.release)
print("ready", flush=True)
assert lock.acquire(timeout=60)
""",
    "acquire of an RLock": """
lock, held, go = multiprocessing.RLock(), threading.Event(), threading.Event()
def hold():
    with lock:
        held.set()
        go.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
released(go.set)
print("ready", flush=True)
lock.acquire()
lock.release()
""",
    "acquire of an RLock with a timeout": """
lock, held, go = multiprocessing.RLock(), threading.Event(), threading.Event()
def hold():
    with lock:
        held.set()
        go.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
released(go.set)
print("ready", flush=True)
assert lock.acquire(timeout=60)
lock.release()
""",
    "acquire of a semaphore": """
semaphore = multiprocessing.Semaphore(0)
released(semaphore.release)
print("ready", flush=True)
semaphore.acquire()
""",
    "acquire of a semaphore with a timeout": """
semaphore = multiprocessing.Semaphore(0)
released(semaphore.release)
print("ready", flush=True)
assert semaphore.acquire(timeout=60)
""",
    "acquire of a bounded semaphore": """
semaphore = multiprocessing.BoundedSemaphore(1)
semaphore.acquire()
released(semaphore.release)
print("ready", flush=True)
semaphore.acquire()
""",
    "wait of a condition": """
condition = multiprocessing.Condition()
def notify():
    with condition:
        condition.notify()
released(notify)
condition.acquire()
print("ready", flush=True)
assert condition.wait()
condition.release()
""",
    "wait of a condition of a lock, with a timeout": """
lock = multiprocessing.Lock()
condition = multiprocessing.Condition(lock)
def notify():
    with condition:
        condition.notify()
released(notify)
condition.acquire()
print("ready", flush=True)
assert condition.wait(60)
condition.release()
""",
    "wait_for of a condition": """
condition, there = multiprocessing.Condition(), []
def notify():
    with condition:
        there.append(1)
        condition.notify_all()
released(notify)
condition.acquire()
print("ready", flush=True)
assert condition.wait_for(lambda: there)
condition.release()
""",
    "wait of an event": """
event = multiprocessing.Event()
released(event.set)
print("ready", flush=True)
assert event.wait()
""",
    "wait of a barrier": """
barrier = multiprocessing.Barrier(2)
released(barrier.wait)
print("ready", flush=True)
barrier.wait()
""",
    "join of a process by fork": """
join_of("fork")
""",
    "join of a process by spawn": """
join_of("spawn")
""",
    "join of a process by forkserver": """
join_of("forkserver")
""",
}

# Checks where a handler's exception has ended the call: nothing was put or taken, and a condition's lock is held
# again. `elsewhere` is what a call on another thread returns.
ELSEWHERE = """
def elsewhere(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]
"""

_EMPTY = """
assert q.qsize() == 0
q.put("next")
assert q.get() == "next"
"""
_EMPTY_SIMPLE = """
assert q.empty()
q.put("next")
assert q.get() == "next" and q.empty()
"""
_FULL = """
assert q.qsize() == 1 and q.full()
assert q.get() == 1 and q.empty()
"""
_UNFINISHED = """
assert q.qsize() == q.unfinished_tasks == 1
"""
_HELD = """
assert not lock.acquire(False)
lock.release()
assert lock.acquire(False)
"""
_HELD_BY_THE_OTHER = """
assert not lock.acquire(False)
go.set()
lock.acquire()
lock.release()
assert elsewhere(lambda: lock.acquire(False))
"""
_NO_UNIT = """
assert semaphore.get_value() == 0
semaphore.release()
assert semaphore.acquire(False)
"""
_HELD_AGAIN = """
assert not elsewhere(lambda: condition.acquire(False))
condition.notify()
condition.release()
assert elsewhere(lambda: condition.acquire(False))
"""
_NOT_TAKEN = """
left.send("next")
assert right.recv() == "next"
"""

UNCHANGED = {
    "recv of a connection": _NOT_TAKEN,
    "poll of a connection": _NOT_TAKEN,
    "wait for connections": _NOT_TAKEN,
    "get of a queue": _EMPTY,
    "get of a SimpleQueue": _EMPTY_SIMPLE,
    "get of a queue for threads": _EMPTY,
    "get of a LifoQueue for threads": _EMPTY,
    "get of a PriorityQueue for threads": _EMPTY,
    "get of a SimpleQueue for threads": _EMPTY_SIMPLE,
    "get of a queue with a timeout": _EMPTY,
    "get_many of a queue": _EMPTY,
    "get_in_place of a queue": _EMPTY.replace('"next"', 'b"next"'),
    "recv of a queue's reader": _EMPTY,
    "poll of a queue's reader": _EMPTY,
    "put of a full queue": _FULL,
    "put of a full queue with a timeout": _FULL,
    "put_many into a full queue": _FULL,
    "put of a full SimpleQueue": "assert len(q.get()) == 2 << 20 and q.empty()",
    "put of a full queue for threads": _FULL,
    "put of a full LifoQueue for threads": _FULL,
    "put of a full PriorityQueue for threads": _FULL,
    "join of a queue": """
assert q.qsize() == 1
q.task_done()
q.join()
""",
    "join of a queue for threads": _UNFINISHED,
    "acquire of a lock": _HELD,
    "acquire of a lock with a timeout": _HELD,
    "acquire of an RLock": _HELD_BY_THE_OTHER,
    "acquire of an RLock with a timeout": _HELD_BY_THE_OTHER,
    "acquire of a semaphore": _NO_UNIT,
    "acquire of a semaphore with a timeout": _NO_UNIT,
    "acquire of a bounded semaphore": _NO_UNIT,
    "wait of a condition": _HELD_AGAIN,
    "wait of a condition of a lock, with a timeout": _HELD_AGAIN,
    "wait_for of a condition": _HELD_AGAIN,
    "wait of an event": "assert not event.is_set()",
}
