// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory and descriptors that cannot be had: an error, and whatever was there before is as it was. Each test runs in a
//! process of its own, since the limits are those of the whole process.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Barrier, Condition, Event, Lock, Semaphore};
use carrick::{Deadline, Error, Kind};
use std::os::fd::AsFd;
use support::{Test, in_child, open_fds};

const NEVER: Deadline = Deadline::NEVER;
const MIB: u64 = 1 << 20;

// As in the C library and the Python extension: an error can be made when memory has run out.
#[global_allocator]
static ALLOCATOR: carrick::Reserve = carrick::Reserve;

fn set_limit(most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: limit is live for the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Lets this process have so many bytes more than it has.
fn limit(more: u64) {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').next().unwrap().parse().unwrap();
    set_limit(pages * 4096 + more);
}

fn lift() {
    set_limit(libc::RLIM_INFINITY);
}

fn kind<T>(result: Result<T, Error>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

#[test]
fn an_item_that_there_is_no_memory_for_is_not_lost() {
    if !in_child("an_item_that_there_is_no_memory_for_is_not_lost") {
        return;
    }
    let _test = Test::begin();
    let queue = Queue::new(QueueOptions::default()).unwrap();
    let other = Queue::attach(queue.as_fd().try_clone_to_owned().unwrap()).unwrap();
    let large = vec![7; 100 << 20];
    queue.put(b"before", NEVER).unwrap();
    limit(16 * MIB);
    // For the ring no address space is needed: it is not this process's memory alone.
    queue.put(&large, NEVER).unwrap();
    queue.put(b"after", Deadline::NOW).unwrap();
    assert_eq!(queue.get(NEVER).unwrap(), b"before");
    // There is none for the item.
    for taker in [&queue, &other] {
        assert_eq!(kind(taker.get(NEVER)), Some(Kind::NoMemory));
        assert_eq!(taker.len().unwrap(), 2);
    }
    lift();
    assert!(other.get(NEVER).unwrap() == large);
    assert_eq!(queue.get(NEVER).unwrap(), b"after");
    other.put(b"usable", NEVER).unwrap();
    assert_eq!(queue.get(NEVER).unwrap(), b"usable");
}

/// Makes as many as there is memory for; all of them, and one that is made later, can be used.
fn make<T>(make: impl Fn() -> Result<T, Error>, use_it: impl Fn(&T)) {
    let mut made = Vec::with_capacity(1 << 20);
    limit(3 * MIB);
    let refused = loop {
        match make() {
            Ok(one) => made.push(one),
            Err(error) => break error.kind(),
        }
    };
    lift();
    assert_eq!(refused, Kind::NoMemory);
    made.push(make().unwrap());
    assert!(made.len() > 1);
    made.iter().for_each(use_it);
}

#[test]
fn what_there_is_no_memory_for_is_not_made_and_can_be_made_later() {
    if !in_child("what_there_is_no_memory_for_is_not_made_and_can_be_made_later") {
        return;
    }
    let _test = Test::begin();
    support::raise_fd_limit();
    make(
        || Queue::new(QueueOptions::default()),
        |queue| {
            queue.put(b"item", NEVER).unwrap();
            assert_eq!(queue.get(NEVER).unwrap(), b"item");
        },
    );
    make(Lock::new, |lock| {
        lock.acquire(Deadline::NOW).unwrap();
        lock.release().unwrap();
    });
    make(|| Semaphore::new(1), |semaphore| semaphore.acquire(Deadline::NOW).unwrap());
    make(Event::new, |event| {
        event.set();
        event.wait(Deadline::NOW).unwrap();
    });
    make(Condition::new, Condition::notify_all);
    make(|| Barrier::new(1), |barrier| assert_eq!(barrier.wait(Deadline::NOW).unwrap(), 0));
}

#[test]
fn without_descriptors_a_queue_cannot_be_made_and_those_there_are_go_on() {
    if !in_child("without_descriptors_a_queue_cannot_be_made_and_those_there_are_go_on") {
        return;
    }
    let _test = Test::begin();
    let queue = Queue::new(QueueOptions::default()).unwrap();
    let before = open_fds();
    let free = (0..).find(|number| !before.contains_key(number)).unwrap();
    let whole = support::raise_fd_limit();
    // For what is in memory, for what a producer rings, and for enough.
    let outcomes = [0, 1, 2, 3].map(|more| {
        support::set_fd_limit(u64::try_from(free).unwrap() + more);
        let made = Queue::new(QueueOptions::default()).and_then(Queue::selectable);
        queue.put(&[7; 100_000], NEVER).unwrap();
        assert_eq!(queue.get(NEVER).unwrap(), [7; 100_000]);
        support::set_fd_limit(whole);
        let outcome = made.map(drop).map_err(|error| (error.kind(), error.os_code()));
        assert_eq!(open_fds(), before);
        outcome
    });
    let refused = Err((Kind::Os, Some(libc::EMFILE)));
    assert_eq!(outcomes, [refused, refused, Ok(()), Ok(())]);
}
