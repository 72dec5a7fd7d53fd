// SPDX-License-Identifier: MIT OR Apache-2.0
//! The children of a fork server, and their ends.
//!
//! Each child is watched by a pidfd in one epoll set, so that an end is heard of whatever the modules in the server do
//! about threads and SIGCHLD, and costs the same with thousands of children. A child without a pidfd, because those are
//! refused or no descriptors are left, is asked for from time to time. Nothing else that the server's modules start is
//! waited for.
#![forbid(unsafe_code)]

use crate::sys::{self, Epoll, Event, Interest};
use crate::time::Deadline;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// How long the server sleeps at first between two looks after children without a pidfd, and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(80));

/// Marks the socket of the requests in the epoll set; a child has its number there.
const REQUESTS: u64 = u64::MAX;

/// The number of a child that has ended, and its exit code.
type End = (i32, Option<i32>);

/// One child.
struct One {
    pidfd: Option<OwnedFd>,
    /// Where its end is to be told, as soon as it has taken a request.
    report: Option<OwnedFd>,
    since: Instant,
    /// The round (see [`Supply`](super::supply::Supply)) in which it was forked.
    round: u64,
}

/// The known facts of a child that has ended.
pub(super) struct Ended {
    pub(super) report: Option<OwnedFd>,
    pub(super) age: Duration,
    pub(super) round: u64,
}

/// The children of this process that its supply has forked.
pub(super) struct Children {
    children: HashMap<i32, One>,
    idle: usize,
    epoll: Epoll,
    /// How many have no pidfd.
    unwatched: usize,
    interval: Duration,
    next_look: Deadline,
}

impl Children {
    /// Of a server whose requests arrive on this socket.
    pub(super) fn new(requests: &OwnedFd) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(requests.as_raw_fd(), REQUESTS, Interest::Read, true)?;
        let (interval, _) = LOOKS;
        let children = HashMap::new();
        Ok(Self { children, idle: 0, epoll, unwatched: 0, interval, next_look: Deadline::NEVER })
    }

    /// A descriptor that is readable when a request has arrived or a child has ended.
    pub(super) fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// When to call [`ended`](Self::ended) though the descriptor is not readable.
    pub(super) fn next_look(&self) -> Deadline {
        self.next_look
    }

    /// How many wait for a request.
    pub(super) fn idle(&self) -> usize {
        self.idle
    }

    /// A child was forked.
    pub(super) fn add(&mut self, pid: i32, round: u64) {
        let pidfd = sys::pidfd(pid).ok().filter(|pidfd| {
            let token = u64::try_from(pid).unwrap_or(0);
            self.epoll.add(pidfd.as_raw_fd(), token, Interest::Read, false).is_ok()
        });
        if pidfd.is_none() {
            self.unwatched += 1;
            self.look_soon();
        }
        // One of the same number, which somebody else has waited for, has ended.
        self.remove(pid);
        self.idle += 1;
        self.children.insert(pid, One { pidfd, report: None, since: Instant::now(), round });
    }

    fn look_soon(&mut self) {
        (self.interval, _) = LOOKS;
        self.next_look = Deadline::after(self.interval);
    }

    /// A child has taken a request; whether there is such a one.
    pub(super) fn busy(&mut self, pid: i32, report: OwnedFd) -> bool {
        let Some(one) = self.children.get_mut(&pid).filter(|one| one.report.is_none()) else { return false };
        one.report = Some(report);
        self.idle -= 1;
        if self.unwatched > 0 {
            self.look_soon();
        }
        true
    }

    fn remove(&mut self, pid: i32) -> Option<One> {
        let one = self.children.remove(&pid)?;
        match &one.pidfd {
            // Children may have copies: to close it is not enough.
            Some(pidfd) => drop(self.epoll.remove(pidfd.as_raw_fd())),
            None => self.unwatched -= 1,
        }
        self.idle -= usize::from(one.report.is_none());
        Some(one)
    }

    /// The next children that have ended, with their exit codes, taken from the kernel's table; and whether a request has
    /// arrived. `None`: somebody else has waited for it. [`forget`](Self::forget) each, when what it said is known.
    pub(super) fn ended(&mut self) -> io::Result<(Vec<End>, bool)> {
        let mut events = [Event::EMPTY; 64];
        let count = match self.epoll.wait(&mut events, Deadline::NOW) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            count => count?,
        };
        let events = events.get(..count).unwrap_or_default();
        let arrived = events.iter().any(|event| event.token() == REQUESTS);
        let mut pids: Vec<i32> =
            events.iter().filter_map(|event| i32::try_from(event.token()).ok()).collect();
        if self.unwatched > 0 && self.next_look.expired() {
            pids.extend(self.children.iter().filter(|(_, one)| one.pidfd.is_none()).map(|(pid, _)| *pid));
        }
        let ended: Vec<_> = pids.into_iter().filter_map(|pid| Some((pid, self.reap(pid)?))).collect();
        if self.unwatched == 0 {
            self.next_look = Deadline::NEVER;
        } else if self.next_look.expired() {
            let (least, most) = LOOKS;
            self.interval = if ended.is_empty() { most.min(self.interval * 2) } else { least };
            self.next_look = Deadline::after(self.interval);
        }
        Ok((ended, arrived))
    }

    fn reap(&self, pid: i32) -> Option<Option<i32>> {
        let code = match &self.children.get(&pid)?.pidfd {
            Some(pidfd) => sys::reap(pidfd.as_fd()),
            None => sys::reap_number(pid),
        };
        match code {
            Ok(None) => None,
            Ok(code) => Some(code),
            // Nothing will be known of it any more.
            Err(_) => Some(None),
        }
    }

    /// A child that has ended is no more.
    pub(super) fn forget(&mut self, pid: i32) -> Option<Ended> {
        let One { report, since, round, .. } = self.remove(pid)?;
        Some(Ended { report, age: since.elapsed(), round })
    }

    /// Kills idle children that are stopped: a request would wait for them.
    pub(super) fn kill_stopped(&mut self) {
        for (pid, one) in &mut self.children {
            if one.report.is_none() && sys::is_stopped(*pid) {
                // That is no sign of anything.
                one.round = u64::MAX;
                sys::kill_child(*pid);
            }
        }
    }

    /// Ends those who wait, which have nothing to wait for.
    pub(super) fn dismiss(&mut self) {
        self.children.retain(|pid, one| {
            if one.report.is_none() {
                sys::kill_child(*pid);
                sys::bury_child(*pid);
            }
            one.report.is_some()
        });
        self.idle = 0;
    }
}
