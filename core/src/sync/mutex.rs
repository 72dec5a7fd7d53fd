// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock in one word of memory that processes share.
//!
//! # The word
//! 0 is free. Else the low half is the holder's process number with [`WAITED`] in its top bit where somebody may
//! sleep, and the high half when that process started. So one compare-exchange takes the lock and says who has
//! it, and there is no instant at which it is held by nobody known.
//!
//! # When the holder dies
//! Who waits looks every [`PATIENCE`] whether the holder still lives. If not, it takes the lock over by a
//! compare-exchange from the dead holder's word to its own, and is told. What the holder was in the middle of is
//! for the new one to judge: this crate's own users of the lock commit with a single store and need no repair.
//!
//! # Waking
//! Unlocking wakes one sleeper. If that one is killed before it takes the lock, the next look of the others finds
//! the lock free.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::sys::{self, Identity};
use crate::time::Deadline;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Somebody may sleep on the word.
const WAITED: u64 = 1 << 31;
/// How long a waiter sleeps before it looks whether the holder still lives.
const PATIENCE: Duration = Duration::from_millis(50);
/// Looks before the first sleep. A holder keeps the lock for far less than a sleep takes.
const SPINS: u32 = 200;

/// A lock that takes no memory but its word, which starts as 0. It has no guard: who locks unlocks.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Mutex(AtomicU64);

/// How the lock was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was free.
    Free,
    /// Its holder died while holding it.
    FromDead,
}

fn mine() -> u64 {
    Identity::me().word()
}

fn holder(word: u64) -> Identity {
    Identity::from_word(word & !WAITED)
}

impl Mutex {
    /// Takes the lock if it is free.
    pub(crate) fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, mine(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes the lock, waiting for it until the deadline.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`.
    pub(crate) fn lock(&self, operation: &'static str, deadline: Deadline) -> Result<Taken> {
        if self.try_lock() {
            return Ok(Taken::Free);
        }
        self.lock_slowly(operation, deadline)
    }

    #[cold]
    fn lock_slowly(&self, operation: &'static str, deadline: Deadline) -> Result<Taken> {
        if deadline.is_now() {
            return match self.take_over() {
                Some(taken) => Ok(taken),
                None => Err(Error::new(Kind::WouldBlock, operation)),
            };
        }
        for _ in 0..SPINS {
            if self.0.load(Ordering::Relaxed) == 0 && self.try_lock() {
                return Ok(Taken::Free);
            }
            std::hint::spin_loop();
        }
        interrupt::check(operation)?;
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
            let low = u32::try_from((word | WAITED) & 0xffff_ffff).unwrap_or(0);
            match sys::futex_wait(sys::low_half(&self.0), low, deadline.min(Deadline::after(PATIENCE))) {
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    if let Some(taken) = self.take_over() {
                        return Ok(taken);
                    }
                    if deadline.expired() {
                        return Err(Error::new(Kind::Timeout, operation));
                    }
                    interrupt::check(operation)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(operation)?,
                Err(e) => return Err(Error::from_io(&e, operation)),
                Ok(()) => {}
            }
        }
    }

    /// Takes the lock from a holder that has died, or if it is free.
    fn take_over(&self) -> Option<Taken> {
        let word = self.0.load(Ordering::SeqCst);
        if word != 0 && !holder(word).is_dead() {
            return None;
        }
        let taken = if word == 0 { Taken::Free } else { Taken::FromDead };
        self.0.compare_exchange(word, mine() | WAITED, Ordering::SeqCst, Ordering::SeqCst).ok().map(|_| taken)
    }

    /// Gives the lock up, whoever holds it; false when it was free.
    pub(crate) fn unlock(&self) -> bool {
        let word = self.0.swap(0, Ordering::SeqCst);
        if word & WAITED != 0 {
            sys::futex_wake(sys::low_half(&self.0), 1);
        }
        word != 0
    }
}
