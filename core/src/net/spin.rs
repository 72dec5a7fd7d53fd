// SPDX-License-Identifier: MIT OR Apache-2.0
//! Adaptive spinning: looking again for a short while before going to sleep.
//!
//! Sleeping and being woken costs tens of microseconds, and much more in a virtual machine, which is most
//! of a round trip on one host. A waiter therefore looks again for up to [`LIMIT`] first, but only where
//! that has paid: each wait says afterwards whether it ended within [`WORTH`], and a short history of
//! such answers ([`Spin::credit`]) decides about the next one. So an idle connection, whose waits are
//! long, stops spinning after two of them and then costs nothing.
//!
//! At most one thread fewer than there are cores spins at a time, in one process, and each look gives the
//! core away (`sched_yield`) to whoever could use it: spinning never takes the core that the peer needs.
//! On one core nothing spins.
#![forbid(unsafe_code)]

use crate::sys;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The longest time one wait spins.
pub(crate) const LIMIT: Duration = Duration::from_micros(60);
/// A wait this short, its sleep included, would have been shorter with spinning.
const WORTH: Duration = Duration::from_micros(200);
const CREDIT_MAX: i8 = 4;

static SPINNING: AtomicUsize = AtomicUsize::new(0);

fn spinners_allowed() -> usize {
    static ALLOWED: OnceLock<usize> = OnceLock::new();
    *ALLOWED.get_or_init(|| std::thread::available_parallelism().map_or(0, |n| n.get() - 1))
}

/// The spinning history of one direction of one connection.
#[derive(Debug)]
pub struct Spin {
    /// Above zero: spin. One up for a wait that was short, one down for a long one.
    // ORDER spin-credit: a hint; any stale value only makes a wait start differently.
    credit: AtomicI8,
}

impl Spin {
    pub(crate) const fn new() -> Self {
        Self { credit: AtomicI8::new(2) }
    }
}

impl Default for Spin {
    fn default() -> Self {
        Self::new()
    }
}

/// One permission to spin; giving it back is dropping it.
struct Permit;

impl Permit {
    fn take() -> Option<Self> {
        // ORDER spin-permit: a counter that guards no memory; overshoot by a moment is harmless.
        if SPINNING.fetch_add(1, Ordering::Relaxed) < spinners_allowed() {
            return Some(Self);
        }
        SPINNING.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        SPINNING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Spin {
    /// Looks with `look` until it answers or the time for spinning is over.
    pub(crate) fn run<T>(&self, started: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.credit.load(Ordering::Relaxed) <= 0 {
            return None;
        }
        let _permit = Permit::take()?;
        loop {
            sys::yield_now();
            if let Some(found) = look() {
                self.learn(started.elapsed());
                return Some(found);
            }
            if started.elapsed() > LIMIT {
                return None;
            }
        }
    }

    /// Takes note of how long a wait took.
    pub(crate) fn learn(&self, waited: Duration) {
        let credit = self.credit.load(Ordering::Relaxed);
        let next = if waited < WORTH { (credit + 1).min(CREDIT_MAX) } else { (credit - 1).max(-CREDIT_MAX) };
        if next != credit {
            self.credit.store(next, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_waits_stop_the_spinning_and_short_ones_bring_it_back() {
        let spin = Spin::default();
        for _ in 0..10 {
            spin.learn(Duration::from_secs(1));
        }
        let looked = std::cell::Cell::new(0);
        assert_eq!(
            spin.run(Instant::now(), || {
                looked.set(looked.get() + 1);
                None::<()>
            }),
            None
        );
        assert_eq!(looked.get(), 0);
        for _ in 0..10 {
            spin.learn(Duration::from_micros(1));
        }
        assert!(spin.credit.load(Ordering::Relaxed) > 0);
    }
}
