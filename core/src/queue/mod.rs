// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue of messages in memory that processes share.
//!
//! # The idea
//! A stream of records, each a length and a body, in a ring. Producers take turns at its end and consumers at its
//! beginning, each side under a lock of its own, so the two sides meet only when they look how far the other
//! one is. A change is one store (see `layout`): a process killed at any instant has put an item or has not, and
//! has taken one or has not. The lock of a dead holder is taken over (see the module `sync`).
//!
//! # Growing
//! A record that does not fit makes the stream leave its ring for one of at least twice the size, at once and
//! without copying anything: *exits* in the head say where. Consumers follow, and the memory of a ring that they
//! leave is given back. When a large ring falls empty the stream goes back to the smallest. So an unbounded queue
//! never blocks a producer, and keeps no more memory than its largest recent crowd needed. One that has
//! some MiB already first gives the consumers a moment.
//!
//! # Waiting
//! Who finds nothing looks again for some microseconds and then sleeps on the other side's version. Each sleep
//! is bounded by `SLICE`, because the one sleeper that was woken for an item may be killed before it takes it.
//!
//! # Lock order
//! The get side's lock before the put side's, and the second one only if it is free.

mod layout;
mod ring;

use crate::error::{Error, Kind, Result};
use crate::frame::{Body, Slice};
use crate::interrupt;
use crate::net::{Spin, Wait};
use crate::sync::Mutex;
use crate::sys::{self, Mapping, Wake};
use crate::time::Deadline;
use layout::{Commit, HEAD, Head, RINGS, Side, corrupt, ring_for, size_of_ring, start_of_ring};
use ring::Ring;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest sleep between two looks.
const SLICE: Duration = Duration::from_millis(500);
/// A ring that is larger than this is left when it falls empty.
const KEPT: u64 = 8 << 20;
/// Before a ring of that size is left for a larger one, a producer waits up to [`GRACE`] for room: where consumers keep
/// up, the queue stays in memory that it has already, and in the processor's caches.
const CROWD: u64 = 8 << 20;
const GRACE: Duration = Duration::from_millis(5);
/// Before each body comes its length.
const WORD: u64 = 8;

const PUT: &str = "put";
const GET: &str = "get";

/// The limits of a [`Queue`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// The most items in the queue; 0 is no limit.
    pub max_items: u64,
    /// The most bytes of bodies in the queue; 0 is no limit. A body over it is refused.
    pub max_bytes: u64,
}

/// A queue of messages for threads and processes: first in, first out, any number of producers and consumers.
///
/// All calls may be made from any thread. A child made by fork has the queue, too; another program gets it by its
/// descriptor ([`as_fd`](AsFd::as_fd), [`attach`](Self::attach)). What a process had not taken when it was killed
/// is there for the others.
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
    rings: [OnceLock<Mapping>; RINGS],
    takers: Spin,
    putters: Spin,
    bell: Option<Wake>,
}

/// What became of an attempt to put. The versions are of the get side, to wait on.
enum Outcome {
    Put,
    /// The queue has as many items or bytes as it may have.
    Full(u64),
    /// There is no room without taking more memory, and the queue has a good deal already.
    Crowded(u64),
}

/// What stands in the way of taking an item.
enum Blocked {
    /// The other side has to get on from this version.
    At(u64),
    Failed(Error),
}

impl From<Error> for Blocked {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
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
        _ => Error::from_io(&error, operation),
    }
}

fn record(length: u64) -> Option<u64> {
    Some(length.checked_next_multiple_of(WORD)?.checked_add(WORD)?)
        .filter(|bytes| *bytes <= size_of_ring(RINGS - 1))
}

fn wake(word: &AtomicU64, count: i32) {
    sys::futex_wake(sys::low_half(word), count);
}

