// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks and what is built of them, for threads and for processes that share memory.
//!
//! # Invariants
//! - A word says all about its primitive: memory of zeros is a free lock.
//! - No operation without contention makes a system call.
//! - A process that is killed at any instant leaves no waiter asleep for good.

mod mutex;

pub(crate) use mutex::Mutex;
