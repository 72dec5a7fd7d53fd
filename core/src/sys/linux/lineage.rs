// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parents and children: who has ended, and ending with one's parent.

use super::descriptor::own;
use super::syscall;
use super::{Interest, PollSlot, poll};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

/// A descriptor that is readable from the moment on at which the process has ended.
pub(crate) fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    let fd = syscall!(syscall(libc::SYS_pidfd_open, pid, 0))?;
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EMFILE))?;
    // SAFETY: pidfd_open has just made this descriptor.
    unsafe { own(fd) }
}

/// A child that has ended, taken from the kernel's table, or that was stopped: its number and its wait status.
pub(crate) fn reap_any() -> io::Result<Option<(i32, i32)>> {
    let mut status: libc::c_int = 0;
    match syscall!(waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED)) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some((pid, status))),
        Err(e) if e.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the wait status is that of a process that was stopped.
pub(crate) fn is_stop(status: i32) -> bool {
    libc::WIFSTOPPED(status)
}

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

/// The end of a process as one number: its exit code, or the negative number of the signal that killed it.
pub(crate) fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { -libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// SIGCHLD as a descriptor, and blocked, in the thread that made this; and with its default action in this process, since
/// where it is ignored the kernel leaves no child to wait for.
pub(crate) struct ChildSignal {
    fd: OwnedFd,
    before: libc::sigset_t,
    action: libc::sigaction,
}

impl ChildSignal {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: sigset_t is plain data; sigemptyset gives it its proper value below.
        let (mut only, mut before) = unsafe { std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>() };
        syscall!(sigemptyset(&raw mut only))?;
        syscall!(sigaddset(&raw mut only, libc::SIGCHLD))?;
        let fd = syscall!(signalfd(-1, &raw const only, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        // SAFETY: signalfd has just made this descriptor.
        let fd = unsafe { own(fd)? };
        syscall!(pthread_sigmask(libc::SIG_BLOCK, &raw const only, &raw mut before))?;
        // SAFETY: sigaction is plain data; all zeros is the default action.
        let (default, mut action) = unsafe { std::mem::zeroed::<(libc::sigaction, libc::sigaction)>() };
        syscall!(sigaction(libc::SIGCHLD, &raw const default, &raw mut action))?;
        Ok(Self { fd, before, action })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Forgets the signals that have arrived.
    pub(crate) fn clear(&self) {
        let mut infos = [0_u8; 8 * size_of::<libc::signalfd_siginfo>()];
        while syscall!(read(self.fd(), infos.as_mut_ptr().cast(), infos.len())).is_ok_and(|n| n > 0) {}
    }
}

impl Drop for ChildSignal {
    fn drop(&mut self) {
        let _ = syscall!(sigaction(libc::SIGCHLD, &raw const self.action, std::ptr::null_mut()));
        let _ = syscall!(pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()));
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

/// The two ends of this process's lifeline, or -1.
// ORDER lifeline: the numbers guard nothing; the child of a fork reads what its parent's thread had written.
static LIFELINE: [AtomicI32; 2] = [AtomicI32::new(-1), AtomicI32::new(-1)];

extern "C" fn let_go() {
    for end in &LIFELINE {
        let fd = end.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            let _ = syscall!(close(fd));
        }
    }
}

/// A new descriptor of a pipe whose other end this process alone has, for as long as it lives: to give to those who
/// are to [`hold_on`] to it.
pub(crate) fn lifeline() -> io::Result<OwnedFd> {
    static WATCH_FORKS: Once = Once::new();
    let known = LIFELINE[0].load(Ordering::Relaxed);
    let fd = if known >= 0 { known } else { tie_lifeline(&WATCH_FORKS)? };
    super::lend_fd(fd).try_clone_to_owned()
}

#[cold]
fn tie_lifeline(watch: &Once) -> io::Result<RawFd> {
    static TYING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _tying = TYING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = LIFELINE[0].load(Ordering::Relaxed);
    if known >= 0 {
        return Ok(known);
    }
    watch.call_once(|| {
        // It fails only for want of memory; then children of ours would keep the lifeline, too.
        let _ = syscall!(pthread_atfork(None, None, Some(let_go)));
    });
    let (read, write) = super::pipe()?;
    let read = read.into_raw_fd();
    LIFELINE[1].store(write.into_raw_fd(), Ordering::Relaxed);
    LIFELINE[0].store(read, Ordering::Relaxed);
    Ok(read)
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