/// Sleeps until the word has another value, the slice or the deadline is over.
fn sleep(word: &AtomicU64, value: u64, operation: &'static str, deadline: Deadline) -> Result<()> {
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    match sys::futex_wait(sys::low_half(word), low, deadline.min(Deadline::after(SLICE))) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::TimedOut && deadline.expired() => {
            Err(Error::new(Kind::Timeout, operation))
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
            interrupt::check(operation)
        }
        Err(e) => Err(Error::from_io(&e, operation)),
    }
}

/// Whether a body of this length has to wait for others to be taken.
fn is_full(head: &Head, length: u64, start: Commit, end: Commit) -> Result<bool> {
    let (max_items, max_bytes) = (head.max_items(), head.max_bytes());
    if max_bytes != 0 && length > max_bytes {
        let detail =
            format!("{length} bytes; the queue holds at most {max_bytes}: make it with a larger max_bytes");
        return Err(Error::with_detail(Kind::FrameTooLarge, PUT, detail));
    }
    let bytes = end.bytes.wrapping_sub(start.bytes).saturating_add(length);
    let full = max_items != 0 && end.items.wrapping_sub(start.items) >= max_items;
    Ok(full || (max_bytes != 0 && bytes > max_bytes))
}

/// The bytes that can be written before the record at `start` is reached.
fn free(start: Commit, end: Commit, size: u64) -> Result<u64> {
    let used = if start.ring == end.ring { end.place.checked_sub(start.place) } else { Some(end.place) };
    used.and_then(|used| size.checked_sub(used)).ok_or_else(|| corrupt("a place"))
}

/// How long to wait for a side's lock: it is never held for long, so who does not wait for room waits for it.
fn for_the_lock(deadline: Deadline) -> Deadline {
    if deadline.is_now() { Deadline::NEVER } else { deadline }
}

/// Waits until a side has got on from `version`.
fn await_commit<'a>(
    side: &Side,
    version: u64,
    spin: &'a Spin,
    wait: &mut Option<Wait<'a>>,
    operation: &'static str,
    deadline: Deadline,
) -> Result<()> {
    let moved = || (side.word().load(Ordering::SeqCst) != version).then_some(());
    if wait.is_none() {
        let wait = wait.insert(spin.wait());
        if wait.spin(moved).is_some() {
            return Ok(());
        }
        interrupt::check(operation)?;
        crate::blocking::about_to_block();
    }
    side.note_sleepers();
    if moved().is_some() {
        return Ok(());
    }
    sleep(side.word(), version, operation, deadline)
}

impl Queue {
    /// An empty queue.
    ///
    /// # Errors
    /// `Os` (EMFILE, ...), `NoMemory`.
    pub fn new(options: QueueOptions) -> Result<Self> {
        let file = sys::memory_file(HEAD + size_of_ring(0)).map_err(failed("make queue"))?;
        let queue = Self::over(file, "make queue")?;
        queue.head()?.init(options.max_items, options.max_bytes);
        Ok(queue)
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
        let length = sys::sealed_length(file.as_fd())
            .map_err(|_| Error::with_detail(Kind::Invalid, OPERATION, "the descriptor is of no queue"))?;
        if length < HEAD + size_of_ring(0) {
            return Err(Error::with_detail(Kind::Invalid, OPERATION, "the memory is too short for a queue"));
        }
        let mut queue = Self::over(file, OPERATION)?;
        queue.head()?.check()?;
        if queue.head()?.is_selectable() && bell.is_none() {
            let detail = "it is selectable: attach with its second descriptor, too";
            return Err(Error::with_detail(Kind::Invalid, OPERATION, detail));
        }
        queue.bell = bell;
        Ok(queue)
    }

    fn over(file: OwnedFd, operation: &'static str) -> Result<Self> {
        let length = usize::try_from(HEAD).unwrap_or(0);
        let head = Mapping::new(file.as_raw_fd(), 0, length).map_err(failed(operation))?;
        let rings = [const { OnceLock::new() }; RINGS];
        let (takers, putters) = (Spin::default(), Spin::default());
        Ok(Self { file, head, rings, takers, putters, bell: None })
    }

