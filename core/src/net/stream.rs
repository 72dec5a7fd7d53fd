// SPDX-License-Identifier: MIT OR Apache-2.0
//! A connected byte stream.
#![forbid(unsafe_code)]

use super::addr::Address;
use super::handle::{Handle, Sharing};
use super::options::{sealed, with_handle};
use super::readiness::is_readable;
use crate::error::{Error, Kind, Result};
use crate::frame::Transport;
use crate::interrupt::{self, Sleeper};
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Which directions of a stream to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// This side receives the end of the stream from here on.
    Read,
    /// The peer receives the end of the stream.
    Write,
    /// Both.
    Both,
}

/// The kind of descriptor over which a stream runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Tcp,
    Socket,
    Pipe,
}

/// A connected byte stream over TCP, a Unix socket, a pipe or any other descriptor.
///
/// Clones share the connection. All calls may be made from any thread at the same time; each takes a
/// [`Deadline`], and [`close`](Self::close) wakes them all with `Closed`.
///
/// # Example
/// ```
/// use carrick::{Deadline, Stream};
/// let (left, right) = Stream::pair()?;
/// left.send_all(b"hello", Deadline::NEVER)?;
/// let mut buf = [0; 16];
/// let n = right.recv(&mut buf, Deadline::NEVER)?;
/// assert_eq!(&buf[..n], b"hello");
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    handle: Arc<Handle>,
    medium: Medium,
}

