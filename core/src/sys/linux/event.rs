// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting: poll, epoll and eventfd.

use super::descriptor::own;
use super::fork::{generation, watch_forks};
use super::io::close_fd;
use super::syscall;
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The readiness for which a descriptor is watched. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    Both,
    /// Only errors and hang-ups.
    Nothing,
}

impl Interest {
    fn poll_bits(self) -> libc::c_short {
        match self {
            Self::Read => libc::POLLIN,
            Self::Write => libc::POLLOUT,
            Self::Both => libc::POLLIN | libc::POLLOUT,
            Self::Nothing => 0,
        }
    }

    fn epoll_bits(self) -> u32 {
        let bits = match self {
            Self::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Self::Write => libc::EPOLLOUT,
            Self::Both => libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP,
            Self::Nothing => 0,
        };
        bits.cast_unsigned()
    }
}

/// One descriptor in a call of [`poll`].
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct PollSlot(libc::pollfd);

impl PollSlot {
    pub(crate) fn new(fd: RawFd, interest: Interest) -> Self {
        Self(libc::pollfd { fd, events: interest.poll_bits(), revents: 0 })
    }

    /// Whether anything was reported, errors and hang-ups included.
    pub(crate) fn fired(&self) -> bool {
        self.0.revents != 0
    }

    /// Whether an error or a hang-up was reported.
    pub(crate) fn hung_up(&self) -> bool {
        self.0.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
    }
}

pub(super) fn timespec(span: Duration) -> libc::timespec {
    // Durations beyond the type's range are for practical purposes for ever; 10 years is enough.
    let seconds = span.as_secs().min(315_360_000);
    libc::timespec {
        tv_sec: libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX),
        tv_nsec: span.subsec_nanos().into(),
    }
}

/// Waits until one of the slots fires; returns how many did, 0 when the deadline passed first.
pub(crate) fn poll(slots: &mut [PollSlot], deadline: Deadline) -> io::Result<usize> {
    let span = deadline.remaining().map(timespec);
    let limit = span.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = libc::nfds_t::try_from(slots.len()).unwrap_or(libc::nfds_t::MAX);
    let fired = syscall!(ppoll(slots.as_mut_ptr().cast(), count, limit, std::ptr::null()))?;
    Ok(usize::try_from(fired).unwrap_or(0))
}

/// An event counter that wakes whoever polls its descriptor.
#[derive(Debug)]
pub(crate) struct Wake(OwnedFd);

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = syscall!(eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
        // SAFETY: eventfd has just made this descriptor.
        Ok(Self(unsafe { own(fd)? }))
    }

    /// One that another process made.
    pub(crate) fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Whether the descriptor of another process can be one: it is no file, socket, pipe or terminal.
    pub(crate) fn is_one(&self) -> io::Result<bool> {
        const ANONYMOUS: u64 = 0x0904_1934;
        // SAFETY: statfs is plain data for which all zeros is a value.
        let mut system: libc::statfs = unsafe { std::mem::zeroed() };
        syscall!(fstatfs(self.0.as_raw_fd(), &raw mut system))?;
        Ok(u64::try_from(system.f_type) == Ok(ANONYMOUS))
    }

    /// Wakes the waiters, now and until [`clear`](Self::clear). Safe in a signal handler.
    pub(crate) fn set(&self) {
        let one: u64 = 1;
        // A full counter is a set one.
        let _ = syscall!(write(self.0.as_raw_fd(), (&raw const one).cast(), 8));
    }

    pub(crate) fn clear(&self) {
        let mut count: u64 = 0;
        let _ = syscall!(read(self.0.as_raw_fd(), (&raw mut count).cast(), 8));
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A [`Wake`] of one process: the child of a fork finds a new one in its place, so that neither process wakes
/// what the other waits for.
///
/// `word` is `generation << 32 | descriptor`: its process, and its number there. The first call in a child
/// exchanges both together; of two threads that do so at the same time one wins and the other uses what that
/// one made.
// ORDER own-wake: the descriptor was made before its number is published, and nothing else is read through it.
#[derive(Debug)]
pub(crate) struct OwnWake(AtomicU64);

impl OwnWake {
    pub(crate) fn new() -> io::Result<Self> {
        watch_forks();
        Ok(Self(AtomicU64::new(Self::word(Wake::new()?.0.into_raw_fd()))))
    }

    fn word(fd: RawFd) -> u64 {
        generation() << 32 | u64::from(fd.cast_unsigned())
    }

    fn number(word: u64) -> RawFd {
        u32::try_from(word & 0xffff_ffff).map_or(-1, u32::cast_signed)
    }

    /// This process's descriptor; -1 in a child of fork that has no descriptor left for one.
    pub(crate) fn fd(&self) -> RawFd {
        let word = self.0.load(Ordering::SeqCst);
        if word >> 32 == generation() & 0xffff_ffff { Self::number(word) } else { self.renew(word) }
    }

    /// Safe in a signal handler, as all of this is.
    #[cold]
    fn renew(&self, inherited: u64) -> RawFd {
        let Ok(made) = Wake::new() else { return -1 };
        let word = Self::word(made.0.as_raw_fd());
        match self.0.compare_exchange(inherited, word, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                close_fd(Self::number(inherited));
                made.0.into_raw_fd()
            }
            Err(found) => Self::number(found),
        }
    }

    /// Wakes the waiters of this process, now and until [`clear`](Self::clear). Safe in a signal handler.
    pub(crate) fn set(&self) {
        let one: u64 = 1;
        // A full counter is a set one.
        let _ = syscall!(write(self.fd(), (&raw const one).cast(), 8));
    }

    pub(crate) fn clear(&self) {
        let mut count: u64 = 0;
        let _ = syscall!(read(self.fd(), (&raw mut count).cast(), 8));
    }
}

