// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queues in shared memory: order, limits, growth, and memory that holds nonsense.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::process::{StartOptions, fork};
use carrick::queue::{Queue, QueueOptions};
use carrick::{Deadline, Kind};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use support::{Test, asleep, eventually, named};

const NEVER: Deadline = Deadline::NEVER;

fn unbounded() -> Queue {
    Queue::new(QueueOptions::default()).unwrap()
}

fn bounded(max_items: u64, max_bytes: u64) -> Queue {
    Queue::new(QueueOptions { max_items, max_bytes, soft: false }).unwrap()
}

/// Bytes of memory that the queue takes.
fn taken(queue: &Queue) -> u64 {
    File::from(queue.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().blocks() * 512
}

/// The item at the beginning, read where it lies.
fn get_in_place(queue: &Queue, deadline: Deadline) -> carrick::Result<Vec<u8>> {
    // SAFETY: nobody writes to the queue's memory but the library.
    unsafe { queue.get_in_place(<[u8]>::to_vec, deadline) }
}

/// A body that says what it is, wherever it was cut.
fn body(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (number.wrapping_mul(31).wrapping_add(i) % 251) as u8).collect()
}

#[test]
fn items_come_out_whole_and_in_order_whatever_their_length() {
    let _test = Test::begin();
    let queue = unbounded();
    let lengths = [0, 1, 7, 8, 9, 4095, 65_527, 65_528, 65_529, 3 << 20, 0, 5, 9 << 20, 1];
    for (number, length) in lengths.into_iter().enumerate() {
        queue.put(&body(number, length), Deadline::NOW).unwrap();
    }
    assert_eq!(queue.len().unwrap(), lengths.len() as u64);
    assert_eq!(queue.bytes().unwrap(), lengths.iter().sum::<usize>() as u64);
    for (number, length) in lengths.into_iter().enumerate() {
        assert_eq!(
            queue.get(Deadline::NOW).unwrap(),
            body(number, length),
            "item {number} of {length} bytes"
        );
    }
    assert_eq!(queue.get(Deadline::NOW).unwrap_err().kind(), Kind::Empty);
}

#[test]
fn an_item_that_is_read_in_place_is_in_one_piece_wherever_it_lies() {
    let _test = Test::begin();
    let queue = unbounded();
    queue.put(&body(0, 30_000), Deadline::NOW).unwrap();
    // Two at a time, which go round in the smallest ring, whose length is no multiple of theirs.
    for number in 1..50 {
        queue.put(&body(number, 30_000), Deadline::NOW).unwrap();
        assert_eq!(get_in_place(&queue, Deadline::NOW).unwrap(), body(number - 1, 30_000), "item {number}");
    }
    queue.put(&body(50, 5 << 20), Deadline::NOW).unwrap();
    queue.put(&body(51, 0), Deadline::NOW).unwrap();
    for (number, length) in [(49, 30_000), (50, 5 << 20), (51, 0)] {
        assert_eq!(get_in_place(&queue, Deadline::NOW).unwrap(), body(number, length));
    }
    assert_eq!(get_in_place(&queue, Deadline::NOW).unwrap_err().kind(), Kind::Empty);
    assert!(taken(&queue) < 200_000, "{} bytes", taken(&queue));
}

#[test]
fn an_item_whose_reader_fails_is_the_next_ones() {
    let _test = Test::begin();
    let queue = unbounded();
    queue.put(b"first", NEVER).unwrap();
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: nobody writes to the queue's memory but the library.
        unsafe { queue.get_in_place(|_| std::panic::resume_unwind(Box::new("on purpose")), NEVER) }
    }));
    let read: Result<carrick::Result<()>, _> = read;
    assert!(read.is_err());
    assert_eq!(queue.get(Deadline::NOW).unwrap(), b"first");
    // Not taken for a reader any more.
    assert_eq!(queue.get(Deadline::NOW).unwrap_err().kind(), Kind::Empty);
    queue.close().unwrap();
}

