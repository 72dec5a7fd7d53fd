// SPDX-License-Identifier: MIT OR Apache-2.0
//! A descriptor that several threads use and one may close at any time.
//!
//! # State
//! The low half of `users` counts the calls inside, and its top bit says closed. Closing sets the bit and wakes
//! whoever sleeps; the last call to leave (or close itself, if none is inside) closes the descriptor, so its
//! number is never recycled under a running call. A call that starts after the bit is set gets `Closed`.
//!
//! # Waking the sleepers
//! Sleepers sit in `poll`. A socket that this process made or accepted is its own, so close shuts it down,
//! which makes it ready. A descriptor that came from elsewhere may be shared with other processes, where a
//! shutdown would cut them off too: there each sleeper also polls an eventfd, made when the first one goes
//! to sleep.
//!
//! # Fork
//! The high half of `users` is the process's generation (`sys::generation`). The child of a fork has none of
//! the threads that were inside, so its first call begins to count anew; and to the child the descriptor is
//! shared, whoever made it.

#![forbid(unsafe_code)]

use super::spin::Spin;
use crate::error::{Error, Kind, Result};
use crate::fork::SetOnce;
use crate::interrupt;
use crate::sys::{self, Interest, OwnWake, PollSlot};
use crate::time::Deadline;
use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

const CLOSED: u64 = 1 << 31;
/// The bit that marks a detached handle, so that the descriptor is not closed.
const DETACHED: u64 = 1 << 30;

/// The generation of this process, in the half of `users` where it stands.
fn mine() -> u64 {
    sys::generation() << 32
}

/// `users` as this process counts them.
fn counted(users: u64) -> u64 {
    if users >> 32 << 32 == mine() { users } else { mine() | (users & (CLOSED | DETACHED)) }
}

/// The other holders that the file behind the descriptor may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Made here; nobody else has it.
    Own,
    /// May be shared with other processes.
    Shared,
}

#[derive(Debug)]
pub(crate) struct Handle {
    fd: RawFd,
    users: AtomicU64,
    /// Of the process that made the handle.
    born: u64,
    sharing: Sharing,
    waker: SetOnce<OwnWake>,
    pub(crate) reading: Spin,
    pub(crate) writing: Spin,
    // ORDER traffic: counters that guard no memory.
    received: AtomicU64,
    sent: AtomicU64,
}

/// A call that is inside the handle; the descriptor stays open until it is dropped.
pub(crate) struct Inside<'a> {
    handle: &'a Handle,
    /// Of the process that it was counted in.
    generation: u64,
}

impl Inside<'_> {
    pub(crate) fn fd(&self) -> RawFd {
        self.handle.fd
    }

    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        sys::lend_fd(self.handle.fd)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // A signal handler may have forked in the middle of the call, and another call begun to count anew.
        let left = self.handle.users.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |users| {
            (users >> 32 << 32 == self.generation).then(|| users - 1)
        });
        if left.is_ok_and(|users| users & 0xffff_ffff == CLOSED + 1) {
            sys::close_fd(self.handle.fd);
        }
    }
}

