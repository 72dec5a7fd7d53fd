// SPDX-License-Identifier: MIT OR Apache-2.0
//! Models of the primitives: every interleaving of a few threads. No sleep ends by time in them, so that whoever is
//! forgotten sleeps for ever and the model fails. `make models` runs them.

use super::{Barrier, Condition, Event, Lock, Semaphore};
use crate::error::Kind;
use crate::time::Deadline;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

const NEVER: Deadline = Deadline::NEVER;

/// Tries every interleaving with at most so many switches that no thread asked for.
fn model(switches: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(body);
}

/// Memory that only the lock keeps threads from using at once; loom notices if they do.
struct Guarded {
    lock: Lock,
    value: UnsafeCell<usize>,
}

// SAFETY: the value is used with the lock held, which is what the models try.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new() -> Self {
        Self { lock: Lock::new().unwrap(), value: UnsafeCell::new(0) }
    }

    fn add(&self) {
        // SAFETY: see above.
        self.value.with_mut(|value| unsafe { *value += 1 });
    }

    fn get(&self) -> usize {
        // SAFETY: see above.
        self.value.with(|value| unsafe { *value })
    }
}

#[test]
fn a_lock_keeps_two_apart_and_forgets_nobody() {
    model(3, || {
        let guarded = Arc::new(Guarded::new());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || {
                    guarded.lock.acquire(NEVER).unwrap();
                    guarded.add();
                    guarded.lock.release().unwrap();
                })
            })
            .collect();
        guarded.lock.acquire(NEVER).unwrap();
        guarded.add();
        guarded.lock.release().unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(guarded.get(), 3);
    });
}

fn takers_and(give: impl Fn(&Semaphore) + Sync + Send + 'static) {
    model(3, move || {
        let semaphore = Arc::new(Semaphore::new(0).unwrap());
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || semaphore.acquire(NEVER).unwrap())
            })
            .collect();
        give(&semaphore);
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!(semaphore.value(), 0);
    });
}

#[test]
fn two_units_wake_two_takers() {
    takers_and(|semaphore| {
        semaphore.release().unwrap();
        semaphore.release().unwrap();
    });
}

#[test]
fn two_units_at_once_wake_two_takers() {
    takers_and(|semaphore| semaphore.release_many(2).unwrap());
}

#[test]
fn a_notification_under_the_lock_is_never_missed() {
    model(3, || {
        let shared = Arc::new((Guarded::new(), Condition::new().unwrap()));
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (guarded, condition) = &*shared;
                guarded.lock.acquire(NEVER).unwrap();
                while guarded.get() == 0 {
                    condition.wait(&guarded.lock, NEVER).unwrap();
                }
                guarded.lock.release().unwrap();
            })
        };
        let (guarded, condition) = &*shared;
        guarded.lock.acquire(NEVER).unwrap();
        guarded.add();
        condition.notify(1);
        guarded.lock.release().unwrap();
        waiter.join().unwrap();
        assert_eq!(condition.waiting(), 0);
    });
}

#[test]
fn all_who_wait_are_woken_though_there_are_more_than_seats() {
    model(1, || {
        let shared = Arc::new((Guarded::new(), Condition::new().unwrap()));
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (guarded, condition) = &*shared;
                    guarded.lock.acquire(NEVER).unwrap();
                    while guarded.get() == 0 {
                        condition.wait(&guarded.lock, NEVER).unwrap();
                    }
                    guarded.lock.release().unwrap();
                })
            })
            .collect();
        let (guarded, condition) = &*shared;
        guarded.lock.acquire(NEVER).unwrap();
        guarded.add();
        condition.notify_all();
        guarded.lock.release().unwrap();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

#[test]
fn an_event_that_is_set_and_cleared_has_woken_who_waited() {
    model(3, || {
        let shared = Arc::new((Event::new().unwrap(), AtomicUsize::new(0)));
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (event, set) = &*shared;
                // Only a wait that began before is sure to see it.
                if event.wait(Deadline::NOW).is_err() && set.load(Ordering::SeqCst) == 0 {
                    event.wait(NEVER).unwrap();
                }
            })
        };
        let (event, set) = &*shared;
        event.set();
        set.store(1, Ordering::SeqCst);
        waiter.join().unwrap();
        assert!(event.is_set());
        event.clear();
        assert_eq!(event.wait(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    });
}

#[test]
fn parties_meet_twice() {
    model(2, || {
        let barrier = Arc::new(Barrier::new(2).unwrap());
        let other = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || [barrier.wait(NEVER).unwrap(), barrier.wait(NEVER).unwrap()])
        };
        let mine = [barrier.wait(NEVER).unwrap(), barrier.wait(NEVER).unwrap()];
        let others = other.join().unwrap();
        assert_eq!((mine[0] + others[0], mine[1] + others[1]), (1, 1));
    });
}

#[test]
fn parties_go_on_after_the_action_and_who_comes_meanwhile_meets_next() {
    model(2, || {
        let shared = Arc::new((Barrier::new(1).unwrap(), AtomicUsize::new(0)));
        let meet = |(barrier, inside): &(Barrier, AtomicUsize)| {
            let action = || {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two actions at once");
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            assert_eq!(barrier.wait_with(NEVER, action).unwrap(), 0);
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || meet(&shared))
        };
        meet(&shared);
        other.join().unwrap();
        assert_eq!(shared.0.waiting(), 0);
    });
}

#[test]
fn an_abort_during_the_action_breaks_the_meeting_for_all() {
    model(2, || {
        let barrier = Arc::new(Barrier::new(2).unwrap());
        let party = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.wait_with(NEVER, || Ok(())).is_ok())
        };
        let aborter = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.abort().unwrap())
        };
        let met = barrier.wait_with(NEVER, || Ok(())).is_ok();
        assert_eq!(met, party.join().unwrap());
        aborter.join().unwrap();
        assert!(barrier.is_broken());
    });
}

#[test]
fn a_party_sees_that_its_meeting_was_broken() {
    model(2, || {
        let barrier = Arc::new(Barrier::new(2).unwrap());
        let party = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.wait(NEVER).unwrap_err().kind())
        };
        barrier.abort().unwrap();
        assert_eq!(party.join().unwrap(), Kind::Broken);
    });
}
