// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readiness of many descriptors at once: the multiplexed and the event-driven model.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::fork::{ForkGuard, ForkMutex};
use crate::interrupt::{self, Sleeper};
use crate::sys::{self, Epoll, Event, Interest, OwnWake, PollSlot};
use crate::time::Deadline;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// The readiness for which a descriptor is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Something can be received or accepted, or the stream has ended.
    pub readable: bool,
    /// Something can be sent, or a connection was made.
    pub writable: bool,
}

/// A descriptor that became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// As in [`Readiness`].
    pub readable: bool,
    /// As in [`Readiness`].
    pub writable: bool,
    /// The peer has hung up, or the descriptor is in error.
    pub hung_up: bool,
}

const WAKE_TOKEN: u64 = u64::MAX;

/// Watches many descriptors and reports those that are ready, as long as they are.
///
/// All calls may be made from any thread. The poller does not own the descriptors: remove one before
/// it is closed.
///
/// # Example
/// ```
/// use carrick::{Deadline, Poller, Readiness, Stream};
/// let (left, right) = Stream::pair()?;
/// let poller = Poller::new()?;
/// poller.add(left.fd()?, 7, Readiness { readable: true, writable: false })?;
/// right.send_all(b"x", Deadline::NEVER)?;
/// let ready = poller.wait(16, Deadline::NEVER)?;
/// assert_eq!(ready[0].token, 7);
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    wake: OwnWake,
    /// Of the process that made it.
    generation: u64,
    watched: ForkMutex<HashMap<RawFd, u64>>,
}

fn interest(of: Readiness) -> Interest {
    match (of.readable, of.writable) {
        (true, true) => Interest::Both,
        (true, false) => Interest::Read,
        (false, true) => Interest::Write,
        (false, false) => Interest::Nothing,
    }
}

impl Poller {
    /// An empty poller.
    ///
    /// # Errors
    /// `Os` when no descriptors are left.
    pub fn new() -> Result<Self> {
        let failed = |e: io::Error| Error::from_io(&e, "make poller");
        let (epoll, wake) = (Epoll::new().map_err(failed)?, OwnWake::new().map_err(failed)?);
        epoll.add(wake.fd(), WAKE_TOKEN, Interest::Read, false).map_err(failed)?;
        Ok(Self { epoll, wake, generation: sys::generation(), watched: ForkMutex::default() })
    }

    /// A child of fork shares the kernel's set with its parent, and would change what that one watches.
    fn check(&self, operation: &'static str) -> Result<()> {
        if self.generation == sys::generation() {
            return Ok(());
        }
        Err(Error::with_detail(Kind::Forked, operation, "this poller is the parent's: make another"))
    }

    /// Watches `fd` and reports it as `token`.
    ///
    /// # Errors
    /// `Forked` in a child of the process that made the poller, here and below; `Invalid` when the token is 2^64 - 1, `Os` (EEXIST: watched already, EBADF, EPERM: a plain file).
    pub fn add(&self, fd: RawFd, token: u64, readiness: Readiness) -> Result<()> {
        if token == WAKE_TOKEN {
            return Err(Error::with_detail(
                Kind::Invalid,
                "watch",
                "token 2^64 - 1 is taken: use a smaller one",
            ));
        }
        self.check("watch")?;
        self.epoll.add(fd, token, interest(readiness), false).map_err(|e| Error::from_io(&e, "watch"))?;
        self.lock().insert(fd, token);
        Ok(())
    }

    /// Changes what a watched `fd` is watched for.
    ///
    /// # Errors
    /// `Os` (ENOENT: not watched).
    pub fn modify(&self, fd: RawFd, readiness: Readiness) -> Result<()> {
        self.check("change watch")?;
        let not_watched = || Error::from_os(libc::ENOENT, "change watch");
        let token = *self.lock().get(&fd).ok_or_else(not_watched)?;
        self.epoll
            .modify(fd, token, interest(readiness), false)
            .map_err(|e| Error::from_io(&e, "change watch"))
    }

    /// Stops watching `fd`.
    ///
    /// # Errors
    /// `Os` (ENOENT: not watched).
    pub fn remove(&self, fd: RawFd) -> Result<()> {
        self.check("stop watching")?;
        if self.lock().remove(&fd).is_none() {
            return Err(Error::from_os(libc::ENOENT, "stop watching"));
        }
        self.epoll.remove(fd).map_err(|e| Error::from_io(&e, "stop watching"))
    }

    /// Waits until something is ready and returns up to `most` reports; empty when the deadline passed
    /// or [`wake`](Self::wake) was called.
    ///
    /// # Errors
    /// `Interrupted`, `Os`.
    pub fn wait(&self, most: usize, deadline: Deadline) -> Result<Vec<Ready>> {
        const OPERATION: &str = "poll";
        self.check(OPERATION)?;
        let mut events = vec![Event::EMPTY; most.clamp(1, 4096)];
        let sleeper = if deadline.is_now() { None } else { Some(Sleeper::prepare(OPERATION)?) };
        loop {
            let mut limit = deadline;
            if let Some(signals) = sleeper.as_ref().and_then(Sleeper::fd) {
                let mut slots = [
                    PollSlot::new(self.epoll.as_raw_fd(), Interest::Read),
                    PollSlot::new(signals, Interest::Read),
                ];
                // EINTR means a signal, too.
                if sys::poll(&mut slots, deadline).is_err() || slots[1].fired() {
                    interrupt::check(OPERATION)?;
                }
                limit = Deadline::NOW;
            }
            match self.epoll.wait(&mut events, limit) {
                Ok(0) if !deadline.expired() => {}
                Ok(count) => return Ok(self.report(events.get(..count).unwrap_or_default())),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(OPERATION)?,
                Err(e) => return Err(Error::from_io(&e, OPERATION)),
            }
        }
    }

    /// Makes the wait that is running, or else the next one, return at once.
    pub fn wake(&self) {
        self.wake.set();
    }

    /// How many descriptors are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn report(&self, events: &[Event]) -> Vec<Ready> {
        let mut ready = Vec::with_capacity(events.len());
        for event in events {
            if event.token() == WAKE_TOKEN {
                self.wake.clear();
                continue;
            }
            ready.push(Ready {
                token: event.token(),
                readable: event.readable(),
                writable: event.writable(),
                hung_up: event.hung_up(),
            });
        }
        ready
    }

    fn lock(&self) -> ForkGuard<'_, HashMap<RawFd, u64>> {
        self.watched.lock()
    }
}
