// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that was started, as the one who started it sees it.
#![forbid(unsafe_code)]

use super::request;
use crate::error::{Error, Kind, Result};
use crate::frame::Connection;
use crate::net::Stream;
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody can tell: its fork server died first, or somebody else has waited for it.
    Unknown,
}

impl Exit {
    /// As Python counts: the exit code, the negative number of the signal, or 255.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => -number,
            Self::Unknown => 255,
        }
    }

    fn from_code(code: i32) -> Self {
        if code < 0 { Self::Signal(-code) } else { Self::Code(code) }
    }
}

/// Where the end of the process is learned.
#[derive(Debug)]
enum Source {
    /// A child of this process, by its pidfd.
    Own(OwnedFd),
    /// A child of a fork server, which reports; and its pidfd, unless it had ended before there could be one.
    Served(OwnedFd, Option<OwnedFd>),
}

/// A process that was started. All calls may be made from any thread.
///
/// Dropping it leaves the process running; it is taken from the kernel's table when a later child is started or
/// dropped after its end. In a child of fork only the process that started it can wait for it.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    source: Source,
    ended: Mutex<Option<Exit>>,
    channel: Option<Connection<Stream>>,
}

/// Children of this process that nobody holds any more, and that had not ended when they were dropped.
static ORPHANS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes children that were dropped and have ended from the kernel's table.
pub(super) fn reap_orphans() {
    // In a child of fork it may be held for ever, by a thread that is not there.
    if let Ok(mut orphans) = ORPHANS.try_lock() {
        orphans.retain(|pid| matches!(sys::reap(*pid), Ok(None)));
    }
}

impl Child {
    pub(super) fn own(pid: i32, pidfd: OwnedFd, channel: Option<Connection<Stream>>) -> Self {
        reap_orphans();
        Self { pid, source: Source::Own(pidfd), ended: Mutex::new(None), channel }
    }

    pub(super) fn served(pid: i32, report: OwnedFd, channel: Option<Connection<Stream>>) -> Self {
        let source = Source::Served(report, sys::pidfd(pid).ok());
        Self { pid, source, ended: Mutex::new(None), channel }
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The channel to the process, where one was asked for.
    #[must_use]
    pub fn channel(&self) -> Option<&Connection<Stream>> {
        self.channel.as_ref()
    }

    /// Takes the channel out, to keep it apart from the process.
    pub fn take_channel(&mut self) -> Option<Connection<Stream>> {
        self.channel.take()
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// `Timeout` after the deadline, `WouldBlock` when it runs and the deadline is `NOW`, `Interrupted`, `Os`.
    pub fn join(&self, deadline: Deadline) -> Result<Exit> {
        const JOINING: &str = "join a process";
        loop {
            if let Some(exit) = self.look()? {
                return Ok(exit);
            }
            if deadline.expired() {
                let kind = if deadline.is_now() { Kind::WouldBlock } else { Kind::Timeout };
                return Err(Error::new(kind, JOINING));
            }
            crate::blocking::about_to_block();
            super::nap(self.as_fd(), Interest::Read, JOINING, deadline)?;
        }
    }

    /// How the process ended, `None` while it runs. Never waits.
    ///
    /// # Errors
    /// `Os`.
    pub fn try_join(&self) -> Result<Option<Exit>> {
        self.look()
    }

    /// Whether the process runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.look(), Ok(None))
    }

    fn look(&self) -> Result<Option<Exit>> {
        let mut ended = lock(&self.ended);
        if ended.is_none() {
            *ended = match &self.source {
                Source::Own(_) => match sys::reap(self.pid) {
                    Ok(status) => status.map(|status| Exit::from_code(sys::exit_code(status))),
                    // Somebody who waits for every child, or the kernel where SIGCHLD is ignored, was first.
                    Err(e) if e.raw_os_error() == Some(libc::ECHILD) => Some(Exit::Unknown),
                    Err(e) => return Err(Error::from_io(&e, "join a process")),
                },
                Source::Served(report, _) => {
                    let mut slot = [PollSlot::new(report.as_raw_fd(), Interest::Read)];
                    match sys::poll(&mut slot, Deadline::NOW) {
                        Ok(0) => None,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => None,
                        Err(e) => return Err(Error::from_io(&e, "join a process")),
                        Ok(_) => {
                            Some(request::exit_code(report.as_fd())?.map_or(Exit::Unknown, Exit::from_code))
                        }
                    }
                }
            };
        }
        Ok(*ended)
    }

    /// Sends a signal; to one that has ended it does nothing.
    ///
    /// # Errors
    /// `Os` (EINVAL: there is no such signal; EPERM: the process has another user).
    pub fn signal(&self, number: i32) -> Result<()> {
        // Under the lock it cannot be taken from the kernel's table meanwhile.
        let ended = lock(&self.ended);
        let (Source::Own(pidfd) | Source::Served(_, Some(pidfd))) = &self.source else { return Ok(()) };
        if ended.is_some() {
            return Ok(());
        }
        match sys::signal_pidfd(pidfd.as_raw_fd(), number) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other.map_err(|e| Error::from_io(&e, "signal a process")),
        }
    }

    /// Asks the process to end (SIGTERM).
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn terminate(&self) -> Result<()> {
        self.signal(libc::SIGTERM)
    }

    /// Ends the process (SIGKILL).
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn kill(&self) -> Result<()> {
        self.signal(libc::SIGKILL)
    }
}

/// A descriptor that is readable when the process has ended, to wait for several at once.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Own(pidfd) => pidfd.as_fd(),
            Source::Served(report, _) => report.as_fd(),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.source, Source::Own(_)) && matches!(self.look(), Ok(None)) {
            lock(&ORPHANS).push(self.pid);
        }
        reap_orphans();
    }
}