#[test]
fn a_reader_in_place_may_put_and_is_refused_what_would_wait_for_itself() {
    let _test = Test::begin();
    let (queue, other) = (Arc::new(unbounded()), unbounded());
    let again = Queue::attach(queue.as_fd().try_clone_to_owned().unwrap()).unwrap();
    queue.put(b"first", NEVER).unwrap();
    other.put(b"other", NEVER).unwrap();
    let read = |item: &[u8]| {
        assert_eq!(queue.get(NEVER).unwrap_err().kind(), Kind::Reentrant);
        assert_eq!(queue.get_into(&mut [0; 9], Deadline::NOW).unwrap_err().kind(), Kind::Reentrant);
        assert_eq!(get_in_place(&queue, Deadline::NOW).unwrap_err().kind(), Kind::Reentrant);
        assert_eq!(queue.try_get_with(|_| Ok(Vec::new())).unwrap_err().kind(), Kind::Reentrant);
        assert_eq!(again.get(NEVER).unwrap_err().kind(), Kind::Reentrant);
        assert_eq!(queue.close().unwrap_err().kind(), Kind::Reentrant);
        assert_eq!(again.close().unwrap_err().kind(), Kind::Reentrant);
        assert!(!queue.is_closed().unwrap());
        queue.put(b"second", NEVER).unwrap();
        queue.put(&body(7, 3 << 20), NEVER).unwrap();
        assert_eq!(other.get(NEVER).unwrap(), b"other");
        assert_eq!(queue.len().unwrap(), 3);
        item.to_vec()
    };
    // SAFETY: nobody writes to the queue's memory but the library.
    assert_eq!(unsafe { queue.get_in_place(read, NEVER) }.unwrap(), b"first");
    assert_eq!(queue.get(NEVER).unwrap(), b"second");
    assert_eq!(queue.get(NEVER).unwrap(), body(7, 3 << 20));
}

#[test]
fn a_fork_in_a_reader_leaves_the_lock_to_the_parent_however_it_ends() {
    let _test = Test::begin();
    let queue = unbounded();
    queue.put(b"first", NEVER).unwrap();
    queue.put(b"second", NEVER).unwrap();
    for (panics, item) in [(false, b"first".as_slice()), (true, b"second")] {
        let read = |body: &[u8]| {
            assert_eq!(body, item);
            // SAFETY: the child calls what a child may call, and ends.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                if panics {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                return 0;
            }
            // Until the child has ended nobody else can take.
            let mut status = -1;
            // SAFETY: status is a place for the result.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            let other = Queue::attach(queue.as_fd().try_clone_to_owned().unwrap()).unwrap();
            let taken = thread::spawn(move || other.get(Deadline::after(Duration::from_millis(10))));
            assert_eq!(taken.join().unwrap().unwrap_err().kind(), Kind::Timeout);
            status
        };
        // SAFETY: nobody writes to the queue's memory but the library.
        let read = || unsafe { queue.get_in_place(read, NEVER) };
        let received = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
        if !matches!(received, Ok(Ok(1..))) {
            let right = if panics { received.is_err() } else { matches!(received, Ok(Ok(0))) };
            // SAFETY: ends the child at once, and nothing of the parent's is run in it.
            unsafe { libc::_exit(i32::from(right)) };
        }
        assert_eq!(received.unwrap().unwrap(), 1 << 8);
    }
    assert!(queue.is_empty().unwrap());
}

#[test]
fn consumers_wait_for_one_that_reads_in_place_and_producers_do_not() {
    let _test = Test::begin();
    let queue = Arc::new(unbounded());
    queue.put(b"first", NEVER).unwrap();
    let read = |item: &[u8]| {
        assert_eq!(item, b"first");
        let consumer = {
            let queue = Arc::clone(&queue);
            named("consumer", move || queue.get(NEVER))
        };
        asleep("consumer");
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(b"second", NEVER))
        };
        producer.join().unwrap().unwrap();
        assert!(!consumer.is_finished());
        consumer
    };
    // SAFETY: nobody writes to the queue's memory but the library.
    let consumer = unsafe { queue.get_in_place(read, NEVER) }.unwrap();
    assert_eq!(consumer.join().unwrap().unwrap(), b"second");
}

