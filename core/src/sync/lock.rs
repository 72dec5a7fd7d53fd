// SPDX-License-Identifier: MIT OR Apache-2.0
//! The public locks: a [`Mutex`](super::Mutex) in a slot of its own, and who holds it.

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::look::Lookout;
use super::mutex::{Mutex, OnOwnerDeath, Taken};
use crate::error::{Error, Kind, Result};
use crate::net::Spin;
use crate::shm::{Shared, Slot, Small};
use crate::sys;
use crate::time::Deadline;
use std::fmt;

const ACQUIRE: &str = "acquire lock";
const RELEASE: &str = "release lock";

/// A lock in shared memory. The mutex is the truth; the words after it are written by its holder only.
#[derive(Default)]
#[repr(C)]
pub(super) struct LockWords<const RECURSIVE: bool> {
    tag: AtomicU64,
    mutex: Mutex,
    /// The thread that took it.
    // ORDER lock-holder: between taking and releasing only the holder writes these, and who asks whether it is the
    // holder itself reads its own stores.
    thread: AtomicU64,
    /// How often it was taken, for a recursive one.
    depth: AtomicU32,
    lookout: Lookout,
}

// SAFETY: repr(C) of atomics and of a word of one, of 40 bytes, with the tag first.
unsafe impl<const RECURSIVE: bool> Shared for LockWords<RECURSIVE> {
    type Size = Small;
    const TAG: u64 = u64::from_le_bytes(if RECURSIVE { *b"ck-rlck\x01" } else { *b"ck-lock\x01" });
    const NAME: &'static str = if RECURSIVE { "recursive lock" } else { "plain lock" };
}

impl<const RECURSIVE: bool> LockWords<RECURSIVE> {
    fn is_mine(&self) -> bool {
        self.mutex.is_mine() && self.thread.load(Ordering::Relaxed) == sys::thread_mark()
    }

    /// Takes the mutex if it is free.
    #[inline]
    fn try_take(&self) -> bool {
        let taken = self.mutex.try_lock();
        if taken {
            self.note_holder();
        }
        taken
    }

    /// Takes the mutex if it is free, or will be in a moment, which is not waited for where that has been for nothing.
    fn take_soon(&self, spin: &Spin) -> bool {
        let taken = spin.is_hopeful() && self.mutex.try_lock_for_a_moment();
        if taken {
            self.note_holder();
        }
        taken
    }

    /// Notes who has just taken the mutex.
    fn note_holder(&self) {
        self.thread.store(sys::thread_mark(), Ordering::Relaxed);
        self.depth.store(1, Ordering::Relaxed);
    }

    fn holder(&self) -> Option<Holder> {
        let holder = self.mutex.holder()?;
        Some(Holder {
            process: holder.pid,
            is_this_thread: self.is_mine(),
            depth: self.depth.load(Ordering::Relaxed),
            is_this_process: holder == sys::Identity::me(),
        })
    }
}

#[cold]
fn not_locked() -> Error {
    Error::with_detail(Kind::Invalid, RELEASE, "it is not locked")
}

/// The holder of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The number of its process.
    pub process: u32,
    /// Whether it is the calling thread.
    pub is_this_thread: bool,
    /// How often it has taken the lock.
    pub depth: u32,
    /// Whether it is the calling process.
    pub is_this_process: bool,
}

/// Why there is no plain guard.
pub enum LockError<G> {
    /// The lock is taken. The process that held it before died while holding it: what the lock guards may be half
    /// changed.
    OwnerDied(G),
    /// The lock is not taken.
    Failed(Error),
}

