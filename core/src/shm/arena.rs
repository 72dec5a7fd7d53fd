// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which slots are free: this process's knowledge of its segments.
//!
//! A child made by fork starts with an empty arena of its own; its parent's slots stay its parent's to hand out. An arena
//! that no slot is left of has no memory.

use super::segment::{HEAD, LARGEST, Segment, Shared, Size};
use crate::error::{Error, Kind, Result};
use crate::fork::ForkMutex;
use crate::name;
use crate::sys;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// The first segment; each further one is twice as long as the one before, up to [`LAST`]. For slots of more than a
/// [`KIB`] they are as many times as long.
const FIRST: usize = 64 << 10;
const KIB: usize = 1 << 10;
const LAST: usize = 1 << 20;
/// The length of a segment that has one slot and those behind it is a multiple of this.
const PAGE: usize = 4096;
/// Free slots that are kept in mind.
const REMEMBERED: usize = 4096;

struct Shelf {
    current: Option<Arc<Segment>>,
    /// The first slot of the current segment that was never used.
    next: u32,
    length: usize,
    free: Vec<(Weak<Segment>, u32)>,
}

struct State {
    shelves: [Shelf; 3],
    segments: BTreeMap<u128, Weak<Segment>>,
}

/// The arena of this process.
static ARENA: ForkMutex<State> = ForkMutex::per_process(State::new(), State::new);

impl Shelf {
    const fn new() -> Self {
        Self { current: None, next: 0, length: 0, free: Vec::new() }
    }
}

impl State {
    const fn new() -> Self {
        Self { shelves: [const { Shelf::new() }; 3], segments: BTreeMap::new() }
    }

    fn take<T: Shared>(&mut self, operation: &'static str) -> Result<(Arc<Segment>, u32)> {
        let shelf =
            self.shelves.get_mut(T::Size::SHELF).ok_or_else(|| Error::new(Kind::Invalid, operation))?;
        while let Some((segment, index)) = shelf.free.pop() {
            if let Some(segment) = segment.upgrade() {
                return Ok((segment, index));
            }
        }
        if let Some(segment) = &shelf.current
            && shelf.next < segment.slots()
        {
            shelf.next += 1;
            return Ok((Arc::clone(segment), shelf.next - 1));
        }
        let scale = T::Size::BYTES.div_ceil(KIB);
        let length = (shelf.length * 2).clamp(FIRST * scale, LAST * scale);
        let segment = Arc::new(Segment::up_to(T::Size::BYTES, length, operation)?);
        (shelf.length, shelf.next) = (length, 1);
        shelf.current = Some(Arc::clone(&segment));
        self.remember(&segment);
        Ok((segment, 0))
    }

    fn remember(&mut self, segment: &Arc<Segment>) {
        self.segments.retain(|_, known| known.strong_count() > 0);
        self.segments.insert(segment.id(), Arc::downgrade(segment));
    }
}

/// A slot with a `T` in it. The memory lives at least as long as this.
pub(crate) struct Slot<T: Shared> {
    at: NonNull<T>,
    segment: Arc<Segment>,
    index: u32,
    /// When this process made it: how many forks there had been. `None`: another one made it, or it has a segment of
    /// its own.
    made: Option<(u64, u64)>,
    handed_over: AtomicBool,
}

// SAFETY: it is shared memory made of atomics, by the contract of `Shared`.
unsafe impl<T: Shared> Send for Slot<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for Slot<T> {}

impl<T: Shared> Slot<T> {
    /// A new one. `fill` writes to it what is not zero.
    ///
    /// # Errors
    /// `Os` (EMFILE, ...), `NoMemory`.
    pub(crate) fn new(operation: &'static str, fill: impl FnOnce(&T)) -> Result<Self> {
        let mut state = ARENA.lock();
        let made = Some((sys::generation(), sys::forks()));
        let (segment, index) = state.take::<T>(operation)?;
        drop(state);
        let slot = Self::over(segment, index, made, operation)?;
        slot.fill(fill);
        Ok(slot)
    }

