// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions about a descriptor that somebody else owns.
#![forbid(unsafe_code)]

use super::addr::Address;
use super::handle::{Waiter, drive};
use super::spin::Spin;
use super::stream::Stream;
use crate::error::{Error, Kind, Result};
use crate::sys::{self, Berths, Interest, OwnWake, PollSlot};
use crate::time::Deadline;
use socket2::SockAddr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Whether the descriptor is a socket.
#[must_use]
pub fn is_socket(fd: BorrowedFd<'_>) -> bool {
    sys::kind_of_fd(fd.as_raw_fd()).unwrap_or(false)
}

/// Waits until something can be received, or the stream has ended; false when the deadline passed.
///
/// # Errors
/// `Interrupted`, `Os`.
pub fn readable(fd: BorrowedFd<'_>, deadline: Deadline) -> Result<bool> {
    let waiter = Waiter {
        fd: fd.as_raw_fd(),
        spin: &Spin::default(),
        waker: || Ok(None),
        also: None,
        may_block: None,
        closed: || false,
    };
    let waited = drive(&waiter, "poll", Interest::Read, deadline, &mut is_readable);
    match waited {
        Err(e) if matches!(e.kind(), Kind::Timeout | Kind::WouldBlock) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Takes a connection from a listening socket that other processes may have, too, and that may block; `WouldBlock` when
/// there is none. Where another process is quicker, a socket that blocks sleeps until the next one comes, or until
/// `berths` is woken.
pub(super) fn accept_shared(
    fd: RawFd,
    berths: &Berths,
    stop: impl Fn() -> bool,
) -> io::Result<(OwnedFd, SockAddr)> {
    is_readable(fd)?;
    let accept = || super::listener::accept_one(fd);
    berths.sleep(stop, accept).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
}

/// Ends the waits of other threads for a listening socket that somebody else owns.
///
/// It is of one process: in the child of a fork it is not set, and wakes none of the parent's threads.
#[derive(Debug)]
pub struct Waker {
    wake: OwnWake,
    berths: Berths,
}

impl Waker {
    /// A waker that is not set.
    ///
    /// # Errors
    /// `Os` when no descriptors are left.
    pub fn new() -> Result<Self> {
        let wake = OwnWake::new().map_err(|e| Error::from_io(&e, "make waker"))?;
        Ok(Self { wake, berths: Berths::default() })
    }

    /// Ends waits, now and until [`clear`](Self::clear). True when a thread may be asleep where one call is not
    /// enough: call again until it is false. May be called in a signal handler.
    pub fn set(&self) -> bool {
        self.wake.set();
        self.berths.wake()
    }

    /// Has waits wait again.
    pub fn clear(&self) {
        self.wake.clear();
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        is_readable(self.fd()).is_ok()
    }

    /// A descriptor that is readable while the waker is set, for polling by other means.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }

    /// Takes a connection from a listening socket that blocks or not.
    ///
    /// # Errors
    /// `Closed`: the waker is set. `Timeout`, `WouldBlock` (only with [`Deadline::NOW`]), `Interrupted`, `Os`
    /// (EMFILE: no descriptors are left; the connection stays in the queue).
    pub fn accept(&self, fd: BorrowedFd<'_>, deadline: Deadline) -> Result<(OwnedFd, Address)> {
        let spin = Spin::default();
        let attempt = |fd: BorrowedFd<'_>| accept_shared(fd.as_raw_fd(), &self.berths, || self.is_set());
        let (fd, address) = self.drive(fd, None, &spin, deadline, attempt)?;
        Ok((fd, Address::from_sock_addr(&address)))
    }

    /// Calls `attempt` whenever the listening socket or `also` is readable, until it has a result.
    pub(crate) fn drive<T>(
        &self,
        fd: BorrowedFd<'_>,
        also: Option<RawFd>,
        spin: &Spin,
        deadline: Deadline,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<T> {
        let waiter = Waiter {
            fd: fd.as_raw_fd(),
            spin,
            waker: || Ok(Some(self.fd())),
            also,
            may_block: None,
            closed: || self.is_set(),
        };
        drive(&waiter, "accept", Interest::Read, deadline, &mut |_| attempt(fd))
    }

    /// A connection that waits to be accepted; `WouldBlock` when there is none, although the socket may block.
    pub(crate) fn accept_waiting(&self, fd: BorrowedFd<'_>) -> io::Result<(Stream, Address)> {
        let (made, address) = accept_shared(fd.as_raw_fd(), &self.berths, || self.is_set())?;
        let address = Address::from_sock_addr(&address);
        Ok((Stream::own(made, address.is_ip()), address))
    }
}

pub(super) fn is_readable(fd: RawFd) -> io::Result<()> {
    match sys::poll(&mut [PollSlot::new(fd, Interest::Read)], Deadline::NOW)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}
