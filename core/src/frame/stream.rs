// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending and receiving frames.
#![forbid(unsafe_code)]

use super::codec::{Format, HeadProgress};
use super::transport::Transport;
use super::turn::Turn;
use crate::error::{Error, Kind, Result};
use crate::net::Stream;
use crate::sys;
use crate::time::Deadline;
use std::io::IoSlice;
use std::mem::MaybeUninit;

/// How much is read ahead at once where that is allowed: many small frames for one system call.
const AHEAD: usize = 8 << 10;
/// The first memory taken for a body; it doubles as bytes arrive.
const FIRST_STEP: usize = 64 << 10;

/// Where a received body goes.
pub trait Body {
    /// Room for the next bytes, at least one and at most `left`, of which all will be written or none.
    ///
    /// # Errors
    /// `NoMemory`.
    fn room(&mut self, left: u64) -> Result<&mut [MaybeUninit<u8>]>;

    /// The first `n` bytes of the room have been written.
    fn wrote(&mut self, n: usize);

    /// All bytes written so far.
    fn written(&self) -> &[u8];
}

impl Body for Vec<u8> {
    fn room(&mut self, left: u64) -> Result<&mut [MaybeUninit<u8>]> {
        if self.capacity() == self.len() {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(self.len().max(FIRST_STEP));
            self.try_reserve_exact(step).map_err(|_| {
                Error::with_detail(Kind::NoMemory, "receive frame", format!("{step} more bytes"))
            })?;
        }
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let spare = self.spare_capacity_mut();
        let most = spare.len().min(left);
        Ok(spare.get_mut(..most).unwrap_or_default())
    }

    fn wrote(&mut self, n: usize) {
        sys::commit(self, n);
    }

    fn written(&self) -> &[u8] {
        self
    }
}

/// The caller's memory as a body.
pub(crate) struct Slice<'a> {
    pub(crate) memory: &'a mut [u8],
    pub(crate) filled: usize,
}

impl Body for Slice<'_> {
    fn room(&mut self, left: u64) -> Result<&mut [MaybeUninit<u8>]> {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let rest = self.memory.get_mut(self.filled..).unwrap_or_default();
        let most = rest.len().min(left);
        Ok(sys::as_uninit(rest.get_mut(..most).unwrap_or_default()))
    }

    fn wrote(&mut self, n: usize) {
        self.filled += n;
    }

    fn written(&self) -> &[u8] {
        self.memory.get(..self.filled).unwrap_or_default()
    }
}

/// A frame that is arriving.
#[derive(Debug, Default)]
struct Reader {
    /// Read ahead: what has arrived and was not asked for yet is `ahead[start..]`.
    ahead: Vec<u8>,
    start: usize,
    head: [u8; Format::HEAD_MAX],
    have: usize,
    /// The length of the body, once the head is complete.
    body: Option<u64>,
    /// The part that has arrived of a body whose receiver gave up.
    kept: Vec<u8>,
}

/// A frame that is leaving.
#[derive(Debug, Default)]
struct Writer {
    /// The rest of a frame that was begun; it goes before anything else.
    pending: Vec<u8>,
    start: usize,
}

/// A connection that carries frames.
///
/// All calls may be made from any thread: senders take turns by frame, receivers too, and the two
/// directions do not wait for each other.
///
/// # Example
/// ```
/// use carrick::{Connection, Deadline, Format, Stream};
/// let (left, right) = Stream::pair()?;
/// let (left, right) = (Connection::new(left, Format::default()), Connection::new(right, Format::default()));
/// left.send(b"hello", Deadline::NEVER)?;
/// assert_eq!(right.recv(Deadline::NEVER)?, b"hello");
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection<T = Stream> {
    transport: T,
    format: Format,
    reader: Turn<Reader>,
    writer: Turn<Writer>,
}

impl<T: Transport> Connection<T> {
    /// Frames of `format` over `transport`.
    pub fn new(transport: T, format: Format) -> Self {
        Self { transport, format, reader: Turn::default(), writer: Turn::default() }
    }

