// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages from a client to a fork server, and those back.
//!
//! A *request* is one message: one byte, the body and descriptors. The first descriptor is the writing end of a pipe,
//! the *report*. The bits of the byte say what else there is:
//! - [`MORE`]: the second descriptor is a socket with messages in it, whose descriptors follow those of the request. A
//!   message of the kernel's has [`sys::MOST_DESCRIPTORS`] at the most.
//! - [`APART`]: the body is what can be read from the last descriptor of the first message, a file in memory or, where
//!   the process may write none of that length (`RLIMIT_FSIZE`), a pipe.
//!
//! The *report* is one or two numbers, eight bytes each: first the child's number, or a negative errno when no child
//! could be made; then, when the child has ended, its [`ending`]. A child gives its report to the server before it
//! writes its number, so the ending may come first: then nothing had begun. A number with [`REFUSED`] has the length of
//! a text in its lower half, which follows: why children die here before they take a request. A report that ends early
//! says that the child, before that, or the server died.
//!
//! A message without descriptors is a *nudge*, from a client whose child has not begun after a while: a child that was stopped with the
//! request in its hands may have taken it before the server could see that there was one. The child that takes a nudge
//! has the server look after the others; where there is none the server sees the nudge itself.
//!
//! A server that ends for a reason of its own leaves that as a message for its clients ([`last_words`]).
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The longest body that goes into the message itself.
const LONGEST_INLINE: usize = 32 << 10;

/// The most descriptors in the first message: there are the report and perhaps a socket and a body besides.
const MOST_INLINE: usize = sys::MOST_DESCRIPTORS - 3;

/// How long a client waits for its child until it sends a nudge, first and last, with twice as long between two of them each
/// time.
const NUDGED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

const APART: u8 = 1;
const MORE: u8 = 2;
const ASKING: &str = "ask a fork server";

/// The longest text that goes into a report: with its number it is written at once.
const LONGEST_TEXT: usize = libc::PIPE_BUF - 8;

