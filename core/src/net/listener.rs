// SPDX-License-Identifier: MIT OR Apache-2.0
//! A listening socket.
#![forbid(unsafe_code)]

use super::addr::Address;
use super::handle::{Handle, Sharing, Waiter, drive};
use super::options::{sealed, with_handle};
use super::readiness::accept_shared;
use super::spin::Spin;
use super::stream::{Stream, describe, new_socket};
use crate::error::{Error, Kind, Result};
use crate::sys::{self, Berths, Interest};
use crate::time::Deadline;
use socket2::{SockAddr, SockRef, Type};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How a listener is set up.
///
/// # Example
/// ```
/// use carrick::{Listener, ListenOptions};
/// let listener = Listener::bind(&"127.0.0.1:0".parse()?, &ListenOptions { backlog: 4096, ..Default::default() })?;
/// assert_ne!(listener.local_address()?.port(), Some(0));
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// How many connections may wait to be accepted; the kernel caps it (`net.core.somaxconn`).
    pub backlog: u32,
    /// Take an address that lingers from an earlier listener (`SO_REUSEADDR`).
    pub reuse_address: bool,
    /// Share the address with other sockets that say so too (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// For an IPv6 address: leave IPv4 to others.
    pub only_v6: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 4096, reuse_address: true, reuse_port: false, only_v6: true }
    }
}

/// A listening TCP or Unix socket.
///
/// Clones share it; [`close`](Self::close) wakes every accept. The path of a Unix socket is removed
/// when the process that bound it closes it.
#[derive(Clone, Debug)]
pub struct Listener {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: Handle,
    tcp: bool,
    path: Option<BoundPath>,
    /// Threads that sleep in accept, where the socket is somebody else's and may block.
    berths: Arc<Berths>,
}

/// The file of a Unix socket, to be removed by the process that made it if it is still the same file.
#[derive(Debug)]
struct BoundPath {
    path: PathBuf,
    file: (u64, u64),
    pid: u32,
}

impl BoundPath {
    fn of(address: &Address) -> Option<Self> {
        let Address::Unix(path) = address else { return None };
        let meta = std::fs::symlink_metadata(path).ok()?;
        Some(Self { path: path.clone(), file: (meta.dev(), meta.ino()), pid: std::process::id() })
    }