impl<G> LockError<G> {
    /// The guard, if the lock is taken.
    ///
    /// # Errors
    /// The one that kept the lock from being taken.
    pub fn into_guard(self) -> Result<G> {
        match self {
            Self::OwnerDied(guard) => Ok(guard),
            Self::Failed(error) => Err(error),
        }
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("OwnerDied"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<G> From<LockError<G>> for Error {
    /// Gives the lock up, if it is taken.
    fn from(error: LockError<G>) -> Self {
        match error {
            LockError::OwnerDied(_) => Self::new(Kind::OwnerDied, ACQUIRE),
            LockError::Failed(error) => error,
        }
    }
}

macro_rules! lock_type {
    ($name:ident, $guard:ident, $recursive:literal) => {
        impl $name {
            /// A free lock.
            ///
            /// # Errors
            /// `Os` (EMFILE, ...), `NoMemory`.
            pub fn new() -> Result<Self> {
                Slot::new("make lock", |_| ()).map(Self::over)
            }

            /// The same with a name, by which other programs of this user [`open`](Self::open) it.
            ///
            /// # Errors
            /// `Invalid`: no such name is possible; `Os` (EEXIST: there is one of this name; EMFILE, ...), `NoMemory`.
            #[cfg(not(loom))]
            pub fn create(name: &str) -> Result<Self> {
                Slot::create(name, 0, "create lock", |_| ()).map(Self::over)
            }

            fn over(slot: Slot<LockWords<$recursive>>) -> Self {
                #[cfg(not(loom))]
                super::ending::watch();
                Self { slot, spin: Spin::new(), policy: OnOwnerDeath::TakeOver }
            }

            /// The policy of this handle's waits for a holder that has died; without this they take the lock over.
            #[must_use]
            pub fn on_owner_death(mut self, policy: OnOwnerDeath) -> Self {
                self.policy = policy;
                self
            }

            /// Takes the lock, waiting for it until the deadline; the guard releases it.
            ///
            /// # Errors
            /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`; or the lock itself, from a
            /// holder that died.
            pub fn lock(&self, deadline: Deadline) -> std::result::Result<$guard<'_>, LockError<$guard<'_>>> {
                match self.acquire(deadline) {
                    Ok(Taken::Free) => Ok($guard(self)),
                    Ok(Taken::FromDead) => Err(LockError::OwnerDied($guard(self))),
                    Err(error) => Err(LockError::Failed(error)),
                }
            }

            fn acquire_free(&self, deadline: Deadline) -> Result<Taken> {
                let words = &*self.slot;
                if words.try_take() {
                    return Ok(Taken::Free);
                }
                let taken = words.mutex.lock_slowly(
                    &words.lookout,
                    ACQUIRE,
                    deadline,
                    self.policy,
                    Some(&self.spin),
                )?;
                words.note_holder();
                Ok(taken)
            }

            /// Whether somebody holds the lock, at this moment; a holder that has died holds it still.
            #[must_use]
            pub fn is_locked(&self) -> bool {
                self.slot.mutex.holder().is_some()
            }

            /// The holder of the lock, at this moment.
            #[must_use]
            pub fn holder(&self) -> Option<Holder> {
                self.slot.holder()
            }

            /// Whether the calling thread holds the lock.
            #[must_use]
            pub fn is_mine(&self) -> bool {
                self.slot.is_mine()
            }
        }

        impl Drop for $guard<'_> {
            fn drop(&mut self) {
                // The error says that somebody else has released it.
                let _ = self.0.release();
            }
        }
    };
}

/// A lock for threads and processes: one holder at a time, and whoever wants to may release it.
///
/// # Example
/// ```
/// use carrick::sync::Lock;
/// use carrick::Deadline;
/// let lock = Lock::new()?;
/// let guard = lock.lock(Deadline::NEVER)?;
/// assert!(lock.lock(Deadline::NOW).is_err());
/// drop(guard);
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    slot: Slot<LockWords<false>>,
    spin: Spin,
    policy: OnOwnerDeath,
}

/// A held [`Lock`].
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a>(&'a Lock);

lock_type!(Lock, LockGuard, false);
super::handed_over!(Lock, "lock");

impl Lock {
    /// Takes the lock, waiting for it until the deadline; [`release`](Self::release) is the caller's to call, or
    /// anybody's.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`.
    pub fn acquire(&self, deadline: Deadline) -> Result<Taken> {
        self.acquire_free(deadline)
    }

    /// Takes the lock if it is free. A holder that has died holds it still.
    #[must_use]
    #[inline]
    pub fn try_acquire(&self) -> bool {
        self.slot.try_take()
    }

    /// Takes the lock if it is free, or will be in some microseconds where such waits have been short; never sleeps.
    #[must_use]
    pub fn acquire_quickly(&self) -> bool {
        self.slot.take_soon(&self.spin)
    }

    /// Gives the lock up, whichever thread or process holds it.
    ///
    /// # Errors
    /// `Invalid`: it is free.
    #[inline]
    pub fn release(&self) -> Result<()> {
        if self.slot.mutex.unlock() { Ok(()) } else { Err(not_locked()) }
    }
}

/// A lock that the thread that holds it may take again; it is free after as many releases.
///
/// # Example
/// ```
/// use carrick::sync::RLock;
/// use carrick::Deadline;
/// let lock = RLock::new()?;
/// let outer = lock.lock(Deadline::NEVER)?;
/// let inner = lock.lock(Deadline::NOW)?;
/// # drop((inner, outer));
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct RLock {
    slot: Slot<LockWords<true>>,
    spin: Spin,
    policy: OnOwnerDeath,
}

/// A held [`RLock`].
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct RLockGuard<'a>(&'a RLock);

lock_type!(RLock, RLockGuard, true);
super::handed_over!(RLock, "recursive lock");

impl RLock {
    /// Takes the lock, waiting for it until the deadline; [`release`](Self::release) is the calling thread's to
    /// call.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`, `State`: taken 2^32 times.
    pub fn acquire(&self, deadline: Deadline) -> Result<Taken> {
        if self.slot.is_mine() {
            self.deeper()?;
            return Ok(Taken::Free);
        }
        self.acquire_free(deadline)
    }

    /// Takes the lock if it is free or the calling thread's. A holder that has died holds it still.
    #[must_use]
    #[inline]
    pub fn try_acquire(&self) -> bool {
        if self.slot.is_mine() { self.deeper().is_ok() } else { self.slot.try_take() }
    }

    /// Takes the lock if it is free or the calling thread's, or will be free in some microseconds where such waits have
    /// been short; never sleeps.
    #[must_use]
    pub fn acquire_quickly(&self) -> bool {
        if self.slot.is_mine() { self.deeper().is_ok() } else { self.slot.take_soon(&self.spin) }
    }

    fn deeper(&self) -> Result<()> {
        let depth = self.slot.depth.load(Ordering::Relaxed).checked_add(1);
        let depth = depth.ok_or_else(|| Error::with_detail(Kind::State, ACQUIRE, "taken 2^32 times"))?;
        self.slot.depth.store(depth, Ordering::Relaxed);
        Ok(())
    }

    /// Takes one acquire back; after the last one the lock is free.
    ///
    /// # Errors
    /// `State`: the calling thread does not hold it.
    pub fn release(&self) -> Result<()> {
        if !self.slot.is_mine() {
            return Err(Error::with_detail(Kind::State, RELEASE, "the calling thread does not hold it"));
        }
        let depth = self.slot.depth.load(Ordering::Relaxed);
        if depth > 1 {
            self.slot.depth.store(depth - 1, Ordering::Relaxed);
        } else {
            self.slot.thread.store(0, Ordering::Relaxed);
            self.slot.mutex.unlock();
        }
        Ok(())
    }

    /// Releases the lock whatever its depth, which is returned for [`acquire_all`](Self::acquire_all).
    pub(super) fn release_all(&self) -> Result<u32> {
        let depth = self.slot.depth.load(Ordering::Relaxed);
        if self.slot.is_mine() {
            self.slot.depth.store(1, Ordering::Relaxed);
        }
        self.release().map(|()| depth)
    }

    /// Takes the lock again as deeply as it was held.
    pub(super) fn acquire_all(&self, depth: u32) -> Result<Taken> {
        let taken = self.acquire(Deadline::NEVER)?;
        self.slot.depth.store(depth, Ordering::Relaxed);
        Ok(taken)
    }
}
