// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading and writing descriptors without blocking.

use super::descriptor::own;
use super::syscall;
use socket2::{SockAddr, SockAddrStorage};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

const IOV_MAX: usize = 1024;

/// Receives from a socket what is there now; `WouldBlock` when nothing is.
pub(crate) fn recv(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    recv_with(fd, as_uninit(buf), libc::MSG_DONTWAIT)
}

/// Like [`recv`], into memory nobody has written yet; the first `n` bytes are written on return.
pub(crate) fn recv_uninit(fd: RawFd, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    recv_with(fd, buf, libc::MSG_DONTWAIT)
}

/// Like [`recv_uninit`], but waits for something where the socket is a blocking one.
pub(crate) fn recv_waiting(fd: RawFd, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    recv_with(fd, buf, 0)
}

fn recv_with(fd: RawFd, buf: &mut [MaybeUninit<u8>], flags: libc::c_int) -> io::Result<usize> {
    let (no_address, no_length) = (std::ptr::null_mut::<u8>(), std::ptr::null_mut::<u8>());
    // Not by recv: where there are several threads it looks for a cancellation before and after, and none of
    // ours may be cancelled.
    let n =
        syscall!(syscall(libc::SYS_recvfrom, fd, buf.as_mut_ptr(), buf.len(), flags, no_address, no_length))?;
    Ok(usize::try_from(n).unwrap_or(0))
}

fn iov_len(bufs: &[IoSlice<'_>]) -> usize {
    bufs.len().min(IOV_MAX)
}

/// Sends the buffers in one call, as much as the socket takes now.
pub(crate) fn send_vectored(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    send_with(fd, bufs, libc::MSG_DONTWAIT)
}

/// Like [`send_vectored`], but waits until all has been taken where the socket is a blocking one.
pub(crate) fn send_waiting(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    send_with(fd, bufs, 0)
}

fn send_with(fd: RawFd, bufs: &[IoSlice<'_>], flags: libc::c_int) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    if let [one] = bufs {
        let no_address = std::ptr::null::<u8>();
        // Not by send, as in recv_with.
        let n = syscall!(syscall(libc::SYS_sendto, fd, one.as_ptr(), one.len(), flags, no_address, 0_usize))?;
        return Ok(usize::try_from(n).unwrap_or(0));
    }
    // SAFETY: msghdr is plain data for which all zeros is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // IoSlice is documented to have the layout of iovec; sendmsg only reads through the pointer.
    message.msg_iov = bufs.as_ptr().cast_mut().cast();
    message.msg_iovlen = iov_len(bufs);
    let n = syscall!(sendmsg(fd, &raw const message, flags))?;
    Ok(n.unsigned_abs())
}

/// Receives one datagram and its sender. The length is the datagram's own, which may exceed the buffer.
pub(crate) fn recv_from(fd: RawFd, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    let mut storage = SockAddrStorage::zeroed();
    let mut length = storage.size_of();
    // SAFETY: any bytes are a valid sockaddr_storage, and the view lives for this one call.
    let name: *mut libc::sockaddr_storage = unsafe { storage.view_as::<libc::sockaddr_storage>() };
    let n = syscall!(recvfrom(
        fd,
        buf.as_mut_ptr().cast(),
        buf.len(),
        libc::MSG_DONTWAIT | libc::MSG_TRUNC,
        name.cast(),
        &raw mut length,
    ))?;
    // SAFETY: the kernel wrote `length` bytes of an address into the storage.
    let address = unsafe { SockAddr::new(storage, length) };
    Ok((n.unsigned_abs(), address))
}

/// Sends one datagram to `address`.
pub(crate) fn send_to(fd: RawFd, buf: &[u8], address: &SockAddr) -> io::Result<usize> {
    let n = syscall!(sendto(
        fd,
        buf.as_ptr().cast(),
        buf.len(),
        libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        address.as_ptr().cast(),
        address.len(),
    ))?;
    Ok(n.unsigned_abs())
}

static NO_WAIT_FLAG_WORKS: AtomicBool = AtomicBool::new(true);

fn ready_now(fd: RawFd, events: libc::c_short) -> io::Result<bool> {
    let mut slot = libc::pollfd { fd, events, revents: 0 };
    Ok(syscall!(poll(&raw mut slot, 1, 0))? > 0)
}

/// Reads from a pipe or any other descriptor that is not a socket what is there now.
pub(crate) fn read_pipe(fd: RawFd, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    if NO_WAIT_FLAG_WORKS.load(Ordering::Relaxed) {
        let vector = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        match syscall!(preadv2(fd, &raw const vector, 1, -1, libc::RWF_NOWAIT)) {
            Ok(n) => return Ok(n.unsigned_abs()),
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                NO_WAIT_FLAG_WORKS.store(false, Ordering::Relaxed);
            }
            Err(e) => return Err(e),
        }
    }
    if !ready_now(fd, libc::POLLIN)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let n = syscall!(read(fd, buf.as_mut_ptr().cast(), buf.len()))?;
    Ok(n.unsigned_abs())
}

