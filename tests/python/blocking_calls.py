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

CALLS = {
    "recv of a connection": """
left, right = connection.Pipe()
released(lambda: left.send("done"))
print("ready", flush=True)
assert right.recv() == "done"
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
    "get of a queue": """
q = multiprocessing.Queue()
released(lambda: q.put("done"))
print("ready", flush=True)
assert q.get() == "done"
""",
    "get of a SimpleQueue": """
q = multiprocessing.SimpleQueue()
released(lambda: q.put("done"))
print("ready", flush=True)
assert q.get() == "done"
""",
    "get of a queue for threads": """
q = queue.Queue()
released(lambda: q.put("done"))
print("ready", flush=True)
assert q.get() == "done"
""",
    "get of a queue with a timeout": """
q = multiprocessing.Queue()
released(lambda: q.put("done"))
print("ready", flush=True)
assert q.get(timeout=60) == "done"
""",
    "get_many of a queue": """
q = multiprocessing.Queue()
released(lambda: q.put("done"))
print("ready", flush=True)
assert q.get_many() == ["done"]
""",
    "get_in_place of a queue": """
q = multiprocessing.Queue(codec="bytes")
released(lambda: q.put(b"done"))
print("ready", flush=True)
assert q.get_in_place(bytes) == b"done"
""",
    "poll of a queue's reader": """
q = multiprocessing.Queue()
released(lambda: q.put("done"))
print("ready", flush=True)
assert q._reader.poll(None)
""",
    "put of a full queue": """
q = multiprocessing.Queue(1)
q.put(1)
released(q.get)
print("ready", flush=True)
q.put(2)
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
    "acquire of a semaphore": """
semaphore = multiprocessing.Semaphore(0)
released(semaphore.release)
print("ready", flush=True)
semaphore.acquire()
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