    /// The transport over which the frames travel.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The format of the frames.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Ends the connection; calls that wait on it end with `Closed`.
    pub fn close(&self) {
        self.transport.close();
    }

    /// Sends one frame. See [`send_vectored`](Self::send_vectored).
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, body: &[u8], deadline: Deadline) -> Result<()> {
        self.send_vectored(&[IoSlice::new(body)], deadline)
    }

    /// Sends one frame whose body is the buffers one after the other.
    ///
    /// With [`Deadline::NOW`] the frame is either taken whole (what the kernel does not take now is kept
    /// and leaves with the next send or [`flush`](Self::flush)) or refused with `WouldBlock`.
    ///
    /// # Errors
    /// `FrameTooLarge`: nothing was sent. `Timeout`, `Interrupted`: if [`pending`](Self::pending) is 0
    /// nothing was sent; otherwise the frame was begun, do not send it again: its rest leaves first with
    /// the next call. `Closed`, `Os` (EPIPE, ECONNRESET).
    pub fn send_vectored(&self, bodies: &[IoSlice<'_>], deadline: Deadline) -> Result<()> {
        let length = bodies.iter().map(|b| b.len() as u64).sum();
        let head = self.format.encode(length)?;
        let mut writer = self.writer.take("send frame", deadline)?;
        writer.flush(&self.transport, deadline)?;
        let head = IoSlice::new(head.bytes());
        match bodies {
            [] => writer.write(&self.transport, &mut [head], deadline),
            [one] => writer.write(&self.transport, &mut [head, IoSlice::new(one)], deadline),
            many => {
                let mut all = Vec::with_capacity(many.len() + 1);
                all.push(head);
                all.extend(many.iter().map(|b| IoSlice::new(b)));
                writer.write(&self.transport, &mut all, deadline)
            }
        }
    }

    /// Sends what is left of a frame that was begun.
    ///
    /// # Errors
    /// `Timeout`, `WouldBlock` (only with [`Deadline::NOW`]), `Closed`, `Interrupted`, `Os`.
    pub fn flush(&self, deadline: Deadline) -> Result<()> {
        self.writer.take("flush", deadline)?.flush(&self.transport, deadline)
    }

    /// How many bytes of a frame that was begun have not left yet; 0 while another thread sends.
    #[must_use]
    pub fn pending(&self) -> usize {
        let held = self.writer.take("flush", Deadline::NOW);
        held.map_or(0, |writer| writer.pending.len() - writer.start)
    }

    /// Receives one frame.
    ///
    /// # Errors
    /// `Eof`: the peer closed between frames. `BadFrame`: it closed inside one, or the head makes no
    /// sense. `FrameTooLarge`: over the cap. `Timeout`, `WouldBlock` (only with [`Deadline::NOW`]),
    /// `Interrupted`: what has arrived is kept, the next call goes on. `Closed`, `NoMemory`, `Os`.
    pub fn recv(&self, deadline: Deadline) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.recv_body(u64::MAX, |_| Ok(&mut body), deadline)?;
        Ok(body)
    }

    /// Receives one frame of at most `most` bytes, whatever the cap.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); a longer one is `FrameTooLarge`.
    pub fn recv_at_most(&self, most: u64, deadline: Deadline) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.recv_body(most, |_| Ok(&mut body), deadline)?;
        Ok(body)
    }

    /// Like [`recv_at_most`](Self::recv_at_most), never reading a byte beyond the frame, so that the
    /// transport can be used for something else after it.
    pub(crate) fn recv_exactly(&self, most: u64, deadline: Deadline) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.recv_limited(most, false, |_| Ok(&mut body), deadline)?;
        Ok(body)
    }

    /// Receives one frame into the caller's memory; returns its length.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and `Buffer` when the frame does not fit: the error tells the length,
    /// and the frame stays for the next call.
    pub fn recv_into(&self, buf: &mut [u8], deadline: Deadline) -> Result<usize> {
        let given = buf.len();
        let mut body = Slice { memory: buf, filled: 0 };
        self.recv_body(
            u64::MAX,
            |length| {
                if length > given as u64 {
                    return Err(Error::too_small("receive frame", length, given));
                }
                Ok(&mut body)
            },
            deadline,
        )?;
        Ok(body.filled)
    }

    /// Receives one frame of at most `most` bytes into what `open` gives for its length.
    ///
    /// An error of `open` is returned, and the frame stays for the next call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and those of `open`.
    pub fn recv_body<'b, B: Body + 'b>(
        &self,
        most: u64,
        open: impl FnOnce(u64) -> Result<&'b mut B>,
        deadline: Deadline,
    ) -> Result<()> {
        self.recv_limited(most, self.transport.may_read_ahead(), open, deadline)
    }

    fn recv_limited<'b, B: Body + 'b>(
        &self,
        most: u64,
        ahead: bool,
        open: impl FnOnce(u64) -> Result<&'b mut B>,
        deadline: Deadline,
    ) -> Result<()> {
        let mut reader = self.reader.take("receive frame", deadline)?;
        let length = reader.head(&self.transport, self.format, ahead, deadline)?;
        if length > most {
            return Err(Error::with_detail(
                Kind::FrameTooLarge,
                "receive frame",
                format!("{length} bytes; at most {most} are expected here"),
            ));
        }
        reader.body(&self.transport, length, open(length)?, deadline)
    }

    /// Waits for the next frame and tells its length; the frame stays for the next receive.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn next_length(&self, deadline: Deadline) -> Result<u64> {
        let mut held = self.reader.take("receive frame", deadline)?;
        held.head(&self.transport, self.format, self.transport.may_read_ahead(), deadline)
    }

    /// Whether a frame, or the end of the stream, could be received without waiting for its first byte.
    ///
    /// # Errors
    /// None of its own; `State` when another thread is receiving.
    pub fn buffered(&self) -> Result<bool> {
        let reader = self.reader.take("look", Deadline::NOW)?;
        Ok(reader.body.is_some() || reader.have > 0 || reader.start < reader.ahead.len())
    }

    /// Sends bytes as they are, between frames.
    pub(crate) fn send_raw(&self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        let mut writer = self.writer.take("send", deadline)?;
        writer.flush(&self.transport, deadline)?;
        writer.write(&self.transport, &mut [IoSlice::new(bytes)], deadline)
    }

    /// Receives exactly the bytes of `buf`, between frames.
    pub(crate) fn recv_raw(&self, buf: &mut [u8], deadline: Deadline) -> Result<()> {
        let length = buf.len() as u64;
        let mut held = self.reader.take("receive", deadline)?;
        held.body(&self.transport, length, &mut Slice { memory: buf, filled: 0 }, deadline)
    }
}

