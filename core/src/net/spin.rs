// SPDX-License-Identifier: MIT OR Apache-2.0
//! Adaptive spinning: looking again for a short while before going to sleep.
//!
//! Sleeping and being woken costs tens of microseconds, and much more in a virtual machine, which is most
//! of a round trip on one host. A waiter therefore looks again for up to [`LIMIT`] first, but only where
//! that has paid: a short history of successes and failures ([`Spin::credit`]) decides about the next wait.
//! So an idle connection, whose waits are long, stops spinning after one or two of them and then costs
//! nothing, whether they end with what was waited for or by time.
//!
//! At most one thread fewer than there are cores spins at a time, in one process, and each look gives the
//! core away (`sched_yield`) to whoever could use it: spinning never takes the core that the peer needs. Only looks at
//! memory go without both in the first microsecond, which is less than going to sleep takes: where two threads wait for
//! each other in turn, one begins to wait a moment before the other has seen that its own wait is over.
//! Where somebody did use it the core is wanted, by other connections of this process or by other programs:
//! then the spinning ends and counts as a failure, for a sleeper is woken sooner than one who gave way gets
//! his turn. Nor does anybody spin where more connections of this process than there are cores wait in turn
//! within [`WORTH`]: there is work to do meanwhile. On one core nothing spins.
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::fork::{Counted, ForkCounter};
use crate::sys;
use crate::time::Deadline;
use std::sync::atomic::{AtomicI8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest time one wait spins.
pub(crate) const LIMIT: Duration = Duration::from_micros(60);
/// A wait this short, its sleep included, would have been shorter with spinning.
const WORTH: Duration = Duration::from_micros(200);
/// Giving the core away and looking takes about a microsecond; after this long somebody else has had it.
const CROWDED: Duration = Duration::from_micros(10);
/// Looks at memory between two times that the core is given away, each twice as long after the one before as that was:
/// about a microsecond. A waiter that looks all the time slows down the one that is to write there.
const LOOKS: u32 = 6;
const CREDIT_MAX: i8 = 4;

static SPINNING: ForkCounter = ForkCounter::new();

fn spinners_allowed() -> usize {
    sys::cores() - 1
}

/// The spinning history of one direction of one connection.
#[derive(Debug)]
pub struct Spin {
    /// Above zero: spin. Up for a wait that spinning made short, or would have made; down for others.
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

/// When the waits began that were the last of their kind, in nanoseconds of the clock; a wait finds its place by the
/// address of its history.
// ORDER spin-recent: hints, as the credit.
static RECENT: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];

/// One permission to spin; giving it back is dropping it.
struct Permit {
    _spinning: Counted<'static>,
}

impl Permit {
    fn take() -> Option<Self> {
        // Overshoot by a moment is harmless.
        let (spinning, others) = SPINNING.enter();
        (others < spinners_allowed()).then_some(Self { _spinning: spinning })
    }
}

impl Spin {
    /// Begins a wait.
    pub(crate) fn wait(&self) -> Wait<'_> {
        let started = Instant::now();
        Wait { spin: self, started, tried: false, amid_others: self.is_amid_others() }
    }

    /// Notes that a wait begins; whether many others have done so just before.
    fn is_amid_others(&self) -> bool {
        let since = u64::try_from(WORTH.as_nanos()).unwrap_or(u64::MAX);
        // One at the least: 0 means never.
        let now = sys::clock_nanos().saturating_add(since + 1);
        // Neighbours in memory get places of their own.
        let mine = std::ptr::from_ref(self).addr().wrapping_mul(0x9e37_79b9) >> 16;
        let mine = mine % RECENT.len();
        let mut others = 0;
        for (place, began) in RECENT.iter().enumerate() {
            if place == mine {
                began.store(now, Ordering::Relaxed);
            } else if now.saturating_sub(began.load(Ordering::Relaxed)) < since {
                others += 1;
            }
        }
        others > spinners_allowed()
    }

    /// Whether even a moment's look pays: not where one wait after the other has been long, or for nothing.
    pub(crate) fn is_hopeful(&self) -> bool {
        self.credit.load(Ordering::Relaxed) > -CREDIT_MAX
    }

    fn rate(&self, change: i8) {
        let credit = self.credit.load(Ordering::Relaxed);
        let next = (credit + change).clamp(-CREDIT_MAX, CREDIT_MAX);
        if next != credit {
            self.credit.store(next, Ordering::Relaxed);
        }
    }
}

/// One wait: spins, perhaps, and after that tells how the sleep went.
pub(crate) struct Wait<'a> {
    spin: &'a Spin,
    started: Instant,
    tried: bool,
    amid_others: bool,
}

