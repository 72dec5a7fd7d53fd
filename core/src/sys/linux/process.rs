// SPDX-License-Identifier: MIT OR Apache-2.0
//! Child processes of the process-per-connection server.

use super::syscall;
use super::{Interest, PollSlot, poll};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Which side of a fork the caller is on.
pub(crate) enum ForkOutcome {
    Child,
    Parent(ProcessHandle),
}

/// A child of ours, held by a descriptor that becomes readable when it ends.
#[derive(Debug)]
pub(crate) struct ProcessHandle {
    pid: libc::pid_t,
    fd: OwnedFd,
}

/// Forks. The child runs with one thread and must end with [`exit_now`].
///
/// The caller vouches that the child does nothing that needs a lock another thread may hold.
pub(crate) fn fork_child() -> io::Result<ForkOutcome> {
    let pid = syscall!(fork())?;
    if pid == 0 {
        return Ok(ForkOutcome::Child);
    }
    let fd = match super::pidfd(pid) {
        Ok(fd) => fd,
        Err(error) => {
            // Without a descriptor nobody could wait for this child or end it.
            let _ = syscall!(kill(pid, libc::SIGKILL));
            let nowhere: *mut libc::c_int = std::ptr::null_mut();
            while let Err(e) = syscall!(waitpid(pid, nowhere, 0)) {
                if e.raw_os_error() != Some(libc::EINTR) {
                    break;
                }
            }
            return Err(error);
        }
    };
    Ok(ForkOutcome::Parent(ProcessHandle { pid, fd }))
}

/// Ends this process at once: no destructors, no exit handlers of the parent's copies.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit may be called at any time.
    unsafe { libc::_exit(code) }
}

/// Lets another runnable thread have this core.
pub(crate) fn yield_now() {
    let _ = syscall!(sched_yield());
}

impl ProcessHandle {
    pub(crate) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Waits for the child to end and collects it; `None` when the deadline passed first.
    pub(crate) fn wait(&self, deadline: Deadline) -> io::Result<Option<i32>> {
        loop {
            let mut status: libc::c_int = 0;
            let pid = match syscall!(waitpid(self.pid, &raw mut status, libc::WNOHANG)) {
                // Somebody who waits for every child was first: it has ended, how is lost.
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(Some(0)),
                other => other?,
            };
            if pid == self.pid {
                return Ok(Some(status));
            }
            if deadline.expired() {
                return Ok(None);
            }
            poll(&mut [PollSlot::new(self.fd(), Interest::Read)], deadline)?;
        }
    }

    /// Sends a signal to the child.
    pub(crate) fn signal(&self, signal: i32) {
        let none: *const libc::siginfo_t = std::ptr::null();
        let _ = syscall!(syscall(libc::SYS_pidfd_send_signal, self.fd(), signal, none, 0));
    }
}
