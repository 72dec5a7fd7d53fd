// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forks: locks, counters and registries that are usable in a child whatever the parent's threads were doing.
//!
//! A child of a fork has one thread and a copy of the memory. A lock that another thread of the parent held at that instant
//! stays held in the child for ever, a counter of threads stays too high, and a value that was being set once is never set.
//! So nothing in this library that belongs to the process, and nothing in an object that a child may use, is guarded by a
//! plain lock. Each is one of three:
//!
//! 1. *lock-free*: the first thread wins by one compare-exchange, and nobody waits;
//! 2. *of this process*: a [`ForkMutex`], a [`ForkCounter`], or a value that the handler of forks puts right. There is one
//!    handler (`sys/linux/fork.rs`), which is registered when the library is loaded and counts generations; the locks tell
//!    by the generation that their holder was left behind;
//! 3. *not needed*: no child can find it held, or none uses it, for the reason given.
//!
//! | static | guards | |
//! |---|---|---|
//! | `sys::fork::{GENERATION, FORKS, WATCHED}` | how many forks there were | 1; the handler writes them |
//! | `sys::fork::ALSO`, `interrupt::HOOK` | a function of a face, the interrupt hook (`StaticOnce`) | 1 |
//! | `sys::identity::ME` | this process's number and start | 2: the handler clears it |
//! | `sys::lineage::LIFELINE` | the pipe that daemons hold on to | 1, and 2: the handler closes a child's copies |
//! | `auth::issued::SECRET` | by which own challenges are known; there is no table of them | 1; a child's challenges are its own |
//! | `shm::arena::ARENA` | segments and free slots | 2: a child has an empty one |
//! | `shm::known::{POOL, FIRST, VISITS, WATCHER}`, `sys::process::AT_EXIT` | what is told of the process's end | 1; a visit is the end of the process |
//! | `sys::berth::INSTALLED`, `sys::identity::SEEN` | a handler, hints | 1 |
//! | `process::child::ORPHANS` | children that were dropped | 2: a child has none |
//! | `net::spin::SPINNING` | threads that spin | 2 |
//! | `net::spin::RECENT`, `frame::transport::HISTORIES`, `sys::io::NO_WAIT_FLAG_WORKS`, `sys::process::CORES` | hints | 1 |
//! | `sys::reserve::TAKEN` | blocks of the reserve | 1; a block that a left thread had stays taken, as its other memory does |
//! | `process::channel::TAKEN` | whether the channel was taken | 1; taken before the fork, it is the parent's |
//! | thread-locals (`blocking`, the C face's last error and callbacks, the Python face's `RAISED`, `BELL`, `SPARE`, `SCRATCH`) | the thread's own | 3: no other thread has them |
//! | C: `callback::NEXT_ID` | numbers | 1 |
//! | Python: `socket::AWAY` | threads that are detached for a socket | 2 |
//! | Python: `signals::{INSTALLED, BEFORE, DETACHED, IS_MAIN}` | the bell | 1, and 2: the handler and `forked()` |
//! | Python: `thread_queue::monitor::{GENERATION, SURVIVOR}` | which threads are left behind | 2: the handler writes them |
//! | Python: `once::Once` (all objects that are looked up once) | - | 3: set while attached, without waiting; a fork of Python's is made attached |
//! | Python: PyO3's class objects | - | 3: made when the module is imported, and taken attached for some instructions |
//! | Python: PyO3's pool of references | objects dropped by detached threads | 3: nothing is dropped detached (`stream::Held`) |
//! | `carrick._standard._importing`, `carrick._patch._Finder.standard` | who imports a standard module | 2: `os.register_at_fork` |
//! | `carrick.multiprocessing.forkserver._forkserver._lock` | the start of the fork server | 2: `os.register_at_fork` |
//!
//! Objects that a child inherits and may use:
//!
//! | object | guards | |
//! |---|---|---|
//! | `frame::turn` (both directions of a connection), `auth::Gate`, `process::Child`, `server::Control::cut` | - | 2 |
//! | `net::Handle`, `sys::OwnWake`, `sys::Berths` | calls inside, descriptors, threads that sleep, each by generation; the waker (`SetOnce`) | 1 |
//! | `net::Poller` | what is watched | 2 |
//! | `Parker::wake`, `queue::Queue::rings` (`SetOnce`) | made at the first need | 1 |
//! | locks, semaphores, conditions, barriers, queues in shared memory | - | 3: the holder is the parent, which lives and releases |
//! | servers (`crew`, `message`, `peer`, `stream`) | their threads' work | 3: a child has none of the threads; it stops, closes and drops by `Control` |
//! | Python: `Hmac` | a message that is added to | 2, and waited for detached |
//! | Python: queues for threads | items and lines | 3: held while attached only; `SURVIVOR` tells which waiters and holder of the mutex are left |
//! | Python: `MessageServer`, `StreamServer`, `Job`, `Request` | - | 3: held while attached only, for some instructions |
//! | C: `carrick_mac`, `carrick_server` | - | 3: one thread at a time has a mac; a child's calls of a server are refused |
//!
//! None of these locks is waited for by a thread that is attached to Python's interpreter: `ARENA` is taken attached only, and so never
//! found held; the others are tried, or waited for detached.

mod counter;
mod mutex;
mod once;
#[cfg(all(test, not(loom)))]
pub(crate) mod tests;

pub use counter::{Counted, ForkCounter};
pub use mutex::{ForkGuard, ForkMutex};
pub(crate) use once::{SetOnce, StaticOnce};

/// Has every child that is made by fork from now on call `handler`, before `fork` returns there and before the handlers
/// that others have registered since; it is for the faces of the library, and there is one. Returns whether this call set it.
///
/// Only what a child of a process with threads may do is allowed in it, and no panic.
pub fn set_handler(handler: fn()) -> bool {
    crate::sys::set_in_child(handler)
}
