// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions about a descriptor that somebody else owns.
#![forbid(unsafe_code)]

use super::addr::Address;
use super::handle::{Waiter, drive};
use super::spin::Spin;
use super::stream::Stream;
use crate::error::{Kind, Result};
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
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

/// Calls `attempt` whenever the listening socket or `also` is readable, until it has a result.
pub(crate) fn drive_accept<T>(
    fd: BorrowedFd<'_>,
    also: RawFd,
    spin: &Spin,
    deadline: Deadline,
    mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
) -> Result<T> {
    let waiter = Waiter {
        fd: fd.as_raw_fd(),
        spin,
        waker: || Ok(None),
        also: Some(also),
        may_block: None,
        closed: || false,
    };
    drive(&waiter, "accept", Interest::Read, deadline, &mut |_| attempt(fd))
}

/// A connection that waits to be accepted; `WouldBlock` when there is none, although the socket may block.
pub(crate) fn accept_waiting(fd: BorrowedFd<'_>) -> io::Result<(Stream, Address)> {
    // Where another process was quicker a socket that blocks would wait in accept; ours never do.
    is_readable(fd.as_raw_fd())?;
    let (made, address) = super::listener::accept_one(fd.as_raw_fd())?;
    let address = Address::from_sock_addr(&address);
    Ok((Stream::own(made, address.is_ip()), address))
}

/// Takes a connection from a listening socket that blocks or not; `None` when `wake` became readable first.
///
/// # Errors
/// `Interrupted`, `Os` (EMFILE: no descriptors are left; the connection stays in the queue).
pub fn accept_or_wake(fd: BorrowedFd<'_>, wake: BorrowedFd<'_>) -> Result<Option<(OwnedFd, Address)>> {
    let waiter = Waiter {
        fd: fd.as_raw_fd(),
        spin: &Spin::default(),
        waker: || Ok(Some(wake.as_raw_fd())),
        also: None,
        may_block: None,
        closed: || is_readable(wake.as_raw_fd()).is_ok(),
    };
    // A socket that blocks is asked first; nobody else accepts from it.
    let mut attempt = |fd| is_readable(fd).and_then(|()| super::listener::accept_one(fd));
    match drive(&waiter, "accept", Interest::Read, Deadline::NEVER, &mut attempt) {
        Ok((fd, address)) => Ok(Some((fd, Address::from_sock_addr(&address)))),
        Err(e) if e.kind() == Kind::Closed => Ok(None),
        Err(e) => Err(e),
    }
}

pub(super) fn is_readable(fd: RawFd) -> io::Result<()> {
    match sys::poll(&mut [PollSlot::new(fd, Interest::Read)], Deadline::NOW)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}
