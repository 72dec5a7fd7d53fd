// SPDX-License-Identifier: MIT OR Apache-2.0
//! Liveness checks: which waiter looks whether a process has died, and when.
//!
//! # One for all
//! The waiters of one object share a [`Lookout`]: the time of the last check, and how many have come since. A waiter whose
//! time has come checks only where nobody has within two fifths of its patience ([`PATIENCE`], or [`SLICE`] where nothing can
//! die), and comes again after that patience at the latest; one that finds that others do it checks only where nobody has for
//! longer than a patience, and comes ever more rarely, down to once in [`LONGEST`]. How rarely, the count tells: of all such
//! waiters one is to come in some times between two checks, so one that finds others there before it lengthens its span, and
//! the first one shortens it. So however many wait for a lock, one or two of them check, 20 to 50 times a second, and some
//! times a second another one looks whether they do.
//!
//! The author of the last check comes again within its patience, and leaves its check out only where another one was
//! later; so as long as it waits no more than that passes between two checks. One that stops waiting wakes another to take its
//! place. One that is killed cannot: the others come as before, at times that are spread, and the first one that finds no fresh
//! check takes its place. Nothing in the memory has to be repaired for that.
//!
//! # Time
//! Is the kernel's monotonic clock, which all processes of a machine share, in steps of 16 ns: the count is in the low bits. A
//! time that has not come yet (somebody has written over the memory) counts as long past.
#![forbid(unsafe_code)]

use super::atomic::{AtomicU64, Ordering};
use super::park::SLICE;
use crate::interrupt;
use crate::sys;
use std::time::{Duration, Instant};

/// The longest time between two checks of a holder while somebody waits.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);
/// The longest time in which a waiter that leaves the checks to others sees whether there are any.
const LONGEST: Duration = Duration::from_secs(30);

/// Nobody has checked yet.
const NEVER: u64 = 0;
/// The one that checked waits no more: a waiter that is awake is to check.
const DESERTED: u64 = 1;
/// How many have come since the check and left it at that; one more is not counted.
const COUNT: u64 = 15;

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The time of the last check for all who wait for an object, in its memory.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Lookout(AtomicU64);

/// The answer to one that comes to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is to check. The check has this mark.
    Mine(u64),
    /// Somebody has, and so many others have come since.
    Fresh(u64),
}

