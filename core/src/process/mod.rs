// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes: programs, forks and fork servers, and children that do not outlive their parent.
//!
//! [`Command`] starts a program, [`fork`] a function of this one, [`ForkServer`] the same in a process that was made
//! early. All give a [`Child`].
//!
//! # Fork servers
//! A process that was made early, and is small, forks the children that others ask for. It keeps children forked ahead of
//! time, which wait for work themselves, all on one socket; the kernel hands each request to one of them. The server is
//! not in the way of a request; it hears of it afterwards, forks the next child and, being the parent, tells the one who
//! asked how the child ended. A request is one message, so it is never torn, and one that no child has taken is still
//! there for the next child. [`supply`] has the pieces, for who forks by himself.
//!
//! # Channels
//! Each of the three gives a child a channel of frames where it is asked for one ([`StartOptions::channel`],
//! [`Command::channel`]): the parent's end is [`Child::channel`], a function gets the other one as an argument, and a program
//! by [`channel_from_parent`].
//!
//! # Daemons
//! [`StartOptions::daemon`] and [`Command::daemon`] make children that do not outlive their parent. A daemon may have
//! children: its daemons end with it, others outlive it. The pieces: the kernel kills a process that called [`hold_on`]
//! with a descriptor of another process's [`lifeline`] when that process ends, however it does.
#![forbid(unsafe_code)]

mod channel;
mod child;
mod children;
mod request;
mod server;
mod start;
pub mod supply;

pub use channel::{CHANNEL_VARIABLE, channel_from_parent};
pub use child::{Child, Exit, reap};
pub use server::{ForkServer, Task};
pub use start::{Command, StartOptions, fork, fork_only};

use crate::error::{Error, Kind, Result};
use crate::interrupt::{self, Sleeper};
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Sleeps until the descriptor is ready, or less long; whether it is ready.
fn nap(fd: BorrowedFd<'_>, interest: Interest, operation: &'static str, deadline: Deadline) -> Result<bool> {
    let sleeper = Sleeper::prepare(operation)?;
    let signals = PollSlot::new(sleeper.fd().unwrap_or(-1), Interest::Read);
    let mut slots = [PollSlot::new(fd.as_raw_fd(), interest), signals];
    let fired = sys::poll(&mut slots, deadline);
    drop(sleeper);
    match fired {
        Ok(_) if slots[0].fired() => Ok(true),
        Ok(0) => Ok(false),
        Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(Error::from_io(&e, operation)),
        _ => interrupt::check(operation).map(|()| false),
    }
}

/// The lifeline of a process that is to be a daemon.
fn lifeline_if(daemon: bool) -> Result<Option<OwnedFd>> {
    if !daemon {
        return Ok(None);
    }
    if !sys::can_hold_on() {
        let detail = "a daemon takes /proc, which is not there: mount it, or start a process that is none";
        return Err(Error::with_detail(Kind::State, "start a daemon", detail));
    }
    lifeline().map(Some)
}

/// A descriptor of this process's lifeline, to give to processes that are to end with this one.
///
/// It costs two descriptors from the first call on. Other processes that this one forks do not hold it up.
///
/// # Errors
/// `Os` (EMFILE: no descriptors are left).
pub fn lifeline() -> Result<OwnedFd> {
    sys::lifeline().map_err(|e| Error::from_io(&e, "make a lifeline"))
}

/// From here on the kernel kills this process (SIGKILL) when the process that the lifeline is of has ended, or has
/// exec'd another program. False when that has happened already.
///
/// # Errors
/// `Os`: there is no /proc, or no descriptors are left.
pub fn hold_on(lifeline: BorrowedFd<'_>) -> Result<bool> {
    sys::hold_on(lifeline).map_err(|e| Error::from_io(&e, "hold on to a lifeline"))
}
