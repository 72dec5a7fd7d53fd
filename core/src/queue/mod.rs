// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue of messages in memory that processes share.
//!
//! # The idea
//! A stream of records, each a length and a body, in a ring. Producers take turns at its end and consumers at its
//! beginning, each side under a lock of its own, so the two sides meet only when they look how far the other
//! one is. A change is one store (see `layout`): a process killed at any instant has put an item or has not, and
//! has taken one or has not. The lock of a dead holder is taken over (see the module `sync`).
//!
//! A ring is mapped twice, one after the other, so a record lies in one piece wherever it begins, and a body can be
//! read where it lies (`get_in_place`).
//!
//! Several items at a time (`many`) are the same with one commit for some: a killed process has put, or taken, all of
//! those or none.
//!
//! # Growing
//! A record that does not fit makes the stream leave its ring for one of at least twice the size, at once and
//! without copying anything: *exits* in the head say where. Consumers follow, and the memory of a ring that they
//! leave is given back. When a large ring falls empty the stream goes back to the smallest; in a smaller one a large
//! body that finds the queue empty goes to the ring's beginning, which the caches have. So an unbounded queue
//! never blocks a producer, and keeps no more memory than its largest recent crowd needed. One that has
//! some MiB already first gives the consumers a moment.
//!
//! # Limits
//! A file without a name has its whole length from the beginning; what was never written to takes no memory. So a process
//! that limits itself later (RLIMIT_FSIZE) puts what it likes; and one without the address space for a ring uses it
//! without (`ring`).
//!
//! # Waiting
//! A waiter looks again for some microseconds and then sleeps on the other side's version. Each sleep
//! is bounded by `SLICE`, because the one sleeper that was woken for an item may be killed before it takes it.
//!
//! # Lock order
//! The get side's lock before the put side's, and the second one only if it is free.

mod get;
mod layout;
mod many;
#[cfg(all(test, loom))]
mod models;
mod ring;
mod stream;
#[cfg(all(test, not(loom)))]
mod tests;
mod wait;

pub use many::PutManyError;

use crate::error::{Error, Kind, Result};
use crate::fork::SetOnce;
use crate::interrupt;
use crate::name;
use crate::net::Spin;
use crate::sync::{Mutex, SLICE, Taken, sleep, wake};
use crate::sys::{self, Mapping, Wake};
use crate::time::Deadline;
use layout::{HEAD, Head, RINGS, size_of_ring, whole};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;
use stream::{Outcome, is_full};
use wait::{Waiting, for_the_lock};

/// The longest wait of a producer before it has a queue take memory beyond the high-water mark.
const GRACE: Duration = Duration::from_millis(5);

const PUT: &str = "put";
const GET: &str = "get";

/// The limits of a [`Queue`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// The most items in the queue; 0 is no limit.
    pub max_items: u64,
    /// The most bytes of bodies in the queue; 0 is no limit. A body over it is refused.
    pub max_bytes: u64,
    /// As a pipe does it: a body of any length is put as soon as fewer than `max_bytes` are in the queue.
    pub soft: bool,
}

/// A queue of messages for threads and processes: first in, first out, any number of producers and consumers.
///
/// All calls may be made from any thread. A child made by fork has the queue, too; another program gets it by its
/// descriptor ([`as_fd`](AsFd::as_fd), [`attach`](Self::attach)). Items that a process had not taken when it was killed
/// are there for the others.
///
/// # Example
/// ```
/// use carrick::queue::{Queue, QueueOptions};
/// use carrick::Deadline;
/// let queue = Queue::new(QueueOptions::default())?;
/// queue.put(b"hello", Deadline::NEVER)?;
/// assert_eq!(queue.get(Deadline::NEVER)?, b"hello");
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Queue {
    file: OwnedFd,
    head: Mapping,
    rings: [SetOnce<Mapping>; RINGS],
    takers: Spin,
    putters: Spin,
    bell: Option<Wake>,
    /// The file is, or was, in the directory of names.
    has_name: bool,
}

