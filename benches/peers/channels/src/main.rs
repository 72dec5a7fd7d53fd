// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages between two processes. Arguments: LIBRARY stream|roundtrip LENGTH COUNT.
//!
//! Prints the messages per second that the parent takes from its child, or the microseconds of a round trip between
//! the two. The child is a fork, so that every library begins with the same two processes.

mod library;
mod ring;

use library::{Ends, LIBRARIES};
use std::time::Instant;

/// The child's work, in a process of its own.
fn child(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        watchdog();
        work();
        // SAFETY: ends the process at once; nothing of the parent's is to be run in it.
        unsafe { libc::_exit(0) };
    }
    pid
}

/// A process that spins for one that has died would do so for ever.
fn watchdog() {
    // SAFETY: the signal ends the process.
    unsafe { libc::alarm(100) };
}

fn reap(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: status is a place for the result.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((reaped, status), (pid, 0), "the child failed");
}

fn stream(channel: Box<dyn Ends>, length: usize, count: usize) -> f64 {
    let body = vec![7; length];
    let pid;
    let mut receiver;
    {
        let (first, second) = channel.split();
        pid = child(|| {
            let mut sender = first.connect();
            for _ in 0..=count {
                sender.send(&body);
            }
            sender.drained();
        });
        receiver = second.connect();
    }
    assert_eq!(receiver.recv(), length);
    let started = Instant::now();
    for _ in 0..count {
        assert_eq!(receiver.recv(), length);
    }
    let elapsed = started.elapsed().as_secs_f64();
    drop(receiver);
    reap(pid);
    count as f64 / elapsed
}

fn round_trip(there: Box<dyn Ends>, back: Box<dyn Ends>, length: usize, count: usize) -> f64 {
    let body = vec![7; length];
    let ((out_sender, out_receiver), (back_sender, back_receiver)) = (there.split(), back.split());
    let pid = child(|| {
        let mut receiver = out_receiver.connect();
        let mut sender = back_sender.connect();
        for _ in 0..=count {
            assert_eq!(receiver.recv(), length);
            sender.send(&body);
        }
        sender.drained();
    });
    let mut sender = out_sender.connect();
    let mut receiver = back_receiver.connect();
    let mut once = || {
        sender.send(&body);
        assert_eq!(receiver.recv(), length);
    };
    once();
    let started = Instant::now();
    for _ in 0..count {
        once();
    }
    let elapsed = started.elapsed().as_secs_f64();
    drop(receiver);
    reap(pid);
    elapsed / count as f64 * 1e6
}

fn main() {
    watchdog();
    let arguments: Vec<String> = std::env::args().collect();
    let [_, library, what, length, count] = arguments.as_slice() else {
        eprintln!("usage: LIBRARY stream|roundtrip LENGTH COUNT");
        std::process::exit(2);
    };
    let length: usize = length.parse().expect("a length");
    let count: usize = count.parse().expect("a count");
    let (_, make) = LIBRARIES.iter().find(|(name, _)| name == library).expect("a library");
    let value = match what.as_str() {
        "stream" => stream(make(length, 0), length, count),
        _ => round_trip(make(length, 0), make(length, 1), length, count),
    };
    println!("{value}");
}