impl Handle {
    pub(crate) fn new(fd: OwnedFd, sharing: Sharing) -> Self {
        sys::watch_forks();
        Self {
            fd: fd.into_raw_fd(),
            users: AtomicU64::new(mine()),
            born: mine(),
            sharing,
            waker: SetOnce::new(),
            reading: Spin::default(),
            writing: Spin::default(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }

    pub(crate) fn enter(&self, operation: &'static str) -> Result<Inside<'_>> {
        let entered = self.users.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |users| {
            (users & CLOSED == 0).then(|| counted(users) + 1)
        });
        match entered {
            Ok(_) => Ok(Inside { handle: self, generation: mine() }),
            Err(_) => Err(Error::new(Kind::Closed, operation)),
        }
    }

    pub(crate) fn count_received(&self, n: usize) {
        self.received.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_sent(&self, n: usize) {
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// Whether no other process has the file: this one made it, and is no child of that one.
    pub(crate) fn is_own(&self) -> bool {
        self.sharing == Sharing::Own && self.born == mine()
    }

    /// Whether the descriptor came from elsewhere, so that its flags are not ours.
    pub(crate) fn is_given(&self) -> bool {
        self.sharing == Sharing::Shared
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.users.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// Closes; each waiter gets `Closed`. Returns whether this call did it.
    pub(crate) fn close(&self) -> bool {
        // Counting as a user keeps the descriptor open while it is shut down.
        let Ok(inside) = self.enter("close") else { return false };
        if self.users.fetch_or(CLOSED, Ordering::SeqCst) & CLOSED != 0 {
            return false;
        }
        if self.is_own() {
            if self.users.load(Ordering::SeqCst) & 0xffff_ffff != CLOSED + 1 {
                sys::shutdown_both(self.fd);
            }
        } else if let Some(waker) = self.waker.get() {
            waker.set();
        }
        drop(inside);
        true
    }

    /// Gives up the descriptor without closing it; the handle is closed from here on.
    pub(crate) fn detach(&self) -> Result<RawFd> {
        self.users
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |users| {
                (counted(users) == mine()).then(|| mine() | CLOSED | DETACHED)
            })
            .map(|_| self.fd)
            .map_err(|users| {
                let kind = if users & CLOSED == 0 { Kind::State } else { Kind::Closed };
                Error::with_detail(kind, "detach", "another call is using the descriptor, or it is closed")
            })
    }

    /// Makes one call that may have to wait: tries, spins, sleeps, tries again.
    pub(crate) fn drive<T>(
        &self,
        operation: &'static str,
        interest: Interest,
        deadline: Deadline,
        mut attempt: impl FnMut(RawFd) -> io::Result<T>,
    ) -> Result<T> {
        let inside = self.enter(operation)?;
        let result = drive(
            &Waiter {
                fd: inside.fd(),
                spin: self.spin(interest),
                waker: || self.sleep_waker(),
                also: None,
                may_block: None,
                closed: || self.is_closed(),
            },
            operation,
            interest,
            deadline,
            &mut attempt,
        );
        // A shutdown by close looks like the end of the stream; it must not be taken for one.
        if self.is_closed() { Err(Error::new(Kind::Closed, operation)) } else { result }
    }

    fn spin(&self, interest: Interest) -> &Spin {
        if interest == Interest::Write { &self.writing } else { &self.reading }
    }

    pub(super) fn sleep_waker(&self) -> io::Result<Option<RawFd>> {
        if self.is_own() {
            return Ok(None);
        }
        if let Some(waker) = self.waker.get() {
            return Ok(Some(waker.fd()));
        }
        let made = OwnWake::new()?;
        let waker = self.waker.get_or_set(made);
        Ok(Some(waker.fd()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.is_closed() {
            sys::close_fd(self.fd);
        }
    }
}

/// The facts that [`drive`] needs about the thing it waits for.
pub(crate) struct Waiter<'a, W, C> {
    pub(crate) fd: RawFd,
    pub(crate) spin: &'a Spin,
    /// A second descriptor that ends the sleep, made only when sleeping.
    pub(crate) waker: W,
    /// A third one that ends it, for more to be looked at.
    pub(crate) also: Option<RawFd>,
    /// Set while an attempt may sleep in its system call, which saves the poll before it. Only for those that
    /// nothing but data and signals has to wake, and that are content to go on after a signal whose handler
    /// was installed with SA_RESTART.
    pub(crate) may_block: Option<&'a Cell<bool>>,
    pub(crate) closed: C,
}

pub(crate) fn drive<T, W, C>(
    waiter: &Waiter<'_, W, C>,
    operation: &'static str,
    interest: Interest,
    deadline: Deadline,
    attempt: &mut impl FnMut(RawFd) -> io::Result<T>,
) -> Result<T>
where
    W: Fn() -> io::Result<Option<RawFd>>,
    C: Fn() -> bool,
{
    if let Some(result) = look(waiter.fd, operation, attempt) {
        return result;
    }
    if deadline.is_now() {
        return Err(Error::new(Kind::WouldBlock, operation));
    }
    let mut wait = waiter.spin.wait();
    if let Some(result) = wait.spin(deadline, || look(waiter.fd, operation, attempt)) {
        return result;
    }
    let slept = sleep(waiter, operation, interest, deadline, attempt);
    wait.ended(&slept);
    slept
}

/// Sleeps until an attempt does not have to wait.
fn sleep<T, W, C>(
    waiter: &Waiter<'_, W, C>,
    operation: &'static str,
    interest: Interest,
    deadline: Deadline,
    attempt: &mut impl FnMut(RawFd) -> io::Result<T>,
) -> Result<T>
where
    W: Fn() -> io::Result<Option<RawFd>>,
    C: Fn() -> bool,
{
    let sleeper = interrupt::Sleeper::prepare(operation)?;
    crate::blocking::about_to_block();
    if let Some(may_block) = waiter.may_block
        && deadline == Deadline::NEVER
        && sleeper.fd().is_none()
    {
        loop {
            may_block.set(true);
            let result = attempt(waiter.fd);
            may_block.set(false);
            match result {
                // A non-blocking descriptor after all: poll.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(operation)?,
                Err(e) => return Err(Error::from_io(&e, operation)),
                Ok(value) => return Ok(value),
            }
        }
    }
    loop {
        let waker = (waiter.waker)().map_err(|e| Error::from_io(&e, operation))?;
        // The waker exists now, so a close from here on sets it, and one before is seen here.
        if (waiter.closed)() {
            return Err(Error::new(Kind::Closed, operation));
        }
        // poll passes over -1.
        let mut slots = [
            PollSlot::new(waiter.fd, interest),
            PollSlot::new(waker.unwrap_or(-1), Interest::Read),
            PollSlot::new(waiter.also.unwrap_or(-1), Interest::Read),
            PollSlot::new(sleeper.fd().unwrap_or(-1), Interest::Read),
        ];
        let polled = sys::poll(&mut slots, deadline);
        if slots[3].fired() {
            interrupt::check(operation)?;
        }
        match polled {
            Ok(0) => {
                if deadline.expired() {
                    return Err(Error::new(Kind::Timeout, operation));
                }
            }
            Ok(_) => {
                if (waiter.closed)() {
                    return Err(Error::new(Kind::Closed, operation));
                }
                if let Some(result) = look(waiter.fd, operation, attempt) {
                    return result;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(operation)?,
            Err(e) => return Err(Error::from_io(&e, operation)),
        }
    }
}

/// One attempt: `None` when it has to wait.
fn look<T>(
    fd: RawFd,
    operation: &'static str,
    attempt: &mut impl FnMut(RawFd) -> io::Result<T>,
) -> Option<Result<T>> {
    loop {
        return match attempt(fd) {
            Ok(value) => Some(Ok(value)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => Some(Err(Error::from_io(&e, operation))),
        };
    }
}
