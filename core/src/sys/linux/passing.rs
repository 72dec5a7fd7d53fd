// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages with descriptors in them, between processes of one machine.

use super::descriptor::{lift, own};
use super::syscall;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors that the kernel takes in one message.
pub(crate) const MOST_DESCRIPTORS: usize = 253;

/// The one piece of ancillary data that we send and expect. The kernel aligns pieces as C aligns this struct.
#[repr(C)]
struct Control {
    head: libc::cmsghdr,
    fds: [RawFd; MOST_DESCRIPTORS],
}

impl Control {
    fn new() -> Self {
        // SAFETY: both parts are plain data for which all zeros is a value.
        unsafe { std::mem::zeroed() }
    }
}

/// Two connected sockets that keep messages apart. A receiver on one of them is told when all copies of the
/// other one are closed.
pub(crate) fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    syscall!(socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()))?;
    own_both(fds)
}

/// The reading and the writing end of a pipe.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    syscall!(pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
    own_both(fds)
}

fn own_both([left, right]: [RawFd; 2]) -> io::Result<(OwnedFd, OwnedFd)> {
    // SAFETY: the system call has just made this descriptor.
    let left = unsafe { own(left) };
    // SAFETY: as above.
    let right = unsafe { own(right) };
    Ok((left?, right?))
}

/// Sends one message with copies of the descriptors; `WouldBlock` when there is no room for it now.
pub(crate) fn send_message(socket: RawFd, parts: &[&[u8]], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let vectors: Vec<io::IoSlice<'_>> = parts.iter().map(|part| io::IoSlice::new(part)).collect();
    let mut control = Control::new();
    if fds.len() > MOST_DESCRIPTORS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (slot, fd) in control.fds.iter_mut().zip(fds) {
        *slot = fd.as_raw_fd();
    }
    let length = size_of::<libc::cmsghdr>() + size_of_val(fds);
    control.head.cmsg_level = libc::SOL_SOCKET;
    control.head.cmsg_type = libc::SCM_RIGHTS;
    control.head.cmsg_len = length as _;
    // SAFETY: msghdr is plain data for which all zeros is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_ptr().cast_mut().cast();
    message.msg_iovlen = vectors.len() as _;
    if !fds.is_empty() {
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = length as _;
    }
    syscall!(sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT))?;
    Ok(())
}

/// The bytes of the message that is to be received next, which stays; none where there is none, and at the end.
pub(crate) fn peek_message(socket: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    let length = syscall!(recv(socket, buf.as_mut_ptr().cast(), buf.len(), flags))?;
    Ok(length.unsigned_abs())
}

/// The result of [`recv_message`].
pub(crate) struct Received {
    /// How many bytes; none, and no descriptors, is the end.
    pub(crate) length: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// Whether bytes or descriptors were lost for want of room.
    pub(crate) cut: bool,
}

/// Receives one message, and waits for it with `wait`.
pub(crate) fn recv_message(socket: RawFd, buf: &mut [u8], wait: bool) -> io::Result<Received> {
    let mut control = Control::new();
    let mut vector = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: msghdr is plain data for which all zeros is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
    let length = syscall!(recvmsg(socket, &raw mut message, flags))?.unsigned_abs();
    let mut fds = Vec::new();
    let rights = control.head.cmsg_level == libc::SOL_SOCKET && control.head.cmsg_type == libc::SCM_RIGHTS;
    if rights && message.msg_controllen > 0 {
        let bytes = control.head.cmsg_len.saturating_sub(size_of::<libc::cmsghdr>());
        for fd in control.fds.iter().take(bytes / size_of::<RawFd>()) {
            // SAFETY: the kernel has just made this descriptor for us.
            let fd = unsafe { OwnedFd::from_raw_fd(*fd) };
            fds.push(lift(fd)?);
        }
    }
    let cut = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok(Received { length, fds, cut })
}
