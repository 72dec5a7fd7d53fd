// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock in one word of memory that processes share.
//!
//! # The word
//! 0 is free. Else the low half is the holder's process number with [`WAITED`] in its top bit where somebody may
//! sleep, and the high half when that process started. So one compare-exchange takes the lock and says who has
//! it, and there is no instant at which it is held by nobody known.
//!
//! # When the holder dies
//! A waiter checks after a millisecond whether the holder still lives, and then less and less often; of many, a few check
//! for all (see [`look`](super::look)). If the holder is dead, the waiter takes the lock over by a compare-exchange from the dead
//! holder's word to its own, and is told. The new holder has to judge the work that the dead one left unfinished:
//! this crate's own users of the lock commit with a single store and need no repair.
//!
//! # Waking
//! Unlocking wakes one sleeper. If that one is killed before it takes the lock, the next look of the others finds
//! the lock free.
#![forbid(unsafe_code)]

use super::atomic::{AtomicU64, Ordering};
use super::look::{Look, Lookout, PATIENCE};
use super::park::sleep;
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::net::Spin;
use crate::sys::{self, Identity};
use crate::time::Deadline;
use std::time::Duration;

/// Somebody may sleep on the word.
const WAITED: u64 = 1 << 31;
/// How long a waiter sleeps before it checks for the first time whether the holder still lives. Waiters that live for a few
/// milliseconds themselves are to come to a check, too.
const FIRST_PATIENCE: Duration = Duration::from_millis(1);

/// Looks before anything that takes longer. A holder keeps the lock for far less than a sleep takes; where there is
/// one core only, it cannot let go meanwhile.
fn looks() -> u32 {
    if cfg!(loom) || sys::cores() == 1 { 0 } else { 200 }
}

/// A lock that takes no memory but its word, which starts as 0. It has no guard: the locker unlocks.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Mutex(AtomicU64);

/// How a lock was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was free.
    Free,
    /// The process that held it died while holding it: what the lock guards may be half changed.
    FromDead,
}

/// The policy of waiters for a holder that has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOwnerDeath {
    /// Take the lock over, and say so.
    TakeOver,
    /// Wait on: somebody else will release the lock.
    Wait,
}

fn mine() -> u64 {
    Identity::me().word()
}

