// SPDX-License-Identifier: MIT OR Apache-2.0
//! A flag to wait for.

use super::atomic::{AtomicU64, Ordering};
use super::look::{Look, Lookout};
use super::park::{sleep, wake};
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::net::Spin;
use crate::shm::{Shared, Slot, Small};
use crate::time::Deadline;

/// The event is set.
const SET: u64 = 1;
/// Somebody may sleep.
const WAITED: u64 = 2;
/// The bits above these count how often the event was set: a waiter that slept through a set and a clear has seen it.
const ONE: u64 = 4;

const WAIT: &str = "wait for event";

#[derive(Default)]
#[repr(C)]
pub(super) struct EventWords {
    tag: AtomicU64,
    word: AtomicU64,
    lookout: Lookout,
}

// SAFETY: repr(C) of atomics, of 24 bytes, with the tag first.
unsafe impl Shared for EventWords {
    type Size = Small;
    const TAG: u64 = u64::from_le_bytes(*b"ck-evnt\x01");
    const NAME: &'static str = "event";
}

/// A flag for threads and processes that can be waited for.
///
/// # Example
/// ```
/// use carrick::sync::Event;
/// use carrick::Deadline;
/// let event = Event::new()?;
/// event.set();
/// event.wait(Deadline::NEVER)?;
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Event {
    slot: Slot<EventWords>,
    spin: Spin,
}

super::handed_over!(Event, "event");

impl Event {
    /// An event that is not set.
    ///
    /// # Errors
    /// `Os` (EMFILE, ...), `NoMemory`.
    pub fn new() -> Result<Self> {
        Slot::new("make event", |_| ()).map(Self::over)
    }

    /// The same with a name, by which other programs of this user [`open`](Self::open) it.
    ///
    /// # Errors
    /// `Invalid`: no such name is possible; `Os` (EEXIST: there is one of this name; EMFILE, ...), `NoMemory`.
    #[cfg(not(loom))]
    pub fn create(name: &str) -> Result<Self> {
        Slot::create(name, 0, "create event", |_| ()).map(Self::over)
    }

    fn over(slot: Slot<EventWords>) -> Self {
        Self { slot, spin: Spin::new() }
    }

    /// Whether the event is set, at this moment.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.slot.word.load(Ordering::SeqCst) & SET != 0
    }

    /// Sets the event: all who wait go on, and nobody waits until it is cleared.
    pub fn set(&self) {
        let word = &self.slot.word;
        let before = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |found| {
            (found & SET == 0).then(|| (found & !WAITED).wrapping_add(ONE) | SET)
        });
        if before.is_ok_and(|found| found & WAITED != 0) {
            wake(word, i32::MAX);
        }
    }

    /// Clears the event.
    pub fn clear(&self) {
        self.slot.word.fetch_and(!SET, Ordering::SeqCst);
    }

    /// Waits until the event is set.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        let word = &self.slot.word;
        let began = word.load(Ordering::SeqCst);
        if began & SET != 0 {
            return Ok(());
        }
        if deadline.is_now() {
            return Err(Error::new(Kind::WouldBlock, WAIT));
        }
        let mut wait = self.spin.wait();
        let was_set = |found: u64| found & SET != 0 || found / ONE != began / ONE;
        if wait.spin_on_memory(deadline, || was_set(word.load(Ordering::SeqCst)).then_some(())).is_some() {
            return Ok(());
        }
        interrupt::check(WAIT)?;
        crate::blocking::about_to_block();
        let (mut look, mut is_due) = (Look::seldom(&self.slot.lookout), false);
        loop {
            let found = word.fetch_or(WAITED, Ordering::SeqCst);
            if was_set(found) {
                if is_due {
                    // The one that set it may have been killed before it woke anybody.
                    wake(word, i32::MAX);
                }
                wait.slept();
                return Ok(());
            }
            if let Err(error) = sleep(word, found | WAITED, look.left(), WAIT, deadline) {
                look.end(|| wake(word, 1) > 0);
                wait.slept_in_vain();
                return if was_set(word.load(Ordering::SeqCst)) { Ok(()) } else { Err(error) };
            }
            is_due = look.is_due();
        }
    }
}