/// Writes to a pipe or any other descriptor that is not a socket what it takes now.
///
/// With `guard` a SIGPIPE that this write raises is taken back, for programs that have not ignored it.
pub(crate) fn write_pipe(fd: RawFd, bufs: &[IoSlice<'_>], guard: bool) -> io::Result<usize> {
    if !guard {
        return write_pipe_unguarded(fd, bufs);
    }
    let blocked = BlockedPipeSignal::new()?;
    let result = write_pipe_unguarded(fd, bufs);
    if matches!(&result, Err(e) if e.raw_os_error() == Some(libc::EPIPE)) {
        blocked.take_pending();
    }
    result
}

fn write_pipe_unguarded(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    if NO_WAIT_FLAG_WORKS.load(Ordering::Relaxed) {
        let count = i32::try_from(iov_len(bufs)).unwrap_or(1);
        match syscall!(pwritev2(fd, bufs.as_ptr().cast(), count, -1, libc::RWF_NOWAIT)) {
            Ok(n) => return Ok(n.unsigned_abs()),
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                NO_WAIT_FLAG_WORKS.store(false, Ordering::Relaxed);
            }
            Err(e) => return Err(e),
        }
    }
    if !ready_now(fd, libc::POLLOUT)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // A pipe that polls writable has room for PIPE_BUF bytes.
    let first = bufs.iter().find(|b| !b.is_empty()).map_or(&[][..], |b| b);
    let length = first.len().min(libc::PIPE_BUF);
    let n = syscall!(write(fd, first.as_ptr().cast(), length))?;
    Ok(n.unsigned_abs())
}

/// SIGPIPE blocked in this thread for as long as the value lives.
struct BlockedPipeSignal {
    before: libc::sigset_t,
    only_pipe: libc::sigset_t,
}

impl BlockedPipeSignal {
    fn new() -> io::Result<Self> {
        // SAFETY: sigset_t is plain data; sigemptyset gives it its proper value below.
        let (mut only_pipe, mut before) = unsafe { std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>() };
        syscall!(sigemptyset(&raw mut only_pipe))?;
        syscall!(sigaddset(&raw mut only_pipe, libc::SIGPIPE))?;
        syscall!(pthread_sigmask(libc::SIG_BLOCK, &raw const only_pipe, &raw mut before))?;
        Ok(Self { before, only_pipe })
    }

    fn take_pending(&self) {
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // Nothing pending is as good as taken.
        let _ = syscall!(sigtimedwait(&raw const self.only_pipe, std::ptr::null_mut(), &raw const zero));
    }
}

impl Drop for BlockedPipeSignal {
    fn drop(&mut self) {
        let _ = syscall!(pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()));
    }
}