/// The task of a child of a fork server.
#[derive(Debug)]
pub struct Request {
    /// The bytes that the client sent.
    pub body: Vec<u8>,
    /// The client's descriptors, in its order, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Marks the ending of a child among the numbers of a report: the exit code is in the lower half.
const ENDING: i64 = 1 << 32;

/// Marks a refusal.
const REFUSED: i64 = 1 << 33;

pub(super) fn ending(code: i32) -> i64 {
    ENDING + i64::from(code.cast_unsigned())
}

/// The exit code of a child of a fork server from the descriptor that [`ask`] returned; negative is the number of the
/// signal that killed it, `None` is that the server died before the child. Waits; the descriptor is readable when
/// there is an answer. The answer is there once.
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

/// As [`exit_code`], but never waits: `None` while the child runs.
///
/// # Errors
/// `Os`.
pub fn try_exit_code(report: BorrowedFd<'_>) -> Result<Option<Option<i32>>> {
    let mut slot = [PollSlot::new(report.as_raw_fd(), Interest::Read)];
    match sys::poll(&mut slot, Deadline::NOW) {
        Ok(0) => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(e) => Err(Error::from_io(&e, "wait for a child")),
        Ok(_) => exit_code(report).map(Some),
    }
}

/// Asks for a child, and waits until it has begun. Returns its number, and a descriptor for [`exit_code`].
///
/// # Errors
/// `Closed`: there is no server, or its child died before it began: nothing has been done. `WorkerDied`: all children
/// die before they take a request; the message has the reason of the last one. `Interrupted`. `Os`: the server could
/// not fork, with its errno; EMFILE: no descriptors are left, here or there; ETOOMANYREFS: too many are on their way.
pub fn ask(server: BorrowedFd<'_>, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(i32, OwnedFd)> {
    let failed = |e: io::Error| Error::from_io(&e, ASKING);
    let (report, theirs) = sys::pipe().map_err(failed)?;
    let (first, rest) = descriptors.split_at(descriptors.len().min(MOST_INLINE));
    let rest = if rest.is_empty() { None } else { Some(apart(rest).map_err(failed)?) };
    let apart = if body.len() > LONGEST_INLINE { Some(Apart::of(body).map_err(failed)?) } else { None };
    let mut kind = 0;
    let mut fds = vec![theirs.as_fd()];
    if let Some(rest) = &rest {
        kind |= MORE;
        fds.push(rest.as_fd());
    }
    fds.extend_from_slice(first);
    if let Some(apart) = &apart {
        kind |= APART;
        fds.push(apart.theirs.as_fd());
    }
    let parts: &[&[u8]] = if apart.is_some() { &[&[kind]] } else { &[&[kind], body] };
    loop {
        match sys::send_message(server.as_raw_fd(), parts, &fds) {
            Ok(()) => break,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => await_one(server, Interest::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(ASKING)?,
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN)) => {
                return Err(closed(server, "it has ended"));
            }
            Err(e) => return Err(failed(e)),
        }
    }
    drop((rest, theirs));
    if let Some(Apart { theirs, ours: Some(ours) }) = apart {
        drop(theirs);
        write_all(&ours, body)?;
    }
    let (mut patience, most) = NUDGED;
    while !super::nap(report.as_fd(), Interest::Read, ASKING, Deadline::after(patience))? {
        // Where there is no room for it there are others.
        let _ = sys::send_message(server.as_raw_fd(), &[&[0]], &[]);
        patience = most.min(patience * 2);
    }
    match report.try_clone().and_then(read_number).map_err(failed)? {
        Some(errno) if errno < 0 => Err(Error::from_os(i32::try_from(-errno).unwrap_or(libc::EIO), ASKING)),
        Some(pid) if pid < ENDING => Ok((i32::try_from(pid).unwrap_or(0), report)),
        Some(length) if length & REFUSED != 0 => {
            let mut text = Vec::new();
            let length = u64::try_from(length & !REFUSED).unwrap_or(0);
            File::from(report).take(length).read_to_end(&mut text).map_err(failed)?;
            let reason = String::from_utf8_lossy(&text);
            let detail = format!("its children end before they can take a request; the last one: {reason}");
            Err(Error::with_detail(Kind::WorkerDied, ASKING, detail))
        }
        _ => Err(closed(server, "its child died before it began")),
    }
}

fn closed(server: BorrowedFd<'_>, what: &str) -> Error {
    let detail = last_words(server).map_or_else(|| what.to_owned(), |words| format!("it has ended: {words}"));
    Error::with_detail(Kind::Closed, ASKING, detail)
}

/// Why a server that has ended did so, if it could say.
#[must_use]
pub fn last_words(server: BorrowedFd<'_>) -> Option<String> {
    let mut text = vec![0; LONGEST_TEXT];
    let length = match sys::peek_message(server.as_raw_fd(), &mut text) {
        // Requests were left, which is told once and before the message.
        Err(e) if e.raw_os_error() == Some(libc::ECONNRESET) => {
            sys::peek_message(server.as_raw_fd(), &mut text)
        }
        length => length,
    };
    let text = text.get(..length.ok()?)?;
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
}

/// Leaves the reason why a server ends for its clients. `requests` is its socket.
pub(super) fn leave_words(requests: BorrowedFd<'_>, reason: &str) {
    let words = cut(reason, LONGEST_TEXT);
    // Where there is no room, or no client, nobody will read it.
    let _ = sys::send_message(requests.as_raw_fd(), &[words], &[]);
}

/// The end of a text, where a traceback says what has happened, in at most so many bytes.
pub(super) fn cut(text: &str, length: usize) -> &[u8] {
    let bytes = text.trim().as_bytes();
    bytes.get(bytes.len().saturating_sub(length)..).unwrap_or_default()
}

