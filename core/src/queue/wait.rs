// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for the other side of a queue.
#![forbid(unsafe_code)]

use super::layout::Side;
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::net::{Spin, Wait};
use crate::sys;
use crate::time::Deadline;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest sleep between two looks.
const SLICE: Duration = Duration::from_millis(500);

pub(super) fn wake(word: &AtomicU64, count: i32) {
    sys::futex_wake(sys::low_half(word), count);
}

/// Sleeps until the word has another value, the slice or the deadline is over.
pub(super) fn sleep(word: &AtomicU64, value: u64, operation: &'static str, deadline: Deadline) -> Result<()> {
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    match sys::futex_wait(sys::low_half(word), low, deadline.min(Deadline::after(SLICE))) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::TimedOut && deadline.expired() => {
            Err(Error::new(Kind::Timeout, operation))
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
            interrupt::check(operation)
        }
        Err(e) => Err(Error::from_io(&e, operation)),
    }
}

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
    sleep(side.word(), version, operation, deadline)
}
