// SPDX-License-Identifier: MIT OR Apache-2.0
//! Putting and taking several items at a time.
//!
//! # Batches
//! Items written or copied under one hold of a side's lock are committed by one store, so they are put, or taken, as a
//! whole. A batch ends where the memory of the next item would have to be waited for, and at [`BATCH`] bytes, because the
//! others of that side wait meanwhile.
#![forbid(unsafe_code)]

use super::get::room_for;
use super::layout::Head;
use super::stream::{Outcome, Run};
use super::{GET, PUT, Queue};
use crate::error::{Error, Kind, Result};
use crate::time::Deadline;
use std::fmt;
use std::io::IoSlice;

/// A batch that has come to so many bytes of a ring ends.
const BATCH: u64 = 64 << 10;

/// Not all items could be put.
#[derive(Debug)]
pub struct PutManyError {
    /// So many are in the queue: those at the beginning.
    pub put: usize,
    /// Why the next one is not.
    pub error: Error,
}

impl fmt::Display for PutManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} items that were put)", self.error, self.put)
    }
}

impl std::error::Error for PutManyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<PutManyError> for Error {
    fn from(error: PutManyError) -> Self {
        error.error
    }
}

impl Queue {
    /// Puts items at the end, one after the other, waiting for room until the deadline, which is for all of them.
    ///
    /// It does less work for each than [`put`](Self::put). Consumers have some before the last one is put, and those of
    /// other producers may come between. A process that is killed in it has put a number of them, from the first one on.
    ///
    /// # Example
    /// ```
    /// use carrick::queue::{Queue, QueueOptions};
    /// use carrick::Deadline;
    /// let queue = Queue::new(QueueOptions { max_items: 2, ..QueueOptions::default() })?;
    /// let full = queue.put_many(&["one", "two", "three"], Deadline::NOW).unwrap_err();
    /// assert_eq!(full.put, 2);
    /// assert_eq!(queue.get_many(10, Deadline::NEVER)?, [b"one", b"two"]);
    /// # Ok::<(), carrick::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Self::put), about the first item that was not put: [`PutManyError::put`] says how many were before it.
    pub fn put_many<B: AsRef<[u8]>>(
        &self,
        bodies: &[B],
        deadline: Deadline,
    ) -> std::result::Result<(), PutManyError> {
        let mut rest = bodies;
        self.put_batches(&mut rest, deadline)
            .map_err(|error| PutManyError { put: bodies.len() - rest.len(), error })
    }

    fn put_batches<B: AsRef<[u8]>>(&self, rest: &mut &[B], deadline: Deadline) -> Result<()> {
        let head = self.head()?;
        while !rest.is_empty() {
            let put = self.put_waiting(head, |may_grow| self.put_batch(head, rest, may_grow), deadline)?;
            *rest = rest.get(put..).unwrap_or_default();
        }
        Ok(())
    }

    /// Puts one and, while there is room, more of them; returns how many. The put side's lock is held.
    fn put_batch<B: AsRef<[u8]>>(&self, head: &Head, bodies: &[B], may_grow: bool) -> Result<Outcome<usize>> {
        if head.is_closed() {
            return Err(Error::new(Kind::Closed, PUT));
        }
        let (_, begin) = head.put.read()?;
        let (mut end, mut put, mut written) = (begin, 0, 0);
        for body in bodies {
            let body = body.as_ref();
            match self.write(head, end, &[IoSlice::new(body)], may_grow) {
                Ok(Outcome::Put(after)) => end = after,
                // The next batch meets the obstacle of this one again.
                _ if put > 0 => break,
                Ok(Outcome::Full(version)) => return Ok(Outcome::Full(version)),
                Ok(Outcome::Crowded(version)) => return Ok(Outcome::Crowded(version)),
                Err(error) => return Err(error),
            }
            put += 1;
            written += (size_of::<u64>() + body.len()) as u64;
            if written >= BATCH {
                break;
            }
        }
        self.commit_put(head, end);
        Ok(Outcome::Put(put))
    }

    /// Takes what is in the queue, at most so many items, waiting until the deadline for the first one only.
    ///
    /// It does less work for each than [`get`](Self::get). Where other consumers take at the same time there may be fewer
    /// than were in the queue. The items taken are in this process's hands: if that is killed in it, either nothing has
    /// been taken, or all that it would have returned may be gone. With `max_items` 0 it returns none, at once.
    ///
    /// # Errors
    /// As [`get`](Self::get); then nothing was taken. An obstacle to a later item (`NoMemory`, `Corrupt`) is the
    /// error of the next call.
    pub fn get_many(&self, max_items: usize, deadline: Deadline) -> Result<Vec<Vec<u8>>> {
        let mut items = Vec::new();
        if max_items == 0 {
            return Ok(items);
        }
        let head = self.head()?;
        let first = self.get_waiting(head, |run| self.take_batch(head, run, max_items, &mut items), deadline);
        if items.is_empty() {
            first?;
        }
        // Items put from here on are for the next call: a producer may be as quick as this one.
        let there = self.len().map_or(0, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let most = max_items.min(items.len().saturating_add(there));
        let mut more = items.len() < most;
        while more {
            // One that others hold is theirs: they take what is left.
            let mut take = |run| self.take_batch(head, run, most, &mut items);
            more = self.get_once(head, &mut take, Deadline::NOW).is_ok_and(|more| more);
        }
        Ok(items)
    }

    /// Takes one and, while they are there, more of a run; whether there may be more after it. The get side's lock is held.
    fn take_batch(&self, head: &Head, run: Run, most: usize, items: &mut Vec<Vec<u8>>) -> Result<bool> {
        let mut rest = run;
        while items.len() < most && rest.left > 0 && run.left - rest.left < BATCH {
            match self.copy_first(rest, items) {
                Ok(after) => rest = after,
                Err(error) if rest.left == run.left => return Err(error),
                Err(_) => break,
            }
        }
        self.commit_taken(head, rest);
        Ok(items.len() < most)
    }

    /// Copies the item at the beginning of a run and returns the run after it.
    fn copy_first(&self, run: Run, items: &mut Vec<Vec<u8>>) -> Result<Run> {
        let (record, after) = self.first(run)?;
        items.try_reserve(1).map_err(|_| Error::new(Kind::NoMemory, GET))?;
        items.push(record.copy_into(room_for(record.length())?)?);
        Ok(after)
    }
}
