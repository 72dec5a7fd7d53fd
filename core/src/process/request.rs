// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client says to a fork server, and what it hears from it.
//!
//! A message is one byte, the body and descriptors. The first descriptor is the writing end of a pipe, the *report*.
//! The byte says where the body is: [`INLINE`], in the message; [`IN_FILE`], in what the last descriptor is: a file in memory or, where this process may not
//! write so long a file (RLIMIT_FSIZE), a pipe.
//! The report is one or two numbers, eight bytes each: first the child's number, or a negative errno when no child
//! could be made; then, when the child has ended, its [`ending`]. A child gives its report to the server before it
//! writes its number, so the ending may come first: then nothing had begun. A report that ends early says that the
//! child, before that, or the server died.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::sys::{self, Interest};
use crate::time::Deadline;
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The most descriptors that a request can have.
pub const MOST_DESCRIPTORS: usize = sys::MOST_DESCRIPTORS - 2;

/// The longest body that goes into the message itself.
const LONGEST_INLINE: usize = 32 << 10;

const INLINE: u8 = 0;
const IN_FILE: u8 = 1;
const ASKING: &str = "ask a fork server";

/// What a child of a fork server is to do.
#[derive(Debug)]
pub struct Request {
    /// What the client sent.
    pub body: Vec<u8>,
    /// The client's descriptors, in its order, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Marks the ending of a child among the numbers of a report: the exit code is in the lower half.
const ENDING: i64 = 1 << 32;

pub(super) fn ending(code: i32) -> i64 {
    ENDING + i64::from(code.cast_unsigned())
}

/// The exit code of a child of a fork server from the descriptor that [`ask`] returned; negative is the number of the
/// signal that killed it, `None` is that the server died before the child. Waits; the descriptor is readable when
/// there is an answer.
///
/// # Errors
/// `Os`.
pub fn exit_code(report: BorrowedFd<'_>) -> Result<Option<i32>> {
    let failed = |e: io::Error| Error::from_io(&e, "wait for a child");
    loop {
        match report.try_clone_to_owned().and_then(read_number) {
            Ok(Some(number)) => {
                return Ok(u32::try_from(number - ENDING).ok().map(u32::cast_signed));
            }
            Ok(None) => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check("wait for a child")?,
            Err(e) => return Err(failed(e)),
        }
    }
}

/// Asks for a child, and waits until it has begun. Returns its number, and a descriptor for [`exit_code`].
///
/// # Errors
/// `Closed`: there is no server, or its child died before it began: nothing has been done. `Invalid`: too many
/// descriptors. `Interrupted`. `Os`: the server could not fork, with its errno; EMFILE: no descriptors are left,
/// here or there.
pub fn ask(server: BorrowedFd<'_>, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(i32, OwnedFd)> {
    if descriptors.len() > MOST_DESCRIPTORS {
        let detail = format!("{} descriptors; {MOST_DESCRIPTORS} fit into a request", descriptors.len());
        return Err(Error::with_detail(Kind::Invalid, ASKING, detail));
    }
    let failed = |e: io::Error| Error::from_io(&e, ASKING);
    let (report, theirs) = sys::pipe().map_err(failed)?;
    let mut rest = None;
    let file = match body.len() > LONGEST_INLINE {
        true => match in_file(body) {
            Err(e) if e.raw_os_error() == Some(libc::EFBIG) => {
                let (reading, writing) = sys::pipe().map_err(failed)?;
                rest = Some(writing);
                Some(reading)
            }
            other => Some(other.map_err(failed)?),
        },
        false => None,
    };
    let mut fds = vec![theirs.as_fd()];
    fds.extend_from_slice(descriptors);
    fds.extend(file.as_ref().map(AsFd::as_fd));
    let parts: &[&[u8]] = if file.is_some() { &[&[IN_FILE]] } else { &[&[INLINE], body] };
    loop {
        match sys::send_message(server.as_raw_fd(), parts, &fds) {
            Ok(()) => break,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => await_one(server, Interest::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(ASKING)?,
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN)) => {
                return Err(Error::with_detail(Kind::Closed, ASKING, "it has ended"));
            }
            Err(e) => return Err(failed(e)),
        }
    }
    drop((file, theirs));
    if let Some(pipe) = rest {
        write_all(&pipe, body)?;
    }
    await_one(report.as_fd(), Interest::Read)?;
    match report.try_clone().and_then(read_number).map_err(failed)? {
        Some(errno) if errno < 0 => Err(Error::from_os(i32::try_from(-errno).unwrap_or(libc::EIO), ASKING)),
        Some(pid) if pid < ENDING => Ok((i32::try_from(pid).unwrap_or(0), report)),
        _ => Err(Error::with_detail(Kind::Closed, ASKING, "its child died before it began")),
    }
}