impl Lookout {
    /// Makes the caller the one that checks now, unless somebody has done so within this time; then it is counted if it
    /// `comes_again`.
    fn turn(&self, fresh: Duration, comes_again: bool) -> Turn {
        let mut last = self.0.load(Ordering::SeqCst);
        loop {
            let now = sys::clock_nanos() & !COUNT;
            let is_fresh =
                last > COUNT && now.checked_sub(last & !COUNT).is_some_and(|since| since < nanos(fresh));
            let count = last & COUNT;
            if is_fresh && (count == COUNT || !comes_again) {
                return Turn::Fresh(count);
            }
            // Of two that want to check, the slower one finds a fresh check.
            let next = if is_fresh { last + 1 } else { now };
            match self.0.compare_exchange(last, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) if is_fresh => return Turn::Fresh(count),
                Ok(_) => return Turn::Mine(now),
                Err(found) => last = found,
            }
        }
    }

    fn is_deserted(&self) -> bool {
        self.0.load(Ordering::SeqCst) == DESERTED
    }

    /// The caller, whose last check has this mark, waits no more. True if nobody has checked after it: another one is to be
    /// woken, and told by [`nobody_else`](Self::nobody_else) where there is none.
    fn desert(&self, mark: u64) -> bool {
        let is_last = |last: u64| (last & !COUNT == mark).then_some(DESERTED);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_last).is_ok()
    }

    /// There is nobody to wake. The next one to come need not check at once.
    fn nobody_else(&self, mark: u64) {
        let _ = self.0.compare_exchange(DESERTED, mark, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// When one waiter comes to a check. Signals and wakings that are for nothing end a sleep before its time, but do not put a
/// check off, however often they come.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    lookout: &'a Lookout,
    next: Instant,
    span: Duration,
    patience: Duration,
    mark: u64,
}

impl<'a> Look<'a> {
    /// The first time is so long from now; the time between two checks is no longer than `patience`.
    pub(crate) fn after(first: Duration, patience: Duration, lookout: &'a Lookout) -> Self {
        Self { lookout, next: Instant::now() + first, span: first, patience, mark: NEVER }
    }

    /// For waiters of which only one that is woken for the others can die.
    pub(crate) fn seldom(lookout: &'a Lookout) -> Self {
        Self::after(SLICE, SLICE, lookout)
    }

    /// How long to sleep at the most.
    pub(crate) fn left(&self) -> Duration {
        let left = self.until_next();
        if left > SLICE { left.min(interrupt::longest_sleep(SLICE, LONGEST)) } else { left }
    }

    fn until_next(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Whether this waiter is to check now. In models no time passes.
    pub(crate) fn is_due(&mut self) -> bool {
        if cfg!(loom) || !(self.until_next().is_zero() || self.lookout.is_deserted()) {
            return false;
        }
        // A waiter that leaves the checks to others has to find that they are late; one that checks, that another one
        // has just done so.
        let leaves = self.span > self.patience;
        let turn = self.lookout.turn(if leaves { self.late() } else { self.span * 2 / 5 }, true);
        self.span = match turn {
            Turn::Mine(_) => (self.span * 2).min(self.patience),
            Turn::Fresh(0) if leaves => (self.span * 7 / 8).max(self.patience * 2),
            // A visit comes in the middle between two checks, on average, and a quarter of one is enough between them.
            Turn::Fresh(others) => (self.span * u32::try_from(others * 4).unwrap_or(0).max(2)).min(LONGEST),
        };
        self.next = Instant::now() + self.spread();
        self.is_mine(turn)
    }

    /// Whether this waiter, whose time is over, is to check: where those who wait on are late with it, or there are none.
    pub(crate) fn is_due_at_the_end(&mut self) -> bool {
        if cfg!(loom) {
            return true;
        }
        let turn = self.lookout.turn(self.late(), false);
        self.is_mine(turn)
    }

    /// So long after a check nobody does them any more.
    fn late(&self) -> Duration {
        self.patience * 11 / 10
    }

    fn is_mine(&mut self, turn: Turn) -> bool {
        let Turn::Mine(mark) = turn else { return false };
        self.mark = mark;
        true
    }

    /// The span, shorter by up to a quarter where it is a long one: those who have begun at the same time are to come at
    /// different ones.
    fn spread(&self) -> Duration {
        if self.span <= self.patience {
            return self.span;
        }
        // Neighbours in time and in memory differ in these bits.
        let here = std::ptr::from_ref(self).addr() as u64;
        let mixed = (sys::clock_nanos() ^ here).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let part = u32::try_from(mixed).unwrap_or(0);
        self.span - self.span / 1024 * part
    }

    /// The wait is over. `wake` wakes one of the others, if there is one, and says so; it is called where this one has been
    /// the last to check.
    pub(crate) fn end(&mut self, wake: impl FnOnce() -> bool) {
        let mark = std::mem::replace(&mut self.mark, NEVER);
        if mark != NEVER && self.lookout.desert(mark) && !wake() {
            self.lookout.nobody_else(mark);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn look(lookout: &Lookout) -> Look<'_> {
        Look::after(Duration::ZERO, PATIENCE, lookout)
    }

    /// Has the time come for this one.
    fn comes(look: &mut Look<'_>) -> bool {
        look.next = Instant::now();
        look.is_due()
    }

    /// Somebody has checked just now, and so many others have come since.
    fn has_been_checked(lookout: &Lookout, others: u64) {
        lookout.0.store(sys::clock_nanos() & !COUNT | others, Ordering::SeqCst);
    }

    #[test]
    fn one_checks_and_the_others_come_ever_more_rarely() {
        let lookout = Lookout::default();
        let mut looks: Vec<_> = (0..8).map(|_| Look::after(PATIENCE, PATIENCE, &lookout)).collect();
        assert!(comes(&mut looks[0]) && looks[0].span == PATIENCE);
        for other in &mut looks[1..] {
            for _ in 0..10 {
                has_been_checked(&lookout, 1);
                assert!(!comes(other));
            }
            assert_eq!(other.span, LONGEST);
            assert!(other.until_next() <= LONGEST);
        }
    }

    #[test]
    fn the_more_there_are_the_more_rarely_each_of_them_comes() {
        let lookout = Lookout::default();
        let mut one = Look::after(PATIENCE, PATIENCE, &lookout);
        one.span = 4 * PATIENCE;
        for (others, span) in [(3, 48 * PATIENCE), (0, 42 * PATIENCE), (1, 168 * PATIENCE), (15, LONGEST)] {
            has_been_checked(&lookout, others);
            assert!(!comes(&mut one));
            assert_eq!((one.span, lookout.0.load(Ordering::SeqCst) & COUNT), (span, (others + 1).min(COUNT)));
        }
        for _ in 0..60 {
            has_been_checked(&lookout, 0);
            assert!(!comes(&mut one));
        }
        assert_eq!(
            one.span,
            2 * PATIENCE,
            "alone with the one that checks, it soon sees if that one was killed"
        );
    }

    #[test]
    fn who_finds_no_fresh_check_takes_the_place_of_the_one_that_did_it() {
        let lookout = Lookout::default();
        let (mut one, mut other) = (look(&lookout), look(&lookout));
        other.span = LONGEST;
        assert!(comes(&mut one));
        // As after the other one has been killed.
        lookout.0.store(sys::clock_nanos() - 2 * nanos(PATIENCE), Ordering::SeqCst);
        assert!(comes(&mut other) && other.span == PATIENCE);
        // A time to come is nonsense.
        lookout.0.store(u64::MAX, Ordering::SeqCst);
        assert!(comes(&mut one));
    }

    #[test]
    fn the_one_that_checked_last_wakes_another_when_it_goes() {
        let lookout = Lookout::default();
        let (mut one, mut other) = (look(&lookout), look(&lookout));
        assert!(comes(&mut one));
        other.next = Instant::now() + LONGEST;
        assert!(!other.is_due());
        let mut woken = false;
        one.end(|| {
            woken = true;
            true
        });
        assert!(woken && other.is_due(), "whoever is woken checks, whatever time it is");
        let mut third = look(&lookout);
        lookout.0.store(NEVER, Ordering::SeqCst);
        assert!(comes(&mut third));
        other.end(|| unreachable!("it was not the last one to check"));
        let mark = lookout.0.load(Ordering::SeqCst);
        assert!(!other.is_due_at_the_end(), "the check is fresh");
        assert_eq!(lookout.0.load(Ordering::SeqCst), mark, "one that comes once is not counted");
        third.end(|| false);
        assert_eq!(lookout.0.load(Ordering::SeqCst), mark, "also for one that comes after");
    }
}
