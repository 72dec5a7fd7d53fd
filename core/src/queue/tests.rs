// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of what is seen from inside only: a queue whose producer ended between two stores, and who wakes whom.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use super::layout::{Commit, SMALLEST, start_of_ring};
use super::ring::Ring;
use super::stream::Outcome;
use super::{Held, Queue, QueueOptions};
use crate::error::Kind;
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::mpsc;
use std::thread;

/// As a producer that is killed, or held up, before it lets the lock go.
fn put_and_stop(queue: &Queue, body: &[u8]) {
    let head = queue.head().unwrap();
    let (_, end) = head.put.read().unwrap();
    match queue.write(head, end, &[IoSlice::new(body)], true).unwrap() {
        Outcome::Put(after) => queue.commit_put(head, after),
        Outcome::Full(_) | Outcome::Crowded(_) => panic!("there is no room"),
    }
}

#[test]
fn a_ring_that_is_not_mapped_is_the_same_memory() {
    let queue = Queue::new(QueueOptions::default()).unwrap();
    let mapped = queue.ring(0, "test", true).unwrap();
    let unmapped = Ring::unmapped(&queue.file, start_of_ring(0), SMALLEST);
    // At the beginning, across pages and windows, and from the end on at the beginning.
    for (place, length) in [(0, 1), (4090, 20_000), (SMALLEST - 5, 4096), (3 * SMALLEST - 4096, 64 << 10)] {
        let numbers = (0_u64..).take(length).map(|n| u8::try_from((n + place) % 251));
        let bytes: Vec<u8> = numbers.collect::<Result<_, _>>().unwrap();
        for (writer, reader) in [(&mapped, &unmapped), (&unmapped, &mapped), (&unmapped, &unmapped)] {
            mapped.write(0, &vec![0; 64 << 10], "test").unwrap();
            writer.write(place, &bytes, "test").unwrap();
            let mut read = vec![0; length];
            reader.read(place, sys::as_uninit(&mut read), "test").unwrap();
            assert_eq!(read, bytes, "{length} bytes at {place}");
        }
    }
    unmapped.write(8, &7_u64.to_le_bytes(), "test").unwrap();
    assert_eq!((mapped.word(8, "test").unwrap(), unmapped.word(8, "test").unwrap()), (7, 7));
    assert_eq!(unmapped.part(0, 8, "test").unwrap_err().kind(), Kind::NoMemory);
}

fn rings(bell: BorrowedFd<'_>) -> bool {
    let bell = bell.as_raw_fd();
    sys::poll(&mut [PollSlot::new(bell, Interest::Read)], Deadline::NOW).unwrap() == 1
}

/// Runs `body` in a thread and waits until that sleeps.
fn asleep<'s, T: Send + 's>(
    scope: &'s thread::Scope<'s, '_>,
    body: impl FnOnce() -> T + Send + 's,
) -> thread::ScopedJoinHandle<'s, T> {
    let (sender, receiver) = mpsc::channel();
    let thread = scope.spawn(move || {
        // SAFETY: it has no arguments and only tells a number.
        sender.send(unsafe { libc::gettid() }).unwrap();
        body()
    });
    let path = format!("/proc/self/task/{}/syscall", receiver.recv().unwrap());
    let futex = format!("{} ", libc::SYS_futex);
    while !std::fs::read_to_string(&path).unwrap().starts_with(&futex) {
        thread::yield_now();
    }
    thread
}

#[test]
fn what_a_producer_saw_of_another_ring_does_not_end_the_queue() {
    let queue = Queue::new(QueueOptions::default()).unwrap();
    let body = vec![7; 100_000];
    // Through the second ring more than once, so that the place in it is more than its size.
    for _ in 0..5 {
        queue.put(&body, Deadline::NOW).unwrap();
        assert_eq!(queue.get(Deadline::NOW).unwrap(), body);
    }
    let head = queue.head().unwrap();
    let (_, end) = head.put.read().unwrap();
    assert!(end.ring > 0);
    // A consumer that shrinks the queue was killed between its two stores.
    head.put.see(Commit { ring: 0, place: 0, ..end });
    queue.put(b"after", Deadline::NOW).unwrap();
    assert_eq!(queue.get(Deadline::NOW).unwrap(), b"after");
}

