// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock that the child of a fork never finds held by a thread that it has not got.

use crate::sys;
use crate::time::Deadline;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Somebody has the lock.
const HELD: u32 = 1;
/// Somebody may sleep until it is free.
const SLEEPERS: u32 = 2;
/// Tries before a thread goes to sleep: most holders need some instructions only.
const TRIES: u32 = 100;

/// A lock for threads of one process that a fork does not leave held.
///
/// The word of a lock says in which process it was last taken, as a number of forks. The child of a fork that finds it
/// held by its parent knows that the holder is not there: it takes the lock over, with a fresh value, since the old one may be
/// half changed. A value whose lock was free is whole, and the child keeps it, or begins with a fresh one:
/// the two constructors differ in that. Forks are seen that call the handlers of `pthread_atfork`.
///
/// No fork may be made, and no signal handler may use the lock, while the same thread holds it.
///
/// # Example
/// ```
/// use carrick::fork::ForkMutex;
/// static SEEN: ForkMutex<Vec<u32>> = ForkMutex::per_process(Vec::new(), Vec::new);
/// SEEN.lock().push(7);
/// assert_eq!(*SEEN.lock(), [7]);
/// ```
pub struct ForkMutex<T> {
    /// The generation of the process that took it last, shifted left by two, with [`HELD`] and [`SLEEPERS`].
    word: AtomicU32,
    /// Whether a child keeps the value if it is whole.
    inherits: bool,
    fresh: fn() -> T,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time has the value, as with std's Mutex.
unsafe impl<T: Send> Sync for ForkMutex<T> {}

/// The lock, held until this is dropped.
pub struct ForkGuard<'a, T> {
    mutex: &'a ForkMutex<T>,
    /// The word of the free lock in the process that took it.
    free: u32,
    /// The value that the guard gives access to.
    _value: PhantomData<*mut T>,
}

// SAFETY: it is as good as a mutable reference to the value, and any thread may free the lock.
unsafe impl<T: Send> Send for ForkGuard<'_, T> {}
// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: Sync> Sync for ForkGuard<'_, T> {}

fn free_word() -> u32 {
    // The lower bits of the number: so many forks do not lie between a process and the one whose lock it has.
    u32::try_from(sys::generation() & 0x3fff_ffff).unwrap_or(0) << 2
}

impl<T> ForkMutex<T> {
    /// A lock whose value a child inherits if it is whole; if it is not, the child gets `fresh()`.
    pub const fn inherited(value: T, fresh: fn() -> T) -> Self {
        Self { word: AtomicU32::new(0), inherits: true, fresh, value: UnsafeCell::new(value) }
    }

    /// A lock whose value each process has for itself: a child begins with `fresh()`.
    pub const fn per_process(value: T, fresh: fn() -> T) -> Self {
        Self { word: AtomicU32::new(0), inherits: false, fresh, value: UnsafeCell::new(value) }
    }

    /// Takes the lock.
    pub fn lock(&self) -> ForkGuard<'_, T> {
        loop {
            if let Some(guard) = self.lock_until(Deadline::NEVER) {
                return guard;
            }
        }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<ForkGuard<'_, T>> {
        sys::watch_forks();
        self.take(HELD)
    }

    /// Takes the lock as soon as it is free, if that is before the deadline.
    pub fn lock_until(&self, deadline: Deadline) -> Option<ForkGuard<'_, T>> {
        if let Some(guard) = self.try_lock() {
            return Some(guard);
        }
        if deadline.is_now() {
            return None;
        }
        for _ in 0..TRIES {
            std::hint::spin_loop();
            if let Some(guard) = self.take(HELD) {
                return Some(guard);
            }
        }
        loop {
            // A thread that has slept does not know whether others sleep.
            if let Some(guard) = self.take(HELD | SLEEPERS) {
                return Some(guard);
            }
            let seen = self.word.load(Ordering::Relaxed);
            let waited = seen | SLEEPERS;
            // ORDER fork-mutex: only the announcement of a sleep.
            if seen & HELD != 0
                && (seen == waited
                    || self.word.compare_exchange(seen, waited, Ordering::Relaxed, Ordering::Relaxed).is_ok())
            {
                if deadline.expired() {
                    return None;
                }
                // A signal, or the end of the time, is seen above.
                let _ = sys::futex_wait(&self.word, waited, deadline);
            }
        }
    }

    /// Takes the lock if it is free or its holder is not in this process, and leaves these bits in the word.
    fn take(&self, bits: u32) -> Option<ForkGuard<'_, T>> {
        let free = free_word();
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let is_ours = seen & !(HELD | SLEEPERS) == free;
            if is_ours && seen & HELD != 0 {
                return None;
            }
            // ORDER fork-mutex: Acquire here and Release in the guard's drop hand the value on. The fork has made the
            // writes of a parent's threads visible.
            match self.word.compare_exchange_weak(seen, free | bits, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    let guard = ForkGuard { mutex: self, free, _value: PhantomData };
                    if !is_ours {
                        self.inherit(seen & HELD == 0);
                    }
                    return Some(guard);
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Puts the value right that came from the parent; the lock is held.
    #[cold]
    fn inherit(&self, whole: bool) {
        if whole && self.inherits {
            return;
        }
        let fresh = (self.fresh)();
        // The old value is not dropped: half changed it cannot be, and of a whole one the descriptors may not be here. The
        // kernel copies the table of descriptors before the memory, and another thread may have opened one in between.
        // SAFETY: the lock is held, and no other reference to the value is used any more: its user was a thread of the
        // parent.
        unsafe { ptr::write(self.value.get(), fresh) };
    }

    /// The value, whose lock nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        drop(self.lock());
        self.value.get_mut()
    }

    /// Takes the value out, whose lock nobody else can have.
    pub fn into_inner(self) -> T {
        drop(self.lock());
        self.value.into_inner()
    }
}

impl<T> Deref for ForkGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so that nobody else has the value.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for ForkGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for ForkGuard<'_, T> {
    fn drop(&mut self) {
        // ORDER fork-mutex: see `take`.
        if self.mutex.word.swap(self.free, Ordering::Release) & SLEEPERS != 0 {
            sys::futex_wake(&self.mutex.word, 1);
        }
    }
}

impl<T: Default> Default for ForkMutex<T> {
    /// An [`inherited`](Self::inherited) default value.
    fn default() -> Self {
        Self::inherited(T::default(), T::default)
    }
}

impl<T: fmt::Debug> fmt::Debug for ForkMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(value) => f.debug_tuple("ForkMutex").field(&*value).finish(),
            None => f.write_str("ForkMutex(<locked>)"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for ForkGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
