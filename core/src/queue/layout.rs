// SPDX-License-Identifier: MIT OR Apache-2.0
//! The head of a queue's memory: what it says, and how what changes is changed.
//!
//! # Commits
//! Each side, put and get, has a [`Commit`]: where it is and how much has gone through. It is kept twice, and the
//! low bit of `version` says which copy counts. The holder of the side's lock writes the other copy and then
//! stores `version + 1`: that one store is the whole change. A process that dies before it has changed nothing,
//! one that dies after it everything, so there is nothing to repair.
//!
//! # Trust
//! Others write this memory. Nothing read from it is used before it is checked.

use super::QueueOptions;
use crate::error::{Error, Kind, Result};
use crate::sync::{AtomicU32, AtomicU64, Lookout, Mutex, Taken, keep_order};
use crate::sys::Mapping;
use crate::time::Deadline;
use std::sync::atomic::Ordering;

/// "carrikQ" and a digit that changes with the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"carrikQ3");
/// The smallest ring, in bytes.
pub(super) const SMALLEST: u64 = 64 << 10;
/// Rings, each of twice the size of the one before; the largest has a TiB.
pub(super) const RINGS: usize = 25;
/// Where the first ring begins.
pub(super) const HEAD: u64 = 4096;

/// The size of a ring.
pub(super) fn size_of_ring(ring: usize) -> u64 {
    SMALLEST << ring
}

/// Where a ring begins in the file.
pub(super) fn start_of_ring(ring: usize) -> u64 {
    HEAD + SMALLEST * ((1 << ring) - 1)
}

/// The length of a file with all rings. Its unused parts take no memory.
pub(super) fn whole() -> u64 {
    start_of_ring(RINGS)
}

/// The smallest ring for so many bytes.
pub(super) fn ring_for(bytes: u64) -> Option<usize> {
    (0..RINGS).find(|ring| size_of_ring(*ring) >= bytes)
}

/// How far a side has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) ring: usize,
    /// Bytes that have gone through this ring since the side came to it.
    pub(super) place: u64,
    /// Items that have gone through the queue.
    pub(super) items: u64,
    /// Bytes of their bodies.
    pub(super) bytes: u64,
}

const RING_SHIFT: u32 = 56;
const PLACE: u64 = (1 << RING_SHIFT) - 1;

#[derive(Default)]
#[repr(C)]
struct CommitCopy {
    /// The place, with the ring in the top byte.
    place: AtomicU64,
    items: AtomicU64,
    bytes: AtomicU64,
}

impl CommitCopy {
    fn store(&self, commit: Commit) {
        let ring = u64::try_from(commit.ring).unwrap_or(0);
        // ORDER queue-commit: see `Side::read`.
        self.place.store(ring << RING_SHIFT | (commit.place & PLACE), Ordering::Release);
        self.items.store(commit.items, Ordering::Release);
        self.bytes.store(commit.bytes, Ordering::Release);
    }

    fn load(&self) -> Result<Commit> {
        // ORDER queue-commit: see `Side::read`.
        let place = self.place.load(Ordering::Acquire);
        let items = self.items.load(Ordering::Acquire);
        let bytes = self.bytes.load(Ordering::Acquire);
        let ring = usize::try_from(place >> RING_SHIFT).unwrap_or(usize::MAX);
        if ring >= RINGS {
            return Err(corrupt("a commit"));
        }
        Ok(Commit { ring, place: place & PLACE, items, bytes })
    }
}

/// One side of the queue: a cache line that the other side reads, and one that it does not.
#[derive(Default)]
#[repr(C, align(64))]
pub(super) struct Side {
    version: AtomicU64,
    copies: [CommitCopy; 2],
    _line: [u64; 1],
    pub(super) lock: Mutex,
    /// 1: somebody may sleep until this side has committed again.
    sleepers: AtomicU32,
    _rest: u32,
    /// Of those who wait for the lock.
    lookout: Lookout,
    /// Where the other side was when this one last looked; it is behind at the most. Each of the words was so once,
    /// though perhaps not at the same time. It spares a look at the line that the other side writes to.
    seen: CommitCopy,
    /// Of those who wait for this side to commit.
    pub(super) waiters: Lookout,
    _end: u64,
}

impl Side {
    /// Takes the lock, waiting for it until the deadline.
    ///
    /// # Errors
    /// Those of [`Mutex::lock`].
    pub(super) fn acquire(&self, operation: &'static str, deadline: Deadline) -> Result<Taken> {
        self.lock.lock(&self.lookout, operation, deadline)
    }

    /// The latest commit and its version.
    pub(super) fn read(&self) -> Result<(u64, Commit)> {
        // Only a hostile writer changes the version all the time.
        for _ in 0..100_000 {
            let version = self.version.load(Ordering::Acquire);
            let copy = if version & 1 == 0 { &self.copies[0] } else { &self.copies[1] };
            // ORDER queue-commit: with Acquire here and Release in `commit`, a copy that is being overwritten
            // has its next version seen below.
            let commit = copy.load();
            if self.version.load(Ordering::Acquire) == version {
                return Ok((version, commit?));
            }
            std::hint::spin_loop();
        }
        Err(corrupt("a commit"))
    }

    /// Makes `next` the side's commit. Its lock is held.
    pub(super) fn commit(&self, next: Commit) {
        let version = self.version.load(Ordering::Relaxed);
        let copy = if version & 1 == 0 { &self.copies[1] } else { &self.copies[0] };
        copy.store(next);
        // A Dekker pair with `sleepers`: a waiter sets that before it sleeps, and looks at the version.
        self.version.store(version.wrapping_add(1), Ordering::SeqCst);
        keep_order();
    }