#[test]
fn a_crowd_takes_memory_and_gives_it_back() {
    let _test = Test::begin();
    let queue = unbounded();
    let item = body(1, 1 << 20);
    for _ in 0..64 {
        queue.put(&item, NEVER).unwrap();
    }
    assert!(taken(&queue) >= 64 << 20);
    for _ in 0..64 {
        assert!(queue.get(NEVER).unwrap() == item);
    }
    assert!(taken(&queue) < 1 << 20, "{} bytes are kept", taken(&queue));
    queue.put(b"still works", NEVER).unwrap();
    assert_eq!(queue.get(NEVER).unwrap(), b"still works");
}

/// Has a child killed in the middle of putting a large item.
fn kill_a_producer(queue: &Queue, large: &[u8]) {
    loop {
        let put = |_| i32::from(queue.put(large, NEVER).is_err());
        let child = fork(StartOptions::default(), put).unwrap();
        eventually("it has begun", || taken(queue) > 16 << 20);
        child.kill().unwrap();
        child.join(NEVER).unwrap();
        if queue.is_empty().unwrap() {
            assert!(taken(queue) > 16 << 20);
            return;
        }
        // It was quicker.
        drop(queue.get(NEVER).unwrap());
    }
}

#[test]
fn what_a_producer_that_is_killed_had_written_is_given_back() {
    let _test = Test::begin();
    let large = vec![7; 128 << 20];
    let queue = unbounded();
    queue.put(b"before", NEVER).unwrap();
    assert_eq!(queue.get(NEVER).unwrap(), b"before");
    let empty = taken(&queue);
    kill_a_producer(&queue, &large);
    queue.put(b"after", NEVER).unwrap();
    assert_eq!((taken(&queue), queue.get(NEVER).unwrap()), (empty, b"after".to_vec()));
    kill_a_producer(&queue, &large);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.get(NEVER).unwrap());
        eventually("who waits has tidied up", || taken(&queue) == empty);
        queue.put(b"at last", NEVER).unwrap();
        assert_eq!(waiting.join().unwrap(), b"at last");
    });
}

#[test]
fn large_items_of_a_queue_that_falls_empty_stay_in_the_memory_of_two() {
    let _test = Test::begin();
    let queue = unbounded();
    // With every number of items under way that the ring has room for, and lengths that leave every remainder.
    for under_way in 0..3 {
        for number in 0..under_way {
            queue.put(&body(number, 70_000), NEVER).unwrap();
        }
        for number in under_way..300 {
            queue.put(&body(number, 70_000 + number * 97), NEVER).unwrap();
            let first = number - under_way;
            let length = if first < under_way { 70_000 } else { 70_000 + first * 97 };
            assert_eq!(queue.get(NEVER).unwrap(), body(first, length));
        }
        for number in 300 - under_way..300 {
            assert_eq!(queue.get(NEVER).unwrap(), body(number, 70_000 + number * 97));
        }
    }
    assert_eq!(queue.bytes().unwrap(), 0);

    let queue = unbounded();
    for number in 0..100 {
        queue.put(&body(number, 1 << 20), NEVER).unwrap();
        assert_eq!(queue.get(NEVER).unwrap(), body(number, 1 << 20));
    }
    assert!(taken(&queue) < 5 << 19, "{} bytes for items of 1 MiB one after the other", taken(&queue));
}

