// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock whose waiters have deadlines: one direction of a connection belongs to one caller at a time,
//! who may hold it for as long as a peer takes.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::fork::{ForkGuard, ForkMutex};
use crate::time::Deadline;

/// The child of a fork has the turn of a thread that it has not got, and begins with a fresh value.
#[derive(Debug, Default)]
pub(super) struct Turn<T: Default>(ForkMutex<T>);

impl<T: Default> Turn<T> {
    /// Takes the turn; it is given back when the guard is dropped.
    pub(super) fn take(&self, operation: &'static str, deadline: Deadline) -> Result<ForkGuard<'_, T>> {
        self.0.lock_until(deadline).ok_or_else(|| {
            let kind = if deadline.is_now() { Kind::WouldBlock } else { Kind::Timeout };
            Error::with_detail(kind, operation, "another thread is in the middle of a frame")
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fork::tests::in_child_while;

    #[test]
    fn a_child_has_the_turn_that_another_thread_had() {
        let turn = Turn::<u32>::default();
        *turn.take("test", Deadline::NEVER).unwrap() = 5;
        let busy = || turn.take("test", Deadline::NEVER).unwrap();
        assert!(in_child_while(busy, || *turn.take("test", Deadline::NEVER).unwrap() == 0));
        assert!(in_child_while(|| (), || *turn.take("test", Deadline::NEVER).unwrap() == 5));
        let held = busy();
        assert_eq!(turn.take("test", Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
        drop(held);
    }
}
