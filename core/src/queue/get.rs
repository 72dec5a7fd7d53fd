// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking items.

use super::layout::Head;
use super::stream::{Blocked, Record, Run};
use super::wait::{Waiting, for_the_lock};
use super::{GET, Held, Queue};
use crate::error::{Error, Kind, Result};
use crate::frame::{Body, Slice};
use crate::sync::wake;
use crate::sys::{Identity, thread_mark};
use crate::time::Deadline;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

/// Notes in the queue's memory that this thread reads an item in place, whichever of its handles it uses.
struct Reading<'a> {
    head: &'a Head,
    mark: u64,
}

impl<'a> Reading<'a> {
    fn enter(head: &'a Head) -> Self {
        let mark = thread_mark();
        head.reader.store(mark, Ordering::Relaxed);
        Self { head, mark }
    }

    /// Whether this is still the thread that entered, and not one that came out of a fork in between.
    fn is_mine(&self) -> bool {
        self.mark == thread_mark()
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.is_mine() {
            self.head.reader.store(0, Ordering::Relaxed);
        }
    }
}

/// Memory for a body of so many bytes.
pub(super) fn room_for(length: u64) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let no_memory = |_| Error::with_detail(Kind::NoMemory, GET, format!("{length} bytes"));
    body.try_reserve_exact(length).map_err(no_memory).map(|()| body)
}

impl Queue {
    /// Takes the item at the beginning, waiting for one until the deadline.
    ///
    /// # Errors
    /// `Empty` (only with [`Deadline::NOW`]), `Timeout` (with that one too, after 250 ms, where a process is stopped in the
    /// middle of taking), `Closed` (and empty), `NoMemory`, `Interrupted`,
    /// `Corrupt`. In every case nothing was taken.
    pub fn get(&self, deadline: Deadline) -> Result<Vec<u8>> {
        self.get_with(room_for, deadline)
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
        self.receive(|record| record.copy_into(make(record.length())?), deadline)
    }