    /// The same with so many slots [`behind`](Self::behind) it, or as many as a segment can have, all of zeros.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn with_more(more: usize, operation: &'static str, fill: impl FnOnce(&T)) -> Result<Self> {
        if more == 0 {
            return Self::new(operation, fill);
        }
        let length = Self::length(more);
        Self::alone(Segment::new(T::Size::BYTES, length, operation)?, operation, fill)
    }

    /// The same with a name by which other programs of this user find it.
    ///
    /// # Errors
    /// `Invalid`: no such name is possible; `Os` (EEXIST, EMFILE, ...), `NoMemory`.
    pub(crate) fn create(
        name: &str,
        more: usize,
        operation: &'static str,
        fill: impl FnOnce(&T),
    ) -> Result<Self> {
        let length = Self::length(more);
        let file = name::nameable(name, length as u64, operation)?;
        let slot = Self::alone(Segment::over(file, T::Size::BYTES, length, operation)?, operation, fill)?;
        name::give(name, slot.segment.file(), operation)?;
        Ok(slot)
    }

    /// The length of a segment for a slot and those behind it.
    fn length(more: usize) -> usize {
        let slots = more.saturating_add(1).saturating_mul(T::Size::BYTES);
        slots.saturating_add(HEAD).min(LARGEST - PAGE).next_multiple_of(PAGE)
    }

    /// The first slot of a segment of its own.
    fn alone(segment: Segment, operation: &'static str, fill: impl FnOnce(&T)) -> Result<Self> {
        let segment = Arc::new(segment);
        ARENA.lock().remember(&segment);
        let slot = Self::over(segment, 0, None, operation)?;
        slot.fill(fill);
        Ok(slot)
    }

    /// The slot so many places behind this one, of the same size; 0 is the next one. `None` where the segment ends.
    pub(crate) fn behind<U: Shared<Size = T::Size>>(&self, place: usize) -> Option<&U> {
        let place = u32::try_from(place).ok()?;
        let at = self.segment.at::<U>(self.index.checked_add(place)?.checked_add(1)?)?;
        // SAFETY: it is in the segment, which lives as long as this, and is made of atomics, all values of which are valid.
        Some(unsafe { at.as_ref() })
    }

    fn fill(&self, fill: impl FnOnce(&T)) {
        fill(self);
        if let Some(tag) = self.segment.words::<T::Size>(self.index).first() {
            tag.store(T::TAG, Ordering::Release);
        }
    }

    fn over(
        segment: Arc<Segment>,
        index: u32,
        made: Option<(u64, u64)>,
        operation: &'static str,
    ) -> Result<Self> {
        let none = || Error::with_detail(Kind::Invalid, operation, format!("slot {index} is not there"));
        let at = segment.at(index).ok_or_else(none)?;
        Ok(Self { at, segment, index, made, handed_over: AtomicBool::new(made.is_none()) })
    }

    /// The place by which another program can [`attach`].
    pub(crate) fn place(&self) -> Place<'_> {
        self.handed_over.store(true, Ordering::Relaxed);
        Place { fd: self.segment.file().as_fd(), slot: self.index, segment: self.segment.id() }
    }
}

impl<T: Shared> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({} {} of segment {})", T::NAME, self.index, self.segment.id() & u128::from(u64::MAX))
    }
}

impl<T: Shared> Deref for Slot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: over() had it from the segment, which lives as long as this and is made of atomics.
        unsafe { self.at.as_ref() }
    }
}

impl<T: Shared> Drop for Slot<T> {
    fn drop(&mut self) {
        let mut state = ARENA.lock();
        let State { shelves, segments } = &mut *state;
        let Some(shelf) = shelves.get_mut(T::Size::SHELF) else { return };
        let seen = *self.handed_over.get_mut() || self.made != Some((sys::generation(), sys::forks()));
        if !seen && shelf.free.len() < REMEMBERED {
            let written = self.written().div_ceil(size_of::<u64>());
            for word in self.segment.words::<T::Size>(self.index).iter().take(written) {
                word.store(0, Ordering::Relaxed);
            }
            shelf.free.push((Arc::downgrade(&self.segment), self.index));
        }
        // The last one turns off the light: each other user of the segment has a slot, or is the shelf. New ones come
        // under the lock only.
        let is_current = shelf.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &self.segment));
        if Arc::strong_count(&self.segment) > 1 + usize::from(is_current) {
            return;
        }
        if is_current {
            *shelf = Shelf::new();
        } else {
            shelf.free.retain(|(segment, _)| !std::ptr::eq(segment.as_ptr(), Arc::as_ptr(&self.segment)));
            if shelf.free.is_empty() {
                shelf.free = Vec::new();
            }
        }
        segments.remove(&self.segment.id());
        if segments.is_empty() {
            *segments = BTreeMap::new();
        }
    }
}

