// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that share a queue are killed at random instants: nobody hangs, nothing is delivered twice, torn or
//! out of order, and nothing is lost but what a killed consumer had in its hands.
//!
//! What happens is written to a file that all append to. `CARRICK_SOAK` is how long to go on, in seconds (5).
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::Deadline;
use carrick::queue::{Queue, QueueOptions};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use support::Test;
use support::actors::{self, Actor, nameless, open, path_of, seconds, variable};

const NEVER: Deadline = Deadline::NEVER;
/// consumer, producer, number, nothing. A page of a file holds whole ones: what a kill cuts short is written up to the
/// end of a page.
const ENTRY: usize = 32;
/// Places for the last number that a producer knows to be in the queue.
const PRODUCERS: u64 = 1 << 20;

fn item(producer: u64, number: u64) -> Vec<u8> {
    // Mostly small, now and then larger than the smallest ring.
    let length = if number % 97 == 96 { 100_000 } else { (number * 13 % 800) as usize };
    let mut item = [producer.to_le_bytes(), number.to_le_bytes()].concat();
    item.extend((0..length).map(|i| (producer as usize + number as usize + i) as u8));
    item
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn log(log: &mut File, consumer: u64, item_: &[u8]) {
    let (producer, number) = (word(item_, 0), word(item_, 8));
    assert!(item_ == item(producer, number), "torn: producer {producer}, number {number}");
    log.write_all(&[consumer, producer, number, 0].map(u64::to_le_bytes).concat()).unwrap();
}

/// What a child does: everything but its end is up to it.
#[test]
#[ignore = "a part of the other test, which starts it"]
fn role() {
    let Some(role) = actors::role() else { return };
    let queue = Queue::attach(open("CARRICK_QUEUE").into()).unwrap();
    let me: u64 = variable("CARRICK_ID").parse().unwrap();
    if role == "consumer" {
        let mut entries = OpenOptions::new().append(true).open(variable("CARRICK_LOG")).unwrap();
        while let Ok(item) = queue.get(NEVER) {
            log(&mut entries, me, &item);
        }
    } else {
        let put = open("CARRICK_PUT");
        for number in 0.. {
            if queue.put(&item(me, number), NEVER).is_err() {
                return;
            }
            put.write_all_at(&(number + 1).to_le_bytes(), me * 8).unwrap();
        }
    }
}

struct Stage {
    queue: Queue,
    entries: File,
    put: File,
    started: Cell<u64>,
}

impl Stage {
    fn start(&self, role: &'static str) -> Actor {
        let id = self.started.get();
        self.started.set(id + 1);
        let variables = [
            ("CARRICK_ID", id.to_string()),
            ("CARRICK_QUEUE", path_of(&self.queue)),
            ("CARRICK_LOG", path_of(&self.entries)),
            ("CARRICK_PUT", path_of(&self.put)),
        ];
        Actor::start(role, &variables)
    }
}

fn soak(max_items: u64, seconds: u64) {
    let queue = Queue::new(QueueOptions { max_items, ..QueueOptions::default() }).unwrap();
    let put = nameless();
    put.set_len(PRODUCERS * 8).unwrap();
    let stage = Stage { queue, entries: nameless(), put, started: Cell::new(0) };
    let (kills, killed) = actors::soak(
        &["producer", "consumer", "producer", "consumer"],
        seconds,
        Duration::from_millis(8),
        |role| stage.start(role),
        || stage.entries.metadata().unwrap().len(),
    );
    let consumer_kills = killed.iter().filter(|role| **role == "consumer").count() as u64;
    // What is left is taken by somebody who is not killed.
    let path = format!("/proc/self/fd/{}", stage.entries.as_raw_fd());
    let mut entries = OpenOptions::new().append(true).open(path).unwrap();
    while let Ok(item) = stage.queue.get(Deadline::NOW) {
        log(&mut entries, u64::MAX, &item);
    }
    stage.queue.put(b"usable", NEVER).unwrap();
    assert_eq!(stage.queue.get(NEVER).unwrap(), b"usable");
    report(&stage, kills, consumer_kills);
}

fn report(stage: &Stage, kills: usize, consumer_kills: u64) {
    let length = stage.entries.metadata().unwrap().len();
    assert_eq!(length % ENTRY as u64, 0, "an entry was torn");
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    stage.entries.read_exact_at(&mut bytes, 0).unwrap();
    let mut seen = HashSet::new();
    let mut last: HashMap<(u64, u64), u64> = HashMap::new();
    let mut delivered: HashMap<u64, u64> = HashMap::new();
    for entry in bytes.chunks_exact(ENTRY) {
        let (consumer, producer, number) = (word(entry, 0), word(entry, 8), word(entry, 16));
        assert!(seen.insert((producer, number)), "delivered twice: producer {producer}, number {number}");
        let before = last.insert((consumer, producer), number);
        assert!(before < Some(number), "out of order: producer {producer}, number {number} after {before:?}");
        *delivered.entry(producer).or_default() += 1;
    }
    let mut lost = 0;
    for producer in 0..stage.started.get() {
        let mut known = [0; 8];
        stage.put.read_exact_at(&mut known, producer * 8).unwrap();
        lost += u64::from_le_bytes(known).saturating_sub(delivered.get(&producer).copied().unwrap_or(0));
    }
    let text = format!(
        "{} items, {kills} kills ({consumer_kills} of consumers), {lost} lost in a consumer's hands\n",
        seen.len()
    );
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    assert!(lost <= consumer_kills, "{lost} items are lost and {consumer_kills} consumers were killed");
}

#[test]
fn killed_producers_and_consumers_of_an_unbounded_queue_cost_nobody_else_anything() {
    let _test = Test::begin();
    soak(0, seconds().div_ceil(2));
}

#[test]
fn killed_producers_and_consumers_of_a_bounded_queue_cost_nobody_else_anything() {
    let _test = Test::begin();
    soak(8, seconds().div_ceil(2));
}
