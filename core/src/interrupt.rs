// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens when a signal arrives during a wait.
//!
//! A wait that a signal interrupts asks the process's interrupt hook, then goes on against its deadline,
//! or ends with [`Kind::Interrupted`]. Python's face installs a hook that runs
//! Python's signal handlers (PEP 475). The hook is also asked once before a wait goes to sleep, so that a
//! signal that came in just before is not slept through.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use std::sync::OnceLock;

/// Whether to go on waiting after a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on, until the deadline.
    Continue,
    /// End the wait with `Interrupted`.
    Stop,
}

static HOOK: OnceLock<fn() -> Verdict> = OnceLock::new();

/// Installs the process's interrupt hook. It runs in the waiting thread; the first one installed stays.
///
/// Returns whether this call installed it.
pub fn set_hook(hook: fn() -> Verdict) -> bool {
    HOOK.set(hook).is_ok()
}

pub(crate) fn check(operation: &'static str) -> Result<()> {
    match HOOK.get().map(|hook| hook()) {
        Some(Verdict::Stop) => Err(Error::new(Kind::Interrupted, operation)),
        Some(Verdict::Continue) | None => Ok(()),
    }
}
