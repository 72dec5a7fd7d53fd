// SPDX-License-Identifier: MIT OR Apache-2.0
//! carrick: framed sockets, HMAC authentication, servers, processes, and queues and locks in shared memory, for Rust,
//! C and Python programs.
//!
//! | module | what it has | stands on |
//! |---|---|---|
//! | [`server`] | stream, message and datagram servers | `auth`, `frame`, `net` |
//! | [`queue`] | messages between processes, in shared memory | `sync`, `name`, `sys` |
//! | [`sync`] | locks, semaphores, conditions, events and barriers for threads and processes | `shm`, `sys` |
//! | [`name`] | names by which programs find queues, locks and the like | `sys` |
//! | [`process`] | fork servers, children that end with their parent | `sys` |
//! | [`auth`] | HMAC, keys, handshakes | `frame`, `net` |
//! | [`frame`] | messages over byte streams | `net` |
//! | [`net`] | sockets and readiness | `sys` |
//! | [`Parker`] | sleep between the threads of a process | `sys` |
//! | [`interrupt`], [`Deadline`], [`Error`] | signals, time, failures | - |
//!
//! In-process channels are [`crossbeam_channel`]'s. docs/architecture.md has the whole picture, examples/rust whole programs.
//!
//! # Example
//! ```
//! use carrick::server::{MessageOptions, MessageServer, Request};
//! use carrick::{Connection, Deadline, Format, Stream};
//!
//! let server = MessageServer::bind(&"127.0.0.1:0".parse()?, MessageOptions::default())?;
//! let handle = server.handle();
//! let serving = std::thread::spawn(move || server.serve(|request: &mut Request<'_>| request.reply(request.body())));
//!
//! let stream = Stream::connect(handle.address(), Deadline::NEVER)?;
//! let client = Connection::new(stream, Format::MULTIPROCESSING);
//! client.send(b"hello", Deadline::NEVER)?;
//! assert_eq!(client.recv(Deadline::NEVER)?, b"hello");
//!
//! handle.shutdown(Deadline::NEVER)?;
//! serving.join().unwrap()?;
//! # Ok::<(), carrick::Error>(())
//! ```

pub mod auth;
mod blocking;
mod error;
pub mod fork;
pub mod frame;
pub mod interrupt;
pub mod name;
pub mod net;
mod parker;
pub mod process;
pub mod queue;
pub mod server;
mod shm;
pub mod sync;
mod sys;
mod time;

pub use crossbeam_channel as channel;
pub use error::{Error, Kind, Result};
pub use frame::{Connection, Format};
pub use net::{
    Address, Datagram, ListenOptions, Listener, Poller, Readiness, Ready, Shutdown, SocketOptions, Stream,
};
pub use parker::{Parker, Prepared, Waiting};
pub use sys::Reserve;
pub use time::Deadline;
