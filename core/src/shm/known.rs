// SPDX-License-Identifier: MIT OR Apache-2.0
//! The segments that are mapped in this process, so that its end can be noted in them.
//!
//! # Invariants
//! - The list needs no lock: a fork at any instant copies a list that can be used, and so does a signal.
//! - Entries are never freed. One whose segment has been unmapped is used again. The first ones are no memory of the heap's, so that a
//!   program with few segments leaves none behind.
//! - A segment stays mapped as long as one of its slots is to be found, and is unmapped only where no visit can see it: [`Entry::withdraw`] takes it out of the list and then looks
//!   for visits; [`end`] counts itself and then looks at the list. Both are SeqCst, so one of them sees the other.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The size of the slots that are visited.
pub(super) const BYTES: usize = 64;
const WORDS: usize = BYTES / size_of::<AtomicU64>();

/// Functions to call at a process's end; each gets the words of a slot that this process has, or had, a handle of.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Whether the slot is still to be found at the end though its last handle goes now.
    pub(crate) stays: fn(&[AtomicU64]) -> bool,
    /// The process ends in good order.
    pub(crate) end: fn(&[AtomicU64]),
}

/// A segment of small slots in this process's memory.
#[derive(Debug)]
pub(super) struct Entry {
    /// The first slot; null where there is none.
    slots: AtomicPtr<u8>,
    /// So many slots from the first one on may have been used by this process.
    used: AtomicU32,
    is_taken: AtomicBool,
    next: AtomicPtr<Entry>,
}

static FIRST: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());
static VISITS: AtomicUsize = AtomicUsize::new(0);
static WATCHER: AtomicPtr<Watcher> = AtomicPtr::new(std::ptr::null_mut());

static POOL: [Entry; 64] = [const { Entry::new(false) }; 64];

fn entries() -> impl Iterator<Item = &'static Entry> {
    let follow = |at: &AtomicPtr<Entry>| {
        // SAFETY: what is stored in the list came from Box::leak.
        unsafe { at.load(Ordering::SeqCst).as_ref() }
    };
    POOL.iter().chain(std::iter::successors(follow(&FIRST), move |entry| follow(&entry.next)))
}

/// Has the end of this process told to the watcher.
pub(crate) fn watch_with(watcher: &'static Watcher) {
    WATCHER.store(std::ptr::from_ref(watcher).cast_mut(), Ordering::SeqCst);
}

fn watcher() -> Option<&'static Watcher> {
    // SAFETY: what is stored there is a static.
    unsafe { WATCHER.load(Ordering::SeqCst).as_ref() }
}

/// Tells all slots that this process ends in good order.
pub(crate) fn end() {
    let Some(watcher) = watcher() else { return };
    VISITS.fetch_add(1, Ordering::SeqCst);
    entries().flat_map(Entry::each).for_each(watcher.end);
    VISITS.fetch_sub(1, Ordering::SeqCst);
}

impl Entry {
    const fn new(is_taken: bool) -> Self {
        Self {
            slots: AtomicPtr::new(std::ptr::null_mut()),
            used: AtomicU32::new(0),
            is_taken: AtomicBool::new(is_taken),
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Enters a segment whose slots begin here. It is to be mapped until [`withdraw`](Self::withdraw) says that it need
    /// not be.
    pub(super) fn add(slots: NonNull<u8>) -> &'static Self {
        let entry =
            entries().find(|entry| !entry.is_taken.swap(true, Ordering::SeqCst)).unwrap_or_else(|| {
                let new: &'static Self = Box::leak(Box::new(Self::new(true)));
                let pointer = std::ptr::from_ref(new).cast_mut();
                let push = |first| {
                    new.next.store(first, Ordering::SeqCst);
                    Some(pointer)
                };
                let _ = FIRST.fetch_update(Ordering::SeqCst, Ordering::SeqCst, push);
                new
            });
        entry.used.store(0, Ordering::SeqCst);
        entry.slots.store(slots.as_ptr(), Ordering::SeqCst);
        entry
    }

    /// This process has a handle of the slot with this number, which the segment has.
    pub(super) fn note(&self, index: u32) {
        self.used.fetch_max(index.saturating_add(1), Ordering::SeqCst);
    }

    /// The words of each slot.
    fn each(&self) -> impl Iterator<Item = &[AtomicU64]> {
        let slots = NonNull::new(self.slots.load(Ordering::SeqCst));
        let used = slots.map_or(0, |_| self.used.load(Ordering::SeqCst));
        slots.into_iter().flat_map(move |slots| {
            (0..used).map(move |index| {
                let offset = usize::try_from(index).unwrap_or(0) * BYTES;
                // SAFETY: `note` is told of slots that the segment has, and it is mapped as long as it is in the list or, if
                // it was taken out meanwhile, for ever.
                let at = unsafe { slots.add(offset) };
                // SAFETY: as above; a slot has so many words, at a multiple of 64 bytes of page-aligned memory, and every
                // byte of an atomic is a value.
                unsafe { std::slice::from_raw_parts(at.as_ptr().cast(), WORDS) }
            })
        })
    }

    /// Takes the segment, whose last handle goes, out of the list. False where it must stay mapped: it has a slot that is to be
    /// found, or this process is about to end.
    pub(super) fn withdraw(&self) -> bool {
        if watcher().is_some_and(|watcher| self.each().any(watcher.stays)) {
            return false;
        }
        let slots = self.slots.swap(std::ptr::null_mut(), Ordering::SeqCst);
        let is_alone = VISITS.load(Ordering::SeqCst) == 0;
        if is_alone {
            self.is_taken.store(false, Ordering::SeqCst);
        } else {
            self.slots.store(slots, Ordering::SeqCst);
        }
        is_alone
    }
}
