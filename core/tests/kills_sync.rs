// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that share locks, semaphores, conditions, events and barriers are killed at random instants: nobody
//! hangs, a lock never has two holders, and what is left can be used.
//!
//! They work on a file of words, the *board*. `CARRICK_SOAK` is how long to go on, in seconds (5).
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here is a failed test")]

mod support;

use carrick::sync::{Barrier, Condition, Event, Lock, Place, Semaphore, Taken};
use carrick::{Deadline, Error, Kind, Result};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use support::actors::{self, Actor, nameless, open, path_of, seconds, variable};
use support::{Test, soon};

const NEVER: Deadline = Deadline::NEVER;

/// A file of words.
struct Board(File);

/// Words of the board.
#[derive(Clone, Copy)]
enum Word {
    /// Whether somebody is between taking the lock and releasing it.
    Inside,
    /// Two that are always equal when the lock is free.
    Left,
    Right,
    /// How many items wait for a consumer.
    Items,
    /// Something that changes as long as there is progress.
    Progress,
    Count,
}

impl Board {
    fn read(&self, word: Word) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, word as u64 * 8).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn write(&self, word: Word, value: u64) {
        self.0.write_all_at(&value.to_le_bytes(), word as u64 * 8).unwrap();
    }

    fn advance(&self, word: Word) {
        self.write(word, self.read(word) + 1);
    }
}

/// Everything that is shared.
struct Stage {
    board: Board,
    lock: Lock,
    condition: Condition,
    semaphore: Semaphore,
    event: Event,
    barrier: Barrier,
}

impl Stage {
    fn new() -> Self {
        let board = nameless();
        board.set_len(Word::Count as u64 * 8).unwrap();
        Self {
            board: Board(board),
            lock: Lock::new().unwrap(),
            condition: Condition::new().unwrap(),
            semaphore: Semaphore::new(0).unwrap(),
            event: Event::new().unwrap(),
            barrier: Barrier::new(3).unwrap(),
        }
    }

    /// The variables that another process needs for [`attach`](Self::attach).
    fn variables(&self) -> Vec<(&'static str, String)> {
        let told = |place: Place<'_>| format!("{} {}", place.slot, path_of(&place.fd));
        vec![
            ("CARRICK_BOARD", path_of(&self.board.0)),
            ("CARRICK_LOCK", told(self.lock.place())),
            ("CARRICK_CONDITION", told(self.condition.place())),
            ("CARRICK_SEMAPHORE", told(self.semaphore.place())),
            ("CARRICK_EVENT", told(self.event.place())),
            ("CARRICK_BARRIER", told(self.barrier.place())),
        ]
    }

    fn attach() -> Self {
        fn attached<T>(name: &str, attach: impl Fn(&OwnedFd, u32) -> Result<T>) -> T {
            let told = variable(name);
            let (slot, path) = told.split_once(' ').unwrap();
            let file = File::options().read(true).write(true).open(path).unwrap();
            attach(&OwnedFd::from(file), slot.parse().unwrap()).unwrap()
        }
        Self {
            board: Board(open("CARRICK_BOARD")),
            lock: attached("CARRICK_LOCK", |fd, slot| Lock::attach(fd, slot)),
            condition: attached("CARRICK_CONDITION", |fd, slot| Condition::attach(fd, slot)),
            semaphore: attached("CARRICK_SEMAPHORE", |fd, slot| Semaphore::attach(fd, slot)),
            event: attached("CARRICK_EVENT", |fd, slot| Event::attach(fd, slot)),
            barrier: attached("CARRICK_BARRIER", |fd, slot| Barrier::attach(fd, slot)),
        }
    }

    /// Takes the lock. After a holder's death the board is put right, and all who wait look again.
    fn take(&self) {
        if self.lock.acquire(NEVER).unwrap() == Taken::FromDead {
            self.mend();
            return;
        }
        assert_eq!(self.board.read(Word::Inside), 0, "the lock has two holders");
        assert_eq!(self.board.read(Word::Left), self.board.read(Word::Right), "half of a change was seen");
    }

    fn mend(&self) {
        self.board.write(Word::Inside, 0);
        self.board.write(Word::Right, self.board.read(Word::Left));
        self.condition.notify_all();
    }

    fn leave(&self) {
        self.lock.release().unwrap();
    }