#[test]
fn room_after_a_restart_is_counted_from_where_consumers_are() {
    let _test = Test::begin();
    let queue = unbounded();
    queue.put(&body(0, 131_065), NEVER).unwrap();
    assert_eq!(queue.get(NEVER).unwrap().len(), 131_065);
    // The first one starts anew; what the producer had seen before leaves no room for that and the next one.
    for length in [65_536, 0] {
        queue.put(&body(1, length), NEVER).unwrap();
    }
    assert_eq!(queue.get(NEVER).unwrap(), body(1, 65_536));
    assert_eq!(queue.get(NEVER).unwrap(), []);
}

#[test]
fn a_restart_that_leads_nowhere_is_corrupt() {
    let _test = Test::begin();
    // In place of the length of the first item, which is at a ring's beginning, and of the only one left, in the middle.
    for gets in 0..2 {
        let queue = unbounded();
        for number in 0..2 {
            queue.put(&body(number, 100), NEVER).unwrap();
        }
        for _ in 0..gets {
            queue.get(NEVER).unwrap();
        }
        writer(&queue).write_all_at(&u64::MAX.to_le_bytes(), 4096 + gets * 112).unwrap();
        assert_eq!(queue.get(NEVER).unwrap_err().kind(), Kind::Corrupt);
        assert_eq!(queue.get(NEVER).unwrap_err().kind(), Kind::Corrupt);
    }
}

#[test]
fn a_bounded_queue_is_full_then_has_room_again() {
    let _test = Test::begin();
    let queue = bounded(2, 0);
    queue.put(b"a", Deadline::NOW).unwrap();
    queue.put(b"b", Deadline::NOW).unwrap();
    assert_eq!(queue.put(b"c", Deadline::NOW).unwrap_err().kind(), Kind::Full);
    let soon = Deadline::after(Duration::from_millis(10));
    assert_eq!(queue.put(b"c", soon).unwrap_err().kind(), Kind::Timeout);
    assert_eq!(queue.get(NEVER).unwrap(), b"a");
    queue.put(b"c", Deadline::NOW).unwrap();
}

#[test]
fn a_queue_bounded_in_bytes_refuses_what_can_never_fit() {
    let _test = Test::begin();
    let queue = bounded(0, 100);
    let error = queue.put(&[0; 101], Deadline::NOW).unwrap_err();
    assert_eq!(error.kind(), Kind::FrameTooLarge);
    assert!(error.to_string().contains("101") && error.to_string().contains("100"), "{error}");
    queue.put(&[0; 60], Deadline::NOW).unwrap();
    assert_eq!(queue.put(&[0; 60], Deadline::NOW).unwrap_err().kind(), Kind::Full);
    queue.get(NEVER).unwrap();
    queue.put(&[0; 60], Deadline::NOW).unwrap();
}

#[test]
fn who_waits_for_an_item_or_for_room_is_woken() {
    let _test = Test::begin();
    let queue = Arc::new(bounded(1, 0));
    let other = Arc::clone(&queue);
    let taker = named("taker", move || (0..100).map(|_| other.get(NEVER).unwrap()[0]).collect::<Vec<u8>>());
    for number in 0..100 {
        if number % 10 == 0 {
            asleep("taker");
        }
        queue.put(&[number], NEVER).unwrap();
    }
    assert_eq!(taker.join().unwrap(), (0..100).collect::<Vec<u8>>());
}

