// SPDX-License-Identifier: MIT OR Apache-2.0
//! The transport over which frames travel.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::net::{Spin, Waiter, drive};
use crate::sys::{self, Interest};
use crate::time::Deadline;
use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// A byte stream that can be read and written at the same time from different threads.
pub trait Transport {
    /// Reads at least one byte, waiting until the deadline; 0 is the end of the stream. The first `n`
    /// bytes of `buf` are written when it returns `n`.
    ///
    /// # Errors
    /// `Timeout`, `WouldBlock` (only with [`Deadline::NOW`]), and what else ends a wait.
    fn read(&self, buf: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize>;

    /// Writes at least one byte of the buffers, in order, waiting until the deadline.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Deadline) -> Result<usize>;

    /// Ends the stream; calls that wait on it end with `Closed`.
    fn close(&self);

    /// Whether more may be read than was asked for: not when others read the same stream.
    fn may_read_ahead(&self) -> bool {
        true
    }

    /// Asks the transport to confirm at once what has arrived, where it has such a thing.
    fn acknowledge(&self) {}
}

/// A reader and a writer of the standard library, as a transport. Deadlines are theirs: ours do nothing.
#[derive(Debug)]
pub struct Halves<R, W> {
    reader: Mutex<Option<R>>,
    writer: Mutex<Option<W>>,
}

impl<R: Read, W: Write> Halves<R, W> {
    /// Frames come from `reader` and go to `writer`.
    pub fn new(reader: R, writer: W) -> Self {
        Self { reader: Mutex::new(Some(reader)), writer: Mutex::new(Some(writer)) }
    }
}

impl<R: Read, W: Write> Transport for Halves<R, W> {
    fn read(&self, buf: &mut [MaybeUninit<u8>], _: Deadline) -> Result<usize> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = reader.as_mut().ok_or_else(|| Error::new(Kind::Closed, "receive"))?;
        // std's Read wants initialised memory.
        let mut block = [0; 8192];
        let room = buf.len().min(block.len());
        let block = block.get_mut(..room).unwrap_or_default();
        loop {
            match reader.read(block) {
                Ok(n) => {
                    for (to, from) in buf.iter_mut().zip(block.iter().take(n)) {
                        to.write(*from);
                    }
                    return Ok(n.min(room));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => crate::interrupt::check("receive")?,
                Err(e) => return Err(Error::from_io(&e, "receive")),
            }
        }
    }

    fn write(&self, bufs: &[IoSlice<'_>], _: Deadline) -> Result<usize> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writer.as_mut().ok_or_else(|| Error::new(Kind::Closed, "send"))?;
        loop {
            match writer.write_vectored(bufs).and_then(|n| writer.flush().map(|()| n)) {
                Ok(0) => return Err(Error::from_os(libc::EPIPE, "send")),
                Ok(n) => return Ok(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => crate::interrupt::check("send")?,
                Err(e) => return Err(Error::from_io(&e, "send")),
            }
        }
    }

    fn close(&self) {
        // A reader that is busy keeps its half until it returns.
        if let Ok(mut reader) = self.reader.try_lock() {
            *reader = None;
        }
        if let Ok(mut writer) = self.writer.try_lock() {
            *writer = None;
        }
    }
}

/// Spinning histories of descriptors that others own, found by number. They are hints: two descriptors
/// that share one only start some waits differently.
static HISTORIES: [[Spin; 2]; 256] = [const { [Spin::new(), Spin::new()] }; 256];

/// A descriptor that somebody else owns and keeps open, such as one of a Python object.
///
/// Nothing is read ahead and [`close`](Transport::close) does nothing.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed<'fd> {
    fd: BorrowedFd<'fd>,
    socket: bool,
}

impl<'fd> Borrowed<'fd> {
    /// `socket` says whether it is one; a wrong word gives ENOTSOCK or merely costs time.
    #[must_use]
    pub fn new(fd: BorrowedFd<'fd>, socket: bool) -> Self {
        Self { fd, socket }
    }

    fn drive<T>(
        &self,
        operation: &'static str,
        interest: Interest,
        deadline: Deadline,
        mut attempt: impl FnMut(RawFd, bool) -> io::Result<T>,
    ) -> Result<T> {
        let fd = self.fd.as_raw_fd();
        let slot = usize::try_from(fd).unwrap_or(0) % HISTORIES.len();
        let spin = &HISTORIES[slot][usize::from(interest == Interest::Write)];
        let may_block = Cell::new(false);
        let waiter = Waiter {
            fd,
            spin,
            waker: || Ok(None),
            also: None,
            may_block: self.socket.then_some(&may_block),
            closed: || false,
        };
        drive(&waiter, operation, interest, deadline, &mut |fd| attempt(fd, may_block.get()))
    }
}

impl Transport for Borrowed<'_> {
    fn read(&self, buf: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize> {
        self.drive("receive", Interest::Read, deadline, |fd, may_block| match (self.socket, may_block) {
            (true, true) => sys::recv_waiting(fd, buf),
            (true, false) => sys::recv_uninit(fd, buf),
            (false, _) => sys::read_pipe(fd, buf),
        })
    }

    fn write(&self, bufs: &[IoSlice<'_>], deadline: Deadline) -> Result<usize> {
        self.drive("send", Interest::Write, deadline, |fd, may_block| match (self.socket, may_block) {
            (true, true) => sys::send_waiting(fd, bufs),
            (true, false) => sys::send_vectored(fd, bufs),
            (false, _) => sys::write_pipe(fd, bufs, false),
        })
    }

    fn close(&self) {}

    fn may_read_ahead(&self) -> bool {
        false
    }

    fn acknowledge(&self) {
        if self.socket {
            sys::quick_ack(self.fd.as_raw_fd());
        }
    }
}
