// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files in memory with names, which other programs of the same user open.

use super::descriptor::own;
use super::memory::{reserve_file, stat};
use super::syscall;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Where shm_open has its files.
const DIRECTORY: &CStr = c"/dev/shm";

fn user() -> libc::uid_t {
    // SAFETY: it has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// Where the file of a name is. Users do not get in each other's way.
pub(crate) fn path_of_name(name: &str) -> String {
    format!("{}/carrick.{}.{name}", DIRECTORY.to_string_lossy(), user())
}

/// The name that a descriptor was opened by, or under which its file was made, if it is one of this user's.
pub(crate) fn name_of(fd: BorrowedFd<'_>) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    Some(path.to_str()?.strip_prefix(&path_of_name(""))?.to_owned())
}

fn path(name: &str) -> io::Result<CString> {
    CString::new(path_of_name(name)).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// A file that only this user may open, as long as that and with all of its memory, for [`name_file`]. Until then it is
/// gone with its last user.
pub(crate) fn nameable_file(length: u64) -> io::Result<OwnedFd> {
    const MODE: libc::mode_t = 0o600;
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    let fd = syscall!(open(DIRECTORY.as_ptr(), flags, MODE))?;
    // SAFETY: open has just made this descriptor.
    let fd = unsafe { own(fd)? };
    // Independent of the umask.
    syscall!(fchmod(fd.as_raw_fd(), MODE))?;
    reserve_file(&fd, 0, length)?;
    Ok(fd)
}

/// Gives a file its name, at once and for good; EEXIST if there is one of that name.
pub(crate) fn name_file(fd: &OwnedFd, name: &str) -> io::Result<()> {
    let source = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    let (target, follow) = (path(name)?, libc::AT_SYMLINK_FOLLOW);
    syscall!(linkat(libc::AT_FDCWD, source.as_ptr(), libc::AT_FDCWD, target.as_ptr(), follow))?;
    Ok(())
}

/// The file of a name.
pub(crate) fn open_name(name: &str) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let fd = syscall!(open(path(name)?.as_ptr(), flags))?;
    // SAFETY: open has just made this descriptor.
    unsafe { own(fd) }
}

/// Takes the name away; a process that has the file keeps it.
pub(crate) fn remove_name(name: &str) -> io::Result<()> {
    syscall!(unlink(path(name)?.as_ptr()))?;
    Ok(())
}

/// Whether it is a file of the directory of names that nobody but this user may open. Nobody else can shrink it then.
pub(crate) fn is_private(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let file = stat(fd)?;
    // SAFETY: stat is plain data for which all zeros is a value.
    let mut directory: libc::stat = unsafe { std::mem::zeroed() };
    syscall!(stat(DIRECTORY.as_ptr(), &raw mut directory))?;
    Ok(file.st_mode & libc::S_IFMT == libc::S_IFREG
        && file.st_mode & 0o077 == 0
        && file.st_uid == user()
        && file.st_dev == directory.st_dev)
}