impl Wait<'_> {
    /// Looks with `look`, a system call, until it answers, the deadline has passed or spinning does not pay any more.
    pub(crate) fn spin<T>(&mut self, deadline: Deadline, look: impl FnMut() -> Option<T>) -> Option<T> {
        self.spin_by(1, deadline, look)
    }

    /// The same with a `look` at memory, which is worth taking more often than the core can be given away, and for a
    /// microsecond by more threads than may spin.
    pub(crate) fn spin_on_memory<T>(
        &mut self,
        deadline: Deadline,
        look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        self.spin_by(LOOKS, deadline, look)
    }

    /// Whether spinning pays, as far as is known.
    pub(crate) fn spins(&self) -> bool {
        // In a model a look that finds nothing is no step.
        !cfg!(loom) && !self.amid_others && self.spin.credit.load(Ordering::Relaxed) > 0
    }

    fn spin_by<T>(
        &mut self,
        looks: u32,
        deadline: Deadline,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        if !self.spins() {
            return None;
        }
        let limit = deadline.remaining().map_or(LIMIT, |left| left.min(LIMIT));
        let mut look_often = || {
            let mut found = look();
            for again in 1..looks {
                if found.is_some() {
                    break;
                }
                for _ in 0..1 << again {
                    std::hint::spin_loop();
                }
                found = look();
            }
            found
        };
        if looks > 1
            && let Some(found) = look_often()
        {
            self.spin.rate(1);
            return Some(found);
        }
        let _permit = Permit::take()?;
        self.tried = true;
        let mut before = self.started;
        loop {
            sys::yield_now();
            let found = look_often();
            let now = Instant::now();
            let crowded = now.duration_since(before) > CROWDED;
            if found.is_some() {
                self.spin.rate(if crowded { -1 } else { 1 });
                return found;
            }
            if crowded || now.duration_since(self.started) > limit {
                return None;
            }
            before = now;
        }
    }

    /// The sleep after it has ended, with what was waited for or without.
    pub(crate) fn ended<T>(&self, result: &Result<T>) {
        if result.is_ok() { self.slept() } else { self.slept_in_vain() }
    }

    /// The sleep after it has ended with what was waited for.
    pub(crate) fn slept(&self) {
        let short = self.started.elapsed() < WORTH;
        self.spin.rate(match (self.tried, short) {
            (false, true) => 1,
            (false, false) => -1,
            (true, _) => -2,
        });
    }

    /// The sleep after it has ended without what was waited for, mostly because its time was over. A short one that did
    /// not spin says no more than that a moment's look would have been for nothing, too.
    pub(crate) fn slept_in_vain(&self) {
        if self.tried || self.started.elapsed() >= WORTH {
            self.slept();
        } else if self.spin.credit.load(Ordering::Relaxed) <= 0 {
            self.spin.rate(-1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};

    #[test]
    fn spinning_in_vain_stops_and_short_waits_bring_it_back() {
        let spin = Spin::default();
        let looks = || {
            let looked = std::cell::Cell::new(0);
            let mut wait = spin.wait();
            let found = wait.spin(Deadline::NEVER, || {
                looked.set(looked.get() + 1);
                None::<()>
            });
            assert_eq!(found, None);
            // Long, so that it fails also where other tests kept it from spinning.
            wait.started -= WORTH;
            wait.slept();
            looked.get()
        };
        for _ in 0..10 {
            looks();
        }
        assert_eq!(looks(), 0, "spinning that fails goes on");
        // Waits without spinning that are over at once.
        for _ in 0..CREDIT_MAX * 2 {
            spin.wait().slept();
        }
        assert!(spin.credit.load(Ordering::Relaxed) > 0, "short waits do not bring spinning back");
    }

    #[test]
    fn waits_that_end_by_time_stop_spinning_too() {
        let spin = Spin::default();
        for _ in 0..10 {
            let mut wait = spin.wait();
            assert_eq!(wait.spin_on_memory(Deadline::NEVER, || None::<()>), None);
            // Long, so that it fails also where other tests kept it from spinning.
            wait.started -= WORTH;
            wait.ended(&Err::<(), _>(Error::new(Kind::Timeout, "test")));
        }
        assert!(!spin.wait().spins());
        // One that is too short to tell brings no spinning back.
        let before = spin.credit.load(Ordering::Relaxed);
        spin.wait().slept_in_vain();
        assert!(spin.credit.load(Ordering::Relaxed) <= before);
    }

    #[test]
    fn after_several_waits_for_nothing_not_even_a_moment_is_worth_it_until_one_was_short() {
        let spin = Spin::default();
        assert!(spin.is_hopeful());
        for _ in 0..CREDIT_MAX * 2 {
            // One that spun, and those after it that did not.
            let tried = spin.wait().spins();
            Wait { tried, ..spin.wait() }.slept_in_vain();
        }
        assert!(!spin.is_hopeful());
        spin.wait().slept();
        assert!(spin.is_hopeful());
    }

    #[test]
    fn spinning_ends_with_the_deadline() {
        let (spin, mut looks) = (Spin::default(), 0);
        let mut wait = Wait { amid_others: false, ..spin.wait() };
        let look = || {
            looks += 1;
            None::<()>
        };
        assert_eq!(wait.spin(Deadline::NOW, look), None);
        // None where other tests have taken all permits.
        assert!(looks <= 1, "{looks}");
    }

    #[test]
    fn looks_at_memory_begin_also_where_all_permits_are_taken() {
        let permits: Vec<_> = std::iter::from_fn(Permit::take).collect();
        let (spin, mut looks) = (Spin::default(), 0);
        let mut second_look = || {
            looks += 1;
            (looks == 2).then_some(())
        };
        // Waits of other tests are not to count.
        let wait = || Wait { amid_others: false, ..spin.wait() };
        assert_eq!(wait().spin(Deadline::NEVER, &mut second_look), None);
        assert_eq!(wait().spin_on_memory(Deadline::NEVER, second_look), Some(()));
        drop(permits);
    }
}
