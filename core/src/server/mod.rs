// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers: a blocking handler per connection, framed request and reply, and datagrams.
//!
//! | server | a handler gets | on |
//! |---|---|---|
//! | [`StreamServer`] | a connection, for as long as it wants it | the serving thread in turn, a bounded crew of threads, or a child process each |
//! | [`MessageServer`] | one framed request at a time | one event loop, helped out where a handler takes long |
//! | [`DatagramServer`] | one datagram at a time | the serving thread |
//!
//! # What all of them keep
//! - A slow, silent or hostile client costs a bounded amount of memory and never holds up another one.
//! - A handler that fails or panics ends its own connection; the server goes on.
//! - [`ServerHandle`] stops them from any thread; [`ServerHandle::request_shutdown`] from a signal handler
//!   too. Requests that have begun are finished until the drain deadline, then cut off.
//!
//! `crew` has the threads (leader and followers), `control` stopping and counting. The long story is
//! docs/architecture.md, "Servers".

mod batch;
mod claim;
mod control;
mod crew;
mod datagram;
mod message;
mod peer;
mod process;
mod stream;

pub use crate::blocking::about_to_block;
pub use control::{Overload, ServerHandle, Stats};
pub use crew::Spawn;
pub use datagram::{DatagramHandler, DatagramOptions, DatagramServer};
pub use message::{MessageHandler, MessageOptions, MessageServer};
pub use peer::Request;
pub use stream::{Mode, Session, StreamHandler, StreamOptions, StreamServer};
