// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forks beside every kind of activity in other threads: the child of each uses everything, and nothing hangs.
//!
//! `CARRICK_FORKS` is how many (50).
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::{AuthOptions, Digest, Gate, Role, authenticate, mac};
use carrick::process::Command;
use carrick::queue::{Queue, QueueOptions};
use carrick::server::{MessageOptions, MessageServer, Request, ServerHandle};
use carrick::sync::{Barrier, Condition, Event, Lock, RLock, Semaphore};
use carrick::{Connection, Deadline, Format, ListenOptions, Listener, Parker, Stream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use support::{Test, soon};

/// Seconds after which a child that waits is killed.
const PATIENCE: u32 = 30;

/// The objects that parent and children share.
struct Stage {
    queue: Queue,
    lock: Lock,
    listener: Listener,
    gate: Gate,
    /// One end is read by a thread of the parent all the time.
    read: Connection,
    server: ServerHandle,
    stop: AtomicBool,
}

type Step = (&'static str, fn(&Stage));

/// Each is done by a thread of the parent again and again, and once by every child.
const STEPS: [Step; 8] = [
    ("handshake", handshake),
    ("gate", through_the_gate),
    ("queue", queues),
    ("locks", locks),
    ("condition", conditions),
    ("parker", parkers),
    ("server", call_the_server),
    ("hmac", hmac),
];

/// Does `other` in another thread, and waits for its end after `own`.
///
/// Not a thread of the standard library's: in a program with a Rust `main` those take a lock of std's when they start, for
/// the guard of their stacks, which the child of a fork may find held.
fn beside<'a>(other: impl FnOnce() + Send + 'a, own: impl FnOnce()) {
    extern "C" fn start(argument: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: it is the box that was given to pthread_create, once.
        let body = unsafe { Box::from_raw(argument.cast::<Box<dyn FnOnce() + Send>>()) };
        body();
        std::ptr::null_mut()
    }
    let body: Box<dyn FnOnce() + Send + 'a> = Box::new(other);
    let argument = Box::into_raw(Box::new(body)).cast();
    let mut thread = 0;
    // SAFETY: the thread is joined below, so that it does not outlive what the closure borrows; a panic before ends the process
    // by the assertion that nobody waits for.
    let made = unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), start, argument) };
    assert_eq!(made, 0);
    own();
    // SAFETY: the thread was made above, and is joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
}

fn handshake(_: &Stage) {
    let (left, right) = Stream::pair().unwrap();
    let [left, right] = [left, right].map(|stream| Connection::new(stream, Format::default()));
    let options = AuthOptions::new(b"key");
    let client = || authenticate(&right, Role::Client, &options).unwrap();
    beside(client, || authenticate(&left, Role::Server, &options).unwrap());
}

fn through_the_gate(stage: &Stage) {
    // A gate and a listener of its own: a client of the shared ones could be taken by another process.
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
    let address = listener.local_address().unwrap();
    let gate = Gate::new(AuthOptions::new(b"key")).unwrap();
    let client = || {
        let stream = Stream::connect(&address, soon()).unwrap();
        let client = Connection::new(stream, Format::default());
        authenticate(&client, Role::Client, &AuthOptions::new(b"key")).unwrap();
    };
    beside(client, || drop(gate.accept(&listener, soon()).unwrap()));
    assert!(stage.gate.accept(&stage.listener, Deadline::NOW).is_err());
}

fn queues(stage: &Stage) {
    let own = Queue::new(QueueOptions::default()).unwrap();
    own.put(&[7; 9_000], soon()).unwrap();
    own.event_fd().map(drop).unwrap_or_default();
    assert_eq!(own.get(soon()).unwrap().len(), 9_000);
    stage.queue.put(b"item", soon()).unwrap();
    // Others take as many as they put.
    stage.queue.get(soon()).unwrap();
}

fn locks(stage: &Stage) {
    stage.lock.acquire(soon()).unwrap();
    stage.lock.release().unwrap();
    let (lock, semaphore) = (RLock::new().unwrap(), Semaphore::new(1).unwrap());
    lock.acquire(soon()).unwrap();
    semaphore.acquire(soon()).unwrap();
    let barrier = Barrier::new(2).unwrap();
    let meet = || {
        barrier.wait(soon()).unwrap();
    };
    beside(meet, meet);
}

