// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counting semaphores.
//!
//! # The word
//! The low half is the number of units, the high half 1 where somebody may sleep. A release that finds it so clears
//! it and wakes one; that one puts it back, because others may sleep, and wakes the next where units are left.

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::look::{Look, Lookout};
use super::park::{sleep, wake};
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::net::Spin;
use crate::shm::{Shared, Slot, Small};
use crate::time::Deadline;

const WAITED: u64 = 1 << 32;
const ACQUIRE: &str = "acquire semaphore";

#[derive(Default)]
#[repr(C)]
pub(super) struct SemaphoreWords {
    tag: AtomicU64,
    word: AtomicU64,
    /// The most units.
    most: AtomicU32,
    lookout: Lookout,
}

// SAFETY: repr(C) of atomics, of 32 bytes, with the tag first.
unsafe impl Shared for SemaphoreWords {
    type Size = Small;
    const TAG: u64 = u64::from_le_bytes(*b"ck-sema\x01");
    const NAME: &'static str = "semaphore";
}

fn units(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0)
}

/// A number of units for threads and processes: taking one waits until there is one.
///
/// The units that a process has taken are gone if it is killed.
///
/// # Example
/// ```
/// use carrick::sync::Semaphore;
/// use carrick::Deadline;
/// let semaphore = Semaphore::new(1)?;
/// semaphore.acquire(Deadline::NEVER)?;
/// assert!(semaphore.acquire(Deadline::NOW).is_err());
/// semaphore.release()?;
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Semaphore {
    slot: Slot<SemaphoreWords>,
    spin: Spin,
}

super::handed_over!(Semaphore, "semaphore");

impl Semaphore {
    /// The largest number of units.
    pub const MAX: u32 = i32::MAX as u32;

    /// One with `value` units.
    ///
    /// # Errors
    /// `Invalid`: more than [`MAX`](Self::MAX); `Os` (EMFILE, ...), `NoMemory`.
    pub fn new(value: u32) -> Result<Self> {
        Self::bounded(value, Self::MAX)
    }

    /// One with `value` units that never has more than `most`.
    ///
    /// # Errors
    /// `Invalid`: `value` is over `most`, or that over [`MAX`](Self::MAX); `Os` (EMFILE, ...), `NoMemory`.
    pub fn bounded(value: u32, most: u32) -> Result<Self> {
        const OPERATION: &str = "make semaphore";
        Slot::new(OPERATION, Self::fill(value, most, OPERATION)?).map(Self::over)
    }

    /// The same with a name, by which other programs of this user [`open`](Self::open) it.
    ///
    /// # Errors
    /// `Invalid`: as [`bounded`](Self::bounded), or no such name is possible; `Os` (EEXIST: there is one of this name;
    /// EMFILE, ...), `NoMemory`.
    #[cfg(not(loom))]
    pub fn create(name: &str, value: u32, most: u32) -> Result<Self> {
        const OPERATION: &str = "create semaphore";
        Slot::create(name, 0, OPERATION, Self::fill(value, most, OPERATION)?).map(Self::over)
    }

    fn fill(value: u32, most: u32, operation: &'static str) -> Result<impl FnOnce(&SemaphoreWords)> {
        if value > most || most > Self::MAX {
            let detail = format!("{value} units of at most {most}; at most {} are possible", Self::MAX);
            return Err(Error::with_detail(Kind::Invalid, operation, detail));
        }
        Ok(move |words: &SemaphoreWords| {
            words.most.store(most, Ordering::Relaxed);
            words.word.store(u64::from(value), Ordering::Relaxed);
        })
    }

    fn over(slot: Slot<SemaphoreWords>) -> Self {
        Self { slot, spin: Spin::new() }
    }

    /// Takes a unit if there is one. `mark` is 0, or `WAITED` for one that has slept.
    fn take(&self, mark: u64) -> Option<u32> {
        let mut word = self.slot.word.load(Ordering::SeqCst);
        while units(word) > 0 {
            let next = (word - 1) | mark;
            match self.slot.word.compare_exchange_weak(word, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some(units(next)),
                Err(found) => word = found,
            }
        }
        None
    }

    /// Takes a unit if there is one.
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        self.take(0).is_some()
    }

    /// Takes a unit, waiting for one until the deadline.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`.
    pub fn acquire(&self, deadline: Deadline) -> Result<()> {
        if self.try_acquire() {
            return Ok(());
        }
        if deadline.is_now() {
            return Err(Error::new(Kind::WouldBlock, ACQUIRE));
        }
        let mut wait = self.spin.wait();
        if wait.spin_on_memory(deadline, || self.take(0)).is_some() {
            return Ok(());
        }
        interrupt::check(ACQUIRE)?;
        crate::blocking::about_to_block();
        let word = &self.slot.word;
        let mut look = Look::seldom(&self.slot.lookout);
        let slept = loop {
            if let Some(left) = self.take(WAITED) {
                if left > 0 {
                    // Two units may have come while one was being woken.
                    wake(word, 1);
                }
                break Ok(());
            }
            let found = word.fetch_or(WAITED, Ordering::SeqCst);
            if units(found) > 0 {
                continue;
            }
            if let Err(error) = sleep(word, 0, look.left(), ACQUIRE, deadline) {
                break Err(error);
            }
            // The loop looks for itself, above.
            let _ = look.is_due();
        };
        look.end(|| wake(word, 1) > 0);
        wait.ended(&slept);
        if slept.is_err() && units(word.load(Ordering::SeqCst)) > 0 {
            // It may have been woken for a unit that it does not take now.
            wake(word, 1);
        }
        slept
    }

    /// Gives one unit.
    ///
    /// # Errors
    /// `Invalid`: it has as many as it may have.
    pub fn release(&self) -> Result<()> {
        self.release_many(1)
    }

    /// Gives several units at once, or none.
    ///
    /// # Errors
    /// `Invalid`: it would have more than it may have.
    pub fn release_many(&self, count: u32) -> Result<()> {
        let most = self.slot.most.load(Ordering::Relaxed);
        let mut word = self.slot.word.load(Ordering::SeqCst);
        loop {
            let have = units(word);
            let Some(next) = have.checked_add(count).filter(|n| *n <= most) else {
                let detail = format!("{count} more than {have} are over the limit of {most}");
                return Err(Error::with_detail(Kind::Invalid, "release semaphore", detail));
            };
            match self.slot.word.compare_exchange_weak(
                word,
                u64::from(next),
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => break,
                Err(found) => word = found,
            }
        }
        if word & WAITED != 0 {
            wake(&self.slot.word, 1);
        }
        Ok(())
    }

    /// The most units that it may have.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.slot.most.load(Ordering::Relaxed)
    }

    /// How many units there are, at this moment.
    #[must_use]
    pub fn value(&self) -> u32 {
        units(self.slot.word.load(Ordering::SeqCst))
    }
}