impl Mutex {
    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, mine(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes the lock if it looks free. A waiter that looks again and again leaves the word in the holder's cache.
    fn look(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0 && self.try_lock()
    }

    /// Takes the lock if it is free, or will be in a moment.
    #[cold]
    pub(crate) fn try_lock_for_a_moment(&self) -> bool {
        for _ in 0..looks() {
            if self.look() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// Takes the lock, waiting for it until the deadline. The lookout is that of all who wait for it.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`.
    pub(crate) fn lock(
        &self,
        lookout: &Lookout,
        operation: &'static str,
        deadline: Deadline,
    ) -> Result<Taken> {
        if self.try_lock() {
            return Ok(Taken::Free);
        }
        self.lock_slowly(lookout, operation, deadline, OnOwnerDeath::TakeOver, None)
    }

    /// The same for a lock that is not free; spins longer first where `spin` knows that it pays.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    #[cold]
    pub(crate) fn lock_slowly(
        &self,
        lookout: &Lookout,
        operation: &'static str,
        deadline: Deadline,
        policy: OnOwnerDeath,
        spin: Option<&Spin>,
    ) -> Result<Taken> {
        if deadline.is_now() {
            let mut look = Look::after(Duration::ZERO, PATIENCE, lookout);
            let taken = self.take_at_the_end(policy, &mut look);
            look.end(|| self.wake_one());
            return taken.ok_or_else(|| Error::new(Kind::WouldBlock, operation));
        }
        if spin.is_none_or(Spin::is_hopeful) && self.try_lock_for_a_moment() {
            return Ok(Taken::Free);
        }
        let mut wait = spin.map(Spin::wait);
        if let Some(wait) = &mut wait
            && wait.spin_on_memory(deadline, || self.look().then_some(())).is_some()
        {
            return Ok(Taken::Free);
        }
        interrupt::check(operation)?;
        crate::blocking::about_to_block();
        // One whose time is over before is asked at its end anyway: the sleeps between would cost more than all the rest.
        let soon = deadline.remaining().is_some_and(|left| left <= PATIENCE);
        let mut look = Look::after(if soon { PATIENCE } else { FIRST_PATIENCE }, PATIENCE, lookout);
        let taken = self.sleep_for(operation, deadline, policy, &mut look);
        look.end(|| self.wake_one());
        if let Some(wait) = wait {
            wait.ended(&taken);
        }
        taken
    }

    fn sleep_for(
        &self,
        operation: &'static str,
        deadline: Deadline,
        policy: OnOwnerDeath,
        look: &mut Look<'_>,
    ) -> Result<Taken> {
        loop {
            let word = self.0.load(Ordering::SeqCst);
            if word == 0 {
                // Others may sleep, too; unlocking wakes one of them.
                let waited = mine() | WAITED;
                if self.0.compare_exchange(0, waited, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return Ok(Taken::Free);
                }
                continue;
            }
            if word & WAITED == 0 {
                let marked = self.0.compare_exchange(word, word | WAITED, Ordering::SeqCst, Ordering::SeqCst);
                if marked.is_err() {
                    continue;
                }
            }
            let slept = sleep(&self.0, word | WAITED, look.left(), operation, deadline);
            let taken = match &slept {
                Ok(()) if look.is_due() => self.take_over(policy),
                Err(error) if error.kind() == Kind::Timeout => self.take_at_the_end(policy, look),
                // Not after a signal: what its handler raised is to be seen.
                _ => None,
            };
            if let Some(taken) = taken {
                return Ok(taken);
            }
            slept?;
        }
    }

    /// Takes the lock, for a waiter whose time is over, if it is free, or from a holder that has died: asking the system
    /// takes longer than most such waits, and is left out where somebody has just done it.
    fn take_at_the_end(&self, policy: OnOwnerDeath, look: &mut Look<'_>) -> Option<Taken> {
        let is_free = self.0.load(Ordering::SeqCst) == 0;
        if is_free || look.is_due_at_the_end() { self.take_over(policy) } else { None }
    }

    /// Takes the lock from a holder that has died, or if it is free.
    fn take_over(&self, policy: OnOwnerDeath) -> Option<Taken> {
        let word = self.0.load(Ordering::SeqCst);
        let taken = if word == 0 { Taken::Free } else { Taken::FromDead };
        if word != 0 && (policy == OnOwnerDeath::Wait || !Self::holder_of(word).is_dead()) {
            return None;
        }
        self.0.compare_exchange(word, mine() | WAITED, Ordering::SeqCst, Ordering::SeqCst).ok().map(|_| taken)
    }

    /// Gives the lock up, whoever holds it; false when it was free.
    #[inline]
    pub(crate) fn unlock(&self) -> bool {
        let word = self.0.swap(0, Ordering::SeqCst);
        if word & WAITED != 0 {
            self.wake_one();
        }
        word != 0
    }

    #[cold]
    fn wake_one(&self) -> bool {
        super::park::wake(&self.0, 1) > 0
    }

    fn holder_of(word: u64) -> Identity {
        Identity::from_word(word & !WAITED)
    }

    /// The holder of the lock, at this moment.
    pub(crate) fn holder(&self) -> Option<Identity> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            word => Some(Self::holder_of(word)),
        }
    }

    /// Whether this process holds the lock that `word` is.
    pub(super) fn is_held_here(word: &AtomicU64) -> bool {
        word.load(Ordering::SeqCst) & !WAITED == mine()
    }

    /// Leaves the lock that `word` is taken if this process holds it: it ends in good order, and is not to be taken for
    /// killed.
    pub(super) fn leave(word: &AtomicU64) {
        let left = |found: u64| {
            let is_mine = found & !WAITED == mine();
            is_mine.then(|| Identity::me().ended_well().word() | found & WAITED)
        };
        // The error is that it is not this process's.
        let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
    }

    /// Whether this process holds the lock.
    pub(crate) fn is_mine(&self) -> bool {
        self.0.load(Ordering::Relaxed) & !WAITED == mine()
    }
}