fn conditions(_: &Stage) {
    let (condition, lock, event) = (Condition::new().unwrap(), Lock::new().unwrap(), Event::new().unwrap());
    let wait = || {
        lock.acquire(soon()).unwrap();
        event.set();
        condition.wait(&lock, soon()).unwrap();
        lock.release().unwrap();
    };
    beside(wait, || {
        event.wait(soon()).unwrap();
        lock.acquire(soon()).unwrap();
        condition.notify(1);
        lock.release().unwrap();
    });
}

fn parkers(_: &Stage) {
    let parker = Parker::new();
    beside(|| parker.unpark(), || parker.prepare("wait").unwrap().sleep(soon()).unwrap());
}

fn call_the_server(stage: &Stage) {
    let stream = Stream::connect(stage.server.address(), soon()).unwrap();
    let client = Connection::new(stream, Format::default());
    client.send(b"request", soon()).unwrap();
    assert_eq!(client.recv(soon()).unwrap(), b"request");
    assert!(!stage.server.stats().items().is_empty());
}

fn hmac(stage: &Stage) {
    mac(Digest::Sha256, b"key", b"message").unwrap();
    // The parent's reader does not exist in a child; there the turn is free.
    let _ = stage.read.buffered();
}

/// Not among the steps: children of children would be the parent's to reap.
fn start_processes(stage: &Stage) {
    while !stage.stop.load(Ordering::Relaxed) {
        drop(Command::new("true").spawn().unwrap());
        let child = Command::new("true").spawn().unwrap();
        child.join(soon()).unwrap();
    }
    // Dropped ones go when another one does.
    support::eventually("dropped children are reaped", || {
        Command::new("true").spawn().unwrap().join(soon()).unwrap();
        // SAFETY: no status is asked for, and nothing is waited for.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) == -1 }
    });
}

/// A word that parent and children share: which step a child has come to.
fn shared_word() -> &'static AtomicU32 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: memory that nobody has yet.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: it is of zeros, aligned, and never unmapped.
    unsafe { &*at.cast::<AtomicU32>() }
}

fn fork_once(stage: &Stage, at: &AtomicU32) -> Result<(), String> {
    at.store(0, Ordering::Relaxed);
    // SAFETY: the child uses the C library and this one only, and ends with _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: it has no arguments that could be wrong.
        unsafe { libc::alarm(PATIENCE) };
        for (number, (_, step)) in STEPS.iter().enumerate() {
            at.store(u32::try_from(number).unwrap(), Ordering::Relaxed);
            step(stage);
        }
        drop(Command::new("true").spawn().unwrap());
        // SAFETY: it may be called at any time.
        unsafe { libc::_exit(0) };
    }
    let mut status = -1;
    // SAFETY: status is live for the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    let (name, _) = STEPS[at.load(Ordering::Relaxed) as usize];
    if status == 0 {
        return Ok(());
    }
    Err(format!("a child ended with {status:#x} in or after: {name} (0xe is the signal of its watchdog)"))
}

#[test]
fn children_of_a_busy_process_can_use_everything() {
    let forks: u32 = std::env::var("CARRICK_FORKS").map_or(50, |text| text.parse().unwrap());
    let _test = Test::begin();
    let at = shared_word();
    let (read, write) = Stream::pair().unwrap();
    let server = MessageServer::bind(&"127.0.0.1:0".parse().unwrap(), MessageOptions::default()).unwrap();
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
    let stage = Stage {
        queue: Queue::new(QueueOptions::default()).unwrap(),
        lock: Lock::new().unwrap(),
        listener,
        gate: Gate::new(AuthOptions::new(b"key")).unwrap(),
        read: Connection::new(read, Format::default()),
        server: server.handle(),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let serving =
            scope.spawn(move || server.serve(|request: &mut Request<'_>| request.reply(request.body())));
        let stage = &stage;
        let mut busy = vec![
            scope.spawn(|| start_processes(stage)),
            scope.spawn(|| assert_eq!(stage.read.recv(Deadline::NEVER).unwrap(), b"end")),
        ];
        busy.extend(STEPS.iter().map(|(_, step)| {
            scope.spawn(|| {
                while !stage.stop.load(Ordering::Relaxed) {
                    step(stage);
                }
            })
        }));
        // The other threads are to end also where a child has failed.
        let forked = (0..forks).try_for_each(|_| fork_once(stage, at));
        stage.stop.store(true, Ordering::Relaxed);
        Connection::new(write, Format::default()).send(b"end", soon()).unwrap();
        busy.into_iter().for_each(|thread| thread.join().unwrap());
        stage.server.shutdown(soon()).unwrap();
        serving.join().unwrap().unwrap();
        forked.unwrap();
    });
}
