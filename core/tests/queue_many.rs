// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queues: several items at a time.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::queue::{Queue, QueueOptions};
use carrick::{Deadline, Error, Kind};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use support::{Test, asleep, moment, named, soon};

fn bounded(max_items: u64, max_bytes: u64) -> Queue {
    Queue::new(QueueOptions { max_items, max_bytes, ..QueueOptions::default() }).unwrap()
}

/// Items that do not fit into one ring, and some that are larger than the smallest one.
fn bodies(count: usize) -> Vec<Vec<u8>> {
    let length = |number| if number % 50 == 49 { 70_000 } else { number * 13 % 700 };
    (0..count).map(|number| vec![number as u8; length(number)]).collect()
}

#[test]
fn what_is_put_together_comes_out_one_by_one_and_the_other_way_round() {
    let _test = Test::begin();
    let queue = bounded(0, 0);
    let items = bodies(2000);
    queue.put_many(&items, Deadline::NOW).unwrap();
    assert_eq!(queue.len().unwrap(), 2000);
    for item in &items {
        assert_eq!(&queue.get(Deadline::NOW).unwrap(), item);
    }
    for item in &items {
        queue.put(item, Deadline::NOW).unwrap();
    }
    assert_eq!(queue.get_many(3, Deadline::NOW).unwrap(), items[..3]);
    assert_eq!(queue.get_many(usize::MAX, Deadline::NOW).unwrap(), items[3..]);
    assert_eq!(queue.bytes().unwrap(), 0);
    assert_eq!(queue.get_many(0, Deadline::NEVER).unwrap(), [[0; 0]; 0]);
    assert_eq!(queue.get_many(1, Deadline::NOW).unwrap_err().kind(), Kind::Empty);
    assert_eq!(queue.get_many(1, moment()).unwrap_err().kind(), Kind::Timeout);
    queue.put_many(&[[0; 0]; 0], Deadline::NEVER).unwrap();
    assert!(queue.is_empty().unwrap());
}

#[test]
fn where_no_room_is_left_the_error_tells_how_many_are_in_the_queue() {
    let _test = Test::begin();
    let queue = bounded(3, 100);
    let items = [&b"one"[..], b"two", b"three", b"four"];
    let refused = |items: &[&[u8]], deadline| {
        let error = queue.put_many(items, deadline).unwrap_err();
        (error.put, error.error.kind())
    };
    assert_eq!(refused(&items, Deadline::NOW), (3, Kind::Full));
    assert_eq!(refused(&items, Deadline::NOW), (0, Kind::Full));
    assert_eq!(refused(&items, moment()), (0, Kind::Timeout));
    assert_eq!(queue.get_many(2, Deadline::NOW).unwrap(), items[..2]);
    queue.put_many(&items[3..], Deadline::NOW).unwrap();
    assert_eq!(queue.get_many(9, Deadline::NOW).unwrap(), items[2..]);
}