    fn head(&self) -> Result<&Head> {
        Head::of(&self.head)
    }

    /// The ring in this process's memory. `grow` makes it where there is none yet.
    fn ring(&self, ring: usize, operation: &'static str, grow: bool) -> Result<Ring<'_>> {
        let slot = self.rings.get(ring).ok_or_else(|| corrupt("a ring"))?;
        if let Some(mapping) = slot.get() {
            return Ok(Ring::new(mapping));
        }
        let (start, size) = (start_of_ring(ring), size_of_ring(ring));
        let length = sys::sealed_length(self.file.as_fd()).map_err(failed(operation))?;
        if length < start + size {
            if !grow {
                return Err(corrupt("a ring beyond the file"));
            }
            sys::grow_file(&self.file, start + size).map_err(failed(operation))?;
        }
        let size = usize::try_from(size).map_err(|_| Error::new(Kind::NoMemory, operation))?;
        let mapping = Mapping::new(self.file.as_raw_fd(), start, size).map_err(failed(operation))?;
        // Another thread may have been quicker; then this mapping goes again.
        Ok(Ring::new(slot.get_or_init(|| mapping)))
    }

    /// Puts an item at the end, waiting for room until the deadline.
    ///
    /// # Errors
    /// `Full` (only with [`Deadline::NOW`]), `Timeout`, `Closed`, `FrameTooLarge` (over `max_bytes`),
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
        let (mut wait, mut grace) = (None, None);
        let mut may_grow = deadline.is_now();
        loop {
            match self.put_once(head, body, for_the_lock(deadline), may_grow)? {
                Outcome::Put => return Ok(()),
                Outcome::Full(_) if deadline.is_now() => return Err(Error::new(Kind::Full, PUT)),
                Outcome::Full(version) => {
                    await_commit(&head.get, version, &self.putters, &mut wait, PUT, deadline)?;
                }
                Outcome::Crowded(version) => {
                    let grace = *grace.get_or_insert_with(|| Deadline::after(GRACE).min(deadline));
                    match await_commit(&head.get, version, &self.putters, &mut wait, PUT, grace) {
                        Err(error) if error.kind() == Kind::Timeout => may_grow = true,
                        other => other?,
                    }
                }
            }
        }
    }

