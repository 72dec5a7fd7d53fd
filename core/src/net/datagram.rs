// SPDX-License-Identifier: MIT OR Apache-2.0
//! Datagram sockets: UDP and Unix.
#![forbid(unsafe_code)]

use super::addr::Address;
use super::handle::{Handle, Sharing, Waiter, drive};
use super::options::{sealed, with_handle};
use super::stream::{describe, new_socket};
use crate::error::{Error, Kind, Result};
use crate::sys::{self, Interest};
use crate::time::Deadline;
use socket2::{Domain, SockAddr, SockRef, Type};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

/// The most bytes a UDP datagram over IPv4 carries: 65,535 less the IP and UDP heads.
const UDP_MAX: usize = 65_507;

/// A socket whose messages keep their boundaries and may be lost.
///
/// Clones share the socket; all calls may be made from any thread.
///
/// # Example
/// ```
/// use carrick::{Datagram, Deadline};
/// let server = Datagram::bind(&"127.0.0.1:0".parse()?)?;
/// let client = Datagram::bind(&"127.0.0.1:0".parse()?)?;
/// client.send_to(b"hello", &server.local_address()?, Deadline::NEVER)?;
/// let mut buf = [0; 1024];
/// let (length, from) = server.recv_from(&mut buf, Deadline::NEVER)?;
/// assert_eq!(&buf[..length], b"hello");
/// assert_eq!(from, client.local_address()?);
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Datagram {
    handle: Arc<Handle>,
}

impl Datagram {
    /// Binds a socket to `address`: port 0 lets the kernel choose.
    ///
    /// # Errors
    /// `Os` (EADDRINUSE, ...) naming the address, `Invalid`.
    pub fn bind(address: &Address) -> Result<Self> {
        const OPERATION: &str = "bind";
        let failed = |e: io::Error| describe(&e, OPERATION, address);
        let name = address.to_sock_addr(OPERATION)?;
        let socket = new_socket(name.domain(), Type::DGRAM).map_err(failed)?;
        socket.bind(&name).map_err(failed)?;
        Ok(Self { handle: Arc::new(Handle::new(socket.into(), Sharing::Own)) })
    }

    /// A socket of the family of `peer` that needs no address of its own; the kernel gives it one when
    /// it first sends.
    ///
    /// # Errors
    /// `Os`, `Invalid`.
    pub fn unbound(peer: &Address) -> Result<Self> {
        let domain = match peer {
            Address::Ip(std::net::SocketAddr::V4(_)) => Domain::IPV4,
            Address::Ip(std::net::SocketAddr::V6(_)) => Domain::IPV6,
            _ => Domain::UNIX,
        };
        let socket =
            new_socket(domain, Type::DGRAM).map_err(|e| Error::from_io(&e, "make datagram socket"))?;
        Ok(Self { handle: Arc::new(Handle::new(socket.into(), Sharing::Own)) })
    }

    /// Adopts a datagram socket.
    ///
    /// # Errors
    /// `Os` with EBADF or ENOTSOCK.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        SockRef::from(&fd).r#type().map_err(|e| Error::from_io(&e, "adopt datagram socket"))?;
        Ok(Self { handle: Arc::new(Handle::new(fd, Sharing::Shared)) })
    }

    /// Sends one datagram. An empty one is legal.
    ///
    /// # Errors
    /// `Os` (EMSGSIZE: over 65,507 bytes on IPv4), `Timeout`, `WouldBlock`, `Closed`, `Interrupted`.
    pub fn send_to(&self, data: &[u8], to: &Address, deadline: Deadline) -> Result<()> {
        let name = to.to_sock_addr("send datagram")?;
        self.handle
            .drive("send datagram", Interest::Write, deadline, |fd| sys::send_to(fd, data, &name))
            .map(|_| ())
            .map_err(|e| too_long(e, data.len()))
    }

    /// Receives one datagram and its sender's address; returns the bytes written to `buf`.
    ///
    /// # Errors
    /// `Buffer` when the datagram is longer than `buf` (its rest is lost, as the protocol has it; the
    /// error tells its length), `Timeout`, `WouldBlock`, `Closed`, `Interrupted`, `Os`.
    pub fn recv_from(&self, buf: &mut [u8], deadline: Deadline) -> Result<(usize, Address)> {
        let received = self.handle.drive(RECEIVE, Interest::Read, deadline, |fd| sys::recv_from(fd, buf));
        complete(received, buf.len())
    }

    /// Like [`recv_from`](Self::recv_from), ended with `Closed` when `wake` becomes readable and `stop`
    /// says so.
    pub(crate) fn recv_or_wake(
        &self,
        buf: &mut [u8],
        wake: RawFd,
        stop: impl Fn() -> bool,
        deadline: Deadline,
    ) -> Result<(usize, Address)> {
        let inside = self.handle.enter(RECEIVE)?;
        let waiter = Waiter {
            fd: inside.fd(),
            spin: &self.handle.reading,
            waker: || Ok(Some(wake)),
            also: None,
            may_block: None,
            closed: || stop() || self.handle.is_closed(),
        };
        let received = drive(&waiter, RECEIVE, Interest::Read, deadline, &mut |fd| sys::recv_from(fd, buf));
        complete(received, buf.len())
    }

    /// The address of the socket.
    ///
    /// # Errors
    /// `Os`, `Closed`.
    pub fn local_address(&self) -> Result<Address> {
        with_handle(&self.handle, "get local address", |fd| SockRef::from(&fd).local_addr())
            .map(|a| Address::from_sock_addr(&a))
    }

    /// Closes the socket for all clones; calls that wait end with `Closed`.
    pub fn close(&self) {
        self.handle.close();
    }

    /// The descriptor's number, for polling by other means. It is valid until close.
    ///
    /// # Errors
    /// `Closed`.
    pub fn fd(&self) -> Result<RawFd> {
        Ok(self.handle.enter("get descriptor")?.fd())
    }
}

const RECEIVE: &str = "receive datagram";

fn complete(received: Result<(usize, SockAddr)>, room: usize) -> Result<(usize, Address)> {
    let (length, from) = received?;
    if length > room {
        return Err(Error::cut_short(RECEIVE, length as u64, room));
    }
    Ok((length, Address::from_sock_addr(&from)))
}

fn too_long(error: Error, length: usize) -> Error {
    if error.kind() == Kind::Os && error.os_code() == Some(libc::EMSGSIZE) {
        return error.detailed(format!(
            "{length} bytes; a UDP datagram over IPv4 carries at most {UDP_MAX}: send less or use a stream"
        ));
    }
    error
}

impl sealed::Socket for Datagram {
    fn with_fd<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<T> {
        with_handle(&self.handle, operation, body)
    }
}

impl super::SocketOptions for Datagram {}
