// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deadlines: a point in time after which an operation gives up.
//!
//! A deadline is taken once and handed down, so that retries after a signal or a partial read never
//! stretch it. Timeouts cross the C face as nanoseconds: negative waits for ever, 0 never waits.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// How long an operation may wait.
///
/// # Example
/// ```
/// use carrick::Deadline;
/// use std::time::Duration;
/// assert!(Deadline::NOW.expired());
/// assert!(!Deadline::after(Duration::from_secs(60)).expired());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(When);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// Do not wait: an operation that cannot go on at once fails with `WouldBlock`, of a queue with
    /// `Empty` or `Full`; a condition, a barrier and a connection that is to be made say `Timeout`.
    pub const NOW: Self = Self(When::Now);
    /// Wait as long as it takes.
    pub const NEVER: Self = Self(When::Never);

    /// Wait for at most this long from now. A span too long for the clock means for ever.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        if span.is_zero() {
            return Self::NOW;
        }
        Self(Instant::now().checked_add(span).map_or(When::Never, When::At))
    }

    /// `None` waits for ever.
    #[must_use]
    pub fn after_opt(span: Option<Duration>) -> Self {
        span.map_or(Self::NEVER, Self::after)
    }

    /// From nanoseconds as the C face counts them: negative is for ever, 0 is not at all.
    #[must_use]
    pub fn from_nanos(nanos: i64) -> Self {
        u64::try_from(nanos).map_or(Self::NEVER, |n| Self::after(Duration::from_nanos(n)))
    }

    /// The time left: `None` when there is no limit, zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        match self.0 {
            When::Now => Some(Duration::ZERO),
            When::At(at) => Some(at.saturating_duration_since(Instant::now())),
            When::Never => None,
        }
    }

    /// Whether the time is over.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Whether the caller asked not to wait at all.
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.0 == When::Now
    }

    /// The earlier of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.0, other.0) {
            (When::Now, _) | (_, When::Now) => Self::NOW,
            (When::Never, _) => other,
            (_, When::Never) => self,
            (When::At(a), When::At(b)) => Self(When::At(a.min(b))),
        }
    }
}

impl From<Duration> for Deadline {
    fn from(span: Duration) -> Self {
        Self::after(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_mean_what_the_c_face_says() {
        assert_eq!(Deadline::from_nanos(-1), Deadline::NEVER);
        assert_eq!(Deadline::from_nanos(0), Deadline::NOW);
        assert!(!Deadline::from_nanos(i64::MAX).expired());
    }

    #[test]
    fn the_earlier_deadline_wins() {
        let soon = Deadline::after(Duration::from_secs(5));
        assert_eq!(soon.min(Deadline::NEVER), soon);
        assert_eq!(Deadline::NEVER.min(soon), soon);
        assert_eq!(soon.min(Deadline::NOW), Deadline::NOW);
    }
}
