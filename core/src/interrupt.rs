// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals that arrive during a wait.
//!
//! A wait that a signal interrupts asks the process's interrupt hook, then goes on against its deadline,
//! or ends with [`Kind::Interrupted`]. Python's face installs a hook that runs
//! Python's signal handlers (PEP 475).
//!
//! EINTR alone is not enough for that: the signal may come between the last question and the sleep, or the
//! kernel may have another thread take it. So a hook is told before a thread goes to sleep ([`Hook::arm`]) and
//! may name a descriptor that its signals make readable; the thread sleeps on that one too.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::fork::StaticOnce;
use crate::sys;
use std::os::fd::RawFd;
use std::time::Duration;

/// Whether to go on waiting after a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on, until the deadline.
    Continue,
    /// End the wait with `Interrupted`.
    Stop,
}

/// The reaction of a process to signals that arrive while one of its threads waits. All of it runs in the thread
/// that waits.
pub trait Hook: Sync {
    /// A signal may have arrived.
    fn signalled(&self) -> Verdict;

    /// The thread is about to go to sleep; a signal may have arrived already. Returns a descriptor that is
    /// readable from the next signal on until [`signalled`](Self::signalled) is called, or `None` where EINTR
    /// will do.
    fn arm(&self) -> (Verdict, Option<RawFd>) {
        (self.signalled(), None)
    }

    /// Whether the calling thread is one that does something about signals. Waits of others need not end to ask.
    fn is_for_this_thread(&self) -> bool {
        true
    }

    /// The thread whose [`arm`](Self::arm) returned a descriptor does not sleep any more.
    fn disarm(&self) {}
}

static HOOK: StaticOnce<&'static dyn Hook> = StaticOnce::new();

/// Installs the process's interrupt hook; the first one installed stays.
///
/// Returns whether this call installed it.
pub fn set_hook(hook: &'static dyn Hook) -> bool {
    HOOK.set(hook)
}

fn obey(verdict: Verdict, operation: &'static str) -> Result<()> {
    match verdict {
        Verdict::Stop => Err(Error::new(Kind::Interrupted, operation)),
        Verdict::Continue => Ok(()),
    }
}

/// Asks the hook whether to go on.
pub(crate) fn check(operation: &'static str) -> Result<()> {
    HOOK.get().map_or(Ok(()), |hook| obey(hook.signalled(), operation))
}

/// How long a thread may sleep before it asks for signals that another one may have taken: `short` where there may be
/// one, else `long`.
pub(crate) fn longest_sleep(short: Duration, long: Duration) -> Duration {
    let asks = HOOK.get().is_some_and(|hook| hook.is_for_this_thread()) && !sys::is_only_thread();
    if asks { short } else { long }
}

/// A wait whose sleeps no signal is lost in, for as long as the value lives.
pub(crate) struct Sleeper(Option<(&'static dyn Hook, RawFd)>);

impl Sleeper {
    /// Prepares to sleep.
    ///
    /// # Errors
    /// `Interrupted`: a signal has arrived, and the wait is to end.
    pub(crate) fn prepare(operation: &'static str) -> Result<Self> {
        let Some(hook) = HOOK.get() else { return Ok(Self(None)) };
        let (verdict, fd) = hook.arm();
        let sleeper = Self(fd.map(|fd| (hook, fd)));
        obey(verdict, operation)?;
        Ok(sleeper)
    }

    /// A descriptor to poll besides; [`check`] is to be called when it is readable.
    pub(crate) fn fd(&self) -> Option<RawFd> {
        self.0.map(|(_, fd)| fd)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some((hook, _)) = self.0 {
            hook.disarm();
        }
    }
}