/// Takes a connection from a listening socket; the new descriptor is close-on-exec.
pub(crate) fn accept(fd: RawFd) -> io::Result<(OwnedFd, SockAddr)> {
    let mut storage = SockAddrStorage::zeroed();
    let mut length = storage.size_of();
    // SAFETY: any bytes are a valid sockaddr_storage, and the view lives for this one call.
    let name: *mut libc::sockaddr_storage = unsafe { storage.view_as::<libc::sockaddr_storage>() };
    let new = syscall!(accept4(fd, name.cast(), &raw mut length, libc::SOCK_CLOEXEC))?;
    // SAFETY: accept4 has just made this descriptor and nobody else knows it.
    let owned = unsafe { own(new)? };
    // SAFETY: the kernel wrote `length` bytes of an address into the storage.
    let address = unsafe { SockAddr::new(storage, length) };
    Ok((owned, address))
}

/// Has the kernel make room for this many descriptors more, or for as many as the process may have.
///
/// Its table grows while a descriptor is made, and in a process with threads that takes milliseconds, in which a
/// server accepts nobody. The table does not shrink again.
pub(crate) fn reserve_descriptors(count: usize) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let Ok(_) = syscall!(getrlimit(libc::RLIMIT_NOFILE, &raw mut limit)) else { return };
    // It has the lowest number that is free.
    let Ok(lowest) = syscall!(eventfd(0, libc::EFD_CLOEXEC)) else { return };
    let most = i32::try_from(limit.rlim_cur.saturating_sub(1)).unwrap_or(i32::MAX);
    let highest = lowest.saturating_add(i32::try_from(count).unwrap_or(i32::MAX)).min(most);
    // Where that number and those above it are taken, the table is large enough.
    if let Ok(made) = syscall!(fcntl(lowest, libc::F_DUPFD_CLOEXEC, highest)) {
        close_fd(made);
    }
    close_fd(lowest);
}

/// Ends both directions of a socket; its waiters wake. Errors mean there is nothing to end.
pub(crate) fn shutdown_both(fd: RawFd) {
    let _ = syscall!(shutdown(fd, libc::SHUT_RDWR));
}

/// Closes a descriptor that its owner gave up with `into_raw_fd`.
pub(crate) fn close_fd(fd: RawFd) {
    drop(own_fd(fd));
}

/// Asks TCP to acknowledge at once what has arrived; the kernel forgets it again by itself.
pub(crate) fn quick_ack(fd: RawFd) {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    let _ = syscall!(setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, (&raw const on).cast(), length));
}

/// Whether a descriptor is a socket, another kind, or not open at all (EBADF).
pub(crate) fn kind_of_fd(fd: RawFd) -> io::Result<bool> {
    let mut kind: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    match syscall!(getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, (&raw mut kind).cast(), &raw mut length)) {
        Ok(_) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::ENOTSOCK) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Lends a descriptor to safe interfaces; the caller keeps it open for `'a`.
pub(crate) fn lend_fd<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: the caller keeps the descriptor open for 'a and it is not -1.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Takes back a descriptor that its owner gave up with `into_raw_fd`.
pub(crate) fn own_fd(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller hands over the only ownership of this descriptor.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Sees initialised memory as memory to be written.
///
/// The caller writes only initialised bytes to the result, as every reader of this crate does.
pub(crate) fn as_uninit(buf: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: same layout and length; no reader of this crate writes uninitialised bytes through it.
    unsafe { std::slice::from_raw_parts_mut(buf.as_mut_ptr().cast(), buf.len()) }
}

/// Lengthens `vec` by `n` bytes that have just been written into its spare capacity.
pub(crate) fn commit(vec: &mut Vec<u8>, n: usize) {
    debug_assert!(n <= vec.capacity() - vec.len());
    let length = vec.len() + n;
    // SAFETY: the reader that filled the spare capacity reported that it wrote n bytes of it.
    unsafe { vec.set_len(length) };
}