#[test]
fn closing_wakes_everybody_and_leaves_what_is_there_to_be_taken() {
    let _test = Test::begin();
    let (full, empty) = (Arc::new(bounded(1, 0)), Arc::new(unbounded()));
    full.put(b"last", NEVER).unwrap();
    let (f, e) = (Arc::clone(&full), Arc::clone(&empty));
    let putter = named("putter", move || f.put(b"more", NEVER).unwrap_err().kind());
    let taker = named("taker", move || e.get(NEVER).unwrap_err().kind());
    asleep("putter");
    asleep("taker");
    full.close().unwrap();
    empty.close().unwrap();
    assert_eq!(putter.join().unwrap(), Kind::Closed);
    assert_eq!(taker.join().unwrap(), Kind::Closed);
    assert_eq!(full.put(b"more", Deadline::NOW).unwrap_err().kind(), Kind::Closed);
    assert_eq!(full.get(Deadline::NOW).unwrap(), b"last");
    assert_eq!(full.get(Deadline::NOW).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn join_returns_when_all_items_are_done() {
    let _test = Test::begin();
    let queue = Arc::new(unbounded());
    for number in 0..10 {
        queue.put(&[number], NEVER).unwrap();
    }
    assert_eq!(queue.join(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    let other = Arc::clone(&queue);
    let worker = thread::spawn(move || {
        for _ in 0..10 {
            other.get(NEVER).unwrap();
            other.task_done().unwrap();
        }
    });
    queue.join(NEVER).unwrap();
    worker.join().unwrap();
    assert_eq!(queue.unfinished().unwrap(), 0);
    assert_eq!(queue.task_done().unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn many_producers_and_consumers_lose_nothing_and_keep_each_producers_order() {
    const EACH: u32 = 5_000;
    let _test = Test::begin();
    let queue = Arc::new(unbounded());
    let producers: Vec<_> = (0..4_u32)
        .map(|producer| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for number in 0..EACH {
                    let mut item = [producer.to_le_bytes(), number.to_le_bytes()].concat();
                    item.resize(8 + (number as usize * 7) % 300, 0);
                    queue.put(&item, NEVER).unwrap();
                }
            })
        })
        .collect();
    let consumers: Vec<_> = (0..4)
        .map(|_| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let mut seen = Vec::new();
                while let Ok(item) = queue.get(NEVER) {
                    let word = |at: usize| u32::from_le_bytes(item[at..at + 4].try_into().unwrap());
                    seen.push((word(0), word(4)));
                }
                seen
            })
        })
        .collect();
    for producer in producers {
        producer.join().unwrap();
    }
    queue.close().unwrap();
    let mut all = Vec::new();
    for consumer in consumers {
        let seen = consumer.join().unwrap();
        for producer in 0..4 {
            let numbers: Vec<u32> = seen.iter().filter(|(p, _)| *p == producer).map(|(_, n)| *n).collect();
            assert!(numbers.is_sorted(), "producer {producer} out of order");
        }
        all.extend(seen);
    }
    all.sort_unstable();
    let expected: Vec<(u32, u32)> = (0..4).flat_map(|p| (0..EACH).map(move |n| (p, n))).collect();
    assert!(all == expected, "{} of {} items", all.len(), expected.len());
}

#[test]
fn many_producers_of_a_small_queue_all_get_their_turn() {
    const EACH: usize = 2_000;
    let _test = Test::begin();
    let queue = Arc::new(bounded(2, 0));
    let producers: Vec<_> = (0..4_u8)
        .map(|producer| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (0..EACH).for_each(|_| queue.put(&[producer], NEVER).unwrap()))
        })
        .collect();
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (0..EACH * 2).map(|_| queue.get(NEVER).unwrap()[0]).collect::<Vec<_>>())
        })
        .collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    let mut taken: Vec<u8> = consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
    taken.sort_unstable();
    assert!(
        taken.chunks(EACH).enumerate().all(|(producer, part)| part.iter().all(|p| *p as usize == producer))
    );
}

#[test]
fn an_event_descriptor_is_readable_while_an_item_is_there() {
    let _test = Test::begin();
    assert_eq!(unbounded().event_fd().unwrap_err().kind(), Kind::State);
    let queue = unbounded().selectable().unwrap();
    let readable = || carrick::net::readable(queue.event_fd().unwrap(), Deadline::NOW).unwrap();
    assert!(!readable());
    let (file, bell) = (queue.as_fd(), queue.bell_fd().unwrap());
    let (file, bell) = (file.try_clone_to_owned().unwrap(), bell.try_clone_to_owned().unwrap());
    assert_eq!(Queue::attach(file.try_clone().unwrap()).unwrap_err().kind(), Kind::Invalid);
    let other = Queue::attach_selectable(file, bell).unwrap();
    other.put(b"a", NEVER).unwrap();
    other.put(b"b", NEVER).unwrap();
    assert!(readable());
    queue.get(NEVER).unwrap();
    assert!(readable());
    queue.get(NEVER).unwrap();
    assert!(!readable());
}