    /// Takes the item at the beginning without copying it: `read` has its body where it lies in the queue's memory.
    ///
    /// The item is taken when `read` returns. If `read` panics, or the process is killed in it, the item is the next
    /// consumer's. Meanwhile other consumers wait, and producers go on while there is room, so `read` is best about as
    /// quick as a copy of the body would be. It may use other queues, and put into this one where there is room. Where it
    /// forks, the child has the same item and gets what its own `read` returns; the parent is the one that takes it.
    /// A program that it executes in its place would hold up the queue's consumers until it ends.
    ///
    /// # Errors
    /// As [`get`](Self::get). A call in `read` that takes from this queue, or closes it, fails with `Reentrant`: it
    /// would wait for itself.
    ///
    /// # Example
    /// ```
    /// use carrick::queue::{Queue, QueueOptions};
    /// use carrick::Deadline;
    /// let queue = Queue::new(QueueOptions::default())?;
    /// queue.put(&[1; 1 << 20], Deadline::NEVER)?;
    /// let sum = |frame: &[u8]| frame.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    /// // SAFETY: nobody writes to the queue's memory but carrick.
    /// assert_eq!(unsafe { queue.get_in_place(sum, Deadline::NEVER) }?, 1 << 20);
    /// # Ok::<(), carrick::Error>(())
    /// ```
    ///
    /// # Safety
    /// The slice is shared memory, which the compiler takes to be constant until `read` returns. So everybody who has the
    /// queue must use it by this library, and not write to its memory otherwise.
    pub unsafe fn get_in_place<T>(&self, read: impl FnOnce(&[u8]) -> T, deadline: Deadline) -> Result<T> {
        let head = self.head()?;
        let (mut read, mut childs) = (Some(read), None);
        let receive = |record: &Record<'_>| {
            let part = record.part()?;
            let read = read.take().ok_or_else(|| Error::new(Kind::Panic, GET))?;
            let reading = Reading::enter(head);
            // SAFETY: the bytes are the queue's, mapped as long as it lives. The get side's lock is held, so nobody who
            // keeps the rules writes to them; the caller promises that all do.
            let item = unsafe { part.as_ref() };
            let result = catch_unwind(AssertUnwindSafe(|| read(item)));
            if reading.is_mine() {
                return Ok(result.unwrap_or_else(|panic| resume_unwind(panic)));
            }
            childs = Some(result);
            Err(Error::new(Kind::Forked, GET))
        };
        let received = self.receive(receive, deadline);
        match childs {
            Some(result) => Ok(result.unwrap_or_else(|panic| resume_unwind(panic))),
            None => received,
        }
    }

    fn receive<T>(&self, mut receive: impl FnMut(&Record<'_>) -> Result<T>, deadline: Deadline) -> Result<T> {
        let head = self.head()?;
        self.get_waiting(head, |run| self.take(head, run, &mut receive), deadline)
    }

    /// Has `take` do its work with the get side's lock held, as soon as there is something to take.
    pub(super) fn get_waiting<T>(
        &self,
        head: &Head,
        mut take: impl FnMut(Run) -> Result<T>,
        deadline: Deadline,
    ) -> Result<T> {
        let mut waiting = Waiting::new(&self.takers);
        let mut attempt = || loop {
            let version = match self.get_once(head, &mut take, for_the_lock(deadline)) {
                Ok(received) => return Ok(received),
                Err(Blocked::At(version)) => version,
                Err(Blocked::Failed(error)) => return Err(error),
            };
            if deadline.is_now() {
                return Err(Error::new(Kind::Empty, GET));
            }
            if waiting.slept() && head.put.lock.holder().is_some_and(Identity::is_dead) {
                // Nobody may put any more, and what the dead producer has begun may be large.
                drop(self.lock_put(head, for_the_lock(deadline))?);
            }
            waiting.for_commit(&head.put, version, GET, deadline)?;
        };
        let taken = attempt();
        waiting.ended(&taken);
        if waiting.slept() {
            // This one may have been woken for an item that another is to take.
            head.put.note_sleepers();
            if !self.is_empty()? && head.put.take_sleepers() {
                wake(head.put.word(), 1);
            }
        }
        taken
    }

    /// A consumer that reads an item in place has the get side's lock, and would wait for itself.
    pub(super) fn refuse_reader(head: &Head, operation: &'static str) -> Result<()> {
        if head.reader.load(Ordering::Relaxed) == thread_mark() && head.get.lock.is_mine() {
            let detail = "called while this thread reads an item of the queue in place";
            return Err(Error::with_detail(Kind::Reentrant, operation, detail));
        }
        Ok(())
    }

    /// Takes an item if that needs no waiting at all, not even for another thread that is just taking one.
    ///
    /// # Errors
    /// As [`get_with`](Self::get_with) with [`Deadline::NOW`]; `WouldBlock`: somebody is taking.
    pub fn try_get_with<B: Body>(&self, mut make: impl FnMut(u64) -> Result<B>) -> Result<B> {
        let head = self.head()?;
        let mut receive = |record: &Record<'_>| record.copy_into(make(record.length())?);
        let mut take = |run| self.take(head, run, &mut receive);
        self.get_once(head, &mut take, Deadline::NOW).map_err(|blocked| match blocked {
            Blocked::At(_) => Error::new(Kind::Empty, GET),
            Blocked::Failed(error) => error,
        })
    }

    pub(super) fn get_once<T>(
        &self,
        head: &Head,
        take: &mut impl FnMut(Run) -> Result<T>,
        patience: Deadline,
    ) -> std::result::Result<T, Blocked> {
        if !head.get.lock.try_lock() {
            Self::refuse_reader(head, GET)?;
            head.get.acquire(GET, patience)?;
        }
        let held = Held(&head.get.lock);
        let taken = self.get_locked(head, take);
        if matches!(&taken, Err(Blocked::Failed(error)) if error.kind() == Kind::Forked) {
            // This is the child of a fork in the middle of it: the lock is the parent's.
            std::mem::forget(held);
            return taken;
        }
        if taken.is_ok() {
            self.quiet_bell(head)?;
        }
        drop(held);
        if taken.is_ok() && head.get.take_sleepers() {
            wake(head.get.word(), head.room_is_for());
        }
        taken
    }
}
