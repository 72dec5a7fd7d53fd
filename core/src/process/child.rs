// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that was started, as the one who started it sees it.
#![forbid(unsafe_code)]

use super::request;
use crate::error::{Error, Kind, Result};
use crate::fork::ForkMutex;
use crate::frame::Connection;
use crate::net::Stream;
use crate::sys::{self, Interest, PollSlot, ProcessHandle};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

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

/// How a child of this process that was started by other means has ended, taken from the kernel's table; `None` while
/// it runs. Never waits. The answer is there once.
///
/// # Errors
/// `Os`.
pub fn reap(pid: i32) -> Result<Option<Exit>> {
    match sys::reap_number(pid) {
        Ok(code) => Ok(code.map(Exit::from_code)),
        Err(e) if e.raw_os_error() == Some(libc::ECHILD) => Ok(Some(Exit::Unknown)),
        Err(e) => Err(Error::from_io(&e, "join a process")),
    }
}

/// Where the end of the process is learned.
#[derive(Debug)]
enum Source {
    /// A child of this process.
    Own(Arc<ProcessHandle>),
    /// A child of a fork server, which reports.
    Served(OwnedFd, Target),
}

/// Where signals to a child of a fork server go.
#[derive(Debug)]
enum Target {
    Pidfd(OwnedFd),
    /// To its number, until its end is reported: pidfds are refused, or no descriptors were left.
    Number,
    /// It had ended before there could be a pidfd.
    Gone,
}

impl Target {
    fn of(pid: i32) -> Self {
        match sys::pidfd(pid) {
            Ok(pidfd) => Self::Pidfd(pidfd),
            Err(error) if sys::is_gone(&error) => Self::Gone,
            Err(_) => Self::Number,
        }
    }
}

impl Source {
    /// How the process ended, `None` while it runs. The answer is there once.
    fn ask(&self) -> Result<Option<Exit>> {
        let failed = |e: io::Error| Error::from_io(&e, "join a process");
        match self {
            Self::Own(handle) => match handle.reap() {
                Ok(code) => Ok(code.map(Exit::from_code)),
                // Somebody who waits for every child, or the kernel where SIGCHLD is ignored, was first.
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => Ok(Some(Exit::Unknown)),
                Err(e) => Err(failed(e)),
            },
            Self::Served(report, _) => {
                let code = request::try_exit_code(report.as_fd())?;
                Ok(code.map(|code| code.map_or(Exit::Unknown, Exit::from_code)))
            }
        }
    }
}

/// A process that was started. All calls may be made from any thread.
///
/// Dropping it leaves the process running; it is taken from the kernel's table when a later child is started or
/// dropped after its end, and keeps a descriptor until then. In a child of fork only the process that started it can
/// wait for it.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    source: Source,
    ended: ForkMutex<Option<Exit>>,
    channel: Option<Connection<Stream>>,
}

/// Children of this process that nobody holds any more, and that had not ended when they were dropped.
static ORPHANS: ForkMutex<Vec<Arc<ProcessHandle>>> = ForkMutex::per_process(Vec::new(), Vec::new);

/// Takes children that were dropped and have ended from the kernel's table.
pub(super) fn reap_orphans() {
    // The holder of the lock does the same.
    if let Some(mut orphans) = ORPHANS.try_lock() {
        orphans.retain(|orphan| matches!(orphan.reap(), Ok(None)));
        if orphans.is_empty() {
            // A program that has no children has no memory for them.
            *orphans = Vec::new();
        }
    }
}

impl Child {
    pub(super) fn own(handle: ProcessHandle, channel: Option<Connection<Stream>>) -> Self {
        reap_orphans();
        Self::new(handle.pid(), Source::Own(Arc::new(handle)), channel)
    }

    pub(super) fn served(pid: i32, report: OwnedFd, channel: Option<Connection<Stream>>) -> Self {
        Self::new(pid, Source::Served(report, Target::of(pid)), channel)
    }

    /// A child that has ended, nobody knows how: a report that nobody writes says the same.
    pub(super) fn ended(pid: i32, channel: Option<Connection<Stream>>) -> io::Result<Self> {
        let (report, _) = sys::pipe()?;
        Ok(Self::new(pid, Source::Served(report, Target::Gone), channel))
    }

    fn new(pid: i32, source: Source, channel: Option<Connection<Stream>>) -> Self {
        Self { pid, source, ended: ForkMutex::default(), channel }
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
        let mut ended = self.ended.lock();
        if ended.is_none() {
            *ended = self.source.ask()?;
        }
        Ok(*ended)
    }

    /// Sends a signal; to one that has ended it does nothing.
    ///
    /// # Errors
    /// `Os` (EINVAL: there is no such signal; EPERM: the process has another user).
    pub fn signal(&self, number: i32) -> Result<()> {
        // While it is held nobody reaps the process, and its number is no other's.
        let ended = self.ended.lock();
        if ended.is_some() {
            return Ok(());
        }
        let sent = match &self.source {
            Source::Own(handle) => handle.signal(number),
            Source::Served(_, Target::Pidfd(pidfd)) => match sys::signal_pidfd(pidfd.as_raw_fd(), number) {
                Err(e) if sys::is_refused(&e) => sys::signal_number(self.pid, number),
                sent => sent,
            },
            Source::Served(report, Target::Number) => {
                let mut slot = [PollSlot::new(report.as_raw_fd(), Interest::Read)];
                match sys::poll(&mut slot, Deadline::NOW) {
                    Ok(0) => sys::signal_number(self.pid, number),
                    _ => Ok(()),
                }
            }
            Source::Served(_, Target::Gone) => Ok(()),
        };
        match sent {
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
            Source::Own(handle) => handle.as_fd(),
            Source::Served(report, _) => report.as_fd(),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let ended = *self.ended.get_mut();
        if let Source::Own(handle) = &self.source
            && ended.is_none()
            && matches!(self.source.ask(), Ok(None))
        {
            ORPHANS.lock().push(Arc::clone(handle));
        }
        reap_orphans();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fork::tests::in_child_while;
    use crate::process::Command;

    #[test]
    fn a_child_starts_drops_and_joins_processes_whoever_had_the_list() {
        let work = || {
            drop(Command::new("true").spawn().unwrap());
            Command::new("true").spawn().unwrap().join(Deadline::NEVER).unwrap() == Exit::Code(0)
        };
        assert!(in_child_while(|| ORPHANS.lock(), work));
    }

    #[test]
    fn a_child_may_ask_for_a_process_of_its_parents_whoever_asks_for_it() {
        let child = Command::new("true").spawn().unwrap();
        // It is not its own, so that nobody can tell how it ends: that it does not wait is what counts.
        assert!(in_child_while(|| child.ended.lock(), || child.try_join().is_ok()));
        assert_eq!(child.join(Deadline::NEVER).unwrap(), Exit::Code(0));
    }
}