/// A held lock of a side.
struct Held<'a>(&'a Mutex);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| match error.raw_os_error() {
        Some(libc::ENOMEM) => Error::new(Kind::NoMemory, operation),
        Some(libc::ENOSPC) => Error::with_detail(Kind::NoMemory, operation, "/dev/shm is full"),
        Some(libc::EFBIG) => {
            let limit = "the limit of file sizes (RLIMIT_FSIZE, ulimit -f) when the queue was made";
            let detail = format!("{error}: {limit}; make the queue before the limit is set, or raise it");
            Error::from_io(&error, operation).detailed(detail)
        }
        _ => Error::from_io(&error, operation),
    }
}

/// One that waited for room may have been woken for two: the consumers wake one at a time.
fn pass_room_on(head: &Head) -> Result<()> {
    head.get.note_sleepers();
    let (_, start) = head.get.read()?;
    let (_, end) = head.put.read()?;
    if !is_full(head, 0, start, end)? && head.get.take_sleepers() {
        wake(head.get.word(), head.room_is_for());
    }
    Ok(())
}

impl Queue {
    /// An empty queue.
    ///
    /// # Errors
    /// `Os` (EMFILE, ...), `NoMemory`.
    pub fn new(options: QueueOptions) -> Result<Self> {
        let file = sys::sparse_file(HEAD + size_of_ring(0), whole()).map_err(failed("make queue"))?;
        let queue = Self::over(file, "make queue")?;
        queue.head()?.init(options);
        Ok(queue)
    }

    /// An empty queue with a name, by which other programs of this user [`open`](Self::open) it. See the module
    /// [`name`]; the memory for what is in it comes out of `/dev/shm`, which may be small.
    ///
    /// # Errors
    /// `Invalid`: no such name is possible; `Os` (EEXIST: there is one of this name; EMFILE, ...), `NoMemory`.
    pub fn create(name: &str, options: QueueOptions) -> Result<Self> {
        const OPERATION: &str = "create queue";
        // It grows as need be: a copy of a file of such a length would fill a disk with zeros.
        let queue = Self::over(name::nameable(name, HEAD + size_of_ring(0), OPERATION)?, OPERATION)?;
        queue.head()?.init(options);
        name::give(name, &queue.file, OPERATION)?;
        Ok(queue)
    }

    /// The queue of a name. It has no [`event_fd`](Self::event_fd): [`wait`](Self::wait) and [`get`](Self::get) wait.
    ///
    /// # Errors
    /// Those of [`name::open`] and of [`attach`](Self::attach).
    pub fn open(name: &str) -> Result<Self> {
        Self::attach(name::open(name)?)
    }

    /// The queue behind a descriptor that came from another process.
    ///
    /// # Errors
    /// `Invalid`: it is no queue, or one of another version. `Os`, `NoMemory`.
    pub fn attach(file: OwnedFd) -> Result<Self> {
        Self::attach_with(file, None)
    }

    /// The queue behind a descriptor that came from another process, and its [`bell_fd`](Self::bell_fd).
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_selectable(file: OwnedFd, bell: OwnedFd) -> Result<Self> {
        Self::attach_with(file, Some(Wake::from(bell)))
    }

    fn attach_with(file: OwnedFd, bell: Option<Wake>) -> Result<Self> {
        const OPERATION: &str = "attach queue";
        let length = sys::shared_length(file.as_fd())
            .map_err(|_| Error::with_detail(Kind::Invalid, OPERATION, "the descriptor is of no queue"))?;
        if length < HEAD + size_of_ring(0) {
            let error = Error::with_detail(Kind::Invalid, OPERATION, "the memory is too short for a queue");
            return Err(name::named(error, file.as_fd()));
        }
        let mut queue = Self::over(file, OPERATION)?;
        queue.head()?.check().map_err(|error| name::named(error, queue.file.as_fd()))?;
        if queue.head()?.is_selectable() && bell.is_none() {
            let detail = "it is selectable: attach with its second descriptor, too";
            return Err(Error::with_detail(Kind::Invalid, OPERATION, detail));
        }
        if let Some(bell) = &bell {
            let detail = if !queue.head()?.is_selectable() {
                "it was not made selectable: attach without a second descriptor"
            } else if !bell.is_one().map_err(failed(OPERATION))? {
                "the second descriptor is not the one of a queue"
            } else {
                ""
            };
            if !detail.is_empty() {
                return Err(Error::with_detail(Kind::Invalid, OPERATION, detail));
            }
        }
        queue.bell = bell;
        Ok(queue)
    }