    fn remove(&self) {
        let same = std::fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.file);
        if same && self.pid == std::process::id() {
            // Somebody may have been quicker; gone is gone.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    /// `Os` (EADDRINUSE, EACCES, ...) naming the address, `Invalid` for one that cannot be used.
    pub fn bind(address: &Address, options: &ListenOptions) -> Result<Self> {
        const OPERATION: &str = "listen";
        let failed = |e: io::Error| describe(&e, OPERATION, address);
        let name = address.to_sock_addr(OPERATION)?;
        let socket = new_socket(name.domain(), Type::STREAM).map_err(failed)?;
        if address.is_ip() {
            socket.set_reuse_address(options.reuse_address).map_err(failed)?;
            if options.reuse_port {
                socket.set_reuse_port(true).map_err(failed)?;
            }
            if name.is_ipv6() {
                socket.set_only_v6(options.only_v6).map_err(failed)?;
            }
        }
        socket.bind(&name).map_err(failed)?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX)).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let handle = Handle::new(socket.into(), Sharing::Own);
        let path = BoundPath::of(address);
        Ok(Self { inner: Arc::new(Inner { handle, tcp: address.is_ip(), path, berths: Arc::default() }) })
    }

    /// Adopts a listening socket, for example one passed by a service manager. Whether it blocks is left as it is, since
    /// others may have it, too. On one that blocks, a call whose connection another process has just taken goes
    /// on waiting past its deadline; a close or a stop still ends it (with SIGURG, of which carrick has a
    /// handler from then on that does nothing, if the program has none).
    ///
    /// # Errors
    /// `Os` with EBADF or ENOTSOCK.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let failed = |e: io::Error| Error::from_io(&e, "adopt listener");
        let name = SockRef::from(&fd).local_addr().map_err(failed)?;
        let tcp = name.is_ipv4() || name.is_ipv6();
        let handle = Handle::new(fd, Sharing::Shared);
        Ok(Self { inner: Arc::new(Inner { handle, tcp, path: None, berths: Arc::default() }) })
    }

    /// Takes the next connection and the address it comes from.
    ///
    /// A connection that its client has given up already is passed over.
    ///
    /// # Errors
    /// `Timeout`, `WouldBlock` (only with [`Deadline::NOW`]), `Closed`, `Interrupted`, `Os` (EMFILE: no
    /// descriptors are left; the connection stays in the queue).
    pub fn accept(&self, deadline: Deadline) -> Result<(Stream, Address)> {
        let stop = || self.inner.handle.is_closed();
        let (fd, address) =
            self.inner.handle.drive("accept", Interest::Read, deadline, |fd| self.inner.accept(fd, stop))?;
        Ok((Stream::own(fd, self.inner.tcp), Address::from_sock_addr(&address)))
    }

    /// Like [`accept`](Self::accept), ended with `Closed` when `wake` becomes readable and `stop` says so.
    pub(crate) fn accept_or_wake(
        &self,
        wake: RawFd,
        stop: impl Fn() -> bool,
        deadline: Deadline,
    ) -> Result<(Stream, Address)> {
        let inside = self.inner.handle.enter("accept")?;
        let waiter = Waiter {
            fd: inside.fd(),
            spin: &self.inner.handle.reading,
            waker: || Ok(Some(wake)),
            also: None,
            may_block: None,
            closed: || stop() || self.inner.handle.is_closed(),
        };
        let mut attempt = |fd| self.inner.accept(fd, || stop() || self.inner.handle.is_closed());
        let (fd, address) = drive(&waiter, "accept", Interest::Read, deadline, &mut attempt)?;
        Ok((Stream::own(fd, self.inner.tcp), Address::from_sock_addr(&address)))
    }

    /// Calls `attempt` whenever a connection may be there or `also` is readable, until it has a result.
    pub(crate) fn drive<T>(
        &self,
        also: RawFd,
        spin: &Spin,
        deadline: Deadline,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<T> {
        let inside = self.inner.handle.enter("accept")?;
        let waiter = Waiter {
            fd: inside.fd(),
            spin,
            waker: || self.inner.handle.sleep_waker(),
            also: Some(also),
            may_block: None,
            closed: || self.inner.handle.is_closed(),
        };
        let result = drive(&waiter, "accept", Interest::Read, deadline, &mut |_| attempt(inside.borrow()));
        if self.inner.handle.is_closed() { Err(Error::new(Kind::Closed, "accept")) } else { result }
    }

    /// A connection that waits to be accepted; `WouldBlock` when there is none.
    pub(crate) fn accept_waiting(&self, fd: BorrowedFd<'_>) -> io::Result<(Stream, Address)> {
        let (fd, address) = self.inner.accept(fd.as_raw_fd(), || self.inner.handle.is_closed())?;
        Ok((Stream::own(fd, self.inner.tcp), Address::from_sock_addr(&address)))
    }

    /// Leaves the socket to the process this one was forked from: this copy is closed without a trace.
    pub(crate) fn forget(&self) {
        if let Ok(fd) = self.inner.handle.detach() {
            sys::close_fd(fd);
        }
    }

    /// The address it listens on; the port is the one the kernel chose where 0 was asked for.
    ///
    /// # Errors
    /// `Os`, `Closed`.
    pub fn local_address(&self) -> Result<Address> {
        with_handle(&self.inner.handle, "get local address", |fd| SockRef::from(&fd).local_addr())
            .map(|a| Address::from_sock_addr(&a))
    }

    /// Threads that sleep in accept.
    pub(crate) fn berths(&self) -> Arc<Berths> {
        Arc::clone(&self.inner.berths)
    }

    /// Stops listening, for all clones; accepts that wait end with `Closed`.
    pub fn close(&self) {
        if !self.inner.handle.close() {
            return;
        }
        if let Some(path) = &self.inner.path {
            path.remove();
        }
        // Again for a thread that was just about to sleep.
        while self.inner.berths.wake() {
            sys::yield_now();
        }
    }

    /// The descriptor's number, for polling by other means. It is valid until close.
    ///
    /// # Errors
    /// `Closed`.
    pub fn fd(&self) -> Result<RawFd> {
        Ok(self.inner.handle.enter("get descriptor")?.borrow().as_raw_fd())
    }
}

impl Inner {
    fn accept(&self, fd: RawFd, stop: impl Fn() -> bool) -> io::Result<(OwnedFd, SockAddr)> {
        if self.handle.is_given() { accept_shared(fd, &self.berths, stop) } else { accept_one(fd) }
    }
}

pub(super) fn accept_one(fd: RawFd) -> io::Result<(OwnedFd, SockAddr)> {
    loop {
        match sys::accept(fd) {
            Err(e) if is_gone(&e) => {}
            other => return other,
        }
    }
}

/// Errors of accept that are about a connection that has vanished, not about the listener.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
        )
    )
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.handle.is_closed()
            && let Some(path) = &self.path
        {
            path.remove();
        }
    }
}

impl sealed::Socket for Listener {
    fn with_fd<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<T> {
        with_handle(&self.inner.handle, operation, body)
    }
}

impl super::SocketOptions for Listener {}
