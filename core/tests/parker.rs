// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleeping until another thread ends the sleep, with and without a hook that has signals to hear of.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::interrupt::{Hook, Verdict, set_hook};
use carrick::{Deadline, Kind, Parker};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use support::{Test, asleep, named};

thread_local! {
    /// Whether this thread has signals to hear of.
    static HEARS: Cell<bool> = const { Cell::new(false) };
}

static BELL: OnceLock<(UnixStream, UnixStream)> = OnceLock::new();
static STOP: AtomicBool = AtomicBool::new(false);
static HEARD: AtomicUsize = AtomicUsize::new(0);

struct Bell;

impl Hook for Bell {
    fn signalled(&self) -> Verdict {
        if HEARS.get() {
            let mut rung = [0; 8];
            if (&BELL.get().unwrap().0).read(&mut rung).is_ok() {
                HEARD.fetch_add(1, Ordering::SeqCst);
            }
        }
        if HEARS.get() && STOP.load(Ordering::SeqCst) { Verdict::Stop } else { Verdict::Continue }
    }

    fn arm(&self) -> (Verdict, Option<RawFd>) {
        let bell = HEARS.get().then(|| BELL.get().unwrap().0.as_raw_fd());
        (self.signalled(), bell)
    }
}

fn ring() {
    (&BELL.get().unwrap().1).write_all(b"!").unwrap();
}

fn with_hook() {
    BELL.get_or_init(|| {
        let pair = UnixStream::pair().unwrap();
        pair.0.set_nonblocking(true).unwrap();
        pair
    });
    set_hook(&Bell);
}

/// Sleeps in both ways: on a word, and in poll.
fn both(test: impl Fn() + Copy + Send + 'static) {
    for (hears, name) in [(false, "on-word"), (true, "in-poll")] {
        named(name, move || {
            HEARS.set(hears);
            test();
        })
        .join()
        .unwrap();
    }
}

#[test]
fn an_unpark_before_the_sleep_ends_it_and_counts_once() {
    with_hook();
    let _test = Test::begin();
    both(|| {
        let parker = Parker::new();
        parker.unpark();
        parker.unpark();
        parker.prepare("test").unwrap().sleep(Deadline::NEVER).unwrap();
        let soon = Deadline::after(Duration::from_millis(1));
        assert_eq!(parker.prepare("test").unwrap().sleep(soon).unwrap_err().kind(), Kind::Timeout);
    });
}

#[test]
fn an_unpark_ends_a_sleep_again_and_again() {
    with_hook();
    let _test = Test::begin();
    both(|| {
        let parkers = [Parker::new(), Parker::new()];
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2000 {
                    parkers[0].prepare("test").unwrap().sleep(Deadline::NEVER).unwrap();
                    parkers[1].unpark();
                }
            });
            for _ in 0..2000 {
                parkers[0].unpark();
                parkers[1].prepare("test").unwrap().sleep(Deadline::NEVER).unwrap();
            }
        });
    });
}

#[test]
fn who_sleeps_really_sleeps_until_unparked() {
    with_hook();
    let _test = Test::begin();
    for (hears, name) in [(false, "sleeper-word"), (true, "sleeper-poll")] {
        let parker = std::sync::Arc::new(Parker::new());
        let other = std::sync::Arc::clone(&parker);
        let sleeper = named(name, move || {
            HEARS.set(hears);
            other.prepare("test").unwrap().sleep(Deadline::NEVER)
        });
        asleep(name);
        assert!(!sleeper.is_finished());
        parker.unpark();
        sleeper.join().unwrap().unwrap();
    }
}

#[test]
fn a_signal_is_heard_in_the_middle_of_a_sleep_and_may_end_it() {
    with_hook();
    let _test = Test::begin();
    let parker = std::sync::Arc::new(Parker::new());
    let other = std::sync::Arc::clone(&parker);
    let sleeper = named("hears", move || {
        HEARS.set(true);
        let first = other.prepare("test").unwrap().sleep(Deadline::NEVER);
        let second = other.prepare("test").and_then(|ready| ready.sleep(Deadline::NEVER));
        (first, second)
    });
    asleep("hears");
    let heard = HEARD.load(Ordering::SeqCst);
    ring();
    support::eventually("the signal is heard", || HEARD.load(Ordering::SeqCst) > heard);
    asleep("hears");
    parker.unpark();
    asleep("hears");
    STOP.store(true, Ordering::SeqCst);
    ring();
    let (first, second) = sleeper.join().unwrap();
    first.unwrap();
    assert_eq!(second.unwrap_err().kind(), Kind::Interrupted);
    STOP.store(false, Ordering::SeqCst);
}
