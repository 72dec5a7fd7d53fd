// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ends of processes: a descriptor that becomes ready, and the exit code.
//!
//! A process is watched by a pidfd. Sandboxes (seccomp), valgrind and old kernels refuse pidfds; there a thread per
//! child sleeps in `waitid` and sets an eventfd. Neither needs a signal, so it does not matter what the program does
//! about SIGCHLD, and descendants that inherit descriptors do not delay it, as they would the end of a pipe.

use super::descriptor::own;
use super::{Interest, PollSlot, Wake, generation, poll, syscall};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A descriptor that is readable from the moment on at which the process has ended.
pub(crate) fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    let fd = syscall!(syscall(libc::SYS_pidfd_open, pid, 0))?;
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EMFILE))?;
    // SAFETY: pidfd_open has just made this descriptor.
    unsafe { own(fd) }
}

/// Whether an error of [`pidfd`] says that there is no such process any more. EINVAL is for one that goes while the
/// kernel looks.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL))
}

/// Whether an error of [`pidfd`] says that there are none here: an old kernel, a sandbox, valgrind.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES))
}

/// Sends a signal to the process of a pidfd.
pub(crate) fn signal_pidfd(fd: RawFd, signal: i32) -> io::Result<()> {
    let none: *const libc::siginfo_t = std::ptr::null();
    syscall!(syscall(libc::SYS_pidfd_send_signal, fd, signal, none, 0))?;
    Ok(())
}

/// Sends a signal to the process of a number, which must not have been waited for.
pub(crate) fn signal_number(pid: i32, signal: i32) -> io::Result<()> {
    syscall!(kill(pid, signal))?;
    Ok(())
}

/// How the child of a pidfd has ended, as [`exit_code`](super::exit_code) counts, taken from the kernel's table; `None`
/// while it runs. ECHILD: it is no child of this process, or somebody else was first, whoever has its number now.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    wait(libc::P_PIDFD, pidfd.as_raw_fd(), libc::WEXITED | libc::WNOHANG)
}

/// As [`reap`], by the child's number.
pub(crate) fn reap_number(pid: i32) -> io::Result<Option<i32>> {
    wait(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG)
}

/// Whether a child of this process is stopped, by a signal that nobody has been told of yet.
pub(crate) fn is_stopped(pid: i32) -> bool {
    matches!(wait(libc::P_PID, pid, libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT), Ok(Some(_)))
}

fn wait(kind: libc::idtype_t, id: i32, options: libc::c_int) -> io::Result<Option<i32>> {
    // SAFETY: siginfo_t is plain data for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = libc::id_t::try_from(id).unwrap_or(libc::id_t::MAX);
    syscall!(waitid(kind, id, &raw mut info, options))?;
    // SAFETY: waitid fills it in, or leaves it 0 where nothing has happened.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let code = if info.si_code == libc::CLD_EXITED { status } else { -status };
    Ok((pid != 0).then_some(code))
}

/// A child of this process, with a descriptor that becomes readable when it ends.
#[derive(Debug)]
pub(crate) struct ProcessHandle {
    pid: libc::pid_t,
    end: End,
}

#[derive(Debug)]
enum End {
    Pidfd(OwnedFd),
    Told(Waiter),
}

/// A thread that sleeps until a child has ended.
#[derive(Debug)]
struct Waiter {
    /// It sets this then, and ends.
    told: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
    pid: libc::pid_t,
    generation: u64,
}

impl ProcessHandle {
    /// Of a child that nobody has waited for on purpose. `None`: it has ended and was taken from the kernel's table, by
    /// the kernel itself where SIGCHLD is ignored.
    pub(crate) fn of(pid: libc::pid_t) -> io::Result<Option<Self>> {
        match pidfd(pid) {
            Ok(fd) => Ok(Some(Self { pid, end: End::Pidfd(fd) })),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) if is_refused(&error) => Ok(Some(Self { pid, end: End::Told(Waiter::of(pid)?) })),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn pid(&self) -> libc::pid_t {
        self.pid
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    /// As [`reap`]. The answer is there once.
    pub(crate) fn reap(&self) -> io::Result<Option<i32>> {
        match &self.end {
            End::Pidfd(fd) => reap(fd.as_fd()),
            End::Told(_) => reap_number(self.pid),
        }
    }

    /// Waits for the child to end and collects it, and tells its exit code as [`reap`]; `None` when the deadline passed first.
    pub(crate) fn wait(&self, deadline: Deadline) -> io::Result<Option<i32>> {
        loop {
            match self.reap() {
                // Somebody who waits for every child was first: it has ended, how is lost.
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(Some(0)),
                Err(e) => return Err(e),
                Ok(None) => {}
                ended => return ended,
            }
            if deadline.expired() {
                return Ok(None);
            }
            poll(&mut [PollSlot::new(self.fd(), Interest::Read)], deadline)?;
        }
    }

    /// Sends a signal to the child, which this process must not have reaped yet.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        match &self.end {
            End::Pidfd(fd) => match signal_pidfd(fd.as_raw_fd(), signal) {
                // To open one is allowed here, to use it is not.
                Err(e) if is_refused(&e) => signal_number(self.pid, signal),
                other => other,
            },
            End::Told(_) => signal_number(self.pid, signal),
        }
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.end {
            End::Pidfd(fd) => fd.as_fd(),
            End::Told(waiter) => waiter.told.as_fd(),
        }
    }
}

impl Waiter {
    fn of(pid: libc::pid_t) -> io::Result<Self> {
        let told = Arc::new(Wake::new()?);
        let end = Arc::clone(&told);
        // The program's signal handlers are not for this thread, which starts with the mask of the one that makes it.
        let _quiet = Quiet::begin();
        let thread = std::thread::Builder::new().name("carrick-waiter".into()).stack_size(64 << 10).spawn(
            move || {
                // The child stays in the kernel's table, for who asks how it ended.
                while let Err(e) = wait(libc::P_PID, pid, libc::WEXITED | libc::WNOWAIT) {
                    if e.raw_os_error() != Some(libc::EINTR) {
                        break;
                    }
                }
                end.set();
            },
        )?;
        Ok(Self { told, thread: Some(thread), pid, generation: generation() })
    }
}

impl Drop for Waiter {
    /// The thread's descriptor and stack go before this returns if the child has ended, else with the child.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.generation != generation() {
            // It is the parent's.
            std::mem::forget(thread);
        } else if !matches!(
            wait(libc::P_PID, self.pid, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT),
            Ok(None)
        ) {
            let _ = thread.join();
        }
    }
}

/// All signals are blocked in the thread that made this, until it is dropped.
struct Quiet(libc::sigset_t);

impl Quiet {
    fn begin() -> Self {
        // SAFETY: sigset_t is plain data; sigfillset gives it its proper value below.
        let (mut all, mut before) = unsafe { std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>() };
        let _ = syscall!(sigfillset(&raw mut all));
        let _ = syscall!(pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before));
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = syscall!(pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()));
    }
}
