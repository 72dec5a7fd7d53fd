// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that share a queue are killed at random instants: nobody hangs, nothing is delivered twice, torn or
//! out of order, and nothing is lost but what a killed consumer had in its hands. So are parents that have their fork
//! servers and children use it, and of those nothing is left.
//!
//! All append their events to one file. `CARRICK_SOAK` is how long to go on, in seconds (5).
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here is a failed test")]

mod support;

use carrick::process::{Child, ForkServer, StartOptions, Task};
use carrick::queue::{Queue, QueueOptions};
use carrick::{Deadline, Kind};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;
use support::Test;
use support::actors::{self, Actor, nameless, next, open, path_of, seconds, variable};

const NEVER: Deadline = Deadline::NEVER;
/// consumer, producer, number, nothing. A page of a file holds whole ones: what a kill cuts short is written up to the
/// end of a page.
const ENTRY: usize = 32;
/// How many items are put or taken at a time, by those who do so.
const MANY: usize = 7;
/// Places for the last number that a producer knows to be in the queue.
const PRODUCERS: u64 = 1 << 23;

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

/// The work of a child: everything but its end is up to it.
#[test]
#[ignore = "a part of the other test, which starts it"]
fn role() {
    let Some(role) = actors::role() else { return };
    let me: u64 = variable("CARRICK_ID").parse().unwrap();
    let (queue, put) = (open("CARRICK_QUEUE"), open("CARRICK_PUT"));
    let entries = OpenOptions::new().append(true).open(variable("CARRICK_LOG")).unwrap();
    match role.as_str() {
        "parent" => parent(me, &[queue.into(), entries.into(), put.into()]),
        role => play(role.as_bytes()[0], me, queue.into(), entries, &put),
    }
}

fn play(role: u8, me: u64, queue: OwnedFd, mut entries: File, put: &File) {
    let queue = Queue::attach(queue).unwrap();
    if role == b'C' {
        while let Ok(items) = queue.get_many(MANY, NEVER) {
            items.iter().for_each(|item| log(&mut entries, me, item));
        }
        return;
    }
    if role == b'P' {
        for first in (0..).step_by(MANY) {
            let items: Vec<_> = (first..first + MANY as u64).map(|number| item(me, number)).collect();
            let put_now = queue.put_many(&items, NEVER).map_or_else(|error| error.put, |()| MANY);
            put.write_all_at(&(first + put_now as u64).to_le_bytes(), me * 8).unwrap();
            if put_now < MANY {
                return;
            }
        }
    }
    if role == b'c' {
        // Every other one reads in place.
        // SAFETY: nobody writes to the queue's memory but the library.
        let in_place = || unsafe { queue.get_in_place(<[u8]>::to_vec, NEVER) };
        while let Ok(item) = if me.is_multiple_of(2) { queue.get(NEVER) } else { in_place() } {
            log(&mut entries, me, &item);
        }
        return;
    }
    for number in 0.. {
        if queue.put(&item(me, number), NEVER).is_err() {
            return;
        }
        put.write_all_at(&(number + 1).to_le_bytes(), me * 8).unwrap();
    }
}

/// The work of a child of a parent's fork server.
fn task(task: Task) -> i32 {
    let [queue, entries, put] = <[OwnedFd; 3]>::try_from(task.descriptors).unwrap();
    play(task.body[0], word(&task.body, 1), queue, entries.into(), &put.into());
    0
}

/// Numbers for the children of one parent.
const CHILDREN: u64 = 512;
/// The counts of a parent: servers and children that it killed, and consumers that it started.
const COUNTS: u64 = 3;

/// A parent: it has a fork server, and a producer and a consumer as daemons, and kills them at random instants.
fn parent(me: u64, descriptors: &[OwnedFd; 3]) {
    let counts = open("CARRICK_COUNTS");
    let count = |which: u64| {
        let (mut bytes, at) = ([0; 8], (me * COUNTS + which) * 8);
        counts.read_exact_at(&mut bytes, at).unwrap();
        counts.write_all_at(&(u64::from_le_bytes(bytes) + 1).to_le_bytes(), at).unwrap();
    };
    let daemon = StartOptions { daemon: true, channel: false };
    let fds = descriptors.each_ref().map(AsFd::as_fd);
    let mut seed = u64::from(std::process::id());
    let mut children: Vec<(u8, Child)> = Vec::new();
    let mut server = ForkServer::new(task).unwrap();
    for number in me * CHILDREN..(me + 1) * CHILDREN {
        let role = if children.iter().any(|(role, _)| *role == b'p') { b'c' } else { b'p' };
        if role == b'c' {
            count(2);
        }
        let body = [&[role][..], &number.to_le_bytes()].concat();
        match server.start(&body, &fds, daemon) {
            Ok(child) => children.push((role, child)),
            Err(error) if error.kind() == Kind::Closed => server = ForkServer::new(task).unwrap(),
            Err(error) => panic!("{error}"),
        }
        if children.len() < 2 {
            continue;
        }
        std::thread::park_timeout(Duration::from_micros(next(&mut seed) % 5000));
        let (_, child) = children.swap_remove(next(&mut seed) as usize % 2);
        if next(&mut seed).is_multiple_of(3) {
            // Before its children, whose ends it would tell.
            server.process().kill().unwrap();
            count(0);
            children.drain(..).for_each(|(_, child)| child.kill().unwrap());
            count(1);
        }
        child.kill().unwrap();
        count(1);
        child.join(NEVER).unwrap();
    }
    loop {
        std::thread::park();
    }
}

