// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that processes share, and sleeping on words in it.

use super::descriptor::own;
use super::name::is_private;
use super::syscall;
use crate::time::Deadline;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

fn off(value: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

/// How long a file may become in this process (RLIMIT_FSIZE), which holds for memory files, too.
pub(crate) fn longest_file() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    match syscall!(getrlimit(libc::RLIMIT_FSIZE, &raw mut limit)) {
        Ok(_) if limit.rlim_cur != libc::RLIM_INFINITY => limit.rlim_cur,
        _ => u64::MAX,
    }
}

/// A file in memory that has no name and is gone with its last user. It can grow, and never shrinks.
pub(crate) fn memory_file(length: u64) -> io::Result<OwnedFd> {
    sparse_file(length, length)
}

/// The same, of at least one length and, as far as this process may make it so long, of another one.
///
/// A process that gets a limit later (RLIMIT_FSIZE) cannot lengthen a file, but it may use all of one. Pages that
/// were never written take no memory.
pub(crate) fn sparse_file(least: u64, most: u64) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let fd = syscall!(memfd_create(c"carrick".as_ptr(), flags))?;
    // SAFETY: memfd_create has just made this descriptor.
    let fd = unsafe { own(fd)? };
    grow_file(&fd, most.min(longest_file()).max(least))?;
    // A process that shrank it would have the others die of SIGBUS.
    syscall!(fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK))?;
    Ok(fd)
}

/// Lengthens the file; what is added reads as zeros and takes no memory until it is written. EFBIG where this process
/// may not, without the signal that the kernel would send.
pub(crate) fn grow_file(fd: &OwnedFd, length: u64) -> io::Result<()> {
    if length > longest_file() {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    syscall!(ftruncate(fd.as_raw_fd(), off(length)?))?;
    Ok(())
}

/// Reads all of `out` from an offset of the file; it is no longer than the file. This takes no address space.
pub(crate) fn read_file(fd: &OwnedFd, mut start: u64, mut out: &mut [MaybeUninit<u8>]) -> io::Result<()> {
    while !out.is_empty() {
        let at = off(start)?;
        let count = match syscall!(pread(fd.as_raw_fd(), out.as_mut_ptr().cast(), out.len(), at)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => usize::try_from(other?).unwrap_or(0),
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        start += count as u64;
        out = out.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}

/// Lengthens the file so far that it has the part, and takes the memory for it now: ENOSPC where there is none, instead
/// of SIGBUS when it is written to.
pub(crate) fn reserve_file(fd: &OwnedFd, start: u64, length: u64) -> io::Result<()> {
    syscall!(fallocate(fd.as_raw_fd(), 0, off(start)?, off(length)?))?;
    Ok(())
}

/// Whether nobody can shrink the file.
pub(crate) fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    // It fails for what cannot be sealed at all.
    syscall!(fcntl(fd.as_raw_fd(), libc::F_GET_SEALS)).is_ok_and(|seals| seals & libc::F_SEAL_SHRINK != 0)
}

/// The length of a file that can be mapped and that nobody can shrink, or nobody but this user; EINVAL for any other.
pub(crate) fn shared_length(fd: BorrowedFd<'_>) -> io::Result<u64> {
    if !is_sealed(fd) && !is_private(fd)? {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(u64::try_from(stat(fd)?.st_size).unwrap_or(0))
}

/// The identity of a file among all that there are now.
pub(crate) fn file_id(fd: BorrowedFd<'_>) -> io::Result<u128> {
    let stat = stat(fd)?;
    Ok(u128::from(stat.st_dev) << 64 | u128::from(stat.st_ino))
}

pub(super) fn stat(fd: BorrowedFd<'_>) -> io::Result<libc::stat> {
    // SAFETY: stat is plain data for which all zeros is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    syscall!(fstat(fd.as_raw_fd(), &raw mut stat))?;
    Ok(stat)
}

/// Gives the memory of a part of the file back; it reads as zeros then.
pub(crate) fn punch_file(fd: &OwnedFd, start: u64, length: u64) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    syscall!(fallocate(fd.as_raw_fd(), mode, off(start)?, off(length)?))?;
    Ok(())
}

/// # Safety
/// With `MAP_FIXED`, the memory at `address` is the caller's to replace.
unsafe fn map(
    address: *mut libc::c_void,
    length: usize,
    flags: i32,
    fd: RawFd,
    start: u64,
) -> io::Result<NonNull<u8>> {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | flags);
    // SAFETY: without MAP_FIXED no memory there is is touched; with it, the caller's.
    let base = unsafe { libc::mmap(address, length, access, flags, fd, off(start)?) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(base.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::EFAULT))
}

/// A part of a file, in this process's memory. A child made by fork has it too.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: it is memory of the whole process; how it is used is up to those who read and write through it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(fd: RawFd, start: u64, length: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory there is.
        let base = unsafe { map(std::ptr::null_mut(), length, 0, fd, start)? };
        Ok(Self { base, length })
    }

    /// The part twice, one after the other: what goes on from its end at its beginning is in one piece. The length is
    /// that of both; the part's is a multiple of the page size.
    pub(crate) fn twice(fd: RawFd, start: u64, length: usize) -> io::Result<Self> {
        let both = length.checked_mul(2).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        // The content of the second half at first does not matter, nor whether the file is so long.
        let mapping = Self::new(fd, start, both)?;
        // SAFETY: the second half is this mapping's own.
        let second = unsafe { mapping.base.add(length) };
        // SAFETY: what is replaced is that half, which nobody has made use of.
        unsafe { map(second.as_ptr().cast(), length, libc::MAP_FIXED, fd, start)? };
        Ok(mapping)
    }

    /// The first byte; the memory is there for as long as the mapping.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Leaves the memory mapped until the process ends.
    pub(crate) fn keep(&mut self) {
        self.length = 0;
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // The kernel refuses to unmap a length of 0, which is one that is kept.
        let _ = syscall!(munmap(self.base.as_ptr().cast(), self.length));
    }
}

/// The half of a word that changes with small numbers, to sleep on.
pub(crate) fn low_half(word: &AtomicU64) -> &AtomicU32 {
    let halves: *const [AtomicU32; 2] = std::ptr::from_ref(word).cast();
    // SAFETY: the two halves are atomics of the word's memory, and aligned.
    let halves = unsafe { &*halves };
    if cfg!(target_endian = "big") { &halves[1] } else { &halves[0] }
}

/// Sleeps while `word` is `expected`, until somebody wakes it. Returns early for any reason: the caller looks
/// again. `TimedOut` when the deadline has passed, `Interrupted` after a signal.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> io::Result<()> {
    let span = deadline.remaining().map(super::event::timespec);
    let limit = span.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    match syscall!(syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, limit)) {
        Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => Ok(()),
        other => other.map(drop),
    }
}

/// Wakes up to `count` sleepers on `word`, in whatever process they are; returns how many there were.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) -> usize {
    let woken = syscall!(syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count));
    woken.ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
}
