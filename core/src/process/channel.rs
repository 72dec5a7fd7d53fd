// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel between a program and the one that started it.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::frame::{Connection, Format};
use crate::net::Stream;
use crate::sys;
use socket2::{SockRef, Type};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The variable of the environment that tells a program the number of its channel's descriptor.
pub const CHANNEL_VARIABLE: &str = "CARRICK_CHANNEL";

const TAKING: &str = "take the channel from the parent";

static TAKEN: AtomicBool = AtomicBool::new(false);

/// This end of a channel, and the other one under a number that is neither a standard stream's nor one of `numbers`.
pub(super) fn pair(numbers: &[RawFd], failed: impl Fn(io::Error) -> Error) -> Result<(Stream, OwnedFd)> {
    let (ours, theirs) = Stream::pair()?;
    let mut theirs = theirs.into_fd()?;
    // They keep their numbers until a free one is found.
    let mut passed_over = Vec::new();
    while theirs.as_raw_fd() <= libc::STDERR_FILENO || numbers.contains(&theirs.as_raw_fd()) {
        let other = theirs.try_clone().map_err(&failed)?;
        passed_over.push(std::mem::replace(&mut theirs, other));
    }
    Ok((ours, theirs))
}

/// The channel to the program that started this one with [`Command::channel`](super::Command::channel). It can be had
/// once: the caller owns it.
///
/// The variable of the environment `CARRICK_CHANNEL` ([`CHANNEL_VARIABLE`]) has the number of the descriptor, which is one
/// end of a pair of Unix sockets; the frames are those of `multiprocessing`. A program without carrick may use it as such.
/// From here on the descriptor is not inherited. The variable stays, so what this program starts by other means
/// than [`Command`](super::Command) should not look at it.
///
/// # Example
/// ```
/// use carrick::{Deadline, Kind, process};
/// match process::channel_from_parent() {
///     Ok(channel) => channel.send(b"ready", Deadline::NEVER)?,
///     Err(error) if error.kind() == Kind::State => println!("nobody asked for one"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), carrick::Error>(())
/// ```
///
/// # Errors
/// `State`: the parent gave none, or it was taken. `Invalid`: the variable holds no number, or that of something
/// else. `Os` (EBADF): no descriptor of that number is open.
pub fn channel_from_parent() -> Result<Connection<Stream>> {
    let Some(text) = std::env::var_os(CHANNEL_VARIABLE) else {
        return Err(Error::with_detail(Kind::State, TAKING, format!("{CHANNEL_VARIABLE} is not set")));
    };
    let invalid = |what: &str| {
        let text = text.to_string_lossy();
        Error::with_detail(Kind::Invalid, TAKING, format!("{CHANNEL_VARIABLE}={text}: {what}"))
    };
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| *number >= 0);
    let number: RawFd = number.ok_or_else(|| invalid("it is to be the number of a descriptor"))?;
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(Error::with_detail(Kind::State, TAKING, "it was taken before"));
    }
    let taken =
        take(number).and_then(|fd| fd.map_or_else(|| Err(invalid("that is no channel")), Stream::from_fd));
    if taken.is_err() {
        TAKEN.store(false, Ordering::SeqCst);
    }
    Ok(Connection::new(taken?, Format::MULTIPROCESSING))
}

/// The descriptor of this number, if it is a channel's end.
fn take(number: RawFd) -> Result<Option<OwnedFd>> {
    let failed = |e: io::Error| Error::from_io(&e, TAKING);
    if !sys::kind_of_fd(number).map_err(failed)? {
        return Ok(None);
    }
    let lent = sys::lend_fd(number);
    let socket = SockRef::from(&lent);
    let is_stream = socket.r#type().map_err(failed)? == Type::STREAM;
    if !is_stream || !socket.peer_addr().is_ok_and(|peer| peer.is_unix()) {
        return Ok(None);
    }
    socket.set_cloexec(true).map_err(failed)?;
    Ok(Some(sys::own_fd(number)))
}
