// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pieces of a fork server, for a program that forks by itself, as the Python module does: [`Supply`] is the server's
//! side, children forked ahead of time, and [`ask`] the client's. [`ForkServer`](super::ForkServer) is the whole.
//!
//! # Who knows what
//! An *idle* child waits for a request. When it has one it sends the request's report to the server: from then on it
//! is *busy*, and the server writes its exit code there. Then it writes its own number there, and begins. A child that
//! dies idle is replaced; one that is stopped idle is killed.
//!
//! # Deaths
//! An idle child is killed by the kernel when the server ends. A busy one lives on. All end by themselves when they
//! are idle and the last client is gone.
//!
//! # How many
//! One at first; one more, up to four, whenever the last idle child was taken.
//!
//! # Descriptors
//! The server has one for each busy child, so it raises its limit as far as it may, and for each idle one it keeps room for
//! its report. Where it has no room for one more it forks none, and the requests that nobody takes are refused.
#![forbid(unsafe_code)]

pub use super::request::{MOST_DESCRIPTORS, Request, ask, exit_code};
use super::request::{ending, receive, write_number};
use crate::error::{Error, Result};
use crate::interrupt::{self, Sleeper};
use crate::sys::{self, ChildSignal, Interest, MostDescriptors, PollSlot};
use crate::time::Deadline;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// The most children that wait for work at a time.
const MOST_IDLE: usize = 4;

/// How long a server that could not fork waits until it tries again.
const REST: Duration = Duration::from_millis(20);

const SERVING: &str = "serve forks";

/// Two connected sockets for a fork server: its clients have the first one, the server has the second.
///
/// # Errors
/// `Os` (EMFILE: no descriptors are left).
pub fn request_pair() -> Result<(OwnedFd, OwnedFd)> {
    sys::message_pair().map_err(|e| Error::from_io(&e, "make a fork server"))
}

/// The children of a fork server. The server calls [`wait`](Self::wait) in a loop, forks when it returns true, and
/// says so ([`forked`](Self::forked), [`fork_failed`](Self::fork_failed)); the child calls [`take`](Self::take).
///
/// Until it is dropped or `take` returns, SIGCHLD is blocked in the thread that made it, and in the process it has its
/// default action and the limit on descriptors is as high as it may be.
pub struct Supply {
    requests: OwnedFd,
    /// What children say to the server, and their end of it.
    heard: OwnedFd,
    saying: OwnedFd,
    deaths: ChildSignal,
    limit: MostDescriptors,
    /// Descriptors that keep the room for others: for the report of each idle child, and for that of a request that is
    /// refused.
    room: Vec<OwnedFd>,
    server: u32,
    idle: HashSet<i32>,
    busy: HashMap<i32, OwnedFd>,
    wanted: usize,
    resting: Option<Deadline>,
}

impl Supply {
    /// A supply for the requests that arrive on the server's socket of a [`request_pair`].
    ///
    /// # Errors
    /// `Os` (EMFILE: no descriptors are left).
    pub fn new(requests: OwnedFd) -> Result<Self> {
        let failed = |e: io::Error| Error::from_io(&e, SERVING);
        let limit = MostDescriptors::allow().map_err(failed)?;
        let (heard, saying) = sys::message_pair().map_err(failed)?;
        let mut supply = Self {
            requests,
            heard,
            saying,
            deaths: ChildSignal::new().map_err(failed)?,
            limit,
            room: Vec::new(),
            server: std::process::id(),
            idle: HashSet::new(),
            busy: HashMap::new(),
            wanted: 1,
            resting: None,
        };
        supply.keep_room(1).map_err(failed)?;
        Ok(supply)
    }

    /// Does the server's part until a child is to be forked (true), or the last client is gone (false).
    ///
    /// # Errors
    /// `Interrupted`, `Os`.
    pub fn wait(&mut self) -> Result<bool> {
        loop {
            self.hear()?;
            if self.resting.is_none_or(|rest| rest.expired()) {
                self.resting = None;
                if self.idle.len() < self.wanted {
                    match self.keep_room(self.idle.len() + 2) {
                        Ok(()) => return Ok(true),
                        Err(e) => self.fork_failed(e.raw_os_error().unwrap_or(libc::EMFILE)),
                    }
                }
            }
            let sleeper = Sleeper::prepare(SERVING)?;
            let mut slots = [
                PollSlot::new(self.requests.as_raw_fd(), Interest::Nothing),
                PollSlot::new(self.deaths.fd(), Interest::Read),
                PollSlot::new(self.heard.as_raw_fd(), Interest::Read),
                PollSlot::new(sleeper.fd().unwrap_or(-1), Interest::Read),
            ];
            let fired = sys::poll(&mut slots, self.resting.unwrap_or(Deadline::NEVER));
            drop(sleeper);
            match fired {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(SERVING)?,
                Err(e) => return Err(Error::from_io(&e, SERVING)),
            }
            if slots[3].fired() {
                interrupt::check(SERVING)?;
            }
            if slots[1].fired() {
                self.deaths.clear();
                self.reap()?;
            }
            if slots[0].fired() {
                // Those who wait have nothing to wait for, and are not left to others to bury.
                self.hear()?;
                for pid in self.idle.drain() {
                    sys::kill_child(pid);
                    sys::bury_child(pid);
                }
                return Ok(false);
            }
        }
    }

