// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stream of records through the rings, with the lock of the side held.
#![forbid(unsafe_code)]

use super::layout::{Commit, Head, RINGS, corrupt, ring_for, size_of_ring, start_of_ring};
use super::ring::Ring;
use super::{GET, Held, PUT, Queue, failed};
use crate::error::{Error, Kind, Result};
use crate::frame::Body;
use crate::sys::{self, Mapping};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;

/// A ring that is larger than this is left when it falls empty.
const KEPT: u64 = 4 << 20;
/// Before a ring of that size is left for a larger one, a producer waits up to [`GRACE`] for room: where consumers keep
/// up, the queue stays in memory that it has already, and in the processor's caches.
const CROWD: u64 = 4 << 20;
/// Before each body comes its length.
const WORD: u64 = 8;
/// In place of a length: the stream goes on at the ring's beginning.
const RESTART: u64 = u64::MAX;
/// Bodies from this length on begin there when the queue is empty, which spares the processor's caches. Not in a ring
/// of [`CROWD`] and more, which is in use because producers run ahead: what consumers have just read is in their caches,
/// and memory that they read some time ago is quicker to write to.
const LARGE: u64 = 64 << 10;

/// The result of an attempt to put. The versions are of the get side, to wait on.
pub(super) enum Outcome<T> {
    Put(T),
    /// The queue has as many items or bytes as it may have.
    Full(u64),
    /// There is no room without taking more memory, and the queue has a good deal already.
    Crowded(u64),
}

/// The obstacle to taking an item.
pub(super) enum Blocked {
    /// The other side has to get on from this version.
    At(u64),
    Failed(Error),
}

impl From<Error> for Blocked {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The bytes that a body of this length takes in a ring; `None` where no ring is large enough.
fn record(length: u64) -> Option<u64> {
    Some(length.checked_next_multiple_of(WORD)?.checked_add(WORD)?)
        .filter(|bytes| *bytes <= size_of_ring(RINGS - 1))
}

/// Whether a body of this length has to wait for others to be taken.
pub(super) fn is_full(head: &Head, length: u64, start: Commit, end: Commit) -> Result<bool> {
    let (max_items, max_bytes) = (head.max_items(), head.max_bytes());
    // A soft limit is for what is there before.
    let length = if head.is_soft() { 1 } else { length };
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

/// Records in one ring that can be taken: from where the get side is, so many bytes. `end` is where the put side was seen.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) start: Commit,
    pub(super) end: Commit,
    pub(super) left: u64,
}

/// A body in its ring, which is about to be taken. The get side's lock is held.
pub(super) struct Record<'a> {
    memory: Ring<'a>,
    place: u64,
    length: u64,
}

impl Record<'_> {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Copies it into memory of the caller's.
    pub(super) fn copy_into<B: Body>(&self, mut body: B) -> Result<B> {
        let mut copied = 0;
        while copied < self.length {
            let room = body.room(self.length - copied)?;
            let step = usize::try_from(self.length - copied).unwrap_or(usize::MAX).min(room.len());
            if step == 0 {
                return Err(Error::with_detail(Kind::Buffer, GET, format!("{} bytes", self.length)));
            }
            self.memory.read(self.place + copied, room.get_mut(..step).unwrap_or_default(), GET)?;
            body.wrote(step);
            copied += step as u64;
        }
        Ok(body)
    }

    /// Where it is.
    pub(super) fn part(&self) -> Result<NonNull<[u8]>> {
        self.memory.part(self.place, self.length, GET)
    }
}

impl Queue {
    /// The ring in this process's memory. `grow` makes it where there is none yet.
    pub(super) fn ring(&self, ring: usize, operation: &'static str, grow: bool) -> Result<Ring<'_>> {
        let slot = self.rings.get(ring).ok_or_else(|| corrupt("a ring"))?;
        if let Some(mapping) = slot.get() {
            return Ok(Ring::new(mapping));
        }
        let (start, size) = (start_of_ring(ring), size_of_ring(ring));
        let length = sys::shared_length(self.file.as_fd()).map_err(failed(operation))?;
        if length < start + size {
            if !grow {
                return Err(corrupt("a ring beyond the file"));
            }
            sys::grow_file(&self.file, start + size).map_err(failed(operation))?;
        }
        let bytes = usize::try_from(size).map_err(|_| Error::new(Kind::NoMemory, operation))?;
        let mapping = match Mapping::twice(self.file.as_raw_fd(), start, bytes) {
            // RLIMIT_AS, or RLIMIT_MEMLOCK where all memory is locked.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOMEM | libc::EAGAIN)) => {
                return Ok(Ring::unmapped(&self.file, start, size));
            }
            other => other.map_err(failed(operation))?,
        };
        // Another thread may have been quicker; then this mapping goes again.
        Ok(Ring::new(slot.get_or_set(mapping)))
    }