#[test]
fn the_bell_rings_for_an_item_whose_producer_ends_as_soon_as_it_is_put() {
    let queue = Queue::new(QueueOptions::default()).and_then(Queue::selectable).unwrap();
    // Asked for once: to ask for it rings it where there is an item.
    let bell = queue.event_fd().unwrap();
    assert!(!rings(bell));
    put_and_stop(&queue, b"item");
    assert!(rings(bell));
    assert_eq!(queue.get(Deadline::NOW).unwrap(), b"item");
    assert!(!rings(bell));
}

#[test]
fn the_bell_rings_for_the_end_of_the_queue_and_goes_on() {
    let queue = Queue::new(QueueOptions::default()).and_then(Queue::selectable).unwrap();
    let bell = queue.event_fd().unwrap();
    assert!(!rings(bell));
    queue.put(b"last", Deadline::NOW).unwrap();
    queue.close().unwrap();
    assert_eq!(queue.get(Deadline::NOW).unwrap(), b"last");
    assert!(rings(bell));
    assert_eq!(queue.get(Deadline::NOW).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn nobody_is_told_of_the_end_before_what_is_being_put_is_there() {
    let queue = Queue::new(QueueOptions::default()).unwrap();
    let head = queue.head().unwrap();
    thread::scope(|scope| {
        head.put.acquire("test", Deadline::NOW).unwrap();
        let held = Held(&head.put.lock);
        let closer = asleep(scope, || queue.close());
        assert!(queue.is_closed().unwrap());
        assert_eq!(queue.get(Deadline::NOW).unwrap_err().kind(), Kind::Empty);
        assert_eq!(queue.wait(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
        put_and_stop(&queue, b"the last one");
        drop(held);
        closer.join().unwrap().unwrap();
    });
    assert_eq!(queue.put(b"more", Deadline::NOW).unwrap_err().kind(), Kind::Closed);
    assert_eq!(queue.get(Deadline::NOW).unwrap(), b"the last one");
    assert_eq!(queue.get(Deadline::NOW).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn who_waits_and_leaves_the_item_wakes_one_that_takes_it() {
    let queue = Queue::new(QueueOptions::default()).unwrap();
    thread::scope(|scope| {
        // The one that slept first is woken first.
        let waiter = asleep(scope, || queue.wait(Deadline::NEVER));
        let taker = asleep(scope, || queue.get(Deadline::NEVER));
        queue.put(b"item", Deadline::NOW).unwrap();
        waiter.join().unwrap().unwrap();
        assert_eq!(taker.join().unwrap().unwrap(), b"item");
    });
}

#[test]
fn room_for_few_bytes_is_not_lost_on_one_that_wants_many() {
    let queue = Queue::new(QueueOptions { max_bytes: 100, ..QueueOptions::default() }).unwrap();
    queue.put(&[1; 40], Deadline::NOW).unwrap();
    queue.put(&[2; 60], Deadline::NOW).unwrap();
    thread::scope(|scope| {
        let large = asleep(scope, || queue.put(&[3; 80], Deadline::NEVER));
        let small = asleep(scope, || queue.put(&[4; 40], Deadline::NEVER));
        assert_eq!(queue.get(Deadline::NOW).unwrap().len(), 40);
        small.join().unwrap().unwrap();
        assert_eq!(queue.get(Deadline::NOW).unwrap().len(), 60);
        assert_eq!(queue.get(Deadline::NOW).unwrap().len(), 40);
        large.join().unwrap().unwrap();
    });
    assert_eq!(queue.get(Deadline::NOW).unwrap().len(), 80);
}