    /// The server has forked this child.
    pub fn forked(&mut self, pid: i32) {
        self.idle.insert(pid);
    }

    /// The server could not fork. Where nobody else could take them, the requests that have arrived are answered
    /// with the errno.
    pub fn fork_failed(&mut self, errno: i32) {
        self.resting = Some(Deadline::after(REST));
        while self.idle.is_empty() {
            self.room.clear();
            match receive(&self.requests, false) {
                // A client that is gone needs no answer.
                Ok(Some(arrived)) => drop(write_number(&arrived.report, -i64::from(errno))),
                Err(e) if e.raw_os_error() == Some(libc::EBADMSG) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let _ = self.keep_room(self.idle.len() + 1);
    }

    fn keep_room(&mut self, count: usize) -> io::Result<()> {
        while self.room.len() < count {
            self.room.push(self.saying.try_clone()?);
        }
        Ok(())
    }

    /// In the child: waits for a request and takes it. `None`: there will be none, and the child is to end.
    ///
    /// # Errors
    /// `Os`.
    pub fn take(self) -> Result<Option<Request>> {
        let failed = |e: io::Error| Error::from_io(&e, "wait for a request");
        let Self { requests, saying, deaths, limit, server, heard, busy, room, .. } = self;
        // A report ends when nobody has it any more, and these are others'.
        drop((heard, busy, room));
        loop {
            if !sys::die_with_parent(server).map_err(failed)? {
                return Ok(None);
            }
            let arrived = match receive(&requests, true) {
                Ok(Some(arrived)) => arrived,
                Ok(None) => return Ok(None),
                Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::EBADMSG)) => continue,
                Err(e) => return Err(failed(e)),
            };
            let me = i64::from(std::process::id());
            loop {
                let report = [arrived.report.as_fd()];
                match sys::send_message(saying.as_raw_fd(), &[&me.to_ne_bytes()], &report) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        let slot = PollSlot::new(saying.as_raw_fd(), Interest::Write);
                        let _ = sys::poll(&mut [slot], Deadline::NEVER);
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Ok(()) => break,
                    // The server is gone, and this child with it.
                    Err(_) => return Ok(None),
                }
            }
            if !sys::outlive_parent(server).map_err(failed)? {
                // Nobody could tell the client how this child ends. The next server will do it.
                return Ok(None);
            }
            if write_number(&arrived.report, me).is_err() {
                // The client is gone: nobody would know of what this child does.
                return Ok(None);
            }
            drop((deaths, limit));
            return Ok(Some(arrived.request));
        }
    }

    /// Takes note of the children that have begun.
    fn hear(&mut self) -> Result<()> {
        let mut bytes = [0; 8];
        loop {
            drop(self.room.pop());
            let mut received = match sys::recv_message(self.heard.as_raw_fd(), &mut bytes, false) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    // Of the number that was just given back.
                    let _ = self.keep_room(self.idle.len() + 1);
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::from_io(&e, SERVING)),
            };
            let Ok(pid) = i32::try_from(i64::from_ne_bytes(bytes)) else { continue };
            if !self.idle.remove(&pid) {
                continue;
            }
            if let Some(report) = received.fds.pop() {
                self.busy.insert(pid, report);
            }
            if self.idle.is_empty() {
                self.wanted = MOST_IDLE.min(self.wanted + 1);
            }
        }
    }

    /// Takes the children that have ended from the kernel's table, and tells their clients.
    fn reap(&mut self) -> Result<()> {
        loop {
            let (pid, status) = match sys::reap_any() {
                Ok(Some(ended)) => ended,
                Ok(None) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::from_io(&e, SERVING)),
            };
            if self.idle.contains(&pid) {
                // What it said before it died has arrived by now.
                self.hear()?;
            }
            if sys::is_stop(status) {
                if self.idle.contains(&pid) {
                    // It would count as ready and take nothing. It has begun nothing either.
                    sys::kill_child(pid);
                }
                continue;
            }
            if self.idle.remove(&pid) {
                // If that is what children do here, not as fast as can be.
                self.resting = Some(Deadline::after(REST));
            }
            if let Some(report) = self.busy.remove(&pid) {
                // A client that is gone does not want to know.
                let _ = write_number(&report, ending(sys::exit_code(status)));
            }
        }
    }
}
