// SPDX-License-Identifier: MIT OR Apache-2.0
//! The atomics of shared memory; in a model (`--cfg loom`) those whose every interleaving is tried.
#![forbid(unsafe_code)]

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Between a store and a load, both `SeqCst`, of which no thread may see the second one first. loom takes `SeqCst` of
/// loads and stores for less than it is, and needs to be told; elsewhere this is nothing.
#[inline]
pub(crate) fn keep_order() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}