    /// Where the other side is, or was. This side's lock is held.
    pub(super) fn seen(&self) -> Result<Commit> {
        self.seen.load()
    }

    /// Notes where the other side is. This side's lock is held.
    pub(super) fn see(&self, other: Commit) {
        self.seen.store(other);
    }

    /// The word to sleep on until the next commit.
    pub(super) fn word(&self) -> &AtomicU64 {
        &self.version
    }

    /// Somebody is about to sleep, or others may do so still.
    pub(super) fn note_sleepers(&self) {
        self.sleepers.store(1, Ordering::SeqCst);
        keep_order();
    }

    /// Whether somebody is to be woken. The caller does it.
    pub(super) fn take_sleepers(&self) -> bool {
        self.sleepers.load(Ordering::SeqCst) != 0 && self.sleepers.swap(0, Ordering::SeqCst) != 0
    }
}

/// Where the stream of records leaves a ring.
#[repr(C)]
struct Exit {
    place: AtomicU64,
    ring: AtomicU64,
}

/// The first page.
#[repr(C, align(4096))]
pub(super) struct Head {
    magic: AtomicU64,
    /// The most items; 0 is no limit.
    max_items: AtomicU64,
    /// The most bytes of bodies; 0 is no limit.
    max_bytes: AtomicU64,
    closed: AtomicU32,
    /// 1: producers may ring a bell.
    selectable: AtomicU32,
    /// 1: somebody listens for the bell.
    pub(super) watched: AtomicU32,
    /// 1: the limit in bytes is for what is there before a body is put.
    soft: AtomicU32,
    _line: [u32; 6],
    pub(super) put: Side,
    pub(super) get: Side,
    /// Items whose takers are done with them.
    pub(super) done: AtomicU64,
    /// The thread that has the get side's lock to read an item in place (`thread_mark`); it may have died.
    pub(super) reader: AtomicU64,
    /// 1: somebody may sleep until all items are done.
    pub(super) joiners: AtomicU32,
    _rest: [u32; 11],
    exits: [Exit; RINGS],
}

impl Head {
    /// The head at the start of a mapping.
    pub(super) fn of(mapping: &Mapping) -> Result<&Self> {
        if mapping.len() < size_of::<Self>() {
            return Err(corrupt("its length"));
        }
        // SAFETY: the mapping is page-aligned, as long as a head, and lives as long as the reference; a head is
        // made of atomics, for which every byte is a value.
        Ok(unsafe { mapping.base().cast::<Self>().as_ref() })
    }

    pub(super) fn init(&self, options: QueueOptions) {
        self.max_items.store(options.max_items, Ordering::SeqCst);
        self.max_bytes.store(options.max_bytes, Ordering::SeqCst);
        self.soft.store(u32::from(options.soft), Ordering::SeqCst);
        self.magic.store(MAGIC, Ordering::SeqCst);
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.magic.load(Ordering::SeqCst) == MAGIC {
            Ok(())
        } else {
            Err(Error::with_detail(
                Kind::Invalid,
                "attach queue",
                "the memory holds no queue of this version",
            ))
        }
    }

    pub(super) fn max_items(&self) -> u64 {
        self.max_items.load(Ordering::Relaxed)
    }

    pub(super) fn is_soft(&self) -> bool {
        self.soft.load(Ordering::Relaxed) != 0
    }

    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// How many who sleep for room are to be woken when an item was taken.
    pub(super) fn room_is_for(&self) -> i32 {
        // The one that is woken may want more bytes than there is room for, and another one fewer.
        if self.max_bytes() != 0 && !self.is_soft() { i32::MAX } else { 1 }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) != 0
    }

    pub(super) fn is_selectable(&self) -> bool {
        self.selectable.load(Ordering::SeqCst) != 0
    }

    pub(super) fn set_selectable(&self) {
        self.selectable.store(1, Ordering::SeqCst);
    }

    /// Whether nothing comes any more to a queue that was empty at `version` of the put side: it is closed, and what was
    /// being put when it was is put.
    pub(super) fn is_over(&self, version: u64) -> Result<bool> {
        // In this order: a producer that takes the put side's lock from here on sees that it is closed.
        Ok(self.is_closed() && self.put.lock.holder().is_none() && self.put.read()?.0 == version)
    }

    pub(super) fn close(&self) {
        self.closed.store(1, Ordering::SeqCst);
    }

    /// Where the stream leaves `ring`, and for which one. It counts only where the put side is past it.
    pub(super) fn exit(&self, ring: usize) -> Result<(u64, usize)> {
        let exit = self.exits.get(ring).ok_or_else(|| corrupt("a ring"))?;
        let next = usize::try_from(exit.ring.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        if next >= RINGS || next == ring {
            return Err(corrupt("a ring's end"));
        }
        Ok((exit.place.load(Ordering::Acquire) & PLACE, next))
    }

    /// Has the stream leave `ring` at `place` for `next`, as soon as the put side commits a place there.
    pub(super) fn set_exit(&self, ring: usize, place: u64, next: usize) {
        if let Some(exit) = self.exits.get(ring) {
            exit.place.store(place, Ordering::Release);
            exit.ring.store(u64::try_from(next).unwrap_or(0), Ordering::Release);
        }
    }
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::with_detail(Kind::Corrupt, "use queue", what)
}
