// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: messages with a length before them, over any byte stream.
//!
//! # The format in words
//! A frame is a length, written in a fixed number of bytes, and that many bytes of body. A [`Format`] says
//! how many bytes (1, 2, 4, 8), in which order, signed or not, and the longest body allowed (the cap).
//!
//! | format | length | beyond it |
//! |---|---|---|
//! | [`Format::MULTIPROCESSING`] | 4 bytes, big-endian, signed | -1, then 8 bytes big-endian unsigned |
//! | [`Format::COURSE`] | 4 bytes, this machine's order, signed (`struct.pack('i', n)`) | not possible |
//! | [`Format::custom`] | as asked | not possible |
//!
//! Source of the first: `multiprocessing.connection` of CPython 3.8 and later; docs/wire.md has the bytes.
//!
//! # Invariants
//! - A body over the cap is refused before memory is taken for it, and memory grows with the bytes that
//!   arrived, never with the bytes announced.
//! - Head and body leave in one system call. A frame of several buffers is not copied together.
//! - A call that ends in the middle of a frame (deadline, signal) loses nothing: the next one goes on.
//! - `codec` does no input or output; `stream` knows no format.

mod codec;
mod stream;
mod transport;
mod turn;

pub(crate) use codec::QuickHeads;
pub use codec::{ByteOrder, DEFAULT_CAP, Format, Head, HeadProgress};
pub(crate) use stream::Slice;
pub use stream::{Body, Connection};
pub use transport::{Borrowed, Halves, Transport};
