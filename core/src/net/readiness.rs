// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions about a descriptor that somebody else owns.
#![forbid(unsafe_code)]

use super::handle::{Waiter, drive};
use super::spin::Spin;
use crate::error::{Kind, Result};
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
    let waiter = Waiter { fd: fd.as_raw_fd(), spin: &Spin::default(), waker: || Ok(None), closed: || false };
    let waited = drive(&waiter, "poll", Interest::Read, deadline, &mut is_readable);
    match waited {
        Err(e) if matches!(e.kind(), Kind::Timeout | Kind::WouldBlock) => Ok(false),
        other => other.map(|()| true),
    }
}

pub(super) fn is_readable(fd: std::os::fd::RawFd) -> io::Result<()> {
    match sys::poll(&mut [PollSlot::new(fd, Interest::Read)], Deadline::NOW)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}