    /// Takes the memory of a ring that the stream is about to enter, where there may be none: in the directory of names.
    fn reserve(&self, ring: usize) -> Result<()> {
        if !self.has_name {
            return Ok(());
        }
        sys::reserve_file(&self.file, start_of_ring(ring), size_of_ring(ring)).map_err(failed(PUT))
    }

    pub(super) fn put_locked(
        &self,
        head: &Head,
        body: &[IoSlice<'_>],
        may_grow: bool,
    ) -> Result<Outcome<()>> {
        if head.is_closed() {
            return Err(Error::new(Kind::Closed, PUT));
        }
        let (_, end) = head.put.read()?;
        Ok(match self.write(head, end, body, may_grow)? {
            Outcome::Put(after) => {
                self.commit_put(head, after);
                Outcome::Put(())
            }
            Outcome::Full(version) => Outcome::Full(version),
            Outcome::Crowded(version) => Outcome::Crowded(version),
        })
    }

    /// Puts the items that are written before `after`. The put side's lock is held.
    pub(super) fn commit_put(&self, head: &Head, after: Commit) {
        head.put.commit(after);
        // At once, before the lock is released: a waiter that selects sleeps on if this process is killed in between,
        // and the process that takes the lock over rings.
        self.ring_bell(head);
    }

    /// Writes a body at `end`, which may be past what is committed, and returns where the stream ends after it. It is not
    /// put before that is committed. The put side's lock is held.
    pub(super) fn write(
        &self,
        head: &Head,
        end: Commit,
        body: &[IoSlice<'_>],
        may_grow: bool,
    ) -> Result<Outcome<Commit>> {
        let length = body.iter().map(|part| part.len() as u64).sum();
        let too_large = || Error::with_detail(Kind::FrameTooLarge, PUT, format!("{length} bytes"));
        let need = record(length).ok_or_else(too_large)?;
        let size = size_of_ring(end.ring);
        let (mut version, mut start) = (0, head.put.seen()?);
        // The start seen by a producer that died in the middle of [`shrink`](Self::shrink) is of another ring, and may
        // make no sense in this one.
        let fits = |start| free(start, end, size).is_ok_and(|free| need <= free);
        if is_full(head, length, start, end)? || !fits(start) {
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
            // Before its memory is taken, which in the directory of names would stay taken.
            self.ring(next, PUT, true)?;
            self.reserve(next)?;
            head.set_exit(end.ring, end.place, next);
            (next, 0)
        };
        let memory = self.ring(ring, PUT, false)?;
        let place = if length >= LARGE { self.restart(head, memory, ring, place, need)? } else { place };
        memory.write(place, &length.to_le_bytes(), PUT)?;
        let mut at = place + WORD;
        for part in body {
            memory.write(at, part, PUT)?;
            at += part.len() as u64;
        }
        Ok(Outcome::Put(Commit {
            ring,
            place: place + need,
            items: end.items.wrapping_add(1),
            bytes: end.bytes.wrapping_add(length),
        }))
    }

    /// Where a record that is to be at `place` goes: to the ring's beginning if the queue is empty and it fits there.
    fn restart(&self, head: &Head, memory: Ring<'_>, ring: usize, place: u64, need: u64) -> Result<u64> {
        let size = size_of_ring(ring);
        if size >= CROWD || place % size < need {
            return Ok(place);
        }
        let (_, start) = head.get.read()?;
        if (start.ring, start.place) != (ring, place) {
            return Ok(place);
        }
        // Counted from what was seen before there would be more in the ring than it has room for.
        head.put.see(start);
        memory.write(place, &RESTART.to_le_bytes(), PUT)?;
        Ok(place.next_multiple_of(size))
    }

    /// A ring of at least twice the size that the stream does not run through now.
    fn next_ring(&self, head: &Head, start: usize, end: usize, need: u64) -> Result<usize> {
        let least = ring_for(need.max(size_of_ring(end) * 2)).unwrap_or(RINGS);
        Self::unused_rings(head, start, end)?
            .find(|ring| *ring >= least)
            .ok_or_else(|| Error::with_detail(Kind::NoMemory, PUT, "the queue holds a TiB"))
    }

    /// The rings that the stream does not run through, the smallest first. The put side's lock is held.
    fn unused_rings(head: &Head, start: usize, end: usize) -> Result<impl Iterator<Item = usize>> {
        let mut used = [false; RINGS];
        let mut ring = start;
        // From the consumers' ring to the producers'; consumers may go on meanwhile, which only frees rings.
        for _ in 0..RINGS {
            *used.get_mut(ring).ok_or_else(|| corrupt("a ring"))? = true;
            if ring == end {
                return Ok(used.into_iter().enumerate().filter_map(|(ring, used)| (!used).then_some(ring)));
            }
            ring = head.exit(ring)?.1;
        }
        Err(corrupt("the chain of rings"))
    }

    /// Gives back the memory of a ring that a producer entered and did not live to commit. The put side's lock is held.
    pub(super) fn tidy_after_dead(&self, head: &Head) -> Result<()> {
        let length = sys::shared_length(self.file.as_fd()).map_err(failed(PUT))?;
        let ((_, start), (_, end)) = (head.get.read()?, head.put.read()?);
        for ring in Self::unused_rings(head, start.ring, end.ring)? {
            if start_of_ring(ring) < length && !self.keeps(ring) {
                sys::punch_file(&self.file, start_of_ring(ring), size_of_ring(ring)).map_err(failed(PUT))?;
            }
        }
        Ok(())
    }

    /// Whether a ring keeps its memory when the stream leaves it. The smallest one of a queue with a name does, so that
    /// the stream can always come back to it.
    fn keeps(&self, ring: usize) -> bool {
        self.has_name && ring == 0
    }

    pub(super) fn get_locked<T>(
        &self,
        head: &Head,
        take: &mut impl FnMut(Run) -> Result<T>,
    ) -> std::result::Result<T, Blocked> {
        let (_, start) = head.get.read()?;
        let seen = head.get.seen()?;
        if seen.ring == start.ring && seen.place > start.place {
            let left = seen.place - start.place;
            if left <= size_of_ring(start.ring) {
                return Ok(take(Run { start, end: seen, left })?);
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
                return Ok(take(Run { start, end, left })?);
            }
            match next {
                Some(next) => self.leave_ring(head, start, next)?,
                None if head.is_over(version)? => return Err(Error::new(Kind::Closed, GET).into()),
                None => return Err(Blocked::At(version)),
            }
        }
        Err(corrupt("the chain of rings").into())
    }

    /// Takes the item at the beginning of a run.
    pub(super) fn take<T>(
        &self,
        head: &Head,
        run: Run,
        receive: &mut impl FnMut(&Record<'_>) -> Result<T>,
    ) -> Result<T> {
        let (record, rest) = self.first(run)?;
        let received = receive(&record)?;
        self.commit_taken(head, rest);
        Ok(received)
    }

    /// The record at the beginning of a run, and the run after it.
    pub(super) fn first(&self, run: Run) -> Result<(Record<'_>, Run)> {
        let memory = self.ring(run.start.ring, GET, false)?;
        let Run { mut start, end, mut left } = run;
        let mut length = memory.word(start.place, GET)?;
        if length == RESTART {
            let place = start.place.next_multiple_of(size_of_ring(start.ring));
            left = left
                .checked_sub(place - start.place)
                .filter(|left| *left > 0)
                .ok_or_else(|| corrupt("a place"))?;
            start.place = place;
            length = memory.word(place, GET)?;
        }
        let bytes = record(length).filter(|bytes| *bytes <= left).ok_or_else(|| corrupt("a length"))?;
        let after = Commit {
            ring: start.ring,
            place: start.place + bytes,
            items: start.items.wrapping_add(1),
            bytes: start.bytes.wrapping_add(length),
        };
        let record = Record { memory, place: start.place + WORD, length };
        Ok((record, Run { start: after, end, left: left - bytes }))
    }

    /// Everything before `rest` is taken. The get side's lock is held.
    pub(super) fn commit_taken(&self, head: &Head, rest: Run) {
        head.get.commit(rest.start);
        let ring = rest.start.ring;
        if rest.left == 0 && ring == rest.end.ring && size_of_ring(ring) > KEPT {
            // It is taken, whatever becomes of this: the consumer of the next item tries again.
            let _ = self.shrink(head, rest.start);
        }
    }

    /// The stream goes on in another ring; the memory of this one is given back. The get side's lock is held.
    fn leave_ring(&self, head: &Head, start: Commit, next: usize) -> Result<()> {
        // Before the commit, which lets producers use the ring again.
        if !self.keeps(start.ring) {
            sys::punch_file(&self.file, start_of_ring(start.ring), size_of_ring(start.ring))
                .map_err(failed(GET))?;
        }
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
        // The start that producers have seen of an earlier stream through that ring is obsolete.
        head.put.see(Commit { ring: 0, place: 0, ..start });
        head.put.commit(Commit { ring: 0, place: 0, ..end });
        drop(held);
        self.leave_ring(head, start, 0)
    }
}
