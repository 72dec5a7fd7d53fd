// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks and what is built of them, for threads and for processes that share memory.
//!
//! | type | what it is | when a process that uses it is killed |
//! |---|---|---|
//! | [`Lock`] | one holder; anybody may release it | a waiter takes it over, and is told |
//! | [`RLock`] | the same for a thread that may take it again | as above |
//! | [`Semaphore`] | a number of units | the units it had are gone |
//! | [`Condition`] | waiting, under a lock, for a change | what it was notified of goes to another one that waits |
//! | [`Event`] | a flag to wait for | nothing |
//! | [`Barrier`] | a meeting of so many | the others' meeting is broken |
//!
//! A process that ends in good order, by `exit` or by returning from `main`, leaves the locks that it holds taken; see
//! [`leave_locks`] for one that ends by `_exit`.
//!
//! All may be used from any thread. A child made by fork has them, too; another program gets one by
//! [`place`](Lock::place) and [`attach`](Lock::attach), or by a name: [`create`](Lock::create) and
//! [`open`](Lock::open), see [`name`](crate::name). One without a name takes a line of memory ([`Condition`] and [`Barrier`] a
//! KiB), many share a descriptor.
//!
//! # Invariants
//! - A primitive's state is in its words, and zeros are a fresh one: a lock that is free, an event that is not set.
//! - No operation without contention makes a system call.
//! - A process that is killed at any instant leaves no waiter asleep for good: each sleep is cut into slices, after
//!   which the sleeper looks whether somebody died.

mod atomic;
mod barrier;
mod condition;
#[cfg(not(loom))]
mod ending;
mod event;
mod futex;
mod lock;
mod look;
#[cfg(all(test, loom))]
mod models;
mod mutex;
mod park;
mod seats;
mod semaphore;

pub use crate::shm::{Memory, Place};
pub(crate) use atomic::{AtomicU32, AtomicU64, keep_order};
pub use barrier::Barrier;
pub use condition::Condition;
#[cfg(not(loom))]
pub use ending::leave_locks;
pub use event::Event;
pub use lock::{Holder, Lock, LockError, LockGuard, RLock, RLockGuard};
pub(crate) use look::{Look, Lookout};
pub(crate) use mutex::Mutex;
pub use mutex::{OnOwnerDeath, Taken};
pub(crate) use park::{SLICE, sleep, wake};
pub use semaphore::Semaphore;

/// In a model no process ends.
#[cfg(loom)]
pub fn leave_locks() {}

/// How another process gets what is in a slot.
macro_rules! handed_over {
    ($name:ident, $words:literal) => {
        #[cfg(not(loom))]
        impl $name {
            /// The place by which another process can [`attach`](Self::attach): a descriptor, which may be inherited or
            /// sent over a Unix socket, and a number.
            #[must_use]
            pub fn place(&self) -> crate::shm::Place<'_> {
                self.slot.place()
            }

            #[doc = concat!("The ", $words, " that another process made.")]
            ///
            /// # Errors
            /// `Invalid`: something else is there, or one of another version; `Corrupt`; `Os`, `NoMemory`.
            pub fn attach<'a>(
                memory: impl Into<crate::shm::Memory<'a>>,
                slot: u32,
            ) -> crate::error::Result<Self> {
                crate::shm::attach(memory.into(), slot, concat!("attach ", $words)).map(Self::over)
            }

            #[doc = concat!("The ", $words, " of a name; see the module [`name`](crate::name).")]
            ///
            /// # Errors
            /// Those of [`name::open`](crate::name::open) and of [`attach`](Self::attach).
            pub fn open(name: &str) -> crate::error::Result<Self> {
                Self::attach(&crate::name::open(name)?, 0)
            }
        }
    };
}
use handed_over;
