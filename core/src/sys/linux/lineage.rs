// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parents and children: children that are left to wait for, and ending with one's parent.

use super::syscall;
use super::{Interest, PollSlot, poll};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Kills a child of this process that nobody has waited for.
pub(crate) fn kill_child(pid: i32) {
    let _ = syscall!(kill(pid, libc::SIGKILL));
}

/// Waits for a child that was killed.
pub(crate) fn bury_child(pid: i32) {
    let nowhere: *mut libc::c_int = std::ptr::null_mut();
    while let Err(e) = syscall!(waitpid(pid, nowhere, 0)) {
        if e.raw_os_error() != Some(libc::EINTR) {
            break;
        }
    }
}

/// The default action of SIGCHLD in this process, until this is dropped: where it is ignored the kernel leaves no child
/// to wait for.
pub(crate) struct KeepChildren(libc::sigaction);

impl KeepChildren {
    pub(crate) fn begin() -> io::Result<Self> {
        // SAFETY: sigaction is plain data; all zeros is the default action.
        let (default, mut action) = unsafe { std::mem::zeroed::<(libc::sigaction, libc::sigaction)>() };
        syscall!(sigaction(libc::SIGCHLD, &raw const default, &raw mut action))?;
        Ok(Self(action))
    }

    /// Does it again, where something has had SIGCHLD ignored meanwhile.
    pub(crate) fn insist(&self) {
        // SAFETY: sigaction is plain data; all zeros is the default action.
        let (default, mut action) = unsafe { std::mem::zeroed::<(libc::sigaction, libc::sigaction)>() };
        let found = syscall!(sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action)).is_ok();
        if found && (action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0) {
            let _ = syscall!(sigaction(libc::SIGCHLD, &raw const default, std::ptr::null_mut()));
        }
    }
}

impl Drop for KeepChildren {
    fn drop(&mut self) {
        let _ = syscall!(sigaction(libc::SIGCHLD, &raw const self.0, std::ptr::null_mut()));
    }
}

/// As many descriptors for this process as it may have at all, until this is dropped.
pub(crate) struct MostDescriptors(libc::rlimit);

impl MostDescriptors {
    pub(crate) fn allow() -> io::Result<Self> {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        syscall!(getrlimit(libc::RLIMIT_NOFILE, &raw mut before))?;
        let most = libc::rlimit { rlim_cur: before.rlim_max, ..before };
        // Where the kernel will not have it, the limit stays.
        let _ = syscall!(setrlimit(libc::RLIMIT_NOFILE, &raw const most));
        Ok(Self(before))
    }
}

impl Drop for MostDescriptors {
    fn drop(&mut self) {
        let _ = syscall!(setrlimit(libc::RLIMIT_NOFILE, &raw const self.0));
    }
}

/// The process is killed when the thread that forked it ends. False when that has happened already.
pub(crate) fn die_with_parent(parent: u32) -> io::Result<bool> {
    syscall!(prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
    Ok(std::os::unix::process::parent_id() == parent)
}

/// Takes [`die_with_parent`] back. False when the parent has ended already.
pub(crate) fn outlive_parent(parent: u32) -> io::Result<bool> {
    syscall!(prctl(libc::PR_SET_PDEATHSIG, 0))?;
    Ok(std::os::unix::process::parent_id() == parent)
}

/// The two ends of this process's lifeline, the one to read from in the upper half.
// ORDER lifeline: the numbers guard nothing; the child of a fork reads what its parent's thread had written.
static LIFELINE: AtomicU64 = AtomicU64::new(NO_LIFELINE);
const NO_LIFELINE: u64 = u64::MAX;

fn ends(lifeline: u64) -> [RawFd; 2] {
    [lifeline >> 32, lifeline & 0xffff_ffff].map(|fd| RawFd::try_from(fd).unwrap_or(-1))
}

/// In the child of a fork: the lifeline is its parent's alone.
pub(super) fn let_go() {
    for fd in ends(LIFELINE.swap(NO_LIFELINE, Ordering::Relaxed)) {
        if fd >= 0 {
            let _ = syscall!(close(fd));
        }
    }
}

/// A new descriptor of a pipe whose other end this process alone has, for as long as it lives: to give to those who
/// are to [`hold_on`] to it.
pub(crate) fn lifeline() -> io::Result<OwnedFd> {
    super::watch_forks();
    let known = match LIFELINE.load(Ordering::Relaxed) {
        NO_LIFELINE => tie_lifeline()?,
        known => known,
    };
    let [read, _] = ends(known);
    super::lend_fd(read).try_clone_to_owned()
}

/// Makes the lifeline. Of two threads that do so at once the first one's stays, and neither waits for the other.
#[cold]
fn tie_lifeline() -> io::Result<u64> {
    let pipe = super::pipe()?;
    let numbers = [&pipe.0, &pipe.1].map(|end| u64::from(end.as_raw_fd().unsigned_abs()));
    let tied = numbers[0] << 32 | numbers[1];
    match LIFELINE.compare_exchange(NO_LIFELINE, tied, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {
            // They stay open for as long as the process lives.
            let _ = (pipe.0.into_raw_fd(), pipe.1.into_raw_fd());
            Ok(tied)
        }
        Err(other) => Ok(other),
    }
}

/// The kernel kills this process when the process at the other end of the lifeline is no more. False when that has
/// happened already. Safe between fork and exec; what is exec'd is killed, too.
///
/// A pipe that is opened for SIGIO sends a signal of one's choice when its last writer goes, whatever became of the
/// threads of both sides. `PR_SET_PDEATHSIG` would end with the *thread* that started the child.
pub(crate) fn hold_on(lifeline: BorrowedFd<'_>) -> io::Result<bool> {
    let mut path = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0";
    write_number(&mut path[14..24], lifeline.as_raw_fd());
    // Opened anew: whom a signal goes to is kept with the open file, which the siblings would share.
    let flags = libc::O_RDONLY | libc::O_NONBLOCK;
    let fd = syscall!(open(path.as_ptr().cast(), flags))?;
    let pid = libc::pid_t::try_from(std::process::id()).unwrap_or(0);
    syscall!(fcntl(fd, libc::F_SETOWN, pid))?;
    syscall!(fcntl(fd, F_SETSIG, libc::SIGKILL))?;
    syscall!(fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC))?;
    Ok(poll(&mut [PollSlot::new(fd, Interest::Nothing)], Deadline::NOW)? == 0)
}

/// Whether there is a /proc, which [`hold_on`] takes.
pub(crate) fn can_hold_on() -> bool {
    syscall!(access(c"/proc/self/fd".as_ptr(), libc::X_OK)).is_ok()
}

/// Of fcntl.h, generic to all of Linux; the libc crate has it for some targets only.
const F_SETSIG: libc::c_int = 10;

fn write_number(room: &mut [u8], number: i32) {
    let (mut digits, mut rest) = ([0; 10], number.unsigned_abs());
    let mut count = 0;
    for digit in &mut digits {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    for (place, digit) in room.iter_mut().zip(digits[..count].iter().rev()) {
        *place = *digit;
    }
}
