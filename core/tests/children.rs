// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children that do other things than to end: execute another program, with a lock or an item in their hands or without,
//! and leave a child of their own behind; and a child that waits for what a thread of its parent has. Each test runs in
//! a process of its own, since it forks.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::process::{Child, Command, Exit, ForkServer, StartOptions, Task, fork};
use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Lock, RLock, Taken};
use carrick::{Deadline, Kind};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;
use support::{Test, in_child, moment, soon};

const NEVER: Deadline = Deadline::NEVER;
const PLAIN: StartOptions = StartOptions { daemon: false, channel: false };
const CHANNEL: StartOptions = StartOptions { daemon: false, channel: true };

/// A script that says x, waits for a line and ends with 5.
const SAYS_AND_ENDS: &str = "printf x; read line; exit 5";
/// A script that says x and goes on for ever.
const SAYS_AND_STAYS: &str = "printf x; exec sleep 1000";
/// A script that says the number of a child of its own, and leaves it behind.
const LEAVES_A_CHILD: &str = "sleep 1000 & echo $!";

/// Longer than it takes to notice that a holder has died.
fn while_() -> Deadline {
    Deadline::after(Duration::from_millis(300))
}

/// Has this process become a shell that executes the words; the stream is its input and its output.
fn become_shell(words: &str, stream: &OwnedFd) -> i32 {
    let end = || Stdio::from(stream.try_clone().unwrap());
    let error = std::process::Command::new("sh").args(["-c", words]).stdin(end()).stdout(end()).exec();
    panic!("{error}");
}

fn task(task: Task) -> i32 {
    let words = std::str::from_utf8(&task.body).unwrap();
    become_shell(words, &task.descriptors[0])
}

/// A child by each way to start one that becomes such a shell, and the other end of its stream.
fn shells(server: &ForkServer, words: &str) -> [(Child, UnixStream); 3] {
    [0, 1, 2].map(|way| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        let child = match way {
            0 => fork(PLAIN, |_| become_shell(words, &theirs)).unwrap(),
            1 => server.start(words.as_bytes(), &[theirs.as_fd()], PLAIN).unwrap(),
            _ => {
                let end = || Stdio::from(theirs.try_clone().unwrap());
                let command = Command::new("sh").args(["-c", "exec sh -c \"$0\"", words]);
                command.stdin(end()).stdout(end()).spawn().unwrap()
            }
        };
        (child, ours)
    })
}

fn says_x(stream: &mut UnixStream) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"x");
}

#[test]
fn a_child_that_executes_another_program_is_the_same_process() {
    if !in_child("a_child_that_executes_another_program_is_the_same_process") {
        return;
    }
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    for (child, mut stream) in shells(&server, SAYS_AND_ENDS) {
        says_x(&mut stream);
        assert_eq!(child.join(moment()).unwrap_err().kind(), Kind::Timeout);
        assert!(child.is_alive());
        assert_eq!(child.try_join().unwrap(), None);
        stream.write_all(b"y\n").unwrap();
        assert_eq!(child.join(soon()).unwrap(), Exit::Code(5));
    }
}

#[test]
fn a_holder_that_executes_another_program_holds_the_lock_until_that_ends() {
    if !in_child("a_holder_that_executes_another_program_holds_the_lock_until_that_ends") {
        return;
    }
    let _test = Test::begin();
    let (lock, recursive) = (Lock::new().unwrap(), RLock::new().unwrap());
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let holder = fork(PLAIN, |_| {
        assert_eq!(lock.acquire(soon()).unwrap(), Taken::Free);
        assert_eq!(recursive.acquire(soon()).unwrap(), Taken::Free);
        become_shell(SAYS_AND_STAYS, &theirs)
    })
    .unwrap();
    says_x(&mut ours);
    assert_eq!(lock.acquire(while_()).unwrap_err().kind(), Kind::Timeout);
    assert_eq!(recursive.acquire(while_()).unwrap_err().kind(), Kind::Timeout);
    assert_eq!(i64::from(lock.holder().unwrap().process), i64::from(holder.pid()));
    holder.kill().unwrap();
    assert_eq!(lock.acquire(soon()).unwrap(), Taken::FromDead);
    assert_eq!(recursive.acquire(soon()).unwrap(), Taken::FromDead);
    assert_eq!(holder.join(soon()).unwrap(), Exit::Signal(libc::SIGKILL));
}