/// The slot of another process.
///
/// # Errors
/// `Invalid`: no such slot, or something else lives in it; `Corrupt`; `Os`, `NoMemory`.
pub(crate) fn attach<T: Shared>(from: Memory<'_>, index: u32, operation: &'static str) -> Result<Slot<T>> {
    attach_to(from, index, operation).map_err(|error| match from {
        Memory::File(file) => name::named(error, file),
        Memory::Known(_) => error,
    })
}

fn attach_to<T: Shared>(from: Memory<'_>, index: u32, operation: &'static str) -> Result<Slot<T>> {
    let no_segment = || Error::with_detail(Kind::Invalid, operation, "its memory is not in this process");
    let id = match &from {
        Memory::Known(id) => *id,
        Memory::File(file) => sys::file_id(*file).map_err(|e| Error::from_io(&e, operation))?,
    };
    let mut state = ARENA.lock();
    let found = state.segments.get(&id).and_then(Weak::upgrade);
    let segment = match (found, from) {
        (Some(segment), _) => segment,
        (None, Memory::Known(_)) => return Err(no_segment()),
        (None, Memory::File(file)) => {
            let file = file.try_clone_to_owned().map_err(|e| Error::from_io(&e, operation))?;
            let segment = Arc::new(Segment::open(file, operation)?);
            state.remember(&segment);
            segment
        }
    };
    drop(state);
    let found = segment.words::<T::Size>(index).first().map(|tag| tag.load(Ordering::Acquire));
    if found != Some(T::TAG) {
        return Err(Error::with_detail(
            Kind::Invalid,
            operation,
            format!("slot {index} holds no {}", T::NAME),
        ));
    }
    Slot::over(segment, index, None, operation)
}

/// Where in shared memory something is: what another process needs to attach to it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The descriptor of its segment, which many others share.
    pub fd: BorrowedFd<'a>,
    /// Its number in the segment.
    pub slot: u32,
    /// The identity of the segment among all that there are now, in every process.
    pub segment: u128,
}

/// Where the memory of something that another process made comes from.
#[derive(Clone, Copy, Debug)]
pub enum Memory<'a> {
    /// The descriptor that the other process gave ([`Place::fd`]). It stays the caller's, for many share one.
    File(BorrowedFd<'a>),
    /// It is in this process already: [`Place::segment`].
    Known(u128),
}

impl<'a> From<BorrowedFd<'a>> for Memory<'a> {
    fn from(file: BorrowedFd<'a>) -> Self {
        Self::File(file)
    }
}

impl<'a> From<&'a OwnedFd> for Memory<'a> {
    fn from(file: &'a OwnedFd) -> Self {
        Self::File(file.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::tests::in_child_while;
    use crate::sync::{Event, Lock};

    #[test]
    fn a_child_makes_attaches_and_drops_locks_whoever_had_the_arena() {
        let (lock, event) = (Lock::new().unwrap(), Event::new().unwrap());
        let work = || {
            let place = event.place();
            drop((Lock::new().unwrap(), Event::attach(place.fd, place.slot).unwrap()));
            let another = Event::new().unwrap();
            let attached = Event::attach(another.place().fd, u32::MAX);
            lock.try_acquire() && attached.is_err()
        };
        assert!(in_child_while(|| ARENA.lock(), work));
    }

    #[test]
    fn an_arena_without_slots_has_no_memory() {
        // In a child, where no other test has slots.
        let work = || {
            let locks: Vec<_> = (0..5_000).map(|_| Lock::new().unwrap()).collect();
            let alone = crate::sync::Condition::new().unwrap();
            let shared = Lock::attach(locks[7].place().fd, locks[7].place().slot).unwrap();
            drop((locks, alone));
            drop(shared);
            let state = ARENA.lock();
            let is_empty = |shelf: &Shelf| shelf.current.is_none() && shelf.free.capacity() == 0;
            state.segments.is_empty() && state.shelves.iter().all(is_empty)
        };
        assert!(in_child_while(|| (), work));
    }
}
