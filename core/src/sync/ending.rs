// SPDX-License-Identifier: MIT OR Apache-2.0
//! The locks that a process holds when it ends are left taken, or lost.
//!
//! A process that is killed leaves its identity in the word of a lock that it holds, by which others know that it is dead.
//! One that ends in good order goes through the locks that it has handles of, and marks those that it holds as left
//! taken ([`Identity::ended_well`](crate::sys::Identity::ended_well)): nobody takes these over. So acquiring and releasing cost
//! nothing for it. A lock whose last handle goes while it is held stays mapped, so that it is found in the end.
//!
//! A thread that still runs while `exit` does may acquire a lock behind the mark; it counts as killed in the middle.
#![forbid(unsafe_code)]

use super::atomic::{AtomicU64, Ordering};
use super::lock::LockWords;
use super::mutex::Mutex;
use crate::shm::{self, Shared, Watcher};
use crate::sys;

static WATCHER: Watcher = Watcher { stays: |words| mutex(words).is_some_and(Mutex::is_held_here), end };
static HOOK: fn() = leave_locks;

/// The mutex, if there is a lock in a slot.
fn mutex(words: &[AtomicU64]) -> Option<&AtomicU64> {
    let tags = [LockWords::<false>::TAG, LockWords::<true>::TAG];
    let [tag, mutex, ..] = words else { return None };
    tags.contains(&tag.load(Ordering::SeqCst)).then_some(mutex)
}

fn end(words: &[AtomicU64]) {
    mutex(words).into_iter().for_each(Mutex::leave);
}

/// Has the locks that this process holds marked when it ends.
pub(super) fn watch() {
    shm::watch_with(&WATCHER);
    sys::at_exit(&HOOK);
}

/// Leaves the locks that this process holds taken, as a process does that calls `exit` or returns from `main`.
///
/// For one that is to end in good order by `_exit`, just before it does: the locks of a process that calls only that are
/// taken over by those who wait for them, like the locks of one that is killed.
pub fn leave_locks() {
    shm::end();
}