#[test]
fn an_item_whose_reader_executes_another_program_is_the_next_consumers_when_that_ends() {
    if !in_child("an_item_whose_reader_executes_another_program_is_the_next_consumers_when_that_ends") {
        return;
    }
    let _test = Test::begin();
    let queue = Queue::new(QueueOptions::default()).unwrap();
    queue.put(b"first", NEVER).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let reader = fork(PLAIN, |_| {
        let read = |body: &[u8]| {
            assert_eq!(body, b"first");
            become_shell(SAYS_AND_STAYS, &theirs)
        };
        // SAFETY: nobody writes to the queue's memory but the library.
        unsafe { queue.get_in_place(read, soon()) }.unwrap()
    })
    .unwrap();
    says_x(&mut ours);
    assert_eq!(queue.get(while_()).unwrap_err().kind(), Kind::Timeout);
    // Producers go on.
    queue.put(b"second", soon()).unwrap();
    reader.kill().unwrap();
    assert_eq!(queue.get(soon()).unwrap(), b"first");
    assert_eq!(queue.get(soon()).unwrap(), b"second");
    assert_eq!(reader.join(soon()).unwrap(), Exit::Signal(libc::SIGKILL));
}

#[test]
fn a_child_has_ended_though_a_child_of_its_own_lives() {
    if !in_child("a_child_has_ended_though_a_child_of_its_own_lives") {
        return;
    }
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    for (child, mut stream) in shells(&server, LEAVES_A_CHILD) {
        assert_eq!(child.join(soon()).unwrap(), Exit::Code(0));
        let mut line = String::new();
        while !line.ends_with('\n') {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0].into());
        }
        // It has the stream still.
        stream.set_nonblocking(true).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).unwrap();
        let orphan: i32 = line.trim().parse().unwrap();
        // SAFETY: it has no arguments in memory; the process is one of this test's.
        assert_eq!(unsafe { libc::kill(orphan, libc::SIGKILL) }, 0);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_fork_while_another_thread_holds_a_lock_gets_it_when_it_is_free() {
    if !in_child("a_fork_while_another_thread_holds_a_lock_gets_it_when_it_is_free") {
        return;
    }
    let _test = Test::begin();
    let lock = Lock::new().unwrap();
    let (held, is_held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let lock = &lock;
        scope.spawn(move || {
            let _guard = lock.lock(NEVER).unwrap();
            held.send(()).unwrap();
            // The end of the channel, too.
            let _ = released.recv();
        });
        is_held.recv().unwrap();
        let child = fork(CHANNEL, |channel| {
            assert_eq!(lock.acquire(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
            let channel = channel.unwrap();
            channel.send(b"it waits", soon()).unwrap();
            let taken = lock.acquire(soon()).unwrap();
            channel.send(b"it has it", soon()).unwrap();
            lock.release().unwrap();
            i32::from(taken != Taken::Free)
        })
        .unwrap();
        let channel = child.channel().unwrap();
        assert_eq!(channel.recv(soon()).unwrap(), b"it waits");
        assert_eq!(channel.recv(while_()).unwrap_err().kind(), Kind::Timeout);
        drop(release);
        assert_eq!(channel.recv(soon()).unwrap(), b"it has it");
        assert_eq!(child.join(soon()).unwrap(), Exit::Code(0));
    });
    assert_eq!(lock.acquire(soon()).unwrap(), Taken::Free);
}
