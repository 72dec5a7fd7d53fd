// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making child processes.

use super::{ProcessHandle, syscall};
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Which side of a fork the caller is on.
pub(crate) enum ForkOutcome {
    Child,
    Parent(ProcessHandle),
    /// The parent's, whose child of this number has ended and was taken from the kernel's table by somebody else: by the
    /// kernel itself where SIGCHLD is ignored.
    Ended(libc::pid_t),
}

/// Forks. The child runs with one thread and must end with [`exit_now`].
///
/// The caller vouches that the child does nothing that needs a lock another thread may hold.
pub(crate) fn fork_child() -> io::Result<ForkOutcome> {
    let pid = syscall!(fork())?;
    if pid == 0 {
        return Ok(ForkOutcome::Child);
    }
    match ProcessHandle::of(pid) {
        Ok(Some(handle)) => Ok(ForkOutcome::Parent(handle)),
        Ok(None) => Ok(ForkOutcome::Ended(pid)),
        Err(error) => {
            // Without a descriptor nobody could wait for this child or end it.
            super::kill_child(pid);
            super::bury_child(pid);
            Err(error)
        }
    }
}

/// Forks, and returns the child's number, or 0 in the child, which has one thread and must end with [`exit_now`].
///
/// The caller vouches as for [`fork_child`].
pub(crate) fn fork_plain() -> io::Result<i32> {
    syscall!(fork())
}

/// Ends this process at once: no destructors, no exit handlers of the parent's copies.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit may be called at any time.
    unsafe { libc::_exit(code) }
}

/// The function to call when this process ends by `exit`, or `main` returns, or this library is unloaded.
static AT_EXIT: AtomicPtr<fn()> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn exiting() {
    // SAFETY: what is stored there is a static.
    if let Some(hook) = unsafe { AT_EXIT.load(Ordering::SeqCst).as_ref() } {
        hook();
    }
}

/// The C library calls what is in this section after the exit handlers of the program, the last ones that use what it
/// shares with others, and where there is no room for one more handler, too.
#[used]
#[unsafe(link_section = ".fini_array")]
static EXITING: extern "C" fn() = exiting;

/// Has `hook` called when this process ends in good order. A child of fork has it, too; a process that is killed, or
/// ends by `_exit`, does not call it.
pub(crate) fn at_exit(hook: &'static fn()) {
    // A use of the section: a linker may leave out what nobody uses of a static library.
    std::hint::black_box(&EXITING);
    AT_EXIT.store(std::ptr::from_ref(hook).cast_mut(), Ordering::SeqCst);
}

/// How many cores this process may use, at least 1.
#[inline]
pub(crate) fn cores() -> usize {
    // ORDER cores: a number that guards nothing. Threads may find it at the same time, and so may the child of a fork that
    // happened meanwhile, which would wait for ever for a thread that it has not got.
    static CORES: AtomicUsize = AtomicUsize::new(0);
    match CORES.load(Ordering::Relaxed) {
        0 => {
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            CORES.store(cores, Ordering::Relaxed);
            cores
        }
        cores => cores,
    }
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn clock_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = syscall!(clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now));
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Whether this process has no other thread, as far as the system says.
pub(crate) fn is_only_thread() -> bool {
    // A directory has a link from each directory in it, one from itself and one from where it is.
    std::fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.nlink() == 3)
}

/// Lets another runnable thread have this core.
pub(crate) fn yield_now() {
    let _ = syscall!(sched_yield());
}

/// Ignores SIGINT until [`heed_interrupt`].
pub(crate) fn ignore_interrupt() -> libc::sighandler_t {
    // SAFETY: to ignore a signal takes no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) }
}

/// Puts back what [`ignore_interrupt`] found.
pub(crate) fn heed_interrupt(before: libc::sighandler_t) {
    // SAFETY: it was the handler of this program before.
    unsafe { libc::signal(libc::SIGINT, before) };
}

/// The extras of a program that is started, beyond those of `Command`.
pub(crate) struct Extras {
    /// Descriptors, and the numbers that they are to have.
    pub(crate) descriptors: Vec<(OwnedFd, RawFd)>,
    pub(crate) new_session: bool,
    pub(crate) lifeline: Option<OwnedFd>,
}

/// Keeps the numbers that descriptors are to have in a child from being used in this process, as long as what is
/// returned lives: `Command` makes a pipe for the child, which would be lost where it has one of them.
pub(crate) fn occupy(descriptors: &[(OwnedFd, RawFd)]) -> Vec<OwnedFd> {
    let copy = |(fd, number): &(OwnedFd, RawFd)| {
        let copy = syscall!(fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, *number)).ok()?;
        // SAFETY: fcntl has just made it, and nobody else knows of it.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        // Any other says that the number is in use.
        (copy.as_raw_fd() == *number).then_some(copy)
    };
    descriptors.iter().filter_map(copy).collect()
}

/// Arranges for the extras between fork and exec.
pub(crate) fn add_extras(command: &mut std::process::Command, extras: Extras) {
    use std::os::unix::process::CommandExt;
    let highest = extras.descriptors.iter().map(|(_, number)| *number).max().unwrap_or(0);
    // The numbers of moved descriptors are written here: nothing is allocated in the child.
    let mut moved: Vec<RawFd> = vec![-1; extras.descriptors.len()];
    let prepare = move || {
        if extras.new_session {
            syscall!(setsid())?;
        }
        if let Some(lifeline) = &extras.lifeline
            && !super::hold_on(lifeline.as_fd())?
        {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        for ((fd, _), copy) in extras.descriptors.iter().zip(moved.iter_mut()) {
            *copy = syscall!(fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, highest.saturating_add(1)))?;
        }
        for ((_, number), copy) in extras.descriptors.iter().zip(&moved) {
            syscall!(dup2(*copy, *number))?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls that are allowed between fork and exec, and allocates nothing but errors
    // of the kind that std makes there, too, which are plain numbers.
    unsafe { command.pre_exec(prepare) };
}
