// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that may sleep in a system call which only a signal ends, and the signal that ends it.
//!
//! `accept` on a socket that blocks is such a call, where another process has taken the connection that `poll`
//! told of. Its flags are not ours to change: the socket is shared. So a thread enters its number before the
//! call, and who wants it to come back sends SIGURG to it. That signal is ignored by default, so one that
//! comes too late, or in a program that has put the default back, does nothing; the handler does nothing either.
//! A handler of the program's own stays, and is called.

use super::fork::generation;
use super::syscall;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SEATS: usize = 8;

thread_local! {
    /// This thread's number, and the generation of the process in which it was asked for.
    static ME: Cell<(u64, u64)> = const { Cell::new((u64::MAX, 0)) };
}

/// Whether the handler is in place.
// ORDER berth-handler: installing it twice does no harm.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Places for threads that sleep.
///
/// A seat is `generation << 32 | thread`; 0 is free, and so is one of another generation: the child of a fork
/// has none of those threads.
#[derive(Debug, Default)]
pub(crate) struct Berths([AtomicU64; SEATS]);

/// The generation of this process, in the half of a seat where it stands.
fn mine() -> u64 {
    generation() << 32
}

/// The thread of this process that has the seat.
fn thread(seat: u64) -> Option<u64> {
    let number = seat & 0xffff_ffff;
    (seat ^ number == mine() && number != 0).then_some(number)
}

extern "C" fn nothing(_: libc::c_int) {}

impl Berths {
    /// Makes a system call that may sleep, unless `stop` says that it must not. `None` when it did not, or when too many
    /// threads are in such calls already.
    pub(crate) fn sleep<T>(&self, stop: impl Fn() -> bool, call: impl FnOnce() -> T) -> Option<T> {
        let me = prepare();
        let take = |seat: &&AtomicU64| {
            let taken = seat.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seat| {
                thread(seat).is_none().then_some(mine() | me)
            });
            taken.is_ok()
        };
        let seat = self.0.iter().find(take)?;
        // Either this sees the stop, or who stops sees this thread in its seat.
        let result = (!stop()).then(call);
        seat.store(0, Ordering::SeqCst);
        result
    }

    /// Wakes the threads; true when there was one. One that was just about to sleep is missed: ask again until
    /// there is none. Safe in a signal handler.
    pub(crate) fn wake(&self) -> bool {
        let mut any = false;
        for thread in self.0.iter().filter_map(|seat| thread(seat.load(Ordering::SeqCst))) {
            any = true;
            let process = libc::c_long::from(std::process::id());
            // It fails only for a thread that has ended, which is awake.
            let _ = syscall!(syscall(libc::SYS_tgkill, process, thread, libc::SIGURG));
        }
        any
    }
}

/// Sees to it that the signal ends this thread's calls; returns the thread's number.
fn prepare() -> u64 {
    let (born, known) = ME.get();
    if born == generation() {
        return known;
    }
    if !INSTALLED.swap(true, Ordering::SeqCst) {
        install();
    }
    // SAFETY: a signal set is plain data, and is filled in before it is used.
    let mut urgent: libc::sigset_t = unsafe { std::mem::zeroed() };
    let _ = syscall!(sigemptyset(&raw mut urgent));
    let _ = syscall!(sigaddset(&raw mut urgent, libc::SIGURG));
    // A program that blocks all signals in its threads means those that it waits for.
    let _ = syscall!(pthread_sigmask(libc::SIG_UNBLOCK, &raw const urgent, std::ptr::null_mut()));
    let me = syscall!(syscall(libc::SYS_gettid)).map_or(0, |number| u64::try_from(number).unwrap_or(0));
    ME.set((generation(), me));
    me
}

fn install() {
    // SAFETY: plain data for which all zeros is a value: the default action, no flags, nothing blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let found = syscall!(sigaction(libc::SIGURG, std::ptr::null(), &raw mut action));
    if found.is_ok() && matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) {
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Without SA_RESTART, or the call would go on.
        action.sa_flags = 0;
        let _ = syscall!(sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::sync::Arc;

    #[test]
    fn threads_that_sleep_in_a_call_are_woken_and_nobody_else_sleeps_after_a_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = listener.as_raw_fd();
        let (berths, stop) = (Arc::new(Berths::default()), Arc::new(AtomicBool::new(false)));
        let sleepers: Vec<_> = (0..SEATS + 2)
            .map(|_| {
                let (berths, stop) = (Arc::clone(&berths), Arc::clone(&stop));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        // Nobody connects: it would sleep for ever.
                        let slept = berths.sleep(|| stop.load(Ordering::SeqCst), || sys::accept(fd));
                        assert!(slept.is_none_or(|r| {
                            r.is_err_and(|e| e.kind() == std::io::ErrorKind::Interrupted)
                        }));
                        sys::yield_now();
                    }
                })
            })
            .collect();
        while berths.0.iter().any(|seat| seat.load(Ordering::SeqCst) == 0) {
            sys::yield_now();
        }
        assert!(berths.wake());
        stop.store(true, Ordering::SeqCst);
        while berths.wake() {
            sys::yield_now();
        }
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
        assert_eq!(berths.sleep(|| true, || ()), None);
    }
}
