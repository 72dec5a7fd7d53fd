// SPDX-License-Identifier: MIT OR Apache-2.0
//! Models of a queue's side: every interleaving, and every value that the orderings allow a load to see.
//! `make models` runs them.

use super::layout::{Commit, Side};
use super::wait::Waiting;
use crate::net::Spin;
use crate::sync::wake;
use crate::time::Deadline;
use loom::sync::Arc;
use loom::thread;

fn commit(number: u64) -> Commit {
    Commit { ring: 0, place: number * 8, items: number, bytes: number * 100 }
}

#[test]
fn a_commit_is_seen_whole_or_not_at_all() {
    loom::model(|| {
        let side = Arc::new(Side::default());
        let writer = {
            let side = Arc::clone(&side);
            thread::spawn(move || {
                // The second one overwrites what a reader of the beginning reads.
                for number in 1..=2 {
                    side.commit(commit(number));
                }
            })
        };
        let (version, seen) = side.read().unwrap();
        assert_eq!((seen.place, seen.items, seen.bytes), (version * 8, version, version * 100));
        writer.join().unwrap();
    });
}

#[test]
fn who_sleeps_until_the_next_commit_is_woken_by_it() {
    loom::model(|| {
        let side = Arc::new(Side::default());
        let producer = {
            let side = Arc::clone(&side);
            thread::spawn(move || {
                side.commit(commit(1));
                if side.take_sleepers() {
                    wake(side.word(), 1);
                }
            })
        };
        let spin = Spin::new();
        let mut waiting = Waiting::new(&spin);
        loop {
            let (version, seen) = side.read().unwrap();
            if seen.items > 0 {
                break;
            }
            waiting.for_commit(&side, version, "model", Deadline::NEVER).unwrap();
        }
        producer.join().unwrap();
    });
}
