// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forks while another thread has what a child needs.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use super::{ForkCounter, ForkMutex, SetOnce, StaticOnce};
use crate::sys;
use crate::time::Deadline;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Seconds after which a child that waits is killed.
const PATIENCE: u32 = 20;

/// Runs `work` in a child of fork; whether it has returned true there. One that hangs is killed.
pub(crate) fn in_child(work: impl FnOnce() -> bool) -> bool {
    let pid = sys::fork_plain().unwrap();
    if pid == 0 {
        // SAFETY: it has no arguments that could be wrong.
        unsafe { libc::alarm(PATIENCE) };
        sys::exit_now(i32::from(!work()));
    }
    let mut status = -1;
    // SAFETY: status is live for the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status == 0
}

/// The same while another thread has what `hold` returns.
pub(crate) fn in_child_while<G>(hold: impl FnOnce() -> G + Send, work: impl FnOnce() -> bool) -> bool {
    let ((held, is_held), (leave, left)) = (channel(), channel::<()>());
    thread::scope(|scope| {
        scope.spawn(move || {
            let guard = hold();
            held.send(()).unwrap();
            // Until the other end is dropped.
            let _ = left.recv();
            drop(guard);
        });
        is_held.recv().unwrap();
        let succeeded = in_child(work);
        drop(leave);
        succeeded
    })
}

#[test]
fn a_lock_that_another_thread_holds_is_free_in_the_child_and_its_value_fresh() {
    let lock = ForkMutex::inherited(vec![1], || vec![9]);
    assert!(in_child_while(|| lock.lock(), || *lock.lock() == [9] && *lock.try_lock().unwrap() == [9]));
    assert_eq!(*lock.lock(), [1], "the child has changed its parent's value");
    assert!(in_child(|| *lock.lock() == [1]), "a whole value is not inherited");
}

#[test]
fn a_value_of_one_process_is_fresh_in_each_child() {
    static LOCK: ForkMutex<Vec<u32>> = ForkMutex::per_process(Vec::new(), Vec::new);
    LOCK.lock().push(1);
    let grandchild = || in_child(|| LOCK.lock().is_empty());
    assert!(in_child(|| {
        let first = LOCK.lock().is_empty();
        LOCK.lock().push(2);
        first && *LOCK.lock() == [2] && grandchild()
    }));
    let held = || in_child_while(|| LOCK.lock(), || LOCK.lock().is_empty());
    assert!(in_child(|| held() && held()), "a child's own threads hold it as a parent's do");
    assert_eq!(*LOCK.lock(), [1]);
}

#[test]
fn a_lock_has_one_holder_at_a_time_and_wakes_who_waits() {
    let lock = ForkMutex::inherited(0_u64, || 0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..2_000 {
                    let mut count = lock.lock();
                    let seen = *count;
                    if turn % 64 == 0 {
                        thread::yield_now();
                    }
                    *count = seen + 1;
                }
            });
        }
    });
    assert_eq!(lock.into_inner(), 8_000);
}

#[test]
fn a_lock_is_waited_for_until_the_deadline_and_had_when_it_is_released() {
    let lock = ForkMutex::<()>::default();
    let held = lock.lock();
    assert!(lock.try_lock().is_none() && lock.lock_until(Deadline::NOW).is_none());
    assert!(lock.lock_until(Deadline::after(Duration::from_millis(5))).is_none());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.lock_until(Deadline::NEVER).is_some());
        drop(held);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn threads_that_a_fork_leaves_behind_are_not_counted() {
    let counter = ForkCounter::new();
    let (own, before) = counter.enter();
    assert_eq!(before, 0);
    assert!(in_child_while(
        || counter.enter().0,
        || {
            let none = counter.count() == 0;
            let (mine, before) = counter.enter();
            let one = counter.count() == 1;
            drop(mine);
            none && before == 0 && one && counter.count() == 0
        }
    ));
    assert_eq!(counter.count(), 1);
    drop(own);
    assert_eq!(counter.count(), 0);
}

#[test]
fn what_is_set_once_stays_and_a_claim_that_a_fork_has_left_behind_counts_for_nothing() {
    let once = SetOnce::new();
    assert!(once.get().is_none());
    assert_eq!((once.get_or_set(1), once.get_or_set(2), once.get()), (&1, &1, Some(&1)));
    let fixed = StaticOnce::new();
    assert!(fixed.set(1) && !fixed.set(2));
    assert_eq!(fixed.get(), Some(1));
    let half = StaticOnce::new();
    half.claim();
    assert!(!half.set(1), "another thread of this process is about to set it");
    assert!(in_child(|| half.set(3) && half.get() == Some(3)));
}

#[test]
fn a_child_knows_the_number_of_forks_and_calls_the_handler() {
    static CALLED: AtomicU32 = AtomicU32::new(0);
    let (generation, forks) = (sys::generation(), sys::forks());
    assert!(super::set_handler(|| {
        CALLED.fetch_add(1, Ordering::Relaxed);
    }));
    assert!(!super::set_handler(|| ()));
    let one_further = |from: u64| sys::generation() == from + 1 && sys::forks() == 0;
    assert!(in_child(|| {
        one_further(generation)
            && CALLED.load(Ordering::Relaxed) == 1
            && in_child(|| one_further(generation + 1) && CALLED.load(Ordering::Relaxed) == 2)
            && sys::forks() == 1
    }));
    // Other tests fork at the same time.
    assert!(sys::generation() == generation && sys::forks() > forks);
    assert_eq!(CALLED.load(Ordering::Relaxed), 0);
}
