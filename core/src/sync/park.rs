// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleeping on a word of shared memory, a slice at a time.
#![forbid(unsafe_code)]

use super::atomic::{AtomicU64, Ordering};
use super::futex;
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::time::Deadline;
use std::io;
use std::time::Duration;

/// The longest sleep between two looks: a waiter woken for something may be killed before it takes it. In the tests of
/// this crate's inside nobody is killed, and a forgotten waiter is to stay so.
pub(crate) const SLICE: Duration = Duration::from_millis(if cfg!(test) { 3_600_000 } else { 500 });

/// A sleep in the kernel takes 50 us at the least, and half of that as processor time.
const SHORT: Duration = Duration::from_micros(10);

/// Sleeps while the word's low half is that of `value`, until somebody wakes it, a signal comes, or the slice is over.
///
/// # Errors
/// `Timeout` when the deadline has passed, `Interrupted`.
pub(crate) fn sleep(
    word: &AtomicU64,
    value: u64,
    slice: Duration,
    operation: &'static str,
    deadline: Deadline,
) -> Result<()> {
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    if !cfg!(loom) && deadline.remaining().is_some_and(|left| left < SHORT) {
        return stay_awake(word, low, operation, deadline);
    }
    match futex::wait(word, low, deadline.min(Deadline::after(slice))) {
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

/// The same for a deadline that is sooner than a sleep is over.
fn stay_awake(word: &AtomicU64, low: u32, operation: &'static str, deadline: Deadline) -> Result<()> {
    while !deadline.expired() {
        if word.load(Ordering::SeqCst) & 0xffff_ffff != u64::from(low) {
            return Ok(());
        }
        std::hint::spin_loop();
    }
    Err(Error::new(Kind::Timeout, operation))
}

/// Wakes up to `count` sleepers on the word's low half; returns how many there were.
pub(crate) fn wake(word: &AtomicU64, count: i32) -> usize {
    futex::wake(word, count)
}