#[test]
fn what_is_no_queue_cannot_be_attached() {
    let _test = Test::begin();
    let file = File::open("/dev/null").unwrap();
    assert_eq!(Queue::attach(file.into()).unwrap_err().kind(), Kind::Invalid);
    let queue = unbounded();
    writer(&queue).write_all_at(&[0; 8], 0).unwrap();
    let again = queue.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(Queue::attach(again).unwrap_err().kind(), Kind::Invalid);
}

fn writer(queue: &Queue) -> File {
    let path = format!("/proc/self/fd/{}", queue.as_fd().as_raw_fd());
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_does_what_a_list_does(
        steps in prop::collection::vec((any::<bool>(), 0_usize..200_000), 1..60),
        max_items in 0_u64..20,
    ) {
        let _test = Test::begin();
        let queue = bounded(max_items, 0);
        let mut model = VecDeque::new();
        for (number, (put, length)) in steps.into_iter().enumerate() {
            if put {
                let item = body(number, length);
                let full = max_items != 0 && model.len() as u64 == max_items;
                prop_assert_eq!(queue.put(&item, Deadline::NOW).err().map(|e| e.kind()), full.then_some(Kind::Full));
                if !full {
                    model.push_back(item);
                }
            } else {
                let expected = model.pop_front();
                let item = if length % 2 == 0 { queue.get(Deadline::NOW) } else { get_in_place(&queue, Deadline::NOW) };
                match item {
                    Ok(item) => prop_assert!(Some(item) == expected),
                    Err(e) => prop_assert!(e.kind() == Kind::Empty && expected.is_none()),
                }
            }
            prop_assert_eq!(queue.len().unwrap(), model.len() as u64);
        }
    }

    #[test]
    fn nonsense_in_the_memory_gives_an_error_and_no_more(
        writes in prop::collection::vec((0_u64..4096, any::<[u8; 8]>()), 1..8),
        steps in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let _test = Test::begin();
        let queue = unbounded();
        for number in 0..3 {
            queue.put(&body(number, 100), NEVER).unwrap();
        }
        let memory = writer(&queue);
        for (at, bytes) in &writes {
            memory.write_all_at(bytes, *at).unwrap();
        }
        for put in steps {
            if put {
                let _ = queue.put(b"after", Deadline::after(Duration::from_millis(1)));
            } else {
                let _ = queue.get(Deadline::after(Duration::from_millis(1)));
                let _ = get_in_place(&queue, Deadline::after(Duration::from_millis(1)));
            }
        }
        let _ = (queue.len(), queue.task_done(), queue.unfinished(), queue.join(Deadline::NOW));
    }
}

#[test]
fn a_soft_limit_lets_one_over_it() {
    let _test = Test::begin();
    let queue = Queue::new(QueueOptions { max_items: 0, max_bytes: 10, soft: true }).unwrap();
    queue.put(b"123456789", NEVER).unwrap();
    queue.put(&[7; 1000], Deadline::NOW).unwrap();
    assert_eq!(queue.put(b"", Deadline::NOW).unwrap_err().kind(), Kind::Full);
    assert_eq!(queue.get(NEVER).unwrap().len(), 9);
    assert_eq!(queue.put(b"", Deadline::NOW).unwrap_err().kind(), Kind::Full);
    assert_eq!(queue.get(NEVER).unwrap(), [7; 1000]);
    queue.put(b"x", Deadline::NOW).unwrap();
    assert!(queue.options().unwrap().soft);
}
