// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that are set once, without a lock: the first thread wins, and nobody waits for anybody.

use crate::sys;
use std::cell::UnsafeCell;
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// A value in an object that the first thread to need it makes. Two may make one: the first to be set stays.
pub(crate) struct SetOnce<T>(AtomicPtr<T>);

// SAFETY: it owns a T, and gives out shared references to it.
unsafe impl<T: Send> Send for SetOnce<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // ORDER set-once: Acquire here and Release below hand the value on.
        let at = self.0.load(Ordering::Acquire);
        // SAFETY: what is stored came from a Box, and lives as long as this.
        unsafe { at.as_ref() }
    }

    /// The value that is set, or else this one.
    pub(crate) fn get_or_set(&self, value: T) -> &T {
        let new = Box::into_raw(Box::new(value));
        let stored = self.0.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        let at = match stored {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: it was made above and given to nobody.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: as in `get`.
        unsafe { &*at }
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for SetOnce<T> {
    fn drop(&mut self) {
        let at = *self.0.get_mut();
        if !at.is_null() {
            // SAFETY: it came from a Box, and nobody has a reference any more.
            drop(unsafe { Box::from_raw(at) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SetOnce").field(&self.get()).finish()
    }
}

/// A value of the process that is set once, in place.
pub(crate) struct StaticOnce<T: Copy> {
    /// The generation of the process that sets it, and one; 0 is nobody.
    claimed: AtomicU64,
    is_set: AtomicBool,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written by the thread that has claimed it, before `is_set`, and only read after.
unsafe impl<T: Copy + Send + Sync> Sync for StaticOnce<T> {}

impl<T: Copy> StaticOnce<T> {
    pub(crate) const fn new() -> Self {
        Self { claimed: AtomicU64::new(0), is_set: AtomicBool::new(false), value: UnsafeCell::new(None) }
    }

    pub(crate) fn get(&self) -> Option<T> {
        // ORDER static-once: Acquire here and Release below hand the value on.
        if !self.is_set.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: it is set, and not written any more.
        unsafe { *self.value.get() }
    }

    /// Makes the state that a thread leaves that is cut off in the middle of [`set`](Self::set).
    #[cfg(test)]
    pub(crate) fn claim(&self) {
        self.claimed.store(sys::generation() + 1, Ordering::Relaxed);
    }

    /// Sets the value; false when another one is set, or another thread of this process is about to.
    pub(crate) fn set(&self, value: T) -> bool {
        sys::watch_forks();
        let mine = sys::generation() + 1;
        let claimed = self.claimed.load(Ordering::Relaxed);
        // A thread of the parent that had claimed it and not set it is not here.
        if self.is_set.load(Ordering::Acquire) || claimed == mine {
            return false;
        }
        if self.claimed.compare_exchange(claimed, mine, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: this thread alone has claimed it, and nobody reads it yet.
        unsafe { *self.value.get() = Some(value) };
        self.is_set.store(true, Ordering::Release);
        true
    }
}
