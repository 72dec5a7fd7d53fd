// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for the other side of a queue.
#![forbid(unsafe_code)]

use super::layout::Side;
use crate::error::Result;
use crate::interrupt;
use crate::net::{Spin, Wait};
use crate::sync::{SLICE, sleep};
use crate::time::Deadline;
use std::sync::atomic::Ordering;

/// How long to wait for a side's lock: it is never held for long, so who does not wait for room waits for it.
pub(super) fn for_the_lock(deadline: Deadline) -> Deadline {
    if deadline.is_now() { Deadline::NEVER } else { deadline }
}

/// The wait of one call, which spins once and sleeps as often as it takes.
pub(super) struct Waiting<'a> {
    spin: &'a Spin,
    wait: Option<Wait<'a>>,
    slept: bool,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(spin: &'a Spin) -> Self {
        Self { spin, wait: None, slept: false }
    }

    /// Whether this one was asleep, so that it may have been woken for what another one is to do.
    pub(super) fn slept(&self) -> bool {
        self.slept
    }

    /// What was waited for has come.
    pub(super) fn succeeded(&self) {
        if let Some(wait) = self.wait.as_ref().filter(|_| self.slept) {
            wait.slept();
        }
    }

    /// Waits until a side has got on from `version`.
    pub(super) fn for_commit(
        &mut self,
        side: &Side,
        version: u64,
        operation: &'static str,
        deadline: Deadline,
    ) -> Result<()> {
        let moved = || (side.word().load(Ordering::SeqCst) != version).then_some(());
        if self.wait.is_none() {
            let wait = self.wait.insert(self.spin.wait());
            if wait.spin_on_memory(moved).is_some() {
                return Ok(());
            }
            interrupt::check(operation)?;
            crate::blocking::about_to_block();
        }
        self.slept = true;
        side.note_sleepers();
        if moved().is_some() {
            return Ok(());
        }
        sleep(side.word(), version, SLICE, operation, deadline).map(drop)
    }
}
