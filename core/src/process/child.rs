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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

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
    Own(Arc<OwnedFd>),
    /// A child of a fork server, which reports; and its pidfd, unless it had ended before there could be one.
    Served(OwnedFd, Option<OwnedFd>),
}

impl Source {
    /// How the process ended, `None` while it runs. The answer is there once.
    fn ask(&self) -> Result<Option<Exit>> {
        let failed = |e: io::Error| Error::from_io(&e, "join a process");
        match self {
            Self::Own(pidfd) => match sys::reap(pidfd.as_fd()) {
                Ok(code) => Ok(code.map(Exit::from_code)),
                // Somebody who waits for every child, or the kernel where SIGCHLD is ignored, was first.
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => Ok(Some(Exit::Unknown)),
                Err(e) => Err(failed(e)),
            },
            Self::Served(report, _) => {
                let mut slot = [PollSlot::new(report.as_raw_fd(), Interest::Read)];
                match sys::poll(&mut slot, Deadline::NOW) {
                    Ok(0) => Ok(None),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
                    Err(e) => Err(failed(e)),
                    Ok(_) => {
                        Ok(Some(request::exit_code(report.as_fd())?.map_or(Exit::Unknown, Exit::from_code)))
                    }
                }
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
    /// The process that started it.
    starter: u32,
    source: Source,
    ended: Mutex<Option<Exit>>,
    channel: Option<Connection<Stream>>,
}

/// Children of this process that nobody holds any more, and that had not ended when they were dropped, by their pidfds.
/// A child of fork has the next list: of its parent's, a thread that is not there may hold the lock for ever.
static ORPHANS: [Mutex<Vec<Arc<OwnedFd>>>; 16] = [const { Mutex::new(Vec::new()) }; 16];

fn orphans() -> &'static Mutex<Vec<Arc<OwnedFd>>> {
    let generation = usize::try_from(sys::generation()).unwrap_or(0);
    &ORPHANS[generation % ORPHANS.len()]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes children that were dropped and have ended from the kernel's table.
pub(super) fn reap_orphans() {
    // Who has it does the same.
    if let Ok(mut orphans) = orphans().try_lock() {
        orphans.retain(|pidfd| matches!(sys::reap(pidfd.as_fd()), Ok(None)));
    }
}

impl Child {
    pub(super) fn own(pid: i32, pidfd: OwnedFd, channel: Option<Connection<Stream>>) -> Self {
        sys::watch_forks();
        reap_orphans();
        Self::new(pid, Source::Own(Arc::new(pidfd)), channel)
    }

    pub(super) fn served(pid: i32, report: OwnedFd, channel: Option<Connection<Stream>>) -> Self {
        Self::new(pid, Source::Served(report, sys::pidfd(pid).ok()), channel)
    }

    /// A child that has ended, nobody knows how: a report that nobody writes says the same.
    pub(super) fn ended(pid: i32, channel: Option<Connection<Stream>>) -> io::Result<Self> {
        let (report, _) = sys::pipe()?;
        Ok(Self::new(pid, Source::Served(report, None), channel))
    }

    fn new(pid: i32, source: Source, channel: Option<Connection<Stream>>) -> Self {
        Self { pid, starter: std::process::id(), source, ended: Mutex::new(None), channel }
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
        let mut ended = match self.ended.try_lock() {
            Ok(ended) => ended,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // In a child of fork it may be held for ever, by a thread that is not there.
            Err(TryLockError::WouldBlock) if self.starter != std::process::id() => return self.source.ask(),
            Err(TryLockError::WouldBlock) => lock(&self.ended),
        };
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
        let pidfd: &OwnedFd = match &self.source {
            Source::Own(pidfd) => pidfd,
            Source::Served(_, Some(pidfd)) => pidfd,
            Source::Served(_, None) => return Ok(()),
        };
        if self.ended.try_lock().is_ok_and(|ended| ended.is_some()) {
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
        // It has no other user: its lock, which a child of fork may find held for ever, is not asked.
        let ended = *self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Source::Own(pidfd) = &self.source
            && ended.is_none()
            && matches!(self.source.ask(), Ok(None))
        {
            lock(orphans()).push(Arc::clone(pidfd));
        }
        reap_orphans();
    }
}
