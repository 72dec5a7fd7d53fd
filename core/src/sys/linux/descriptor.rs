// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking ownership of a descriptor that the kernel has just made.
//!
//! # Invariant
//! No descriptor of this library is 0, 1 or 2. A program that was started with one of these closed (a daemon, a
//! container) would otherwise read and write a queue's memory as its standard input, output or error.

use super::syscall;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The first number that is not a standard one.
const FIRST: RawFd = 3;

/// The owner of a descriptor that a system call has just made, which gets another number where it has a standard one.
///
/// # Safety
/// The descriptor is open, and nobody else owns it.
pub(super) unsafe fn own(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the caller hands over the only ownership.
    lift(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The descriptor itself or, where its number is a standard one, a copy with another number in its place.
pub(crate) fn lift(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST {
        return Ok(fd);
    }
    let copy = syscall!(fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST))?;
    // SAFETY: fcntl has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