/// A socket whose messages have these descriptors, and after which nothing comes.
fn apart(descriptors: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let (theirs, ours) = sys::message_pair()?;
    for some in descriptors.chunks(sys::MOST_DESCRIPTORS) {
        // The socket has room for some ten thousands.
        sys::send_message(ours.as_raw_fd(), &[&[0]], some)?;
    }
    Ok(theirs)
}

/// A body that is too long for a message.
struct Apart {
    theirs: OwnedFd,
    /// To write it to, when the request is on its way: there is no file with it.
    ours: Option<OwnedFd>,
}

impl Apart {
    fn of(body: &[u8]) -> io::Result<Self> {
        if u64::try_from(body.len()).is_ok_and(|length| length <= sys::longest_file()) {
            let mut file = File::from(sys::memory_file(0)?);
            file.write_all(body)?;
            file.rewind()?;
            return Ok(Self { theirs: file.into(), ours: None });
        }
        let (theirs, ours) = sys::pipe()?;
        Ok(Self { theirs, ours: Some(ours) })
    }
}

/// Writes a body into a pipe whose reader takes it now, or ends and says so elsewhere.
fn write_all(pipe: &OwnedFd, mut body: &[u8]) -> Result<()> {
    while !body.is_empty() {
        match sys::write_pipe(pipe.as_raw_fd(), &[IoSlice::new(body)], true) {
            Ok(written) => body = body.get(written..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => await_one(pipe.as_fd(), Interest::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(ASKING)?,
            Err(_) => break,
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
    write_report(report, &number.to_ne_bytes())
}

/// Writes into a report why there is no child.
pub(super) fn refuse(report: &OwnedFd, reason: &str) -> io::Result<()> {
    let text = cut(reason, LONGEST_TEXT);
    let number = REFUSED + i64::try_from(text.len()).unwrap_or(0);
    write_report(report, &[&number.to_ne_bytes(), text].concat())
}

fn write_report(report: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    loop {
        match sys::write_pipe(report.as_raw_fd(), &[IoSlice::new(bytes)], true) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // The content of a report always fits into a pipe; one that is full is not ours.
            other => return other.map(|_| ()),
        }
    }
}

/// A request as it arrives, with its report.
pub(super) struct Arrived {
    pub(super) report: OwnedFd,
    kind: u8,
    body: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

fn malformed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADMSG)
}

impl Arrived {
    /// The request itself. The client is told where it cannot be had for want of descriptors.
    ///
    /// # Errors
    /// EBADMSG: it is none, or has been refused.
    pub(super) fn open(self) -> io::Result<(Request, OwnedFd)> {
        let Self { report, kind, mut body, mut descriptors } = self;
        if kind & APART != 0 {
            let file = descriptors.pop().ok_or_else(malformed)?;
            body.clear();
            File::from(file).read_to_end(&mut body)?;
        }
        if kind & MORE != 0 {
            if descriptors.is_empty() {
                return Err(malformed());
            }
            let rest = descriptors.remove(0);
            loop {
                let received = match sys::recv_message(rest.as_raw_fd(), &mut [0], true) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    received => received?,
                };
                if received.cut {
                    return Err(refuse_cut(&report));
                }
                if received.length == 0 {
                    break;
                }
                descriptors.extend(received.fds);
            }
        }
        Ok((Request { body, descriptors }, report))
    }
}

/// Tells the client that this process had no numbers for all descriptors: the kernel has left some out.
fn refuse_cut(report: &OwnedFd) -> io::Error {
    // A client that is gone needs no answer.
    let _ = write_number(report, -i64::from(libc::EMFILE));
    malformed()
}

/// Takes a request. `None`: all clients are gone. EBADMSG: what came was none, and is dropped.
pub(super) fn receive(requests: &OwnedFd, wait: bool) -> io::Result<Option<Arrived>> {
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
        return Err(refuse_cut(&report));
    }
    body.truncate(received.length);
    let kind = body.first().copied().unwrap_or(u8::MAX);
    if kind & !(APART | MORE) != 0 {
        return Err(malformed());
    }
    body.drain(..1);
    Ok(Some(Arrived { report, kind, body, descriptors }))
}