    /// Puts an item if that needs no waiting at all, not even for another thread that is just putting one.
    ///
    /// # Errors
    /// As [`put_vectored`](Self::put_vectored) with [`Deadline::NOW`]; `WouldBlock`: somebody is putting.
    pub fn try_put(&self, body: &[IoSlice<'_>]) -> Result<()> {
        match self.put_once(self.head()?, body, Deadline::NOW, false)? {
            Outcome::Put => Ok(()),
            Outcome::Full(_) => Err(Error::new(Kind::Full, PUT)),
            Outcome::Crowded(_) => Err(Error::new(Kind::WouldBlock, PUT)),
        }
    }

    fn put_once(
        &self,
        head: &Head,
        body: &[IoSlice<'_>],
        patience: Deadline,
        may_grow: bool,
    ) -> Result<Outcome> {
        head.put.lock.lock(PUT, patience)?;
        let held = Held(&head.put.lock);
        let outcome = self.put_locked(head, body, may_grow)?;
        drop(held);
        if matches!(outcome, Outcome::Put) {
            if head.put.take_sleepers() {
                wake(head.put.word(), 1);
            }
            self.ring_bell(head);
        }
        Ok(outcome)
    }

    fn put_locked(&self, head: &Head, body: &[IoSlice<'_>], may_grow: bool) -> Result<Outcome> {
        if head.is_closed() {
            return Err(Error::new(Kind::Closed, PUT));
        }
        let length = body.iter().map(|part| part.len() as u64).sum();
        let (_, end) = head.put.read()?;
        let too_large = || Error::with_detail(Kind::FrameTooLarge, PUT, format!("{length} bytes"));
        let need = record(length).ok_or_else(too_large)?;
        let size = size_of_ring(end.ring);
        let (mut version, mut start) = (0, head.put.seen()?);
        if is_full(head, length, start, end)? || need > free(start, end, size)? {
            (version, start) = head.get.read()?;
            head.put.see(start);
            if is_full(head, length, start, end)? {
                return Ok(Outcome::Full(version));
            }
        }
        let (ring, place) = if need <= free(start, end, size)? {
            (end.ring, end.place)
        } else if size >= CROWD && need <= size / 2 && !may_grow {
            return Ok(Outcome::Crowded(version));
        } else {
            let next = self.next_ring(head, start.ring, end.ring, need)?;
            self.ring(next, PUT, true)?;
            head.set_exit(end.ring, end.place, next);
            (next, 0)
        };
        let memory = self.ring(ring, PUT, false)?;
        memory.write(place, &length.to_le_bytes());
        let mut at = place + WORD;
        for part in body {
            memory.write(at, part);
            at += part.len() as u64;
        }
        head.put.commit(Commit {
            ring,
            place: place + need,
            items: end.items.wrapping_add(1),
            bytes: end.bytes.wrapping_add(length),
        });
        Ok(Outcome::Put)
    }

    /// A ring of at least twice the size that the stream does not run through now.
    fn next_ring(&self, head: &Head, start: usize, end: usize, need: u64) -> Result<usize> {
        let mut busy = [false; RINGS];
        let mut ring = start;
        // From the consumers' ring to the producers'; consumers may go on meanwhile, which only frees rings.
        for _ in 0..RINGS {
            *busy.get_mut(ring).ok_or_else(|| corrupt("a ring"))? = true;
            if ring == end {
                let least = ring_for(need.max(size_of_ring(end) * 2)).unwrap_or(RINGS);
                return (least..RINGS)
                    .find(|ring| !busy.get(*ring).copied().unwrap_or(true))
                    .ok_or_else(|| Error::with_detail(Kind::NoMemory, PUT, "the queue holds a TiB"));
            }
            ring = head.exit(ring)?.1;
        }
        Err(corrupt("the chain of rings"))
    }

    /// Takes the item at the beginning, waiting for one until the deadline.
    ///
    /// # Errors
    /// `Empty` (only with [`Deadline::NOW`]), `Timeout`, `Closed` (and empty), `NoMemory`, `Interrupted`,
    /// `Corrupt`. In every case nothing was taken.
    pub fn get(&self, deadline: Deadline) -> Result<Vec<u8>> {
        let make = |length| {
            let mut body = Vec::new();
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let no_memory = |_| Error::with_detail(Kind::NoMemory, GET, format!("{length} bytes"));
            body.try_reserve_exact(length).map_err(no_memory).map(|()| body)
        };
        self.get_with(make, deadline)
    }

    /// Like [`get`](Self::get), into the caller's memory; returns the item's length.
    ///
    /// # Errors
    /// As [`get`](Self::get); `Buffer`: the item is longer, by [`Error::needed`].
    pub fn get_into(&self, memory: &mut [u8], deadline: Deadline) -> Result<usize> {
        let mut memory = Some(memory);
        let make = |length: u64| {
            let given = memory.as_ref().map_or(0, |memory| memory.len());
            if length > given as u64 {
                return Err(Error::too_small(GET, length, given));
            }
            Ok(Slice { memory: memory.take().unwrap_or_default(), filled: 0 })
        };
        self.get_with(make, deadline).map(|body| body.filled)
    }

    /// Like [`get`](Self::get), into memory that `make` has for a body of so many bytes. It is called with the
    /// queue locked and must not wait; an error of it leaves the item where it is.
    ///
    /// # Errors
    /// As [`get`](Self::get), and those of `make`.
    pub fn get_with<B: Body>(&self, mut make: impl FnMut(u64) -> Result<B>, deadline: Deadline) -> Result<B> {
        let head = self.head()?;
        let mut wait = None;
        let mut waiting = || loop {
            let version = match self.get_once(head, &mut make, for_the_lock(deadline)) {
                Ok(body) => return Ok(body),
                Err(Blocked::At(version)) => version,
                Err(Blocked::Failed(error)) => return Err(error),
            };
            if deadline.is_now() {
                return Err(Error::new(Kind::Empty, GET));
            }
            await_commit(&head.put, version, &self.takers, &mut wait, GET, deadline)?;
        };
        let taken = waiting();
        if let Some(wait) = wait {
            if taken.is_ok() {
                wait.slept();
            }
            // This one may have been woken for an item that another is to take.
            head.put.note_sleepers();
            if !self.is_empty()? && head.put.take_sleepers() {
                wake(head.put.word(), 1);
            }
        }
        taken
    }

    /// Takes an item if that needs no waiting at all, not even for another thread that is just taking one.
    ///
    /// # Errors
    /// As [`get_with`](Self::get_with) with [`Deadline::NOW`]; `WouldBlock`: somebody is taking.
    pub fn try_get_with<B: Body>(&self, mut make: impl FnMut(u64) -> Result<B>) -> Result<B> {
        self.get_once(self.head()?, &mut make, Deadline::NOW).map_err(|blocked| match blocked {
            Blocked::At(_) => Error::new(Kind::Empty, GET),
            Blocked::Failed(error) => error,
        })
    }

    fn get_once<B: Body>(
        &self,
        head: &Head,
        make: &mut impl FnMut(u64) -> Result<B>,
        patience: Deadline,
    ) -> std::result::Result<B, Blocked> {
        head.get.lock.lock(GET, patience)?;
        let held = Held(&head.get.lock);
        let taken = self.get_locked(head, make);
        if taken.is_ok() {
            self.quiet_bell(head)?;
        }
        drop(held);
        if taken.is_ok() && head.get.take_sleepers() {
            wake(head.get.word(), 1);
        }
        taken
    }

    /// Makes the queue one that can be waited for together with other things: [`event_fd`](Self::event_fd). It is
    /// to be called before another process has the queue, which needs [`bell_fd`](Self::bell_fd) to attach.
    ///
    /// # Errors
    /// `Os` (EMFILE, ...).
    pub fn selectable(mut self) -> Result<Self> {
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
        let none = || Error::with_detail(Kind::State, "wait for queue", "it was not made selectable");
        self.bell.as_ref().ok_or_else(none)
    }

    /// An item was put.
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
            // What was put before that has rung in vain.
            if !self.is_empty()? {
                bell.set();
            }
        }
        Ok(())
    }

    fn get_locked<B: Body>(
        &self,
        head: &Head,
        make: &mut impl FnMut(u64) -> Result<B>,
    ) -> std::result::Result<B, Blocked> {
        let (_, start) = head.get.read()?;
        let seen = head.get.seen()?;
        if seen.ring == start.ring && seen.place > start.place {
            let left = seen.place - start.place;
            if left <= size_of_ring(start.ring) {
                return Ok(self.take(head, start, seen, left, make)?);
            }
        }
        for _ in 0..RINGS {
            let (version, end) = head.put.read()?;
            head.get.see(end);
            let (_, start) = head.get.read()?;
            let (last, next) = match start.ring == end.ring {
                true => (end.place, None),
                false => head.exit(start.ring).map(|(last, next)| (last, Some(next)))?,
            };
            let left = last.checked_sub(start.place).filter(|left| *left <= size_of_ring(start.ring));
            let left = left.ok_or_else(|| corrupt("a place"))?;
            if left > 0 {
                return Ok(self.take(head, start, end, left, make)?);
            }
            match next {
                Some(next) => self.leave_ring(head, start, next)?,
                None if head.is_closed() => return Err(Error::new(Kind::Closed, GET).into()),
                None => return Err(Blocked::At(version)),
            }
        }
        Err(corrupt("the chain of rings").into())
    }

    fn take<B: Body>(
        &self,
        head: &Head,
        start: Commit,
        end: Commit,
        left: u64,
        make: &mut impl FnMut(u64) -> Result<B>,
    ) -> Result<B> {
        let memory = self.ring(start.ring, GET, false)?;
        let length = memory.word(start.place);
        let bytes = record(length).filter(|bytes| *bytes <= left).ok_or_else(|| corrupt("a length"))?;
        let mut body = make(length)?;
        let mut copied = 0;
        while copied < length {
            let room = body.room(length - copied)?;
            let step = usize::try_from(length - copied).unwrap_or(usize::MAX).min(room.len());
            if step == 0 {
                return Err(Error::with_detail(Kind::Buffer, GET, format!("{length} bytes")));
            }
            memory.read(start.place + WORD + copied, room.get_mut(..step).unwrap_or_default());
            body.wrote(step);
            copied += step as u64;
        }
        let after = Commit {
            ring: start.ring,
            place: start.place + bytes,
            items: start.items.wrapping_add(1),
            bytes: start.bytes.wrapping_add(length),
        };
        head.get.commit(after);
        if left == bytes && start.ring == end.ring && size_of_ring(start.ring) > KEPT {
            self.shrink(head, after)?;
        }
        Ok(body)
    }

    /// The stream goes on in another ring; the memory of this one is given back. The get side's lock is held.
    fn leave_ring(&self, head: &Head, start: Commit, next: usize) -> Result<()> {
        // Before the commit, which lets producers use the ring again.
        sys::punch_file(&self.file, start_of_ring(start.ring), size_of_ring(start.ring))
            .map_err(failed(GET))?;
        head.get.commit(Commit { ring: next, place: 0, ..start });
        Ok(())
    }

    /// Has the stream of an empty queue go on in the smallest ring. The get side's lock is held.
    fn shrink(&self, head: &Head, start: Commit) -> Result<()> {
        if !head.put.lock.try_lock() {
            return Ok(());
        }
        let held = Held(&head.put.lock);
        let (_, end) = head.put.read()?;
        if (end.ring, end.place) != (start.ring, start.place) {
            return Ok(());
        }
        head.set_exit(end.ring, end.place, 0);
        // What producers have seen of an earlier stream through that ring is over.
        head.put.see(Commit { ring: 0, place: 0, ..start });
        head.put.commit(Commit { ring: 0, place: 0, ..end });
        drop(held);
        self.leave_ring(head, start, 0)
    }

    /// Waits until an item is there, and leaves it.
    ///
    /// # Errors
    /// `WouldBlock` (only with [`Deadline::NOW`]), `Timeout`, `Closed` (and empty), `Interrupted`, `Corrupt`.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        const OPERATION: &str = "wait for queue";
        let head = self.head()?;
        let mut wait = None;
        loop {
            let (version, _) = head.put.read()?;
            if !self.is_empty()? {
                if wait.is_some() && head.put.take_sleepers() {
                    // This one leaves the item that it may have been woken for.
                    wake(head.put.word(), 1);
                }
                return Ok(());
            }
            if head.is_closed() {
                return Err(Error::new(Kind::Closed, OPERATION));
            }
            if deadline.is_now() {
                return Err(Error::new(Kind::WouldBlock, OPERATION));
            }
            await_commit(&head.put, version, &self.takers, &mut wait, OPERATION, deadline)?;
        }
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
        Ok(QueueOptions { max_items: head.max_items(), max_bytes: head.max_bytes() })
    }

    /// Ends the queue for everybody: nothing more is put, what is in it may still be taken, then `get` fails
    /// with `Closed`. Wakes all who wait.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn close(&self) -> Result<()> {
        let head = self.head()?;
        head.close();
        for side in [&head.put, &head.get] {
            // A commit of the same moves the version that sleepers sleep on.
            side.lock.lock("close queue", Deadline::NEVER)?;
            let held = Held(&side.lock);
            side.commit(side.read()?.1);
            drop(held);
            wake(side.word(), i32::MAX);
        }
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
                sleep(&head.done, done, OPERATION, deadline)?;
            }
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