#[test]
fn an_item_that_can_never_fit_leaves_those_before_it() {
    let _test = Test::begin();
    let queue = bounded(0, 10);
    let error = queue.put_many(&[&b"one"[..], b"longer than ten", b"three"], Deadline::NEVER).unwrap_err();
    assert_eq!((error.put, error.error.kind()), (1, Kind::FrameTooLarge));
    assert!(error.to_string().ends_with("(after 1 items that were put)"), "{error}");
    assert_eq!(Error::from(error).kind(), Kind::FrameTooLarge);
    assert_eq!(queue.get_many(5, Deadline::NOW).unwrap(), [b"one"]);
    queue.put(b"last", Deadline::NOW).unwrap();
    queue.close().unwrap();
    let error = queue.put_many(&[b"late"], Deadline::NEVER).unwrap_err();
    assert_eq!((error.put, error.error.kind()), (0, Kind::Closed));
    assert_eq!(queue.get_many(5, Deadline::NEVER).unwrap(), [b"last"]);
    assert_eq!(queue.get_many(5, Deadline::NEVER).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn who_waits_for_room_or_for_an_item_is_woken() {
    let _test = Test::begin();
    let queue = std::sync::Arc::new(bounded(2, 0));
    let items = bodies(100);
    let taker = {
        let queue = queue.clone();
        named("taker", move || queue.get_many(usize::MAX, soon()).unwrap())
    };
    asleep("taker");
    let putter = {
        let (queue, items) = (queue.clone(), items.clone());
        named("putter", move || queue.put_many(&items, soon()).unwrap())
    };
    let mut taken = taker.join().unwrap();
    asleep("putter");
    while taken.len() < 100 {
        taken.extend(queue.get_many(3, soon()).unwrap());
    }
    putter.join().unwrap();
    assert_eq!(taken, items);
}

#[test]
fn many_producers_and_consumers_lose_nothing_and_keep_each_producers_order() {
    const EACH: u64 = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    let _test = Test::begin();
    for max_items in [0, 7] {
        let queue = bounded(max_items, 0);
        let taken: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
            let consumers: Vec<_> = (0..3)
                .map(|most| {
                    let queue = &queue;
                    scope.spawn(move || {
                        let mut all = Vec::new();
                        while let Ok(items) = queue.get_many(1 + 10 * most, soon()) {
                            all.extend(items);
                        }
                        all
                    })
                })
                .collect();
            std::thread::scope(|scope| {
                for producer in 0..3_u64 {
                    let items: Vec<_> =
                        (0..EACH).map(|n| [producer.to_le_bytes(), n.to_le_bytes()].concat()).collect();
                    let queue = &queue;
                    scope.spawn(move || {
                        items.chunks(17).for_each(|some| queue.put_many(some, soon()).unwrap())
                    });
                }
            });
            queue.close().unwrap();
            consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().map(Vec::len).sum::<usize>() as u64, 3 * EACH);
        for items in &taken {
            let mut last: HashMap<&[u8], u64> = HashMap::new();
            for item in items {
                let number = u64::from_le_bytes(item[8..].try_into().unwrap());
                assert!(last.insert(&item[..8], number) < Some(number));
            }
        }
    }
}

#[test]
fn what_stands_in_the_way_of_a_later_item_is_the_error_of_the_next_call() {
    let _test = Test::begin();
    let queue = bounded(0, 0);
    queue.put_many(&["one", "two", "three"], Deadline::NOW).unwrap();
    // The length of the second: the ring begins behind a page, and each of these takes 16 bytes.
    let memory = File::from(queue.as_fd().try_clone_to_owned().unwrap());
    memory.write_all_at(&u64::MAX.to_le_bytes()[1..], 4096 + 16).unwrap();
    assert_eq!(queue.get_many(9, Deadline::NOW).unwrap(), [b"one"]);
    assert_eq!(queue.get_many(9, Deadline::NOW).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(queue.len().unwrap(), 2);
}

#[test]
fn an_event_descriptor_is_readable_while_an_item_is_there() {
    let _test = Test::begin();
    let queue = bounded(0, 0).selectable().unwrap();
    let readable = || carrick::net::readable(queue.event_fd().unwrap(), Deadline::NOW).unwrap();
    assert!(!readable());
    queue.put_many(&["one", "two", "three"], Deadline::NOW).unwrap();
    assert!(readable());
    queue.get_many(2, Deadline::NOW).unwrap();
    assert!(readable());
    queue.get_many(2, Deadline::NOW).unwrap();
    assert!(!readable());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_does_what_a_list_does(
        max_items in 0_u64..30,
        max_bytes in prop_oneof![Just(0), 1_u64..300_000],
        steps in vec((any::<bool>(), vec(prop_oneof![0_usize..40, 0..100_000_usize], 0..12)), 1..40),
    ) {
        let _test = Test::begin();
        let queue = bounded(max_items, max_bytes);
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        for (step, (put, lengths)) in steps.into_iter().enumerate() {
            if put {
                let items: Vec<_> = lengths.iter().map(|length| vec![step as u8; *length]).collect();
                let put = queue.put_many(&items, Deadline::NOW);
                let mut expected = Ok(());
                for (number, item) in items.into_iter().enumerate() {
                    let (length, bytes) = (item.len() as u64, model.iter().map(|item| item.len() as u64).sum::<u64>());
                    if max_bytes != 0 && length > max_bytes {
                        expected = Err((number, Kind::FrameTooLarge));
                    } else if (max_items != 0 && model.len() as u64 == max_items)
                        || (max_bytes != 0 && bytes + length > max_bytes)
                    {
                        expected = Err((number, Kind::Full));
                    } else {
                        model.push_back(item);
                        continue;
                    }
                    break;
                }
                prop_assert_eq!(put.map_err(|error| (error.put, error.error.kind())), expected);
            } else {
                let most = lengths.len();
                let taken = queue.get_many(most, Deadline::NOW).map_err(|error| error.kind());
                let expected: Vec<_> = model.drain(..most.min(model.len())).collect();
                let none = expected.is_empty() && most > 0;
                prop_assert_eq!(taken, if none { Err(Kind::Empty) } else { Ok(expected) });
            }
            prop_assert_eq!(queue.len().unwrap(), model.len() as u64);
            prop_assert_eq!(queue.bytes().unwrap(), model.iter().map(|item| item.len() as u64).sum::<u64>());
        }
    }
}