impl Reader {
    fn head<T: Transport>(
        &mut self,
        transport: &T,
        format: Format,
        may_read_ahead: bool,
        deadline: Deadline,
    ) -> Result<u64> {
        if let Some(length) = self.body {
            return Ok(length);
        }
        loop {
            let needs = match format.decode(self.head.get(..self.have).unwrap_or_default())? {
                HeadProgress::Complete { body, .. } => {
                    self.have = 0;
                    self.body = Some(body);
                    return Ok(body);
                }
                HeadProgress::Needs(needs) => needs,
            };
            if self.start == self.ahead.len() && may_read_ahead {
                self.read_ahead(transport, deadline)?;
            }
            let place = self.head.get_mut(self.have..needs).unwrap_or_default();
            let ahead = self.ahead.get(self.start..).unwrap_or_default();
            let n = if ahead.is_empty() {
                match transport.read(sys::as_uninit(place), deadline)? {
                    0 => return Err(self.cut_off()),
                    n => n,
                }
            } else {
                let n = ahead.len().min(place.len());
                for (to, from) in place.iter_mut().zip(ahead) {
                    *to = *from;
                }
                self.start += n;
                n
            };
            self.have += n;
        }
    }

    fn read_ahead<T: Transport>(&mut self, transport: &T, deadline: Deadline) -> Result<()> {
        self.ahead.clear();
        self.start = 0;
        self.ahead.reserve_exact(AHEAD);
        match transport.read(self.ahead.spare_capacity_mut(), deadline)? {
            0 => Err(self.cut_off()),
            n => {
                sys::commit(&mut self.ahead, n);
                Ok(())
            }
        }
    }

