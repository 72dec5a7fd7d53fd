// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that processes share, for what is small: many slots to a segment, so that thousands of locks take a few
//! descriptors.
//!
//! # Invariants
//! - A segment is a file in memory (see [`crate::sys`]), without a name unless one was asked for (see [`crate::name`]):
//!   nothing is left behind by anybody.
//! - A slot starts with a word that says what lives in it, and of which version; zeros else. The object there is made
//!   of atomics, for other processes may write anything at any time.
//! - Only the process that made a segment hands out its slots, and what it knows about them is in its own memory: a
//!   process killed at any instant leaves nothing to repair.
//! - A slot that a fork has seen, or that was handed to another program, is not used again: somebody may use it still.
//! - The object in a small slot hears of the end of each process that has a handle of it: see [`known`].

#[cfg(not(loom))]
mod arena;
#[cfg(loom)]
#[path = "modelled.rs"]
mod arena;
mod known;
mod segment;

pub(crate) use arena::Slot;
#[cfg(not(loom))]
pub(crate) use arena::attach;
pub use arena::{Memory, Place};
#[cfg(not(loom))]
pub(crate) use known::{Watcher, end, watch_with};
pub(crate) use segment::{Huge, Large, Shared, Small};
