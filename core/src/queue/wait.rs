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

/// Waits until a side has got on from `version`.
pub(super) fn await_commit<'a>(
    side: &Side,
    version: u64,
    spin: &'a Spin,
    wait: &mut Option<Wait<'a>>,
    operation: &'static str,
    deadline: Deadline,
) -> Result<()> {
    let moved = || (side.word().load(Ordering::SeqCst) != version).then_some(());
    if wait.is_none() {
        let wait = wait.insert(spin.wait());
        if wait.spin(moved).is_some() {
            return Ok(());
        }
        interrupt::check(operation)?;
        crate::blocking::about_to_block();
    }
    side.note_sleepers();
    if moved().is_some() {
        return Ok(());
    }
    sleep(side.word(), version, SLICE, operation, deadline).map(drop)
}
