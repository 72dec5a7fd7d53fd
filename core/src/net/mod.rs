// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets: TCP, UDP and Unix, streams, listeners and datagrams, and readiness over many of them.
//!
//! # Invariants
//! - No call here ever blocks in `recv`, `send` or `accept` itself: it tries without blocking, spins for a
//!   moment where that pays (`spin`), then sleeps in `poll` against its [`Deadline`](crate::Deadline).
//!   So every call has a deadline, a signal is answered, and closing from another thread wakes it.
//! - A descriptor's number is not freed while a call is inside (`handle`).
//! - The blocking flag of a descriptor is left as it was found: it may be shared with other processes.
//! - TCP connections made or accepted here have `TCP_NODELAY` set.
//!
//! The long story is docs/architecture.md, "Sockets".

mod addr;
mod datagram;
mod handle;
mod listener;
mod options;
mod poller;
mod readiness;
mod spin;
mod stream;

pub use addr::{Address, UNIX_PATH_MAX};
pub use datagram::Datagram;
pub use listener::{ListenOptions, Listener};
pub use options::SocketOptions;
pub use poller::{Poller, Readiness, Ready};
pub use readiness::{Waker, is_socket, readable};
pub use spin::Spin;
pub(crate) use spin::Wait;
pub use stream::{Shutdown, Stream};

pub(crate) use handle::{Waiter, drive};