    fn over(file: OwnedFd, operation: &'static str) -> Result<Self> {
        let length = usize::try_from(HEAD).unwrap_or(0);
        let head = Mapping::new(file.as_raw_fd(), 0, length).map_err(failed(operation))?;
        let rings = [const { SetOnce::new() }; RINGS];
        let (takers, putters) = (Spin::default(), Spin::default());
        let has_name = !sys::is_sealed(file.as_fd());
        Ok(Self { file, head, rings, takers, putters, bell: None, has_name })
    }

    fn head(&self) -> Result<&Head> {
        Head::of(&self.head)
    }

    /// Puts an item at the end, waiting for room until the deadline.
    ///
    /// # Errors
    /// `Full` (only with [`Deadline::NOW`]), `Timeout` (with that one too, after 250 ms, where a process is stopped in the
    /// middle of putting), `Closed`, `FrameTooLarge` (over `max_bytes`),
    /// `NoMemory`, `Interrupted`, `Corrupt`. In every case nothing was put.
    pub fn put(&self, body: &[u8], deadline: Deadline) -> Result<()> {
        self.put_vectored(&[IoSlice::new(body)], deadline)
    }

    /// Like [`put`](Self::put), with one body of several parts.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_vectored(&self, body: &[IoSlice<'_>], deadline: Deadline) -> Result<()> {
        let head = self.head()?;
        self.put_waiting(head, |may_grow| self.put_locked(head, body, may_grow), deadline)
    }

    /// Has `put` do its work with the put side's lock held, as soon as there is room.
    fn put_waiting<T>(
        &self,
        head: &Head,
        mut put: impl FnMut(bool) -> Result<Outcome<T>>,
        deadline: Deadline,
    ) -> Result<T> {
        let (mut waiting, mut grace) = (Waiting::new(&self.putters), None);
        let mut may_grow = deadline.is_now();
        let mut attempt = || loop {
            match self.put_once(head, || put(may_grow), for_the_lock(deadline))? {
                Outcome::Put(result) => return Ok(result),
                Outcome::Full(_) if deadline.is_now() => return Err(Error::new(Kind::Full, PUT)),
                Outcome::Full(version) => {
                    waiting.for_commit(&head.get, version, PUT, deadline)?;
                }
                Outcome::Crowded(version) => {
                    let grace = *grace.get_or_insert_with(|| Deadline::after(GRACE).min(deadline));
                    match waiting.for_commit(&head.get, version, PUT, grace) {
                        Err(error) if error.kind() == Kind::Timeout => may_grow = true,
                        other => other?,
                    }
                }
            }
        };
        let put = attempt();
        waiting.ended(&put);
        if put.is_ok() && waiting.slept() {
            pass_room_on(head)?;
        }
        put
    }

    /// Puts an item if that needs no waiting at all, not even for another thread that is just putting one.
    ///
    /// # Errors
    /// As [`put_vectored`](Self::put_vectored) with [`Deadline::NOW`]; `WouldBlock`: somebody is putting.
    pub fn try_put(&self, body: &[IoSlice<'_>]) -> Result<()> {
        let head = self.head()?;
        match self.put_once(head, || self.put_locked(head, body, false), Deadline::NOW)? {
            Outcome::Put(()) => Ok(()),
            Outcome::Full(_) => Err(Error::new(Kind::Full, PUT)),
            Outcome::Crowded(_) => Err(Error::new(Kind::WouldBlock, PUT)),
        }
    }

    /// Takes the put side's lock, in the state that a dead holder should have left behind.
    fn lock_put<'a>(&self, head: &'a Head, patience: Deadline) -> Result<Held<'a>> {
        let taken = head.put.acquire(PUT, patience)?;
        let held = Held(&head.put.lock);
        if taken == Taken::FromDead {
            self.ring_bell(head);
            self.tidy_after_dead(head)?;
        }
        Ok(held)
    }

    fn put_once<T>(
        &self,
        head: &Head,
        put: impl FnOnce() -> Result<Outcome<T>>,
        patience: Deadline,
    ) -> Result<Outcome<T>> {
        // Before the lock, which tells consumers of a closed queue that there may be more to come.
        if head.is_closed() {
            return Err(Error::new(Kind::Closed, PUT));
        }
        let held = self.lock_put(head, patience)?;
        let outcome = put()?;
        drop(held);
        if matches!(outcome, Outcome::Put(_)) && head.put.take_sleepers() {
            wake(head.put.word(), 1);
        }
        Ok(outcome)
    }

    /// Makes the queue one that can be waited for together with other things: [`event_fd`](Self::event_fd). It is
    /// to be called before another process has the queue, which needs [`bell_fd`](Self::bell_fd) to attach.
    ///
    /// # Errors
    /// `State`: it has a name, and the second descriptor cannot be passed by one; `Os` (EMFILE, ...).
    pub fn selectable(mut self) -> Result<Self> {
        if self.has_name {
            return Err(self.no_bell("make queue selectable"));
        }
        self.bell = Some(Wake::new().map_err(failed("make queue"))?);
        self.head()?.set_selectable();
        Ok(self)
    }

    /// A descriptor that is readable while an item is in the queue, for poll, epoll and the like. It costs nothing
    /// before the first call of this; from then on each operation that matters to it is a system call longer.
    ///
    /// # Errors
    /// `State`: the queue was not made [`selectable`](Self::selectable).
    pub fn event_fd(&self) -> Result<BorrowedFd<'_>> {
        let (head, bell) = (self.head()?, self.bell()?);
        head.watched.store(1, Ordering::SeqCst);
        if !self.is_empty()? {
            bell.set();
        }
        Ok(sys::lend_fd(bell.fd()))
    }

    /// The descriptor that another process needs besides the queue's own, without making use of it.
    ///
    /// # Errors
    /// As [`event_fd`](Self::event_fd).
    pub fn bell_fd(&self) -> Result<BorrowedFd<'_>> {
        self.bell().map(|bell| sys::lend_fd(bell.fd()))
    }

    fn bell(&self) -> Result<&Wake> {
        self.bell.as_ref().ok_or_else(|| self.no_bell("wait for queue"))
    }

    fn no_bell(&self, operation: &'static str) -> Error {
        let detail = match self.has_name {
            true => {
                "a queue with a name has no descriptor to wait for: wait in get, or use one without a name"
            }
            false => "it was not made selectable",
        };
        Error::with_detail(Kind::State, operation, detail)
    }

    /// An item was put, or perhaps one was, or none ever will be.
    fn ring_bell(&self, head: &Head) {
        if head.watched.load(Ordering::SeqCst) != 0
            && let Some(bell) = &self.bell
        {
            bell.set();
        }
    }

    /// An item was taken; the get side's lock is held.
    fn quiet_bell(&self, head: &Head) -> Result<()> {
        if head.watched.load(Ordering::SeqCst) != 0
            && let Some(bell) = &self.bell
            && self.is_empty()?
        {
            bell.clear();
            // An item put before that has rung in vain, and so has the end.
            if !self.is_empty()? || head.is_closed() {
                bell.set();
            }
        }
        Ok(())
    }

    /// Waits until an item is there, and leaves it.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Closed` (and empty), `Interrupted`, `Corrupt`.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        const OPERATION: &str = "wait for queue";
        let head = self.head()?;
        let mut waiting = Waiting::new(&self.takers);
        let mut attempt = || loop {
            let (version, _) = head.put.read()?;
            if !self.is_empty()? {
                return Ok(());
            }
            if head.is_over(version)? {
                return Err(Error::new(Kind::Closed, OPERATION));
            }
            if deadline.is_now() {
                return Err(Error::new(Kind::WouldBlock, OPERATION));
            }
            waiting.for_commit(&head.put, version, OPERATION, deadline)?;
        };
        let waited = attempt();
        waiting.ended(&waited);
        if waited.is_ok() && waiting.slept() {
            // This one leaves the item that it may have been woken for.
            head.put.note_sleepers();
            if head.put.take_sleepers() {
                wake(head.put.word(), 1);
            }
        }
        waited
    }

    /// How many items are in the queue, at this moment.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn len(&self) -> Result<u64> {
        let head = self.head()?;
        // In this order the difference cannot be negative.
        let (_, start) = head.get.read()?;
        let (_, end) = head.put.read()?;
        Ok(end.items.wrapping_sub(start.items))
    }

    /// Whether the queue is empty, at this moment.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|items| items == 0)
    }

    /// The bytes of the bodies in the queue, at this moment.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn bytes(&self) -> Result<u64> {
        let head = self.head()?;
        let (_, start) = head.get.read()?;
        let (_, end) = head.put.read()?;
        Ok(end.bytes.wrapping_sub(start.bytes))
    }

    /// The limits it was made with.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn options(&self) -> Result<QueueOptions> {
        let head = self.head()?;
        Ok(QueueOptions { max_items: head.max_items(), max_bytes: head.max_bytes(), soft: head.is_soft() })
    }

    /// Ends the queue for everybody: nothing more is put, what is in it may still be taken, then `get` fails
    /// with `Closed`. Wakes all who wait.
    ///
    /// # Errors
    /// `Corrupt`; `Reentrant`, from the reader of an item in place.
    pub fn close(&self) -> Result<()> {
        const OPERATION: &str = "close queue";
        let head = self.head()?;
        Self::refuse_reader(head, OPERATION)?;
        head.close();
        for side in [&head.put, &head.get] {
            // A commit of the same moves the version that sleepers sleep on.
            side.acquire(OPERATION, Deadline::NEVER)?;
            let held = Held(&side.lock);
            side.commit(side.read()?.1);
            drop(held);
            wake(side.word(), i32::MAX);
        }
        self.ring_bell(head);
        Ok(())
    }

    /// Whether the queue has been closed.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn is_closed(&self) -> Result<bool> {
        self.head().map(Head::is_closed)
    }

    /// A taker is done with an item; see [`join`](Self::join).
    ///
    /// # Errors
    /// `Invalid`: it was called more often than items were put.
    pub fn task_done(&self) -> Result<()> {
        let head = self.head()?;
        loop {
            let done = head.done.load(Ordering::SeqCst);
            let put = head.put.read()?.1.items;
            if done >= put {
                return Err(Error::with_detail(
                    Kind::Invalid,
                    "task_done",
                    "called more often than items were put",
                ));
            }
            if head.done.compare_exchange(done, done + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                if done + 1 == put && head.joiners.swap(0, Ordering::SeqCst) != 0 {
                    wake(&head.done, i32::MAX);
                }
                return Ok(());
            }
        }
    }

    /// How many items were put that nobody is done with yet.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn unfinished(&self) -> Result<u64> {
        let head = self.head()?;
        let done = head.done.load(Ordering::SeqCst);
        Ok(head.put.read()?.1.items.saturating_sub(done))
    }

    /// Waits until [`task_done`](Self::task_done) has been called for every item that was put.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Interrupted`.
    pub fn join(&self, deadline: Deadline) -> Result<()> {
        const OPERATION: &str = "join queue";
        let head = self.head()?;
        let mut slice = SLICE;
        loop {
            let done = head.done.load(Ordering::SeqCst);
            if done >= head.put.read()?.1.items {
                return Ok(());
            }
            if deadline.is_now() {
                return Err(Error::new(Kind::WouldBlock, OPERATION));
            }
            head.joiners.store(1, Ordering::SeqCst);
            if head.done.load(Ordering::SeqCst) == done {
                interrupt::check(OPERATION)?;
                sleep(&head.done, done, slice, OPERATION, deadline)?;
                slice = interrupt::longest_sleep(SLICE, (slice * 2).min(SLICE * 8));
            }
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