fn in_file(body: &[u8]) -> io::Result<OwnedFd> {
    // Its length first: to write beyond the limit is a signal besides.
    let mut file = File::from(sys::memory_file(body.len() as u64)?);
    file.write_all(body)?;
    file.rewind()?;
    Ok(file.into())
}

/// Writes a body to a pipe whose other end a child reads. One that has died is for the report to tell.
fn write_all(pipe: &OwnedFd, mut body: &[u8]) -> Result<()> {
    while !body.is_empty() {
        match sys::write_pipe(pipe.as_raw_fd(), &[IoSlice::new(body)], true) {
            Ok(written) => body = body.get(written..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => await_one(pipe.as_fd(), Interest::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(ASKING)?,
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
            Err(e) => return Err(Error::from_io(&e, ASKING)),
        }
    }
    Ok(())
}

fn await_one(fd: BorrowedFd<'_>, interest: Interest) -> Result<()> {
    while !super::nap(fd, interest, ASKING, Deadline::NEVER)? {}
    Ok(())
}

/// The next number of a report, `None` at its end. It is there, since each is written at once.
fn read_number(report: OwnedFd) -> io::Result<Option<i64>> {
    let mut bytes = [0; 8];
    match File::from(report).read_exact(&mut bytes) {
        Ok(()) => Ok(Some(i64::from_ne_bytes(bytes))),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes a number into a report. EPIPE: the client is gone.
pub(super) fn write_number(report: &OwnedFd, number: i64) -> io::Result<()> {
    let bytes = number.to_ne_bytes();
    loop {
        match sys::write_pipe(report.as_raw_fd(), &[IoSlice::new(&bytes)], true) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // Two numbers always fit into a pipe; one that is full is not ours.
            other => return other.map(|_| ()),
        }
    }
}

/// A request as it arrives, with its report.
pub(super) struct Arrived {
    pub(super) request: Request,
    pub(super) report: OwnedFd,
}

/// Takes a request. `None`: all clients are gone. EBADMSG: what came was none, and is dropped.
pub(super) fn receive(requests: &OwnedFd, wait: bool) -> io::Result<Option<Arrived>> {
    let malformed = || io::Error::from_raw_os_error(libc::EBADMSG);
    let mut body = vec![0; LONGEST_INLINE + 1];
    let received = sys::recv_message(requests.as_raw_fd(), &mut body, wait)?;
    if received.length == 0 && received.fds.is_empty() {
        return Ok(None);
    }
    let mut descriptors = received.fds;
    if descriptors.is_empty() {
        return Err(malformed());
    }
    let report = descriptors.remove(0);
    if received.cut {
        // The kernel has left out those for which this process had no numbers.
        let _ = write_number(&report, -i64::from(libc::EMFILE));
        return Err(malformed());
    }
    body.truncate(received.length);
    let place = body.first().copied();
    body.drain(..body.len().min(1));
    if place == Some(IN_FILE) {
        body.clear();
        let file = descriptors.pop().ok_or_else(malformed)?;
        File::from(file).read_to_end(&mut body)?;
    } else if place != Some(INLINE) {
        return Err(malformed());
    }
    Ok(Some(Arrived { request: Request { body, descriptors }, report }))
}
