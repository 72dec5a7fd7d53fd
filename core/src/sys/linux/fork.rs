// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one handler of forks of this library: how many there were, and what a child forgets at once.
//!
//! State that is put right later, at its first use in the child, goes by [`generation`]; `crate::fork` has the list of
//! both.

use super::{identity, lineage, syscall};
use crate::fork::StaticOnce;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many forks away from the first process of the program this one is.
// ORDER forks: each changes in a handler of fork only, in the thread that forks; others may see it late.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// How many children this process has forked.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn in_parent() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn in_child() {
    FORKS.store(0, Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Relaxed);
    identity::forget();
    lineage::let_go();
    if let Some(also) = ALSO.get() {
        also();
    }
}

/// An extra step of a face of the library in the child of a fork.
static ALSO: StaticOnce<fn()> = StaticOnce::new();

/// Has every child call this as well, before `fork` returns there. Returns whether this call set it: there is one.
pub(crate) fn set_in_child(also: fn()) -> bool {
    ALSO.set(also)
}

/// Has [`generation`] and [`forks`] count from now on. A fork by other means than the C library's is not seen.
pub(crate) extern "C" fn watch_forks() {
    // Two threads may both do it, which only makes the numbers grow faster. No Once: the child of a fork that happened
    // meanwhile would wait for ever for a thread that it has not got.
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.load(Ordering::Acquire) {
        // A use of the section: a linker may leave out what nobody uses of a static library.
        std::hint::black_box(&AT_LOAD);
        // It fails only for want of memory; then a child would take itself for its parent.
        let _ = syscall!(pthread_atfork(None, Some(in_parent), Some(in_child)));
        WATCHED.store(true, Ordering::Release);
    }
}

/// Called when the program, or the library, is loaded: no fork is under way while the handler is registered for the first
/// time, since such a fork would not call it.
#[used]
// SAFETY: the section holds addresses of functions that are called once at load; they may be given arguments that they
// do not take.
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = watch_forks;

/// A number that a child made by fork does not have in common with its parent.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// How many children this process has forked since [`watch_forks`].
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}
