// SPDX-License-Identifier: MIT OR Apache-2.0
//! Socket options, the same for every kind of socket.
#![forbid(unsafe_code)]

use super::handle::Handle;
use crate::error::{Error, Result};
use socket2::{SockRef, TcpKeepalive};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Keeps the trait to this crate's sockets and hides how they reach their descriptor.
pub(crate) mod sealed {
    /// A socket of this crate.
    pub trait Socket {
        #[doc(hidden)]
        fn with_fd<T>(
            &self,
            operation: &'static str,
            body: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> std::io::Result<T>,
        ) -> crate::Result<T>;
    }
}

pub(super) fn with_handle<T>(
    handle: &Handle,
    operation: &'static str,
    body: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<T>,
) -> Result<T> {
    let inside = handle.enter(operation)?;
    body(inside.borrow()).map_err(|e| Error::from_io(&e, operation))
}

macro_rules! options {
    ($($(#[$doc:meta])* $get:ident, $set:ident: $type:ty = $name:literal;)+) => {
        /// Options of a socket. Each call fails with `Os` where the socket's kind lacks the option, and
        /// with `Closed` after close.
        pub trait SocketOptions: sealed::Socket {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// `Os` with the system's code, `Closed`.
                fn $set(&self, value: $type) -> Result<()> {
                    self.with_fd(concat!("set ", $name), |fd| SockRef::from(&fd).$set(value))
                }

                #[doc = concat!("Reads ", $name, ".")]
                ///
                /// # Errors
                /// `Os` with the system's code, `Closed`.
                fn $get(&self) -> Result<$type> {
                    self.with_fd(concat!("get ", $name), |fd| SockRef::from(&fd).$get())
                }
            )+

            /// Sends keep-alive probes after `idle` without traffic; `None` sends none.
            ///
            /// # Errors
            /// `Os` with the system's code, `Closed`.
            fn set_keep_alive(&self, idle: Option<Duration>) -> Result<()> {
                self.with_fd("set keep-alive", |fd| {
                    let socket = SockRef::from(&fd);
                    match idle {
                        Some(span) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(span)),
                        None => socket.set_keepalive(false),
                    }
                })
            }

            /// Whether keep-alive probes are sent.
            ///
            /// # Errors
            /// `Os` with the system's code, `Closed`.
            fn keep_alive(&self) -> Result<bool> {
                self.with_fd("get keep-alive", |fd| SockRef::from(&fd).keepalive())
            }
        }
    };
}

options! {
    /// Lets a listener take an address that lingers from an earlier one (`SO_REUSEADDR`).
    reuse_address, set_reuse_address: bool = "SO_REUSEADDR";
    /// Lets several sockets share one address (`SO_REUSEPORT`).
    reuse_port, set_reuse_port: bool = "SO_REUSEPORT";
    /// Sends small writes at once instead of collecting them (`TCP_NODELAY`).
    tcp_nodelay, set_tcp_nodelay: bool = "TCP_NODELAY";
    /// The kernel's send buffer in bytes (`SO_SNDBUF`); Linux reports twice what was asked for.
    send_buffer_size, set_send_buffer_size: usize = "SO_SNDBUF";
    /// The kernel's receive buffer in bytes (`SO_RCVBUF`); Linux reports twice what was asked for.
    recv_buffer_size, set_recv_buffer_size: usize = "SO_RCVBUF";
    /// How long close goes on sending what is queued; `None` lets the kernel do it in its own time (`SO_LINGER`).
    linger, set_linger: Option<Duration> = "SO_LINGER";
    /// Lets datagrams go to a broadcast address (`SO_BROADCAST`).
    broadcast, set_broadcast: bool = "SO_BROADCAST";
}