    fn hold(&self) {
        self.take();
        self.board.write(Word::Inside, 1);
        self.board.advance(Word::Left);
        self.board.advance(Word::Right);
        self.board.advance(Word::Progress);
        self.board.write(Word::Inside, 0);
        self.leave();
    }

    fn consume(&self) {
        self.take();
        while self.board.read(Word::Items) == 0 {
            match self.condition.wait(&self.lock, NEVER).map_err(|error: Error| error.kind()) {
                Err(Kind::OwnerDied) => self.mend(),
                other => other.unwrap(),
            }
        }
        self.board.write(Word::Items, self.board.read(Word::Items) - 1);
        self.board.advance(Word::Progress);
        self.leave();
    }

    fn produce(&self) {
        self.take();
        if self.board.read(Word::Items) < 20 {
            self.board.advance(Word::Items);
            self.condition.notify(1);
        }
        self.leave();
        std::thread::yield_now();
    }

    fn meet(&self) {
        match self.barrier.wait(NEVER).map_err(|error| error.kind()) {
            Ok(_) => self.board.advance(Word::Progress),
            Err(Kind::Broken) => self.barrier.reset().unwrap(),
            Err(kind) => panic!("{kind:?}"),
        }
    }

    fn play(&self, role: &str) {
        match role {
            "holder" => self.hold(),
            "consumer" => self.consume(),
            "producer" => self.produce(),
            "party" => self.meet(),
            "taker" => {
                self.semaphore.acquire(NEVER).unwrap();
                self.board.advance(Word::Progress);
            }
            "giver" if self.semaphore.value() < 20 => self.semaphore.release().unwrap(),
            "listener" => {
                self.event.wait(NEVER).unwrap();
                self.board.advance(Word::Progress);
            }
            "caller" => {
                self.event.set();
                self.event.clear();
                std::thread::yield_now();
            }
            _ => std::thread::yield_now(),
        }
    }
}

/// The work of a child: everything but its end is up to it.
#[test]
#[ignore = "a part of the other tests, which start it"]
fn role() {
    let Some(role) = actors::role() else { return };
    let stage = Stage::attach();
    loop {
        stage.play(&role);
    }
}

/// Kills processes that play the roles, and starts others in their place; returns what is left of the stage.
fn soak(roles: &[&'static str]) -> Stage {
    let stage = Stage::new();
    let variables = stage.variables();
    let progress = || stage.board.read(Word::Progress);
    let start = |role| Actor::start(role, &variables);
    let (kills, _) = actors::soak(roles, seconds().div_ceil(5), Duration::from_millis(12), start, progress);
    let progress = progress();
    let text = format!("{}: {kills} kills, {progress} steps\n", roles.join(", "));
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    assert!(progress > 0, "nothing was done");
    stage
}

#[test]
fn killed_holders_of_a_lock_cost_nobody_else_anything() {
    let _test = Test::begin();
    let stage = soak(&["holder", "holder", "holder"]);
    stage.hold();
    assert!(!stage.lock.is_locked());
}

#[test]
fn killed_waiters_and_notifiers_of_a_condition_cost_nobody_else_anything() {
    let _test = Test::begin();
    let stage = soak(&["producer", "consumer", "consumer", "producer"]);
    stage.produce();
    stage.consume();
    let waited = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            stage.take();
            let waited = stage.condition.wait(&stage.lock, soon());
            stage.leave();
            waited
        });
        support::eventually("it is notified", || {
            stage.take();
            stage.condition.notify(1);
            stage.leave();
            waiter.is_finished()
        });
        waiter.join().unwrap()
    });
    waited.unwrap();
}

#[test]
fn killed_parties_of_a_barrier_cost_nobody_else_more_than_an_error() {
    let _test = Test::begin();
    let stage = soak(&["party", "party", "party"]);
    stage.barrier.reset().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| stage.barrier.wait(soon()).unwrap());
        }
        stage.barrier.wait(soon()).unwrap();
    });
}

#[test]
fn killed_users_of_a_semaphore_cost_nobody_else_anything() {
    let _test = Test::begin();
    let stage = soak(&["giver", "taker", "taker"]);
    stage.semaphore.release().unwrap();
    stage.semaphore.acquire(soon()).unwrap();
}

#[test]
fn killed_users_of_an_event_cost_nobody_else_anything() {
    let _test = Test::begin();
    let stage = soak(&["caller", "listener", "listener"]);
    stage.event.set();
    stage.event.wait(soon()).unwrap();
}