impl Stream {
    /// Connects to `address`, with `TCP_NODELAY` set where it is TCP.
    ///
    /// # Errors
    /// `Timeout`, `Os` (connection refused, no route, ...), `Invalid` for an address that cannot be used.
    pub fn connect(address: &Address, deadline: Deadline) -> Result<Self> {
        const OPERATION: &str = "connect";
        let failed = |e: io::Error| describe(&e, OPERATION, address);
        let target = address.to_sock_addr(OPERATION)?;
        let socket = new_socket(target.domain(), Type::STREAM).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let mut pause = Duration::from_millis(1);
        loop {
            match socket.connect(&target) {
                Ok(()) => break,
                Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {
                    await_connected(&socket, deadline)
                        .map_err(|e| e.unwrap_or_timeout(OPERATION, address))?;
                    break;
                }
                // A Unix listener's queue is full, and the kernel offers nothing to wait for.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && !address.is_ip() => {
                    interrupt::check(OPERATION)?;
                    let left = deadline.remaining().unwrap_or(pause);
                    if left.is_zero() {
                        return Err(Error::with_detail(Kind::Timeout, OPERATION, format!("to {address}")));
                    }
                    #[expect(clippy::disallowed_methods, reason = "the kernel offers nothing to wait for")]
                    std::thread::sleep(pause.min(left));
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e)),
            }
        }
        socket.set_nonblocking(false).map_err(failed)?;
        Ok(Self::own(socket.into(), address.is_ip()))
    }

    /// Two connected streams in this process, or one to hand to a child.
    ///
    /// # Errors
    /// `Os` when no descriptors are left.
    pub fn pair() -> Result<(Self, Self)> {
        let (a, b) =
            Socket::pair(Domain::UNIX, Type::STREAM, None).map_err(|e| Error::from_io(&e, "make pair"))?;
        let shared = |s: Socket| Self {
            handle: Arc::new(Handle::new(s.into(), Sharing::Shared)),
            medium: Medium::Socket,
        };
        Ok((shared(a), shared(b)))
    }

    /// Adopts a descriptor: a connected socket, a pipe end, a terminal. It is closed with the stream.
    ///
    /// # Errors
    /// `Os` with EBADF when it is not open.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let is_socket =
            sys::kind_of_fd(fd.as_raw_fd()).map_err(|e| Error::from_io(&e, "adopt descriptor"))?;
        let tcp = is_socket && SockRef::from(&fd).local_addr().is_ok_and(|a| a.is_ipv4() || a.is_ipv6());
        let medium = match (is_socket, tcp) {
            (true, true) => Medium::Tcp,
            (true, false) => Medium::Socket,
            (false, _) => Medium::Pipe,
        };
        Ok(Self { handle: Arc::new(Handle::new(fd, Sharing::Shared)), medium })
    }

    pub(crate) fn own(fd: OwnedFd, tcp: bool) -> Self {
        if tcp {
            // Only speed is lost where it fails.
            let _ = SockRef::from(&fd).set_tcp_nodelay(true);
        }
        let medium = if tcp { Medium::Tcp } else { Medium::Socket };
        Self { handle: Arc::new(Handle::new(fd, Sharing::Own)), medium }
    }

    /// Receives what is there, at least one byte; 0 is the end of the stream.
    ///
    /// # Errors
    /// `Timeout`, `WouldBlock` (only with [`Deadline::NOW`]), `Closed`, `Interrupted`, `Os`.
    pub fn recv(&self, buf: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.recv_uninit(sys::as_uninit(buf), deadline)
    }

    /// Like [`recv`](Self::recv), into memory that nobody has written yet; the first `n` bytes are written.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_uninit(&self, buf: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize> {
        let pipe = self.medium == Medium::Pipe;
        let n = self.handle.drive("receive", Interest::Read, deadline, |fd| {
            if pipe { sys::read_pipe(fd, buf) } else { sys::recv_uninit(fd, buf) }
        })?;
        self.handle.count_received(n);
        Ok(n)
    }

    /// Sends what the kernel takes, at least one byte unless `buf` is empty; returns how many.
    ///
    /// # Errors
    /// `Timeout`, `WouldBlock` (only with [`Deadline::NOW`]), `Closed`, `Interrupted`, `Os` (EPIPE: the
    /// peer has closed).
    pub fn send(&self, buf: &[u8], deadline: Deadline) -> Result<usize> {
        self.send_vectored(&[IoSlice::new(buf)], deadline)
    }

    /// Like [`send`](Self::send), from several buffers in one system call.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_vectored(&self, bufs: &[IoSlice<'_>], deadline: Deadline) -> Result<usize> {
        let pipe = self.medium == Medium::Pipe;
        let n = self.handle.drive("send", Interest::Write, deadline, |fd| {
            if pipe { sys::write_pipe(fd, bufs, true) } else { sys::send_vectored(fd, bufs) }
        })?;
        self.handle.count_sent(n);
        Ok(n)
    }

    /// Sends all of `buf`. After an error an unknown part of it has been sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_all(&self, mut buf: &[u8], deadline: Deadline) -> Result<()> {
        while !buf.is_empty() {
            let n = self.send(buf, deadline)?;
            buf = buf.get(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends one or both directions; the descriptor stays open. Has no effect on a pipe.
    ///
    /// # Errors
    /// `Os` (ENOTCONN), `Closed`.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        if self.medium == Medium::Pipe {
            return Ok(());
        }
        let how = match how {
            Shutdown::Read => std::net::Shutdown::Read,
            Shutdown::Write => std::net::Shutdown::Write,
            Shutdown::Both => std::net::Shutdown::Both,
        };
        with_handle(&self.handle, "shut down", |fd| SockRef::from(&fd).shutdown(how))
    }

    /// Closes the connection for all clones; calls that wait on it end with `Closed`. Does nothing when
    /// it is closed already.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// The address of this end.
    ///
    /// # Errors
    /// `Os` (ENOTSOCK for a pipe), `Closed`.
    pub fn local_address(&self) -> Result<Address> {
        with_handle(&self.handle, "get local address", |fd| SockRef::from(&fd).local_addr())
            .map(|a| Address::from_sock_addr(&a))
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// `Os` (ENOTCONN, ENOTSOCK), `Closed`.
    pub fn peer_address(&self) -> Result<Address> {
        with_handle(&self.handle, "get peer address", |fd| SockRef::from(&fd).peer_addr())
            .map(|a| Address::from_sock_addr(&a))
    }

    /// Waits until something can be received (or the stream has ended); false when the deadline passed.
    ///
    /// # Errors
    /// `Closed`, `Interrupted`, `Os`.
    pub fn wait_readable(&self, deadline: Deadline) -> Result<bool> {
        let waited = self.handle.drive("wait", Interest::Read, deadline, is_readable);
        match waited {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), Kind::Timeout | Kind::WouldBlock) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The descriptor's number, for polling by other means. It is valid until close.
    ///
    /// # Errors
    /// `Closed`.
    pub fn fd(&self) -> Result<RawFd> {
        Ok(self.handle.enter("get descriptor")?.fd())
    }

    /// Gives up the descriptor without closing it; all clones are closed from here on.
    ///
    /// # Errors
    /// `State` when a call is inside, `Closed`.
    pub fn into_fd(self) -> Result<OwnedFd> {
        Ok(sys::own_fd(self.handle.detach()?))
    }

    /// The bytes received and sent so far, of all clones together.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        self.handle.traffic()
    }

    /// Leaves the connection to another process that has it too: this copy is closed without a trace.
    pub(crate) fn forget(&self) {
        if let Ok(fd) = self.handle.detach() {
            sys::close_fd(fd);
        }
    }

    pub(crate) fn quick_ack(&self) {
        if self.medium == Medium::Tcp
            && let Ok(inside) = self.handle.enter("acknowledge")
        {
            sys::quick_ack(inside.fd());
        }
    }

    /// Whether what is received may be read ahead of need: not where other processes read too.
    pub(crate) fn is_own(&self) -> bool {
        self.handle.is_own()
    }
}