    fn cut_off(&self) -> Error {
        if self.have == 0 {
            return Error::new(Kind::Eof, "receive frame");
        }
        Error::with_detail(
            Kind::BadFrame,
            "receive frame",
            format!("the peer closed after {} bytes of the length", self.have),
        )
    }

    fn body<T: Transport>(
        &mut self,
        transport: &T,
        length: u64,
        body: &mut impl Body,
        deadline: Deadline,
    ) -> Result<()> {
        // The bytes that the receiver had before are no part of the frame.
        let before = body.written().len();
        let kept = std::mem::take(&mut self.kept);
        let mut left = length - copy_into(body, &kept, length)?;
        let ahead = self.ahead.get(self.start..).unwrap_or_default();
        let taken = copy_into(body, ahead, left)?;
        self.start += usize::try_from(taken).unwrap_or(0);
        left -= taken;
        while left > 0 {
            let result = body.room(left).and_then(|room| transport.read(room, deadline));
            match result {
                Ok(0) => {
                    return Err(Error::with_detail(
                        Kind::BadFrame,
                        "receive frame",
                        format!("the peer closed {left} bytes before the end of a frame of {length}"),
                    ));
                }
                Ok(n) => {
                    body.wrote(n);
                    left -= n as u64;
                }
                Err(error) => {
                    self.kept = body.written().get(before..).unwrap_or_default().to_vec();
                    return Err(error);
                }
            }
        }
        self.body = None;
        Ok(())
    }
}

/// Copies what fits of `from` into `body`; returns how much.
fn copy_into(body: &mut impl Body, from: &[u8], most: u64) -> Result<u64> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut from = from.get(..from.len().min(most)).unwrap_or_default();
    let total = from.len() as u64;
    while !from.is_empty() {
        let room = body.room(from.len() as u64)?;
        let n = room.len().min(from.len());
        let (now, later) = from.split_at(n);
        for (to, byte) in room.iter_mut().zip(now) {
            to.write(*byte);
        }
        body.wrote(n);
        from = later;
    }
    Ok(total)
}

impl Writer {
    fn flush<T: Transport>(&mut self, transport: &T, deadline: Deadline) -> Result<()> {
        while let Some(rest) = self.pending.get(self.start..)
            && !rest.is_empty()
        {
            self.start += transport.write(&[IoSlice::new(rest)], deadline)?;
        }
        self.pending.clear();
        self.start = 0;
        Ok(())
    }

    fn write<T: Transport>(
        &mut self,
        transport: &T,
        mut bufs: &mut [IoSlice<'_>],
        deadline: Deadline,
    ) -> Result<()> {
        let mut begun = false;
        IoSlice::advance_slices(&mut bufs, 0);
        while !bufs.is_empty() {
            match transport.write(bufs, deadline) {
                Ok(n) => {
                    begun = true;
                    IoSlice::advance_slices(&mut bufs, n);
                }
                Err(error) => {
                    let resumes =
                        matches!(error.kind(), Kind::Timeout | Kind::WouldBlock | Kind::Interrupted);
                    if !begun || !resumes {
                        return Err(error);
                    }
                    for buf in &*bufs {
                        self.pending.extend_from_slice(buf);
                    }
                    return if error.kind() == Kind::WouldBlock { Ok(()) } else { Err(error) };
                }
            }
        }
        Ok(())
    }
}
