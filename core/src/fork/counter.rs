// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counting threads, less those that a fork has left behind.
#![forbid(unsafe_code)]

use crate::sys;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many threads of this process are in the middle of something. A child of a fork begins with none.
///
/// It is a hint for whoever looks: the count guards no memory.
#[derive(Debug, Default)]
pub struct ForkCounter {
    /// The generation of the process in the upper half, the count in the lower one.
    // ORDER fork-counter: a counter that guards no memory.
    word: AtomicU64,
}

/// A thread that is counted until this is dropped.
#[derive(Debug)]
pub struct Counted<'a>(&'a ForkCounter);

fn none() -> u64 {
    sys::generation() << 32
}

/// The word, or that of a process with no thread counted if this one is of another process.
fn current(word: u64) -> u64 {
    let none = none();
    if word & !0xffff_ffff == none { word } else { none }
}

impl ForkCounter {
    /// One that counts nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// How many are counted.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(current(self.word.load(Ordering::Relaxed)) & 0xffff_ffff).unwrap_or(usize::MAX)
    }

    /// Counts the caller; the number is how many there were before.
    #[must_use]
    pub fn enter(&self) -> (Counted<'_>, usize) {
        sys::watch_forks();
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let before = current(seen);
            match self.word.compare_exchange_weak(seen, before + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    let before = usize::try_from(before & 0xffff_ffff).unwrap_or(usize::MAX);
                    return (Counted(self), before);
                }
                Err(now) => seen = now,
            }
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        // In the child of a fork that this thread has made meanwhile nobody may be counted.
        let _ = self.0.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
            (current(seen) & 0xffff_ffff != 0).then(|| current(seen) - 1)
        });
    }
}