impl Drop for OwnWake {
    fn drop(&mut self) {
        close_fd(Self::number(*self.0.get_mut()));
    }
}

/// A readiness report of [`Epoll::wait`].
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(libc::epoll_event);

impl Event {
    pub(crate) const EMPTY: Self = Self(libc::epoll_event { events: 0, u64: 0 });

    pub(crate) fn token(&self) -> u64 {
        self.0.u64
    }

    pub(crate) fn readable(&self) -> bool {
        self.has(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR)
    }

    pub(crate) fn writable(&self) -> bool {
        self.has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// Whether nothing more will arrive.
    pub(crate) fn ended(&self) -> bool {
        self.has(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR)
    }

    pub(crate) fn hung_up(&self) -> bool {
        self.has(libc::EPOLLHUP | libc::EPOLLERR)
    }

    fn has(&self, bits: libc::c_int) -> bool {
        self.0.events & bits.cast_unsigned() != 0
    }
}

fn edge_bit(edge: bool) -> u32 {
    if edge { libc::EPOLLET.cast_unsigned() } else { 0 }
}

/// A set of watched descriptors.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = syscall!(epoll_create1(libc::EPOLL_CLOEXEC))?;
        // SAFETY: epoll_create1 has just made this descriptor.
        Ok(Self(unsafe { own(fd)? }))
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        syscall!(epoll_ctl(self.0.as_raw_fd(), operation, fd, &raw mut event))?;
        Ok(())
    }

    /// Watches `fd`; with `edge` each change is reported once.
    pub(crate) fn add(&self, fd: RawFd, token: u64, interest: Interest, edge: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest.epoll_bits() | edge_bit(edge), token)
    }

    /// Changes what `fd` is watched for; one that is ready is reported again, also with `edge`.
    pub(crate) fn modify(&self, fd: RawFd, token: u64, interest: Interest, edge: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest.epoll_bits() | edge_bit(edge), token)
    }

    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits for events; 0 when the deadline passed.
    pub(crate) fn wait(&self, events: &mut [Event], deadline: Deadline) -> io::Result<usize> {
        // Rounded up: waking early would make the caller spin through the last millisecond.
        let limit = deadline
            .remaining()
            .map_or(-1, |span| i32::try_from(span.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
        let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
        let count = syscall!(epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr().cast(), room, limit))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{self, ForkOutcome};

    fn is_set(wake: &OwnWake) -> bool {
        poll(&mut [PollSlot::new(wake.fd(), Interest::Read)], Deadline::NOW).unwrap() == 1
    }

    #[test]
    fn a_child_of_fork_has_a_wake_of_its_own() {
        let wake = OwnWake::new().unwrap();
        let mine = wake.fd();
        match sys::fork_child().unwrap() {
            ForkOutcome::Child => {
                let fresh = !is_set(&wake);
                wake.set();
                sys::exit_now(i32::from(!(fresh && is_set(&wake))));
            }
            ForkOutcome::Parent(child) => assert_eq!(child.wait(Deadline::NEVER).unwrap(), Some(0)),
            ForkOutcome::Ended(_) => {}
        }
        assert!(!is_set(&wake), "the child has woken its parent");
        wake.set();
        assert!(is_set(&wake));
        wake.clear();
        assert!(!is_set(&wake));
        assert_eq!(wake.fd(), mine);
    }
}