struct Stage {
    queue: Queue,
    entries: File,
    put: File,
    counts: File,
    started: Cell<u64>,
    /// For each actor.
    lives: RefCell<Vec<PipeReader>>,
}

impl Stage {
    fn new(queue: Queue) -> Self {
        let put = nameless();
        put.set_len(PRODUCERS * 8).unwrap();
        let counts = nameless();
        counts.set_len(PRODUCERS / CHILDREN * COUNTS * 8).unwrap();
        let (entries, started, lives) = (nameless(), Cell::new(0), RefCell::default());
        Self { queue, entries, put, counts, started, lives }
    }

    fn counted(&self, which: u64) -> u64 {
        let mut bytes = [0; 8];
        (0..self.started.get())
            .map(|parent| {
                self.counts.read_exact_at(&mut bytes, (parent * COUNTS + which) * 8).unwrap();
                u64::from_le_bytes(bytes)
            })
            .sum()
    }

    fn start(&self, role: &'static str) -> Actor {
        let id = self.started.get();
        self.started.set(id + 1);
        let variables = [
            ("CARRICK_ID", id.to_string()),
            ("CARRICK_QUEUE", path_of(&self.queue)),
            ("CARRICK_LOG", path_of(&self.entries)),
            ("CARRICK_PUT", path_of(&self.put)),
            ("CARRICK_COUNTS", path_of(&self.counts)),
        ];
        // A pipe that ends with the last process that has come from the actor.
        let (life, end) = std::io::pipe().unwrap();
        self.lives.borrow_mut().push(life);
        Actor::start_with(role, &variables, end.into())
    }
}

/// `hands` is what a consumer has in its hands at the most.
fn soak(max_items: u64, seconds: u64, roles: &[&'static str], hands: u64) {
    let queue = Queue::new(QueueOptions { max_items, ..QueueOptions::default() }).unwrap();
    let stage = Stage::new(queue);
    let (kills, killed) = actors::soak(
        roles,
        seconds,
        Duration::from_millis(8),
        |role| stage.start(role),
        || stage.entries.metadata().unwrap().len(),
    );
    let consumer_kills =
        killed.iter().filter(|role| role.to_lowercase().starts_with("consumer")).count() as u64;
    drain(&stage);
    let producers = stage.started.get();
    report(
        &stage,
        producers,
        &format!("{kills} kills ({consumer_kills} of consumers)"),
        consumer_kills * hands,
    );
}

/// Takes what is left, as somebody who is not killed.
fn drain(stage: &Stage) {
    let path = format!("/proc/self/fd/{}", stage.entries.as_raw_fd());
    let mut entries = OpenOptions::new().append(true).open(path).unwrap();
    while let Ok(item) = stage.queue.get(Deadline::NOW) {
        log(&mut entries, u64::MAX, &item);
    }
    stage.queue.put(b"usable", NEVER).unwrap();
    assert_eq!(stage.queue.get(NEVER).unwrap(), b"usable");
}

fn report(stage: &Stage, producers: u64, kills: &str, most_lost: u64) {
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
    for producer in 0..producers {
        let mut known = [0; 8];
        stage.put.read_exact_at(&mut known, producer * 8).unwrap();
        lost += u64::from_le_bytes(known).saturating_sub(delivered.get(&producer).copied().unwrap_or(0));
    }
    let text = format!("{} items, {kills}, {lost} lost in a consumer's hands\n", seen.len());
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    assert!(lost <= most_lost, "{lost} items are lost, and the killed consumers had at most {most_lost}");
}

const ROLES: [&str; 4] = ["producer", "consumer", "producer", "consumer"];

#[test]
fn killed_producers_and_consumers_of_an_unbounded_queue_cost_nobody_else_anything() {
    let _test = Test::begin();
    soak(0, seconds().div_ceil(4), &ROLES, 1);
}

#[test]
fn killed_producers_and_consumers_of_a_bounded_queue_cost_nobody_else_anything() {
    let _test = Test::begin();
    soak(8, seconds().div_ceil(4), &ROLES, 1);
}

#[test]
fn killed_producers_and_consumers_of_many_items_at_a_time_cost_nobody_else_anything() {
    let _test = Test::begin();
    soak(20, seconds().div_ceil(4), &["Producer", "Consumer", "producer", "Consumer"], MANY as u64);
}

#[test]
fn killed_parents_and_fork_servers_leave_no_process_and_cost_nobody_else_anything() {
    let _test = Test::begin();
    support::raise_fd_limit();
    let stage = Stage::new(Queue::new(QueueOptions { max_items: 100, ..QueueOptions::default() }).unwrap());
    let progress = || stage.entries.metadata().unwrap().len();
    let most = Duration::from_millis(100);
    let start = |role| stage.start(role);
    let (parents, _) = actors::soak(&["parent", "parent"], seconds().div_ceil(4), most, start, progress);
    // Of none of them any process is left: the watchdog ends this where one is.
    for mut life in stage.lives.take() {
        assert_eq!(life.read(&mut [0]).unwrap(), 0);
    }
    drain(&stage);
    let (servers, children, consumers) = (stage.counted(0), stage.counted(1), stage.counted(2));
    assert!(servers > 0 && children > servers);
    let kills = parents as u64 + servers + children;
    let text = format!("{kills} kills ({parents} of parents, {servers} of fork servers)");
    report(&stage, stage.started.get() * CHILDREN, &text, consumers);
}