impl Transport for Stream {
    fn read(&self, buf: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize> {
        self.recv_uninit(buf, deadline)
    }

    fn write(&self, bufs: &[IoSlice<'_>], deadline: Deadline) -> Result<usize> {
        self.send_vectored(bufs, deadline)
    }

    fn close(&self) {
        Self::close(self);
    }

    fn may_read_ahead(&self) -> bool {
        self.is_own()
    }

    fn acknowledge(&self) {
        self.quick_ack();
    }
}

impl sealed::Socket for Stream {
    fn with_fd<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<T> {
        with_handle(&self.handle, operation, body)
    }
}

impl super::SocketOptions for Stream {}

/// Why waiting for a connection ended.
enum NotConnected {
    TimedOut,
    Stopped(Error),
    Refused(io::Error),
}

impl NotConnected {
    fn unwrap_or_timeout(self, operation: &'static str, address: &Address) -> Error {
        match self {
            Self::TimedOut => Error::with_detail(Kind::Timeout, operation, format!("to {address}")),
            Self::Stopped(error) => error,
            Self::Refused(error) => describe(&error, operation, address),
        }
    }
}

fn await_connected(socket: &Socket, deadline: Deadline) -> std::result::Result<(), NotConnected> {
    let sleeper = Sleeper::prepare("connect").map_err(NotConnected::Stopped)?;
    loop {
        let mut slots = [
            PollSlot::new(socket.as_raw_fd(), Interest::Write),
            PollSlot::new(sleeper.fd().unwrap_or(-1), Interest::Read),
        ];
        let polled = sys::poll(&mut slots, deadline);
        if slots[1].fired() {
            interrupt::check("connect").map_err(NotConnected::Stopped)?;
        }
        match polled {
            Ok(0) if deadline.expired() => return Err(NotConnected::TimedOut),
            Ok(_) if !slots[0].fired() => {}
            Ok(_) => {
                return match socket.take_error() {
                    Ok(None) => Ok(()),
                    Ok(Some(e)) | Err(e) => Err(NotConnected::Refused(e)),
                };
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                interrupt::check("connect").map_err(NotConnected::Stopped)?;
            }
            Err(e) => return Err(NotConnected::Refused(e)),
        }
    }
}

/// An `Os` error that names the address it was about.
/// A socket, close-on-exec as all of ours.
pub(super) fn new_socket(domain: Domain, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    Ok(sys::lift(socket.into())?.into())
}

pub(super) fn describe(error: &io::Error, operation: &'static str, address: &Address) -> Error {
    let base = Error::from_io(error, operation);
    let base = match base.os_code() {
        Some(errno) => base.detailed(format!("{} ({address})", io::Error::from_raw_os_error(errno))),
        None => base,
    };
    match address {
        Address::Unix(path) => base.about(path.to_string_lossy()),
        other => base.about(other.to_string()),
    }
}
