// SPDX-License-Identifier: MIT OR Apache-2.0
//! Claims: one thread at a time handles the events of a descriptor that several threads hear of.
//!
//! A claim is idle, running or again. A thread that gets an event takes an idle claim and works; an event for a
//! running one only marks it *again*, and whoever lets go of it then has the event reported anew. So one thread
//! at a time works on a descriptor and no event is lost.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const AGAIN: u8 = 2;

#[derive(Debug)]
pub(super) struct Claim(AtomicU8);

impl Claim {
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(IDLE))
    }

    /// Takes the claim; false when another thread has it, which will hear of this.
    pub(super) fn take(&self) -> bool {
        let taken = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |claim| {
            Some(if claim == IDLE { RUNNING } else { AGAIN })
        });
        taken == Ok(IDLE)
    }

    /// Lets go; true when an event came meanwhile, which is then to be reported anew.
    pub(super) fn let_go(&self) -> bool {
        self.0.swap(IDLE, Ordering::SeqCst) == AGAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_for_a_running_claim_is_told_to_who_has_it() {
        let claim = Claim::new();
        assert!(claim.take());
        assert!(!claim.take() && !claim.take());
        assert!(claim.let_go());
        assert!(claim.take());
        assert!(!claim.let_go());
    }
}
