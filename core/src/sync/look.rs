// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a sleeper looks whether somebody died.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// The points in time at which a sleeper looks. Signals and wakings that are for nothing end a sleep before its time,
/// but do not put a look off, however often they come.
#[derive(Debug)]
pub(super) struct Look {
    next: Instant,
    span: Duration,
    longest: Duration,
}

impl Look {
    /// The first look is so long from now, and others follow.
    pub(super) fn every(every: Duration) -> Self {
        Self::rarer(every, every)
    }

    /// The first look is so long from now, and each span is twice as long as the one before, up to the longest.
    pub(super) fn rarer(first: Duration, longest: Duration) -> Self {
        Self { next: Instant::now() + first, span: first, longest }
    }

    /// How long to sleep until the next one.
    pub(super) fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Whether it is time for one; the next one is then a whole span away. In models no time passes.
    pub(super) fn is_due(&mut self) -> bool {
        let due = !cfg!(loom) && self.left().is_zero();
        if due {
            self.span = (self.span * 2).min(self.longest);
            self.next = Instant::now() + self.span;
        }
        due
    }
}
