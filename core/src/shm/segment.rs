// SPDX-License-Identifier: MIT OR Apache-2.0
//! One segment: a head and slots of one size.

use super::known::{self, Entry};
use crate::error::{Error, Kind, Result};
use crate::sys::{self, Mapping};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

const MAGIC: u64 = u64::from_le_bytes(*b"carrick\x01");
/// The first bytes, which are no slot.
pub(super) const HEAD: usize = 1024;
/// The largest segment that is mapped; a descriptor from elsewhere may be of anything.
pub(super) const LARGEST: usize = 1 << 30;

/// The size of slots for what is one line of memory.
pub(crate) struct Small;
/// The size of slots for what keeps a list of processes.
pub(crate) struct Large;

/// The size of slots for what keeps a long list of processes. Memory that is not written to is not taken.
pub(crate) struct Huge;

/// A size of slots.
pub(crate) trait Size {
    const BYTES: usize;
    /// Which of the arena's shelves has them.
    const SHELF: usize;
}

impl Size for Small {
    const BYTES: usize = known::BYTES;
    const SHELF: usize = 0;
}

impl Size for Large {
    const BYTES: usize = 1024;
    const SHELF: usize = 1;
}

impl Size for Huge {
    const BYTES: usize = 16 << 10;
    const SHELF: usize = 2;
}

/// A type that can live in a slot.
///
/// # Safety
/// The type is `repr(C)`, made of atomics only, takes at most `Size::BYTES` bytes and starts with an [`AtomicU64`]
/// that is its tag. Zeros, behind the tag, are a value of it.
pub(crate) unsafe trait Shared: Default {
    type Size: Size;
    /// Its type and version; not 0.
    const TAG: u64;
    /// Its type, in words.
    const NAME: &'static str;

    /// So many bytes, from the first one on, may not be zeros any more.
    fn written(&self) -> usize {
        size_of::<Self>()
    }
}

#[repr(C)]
struct Head {
    magic: AtomicU64,
    slot_bytes: AtomicU64,
}

/// A segment in this process's memory.
#[derive(Debug)]
pub(crate) struct Segment {
    file: OwnedFd,
    mapping: Mapping,
    id: u128,
    slot_bytes: usize,
    /// Where this process's end finds the slots; large ones need not be found.
    entry: Option<&'static Entry>,
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| Error::from_io(&error, operation)
}

impl Segment {
    /// A new one, all of zeros.
    pub(super) fn new(slot_bytes: usize, length: usize, operation: &'static str) -> Result<Self> {
        let file = sys::memory_file(length as u64).map_err(failed(operation))?;
        Self::over(file, slot_bytes, length, operation)
    }

    /// A new one that is shorter where this process may not make a file so long; it has a slot at the least.
    pub(super) fn up_to(slot_bytes: usize, length: usize, operation: &'static str) -> Result<Self> {
        let least = (HEAD + slot_bytes) as u64;
        let file = sys::sparse_file(least, length as u64).map_err(failed(operation))?;
        let length = sys::shared_length(file.as_fd()).map_err(failed(operation))?;
        Self::over(file, slot_bytes, usize::try_from(length).unwrap_or(usize::MAX), operation)
    }

    /// A new one in a file of so many zeros.
    pub(super) fn over(
        file: OwnedFd,
        slot_bytes: usize,
        length: usize,
        operation: &'static str,
    ) -> Result<Self> {
        let mut segment = Self::map(file, length, slot_bytes, operation)?;
        segment.enter();
        segment.head().slot_bytes.store(slot_bytes as u64, Ordering::SeqCst);
        segment.head().magic.store(MAGIC, Ordering::SeqCst);
        Ok(segment)
    }

    /// The segment behind a descriptor of another process.
    pub(super) fn open(file: OwnedFd, operation: &'static str) -> Result<Self> {
        let wrong = |what: &str| Error::with_detail(Kind::Invalid, operation, what);
        let no_segment = "the descriptor is of no segment of carrick";
        let length = sys::shared_length(file.as_fd()).map_err(|_| wrong(no_segment))?;
        let no_slots = "the memory holds no slots of this version";
        // A queue's file is longer than any segment.
        let whole = usize::try_from(length).ok().filter(|n| (HEAD..=LARGEST).contains(n));
        let mut segment = Self::map(file, whole.ok_or_else(|| wrong(no_slots))?, 1, operation)?;
        if segment.head().magic.load(Ordering::SeqCst) != MAGIC {
            return Err(wrong(no_slots));
        }
        let size = segment.head().slot_bytes.load(Ordering::SeqCst);
        let known = [Small::BYTES, Large::BYTES, Huge::BYTES];
        segment.slot_bytes = usize::try_from(size)
            .ok()
            .filter(|n| known.contains(n))
            .ok_or_else(|| Error::with_detail(Kind::Corrupt, operation, format!("slots of {size} bytes")))?;
        segment.enter();
        Ok(segment)
    }

    fn map(file: OwnedFd, length: usize, slot_bytes: usize, operation: &'static str) -> Result<Self> {
        let id = sys::file_id(file.as_fd()).map_err(failed(operation))?;
        let mapping = Mapping::new(file.as_raw_fd(), 0, length).map_err(failed(operation))?;
        Ok(Self { file, mapping, id, slot_bytes, entry: None })
    }

    fn enter(&mut self) {
        if self.slot_bytes == known::BYTES {
            // SAFETY: `new` is given, and `open` has checked, a length of a head at least.
            let slots = unsafe { self.mapping.base().add(HEAD) };
            self.entry = Some(Entry::add(slots));
        }
    }

    fn head(&self) -> &Head {
        // SAFETY: both constructors make a mapping at least as long as a head, page-aligned, which lives as long as
        // the segment; a head is made of atomics.
        unsafe { self.mapping.base().cast::<Head>().as_ref() }
    }

    /// The identity of the segment among all that there are now, in every process.
    pub(super) fn id(&self) -> u128 {
        self.id
    }

    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    pub(super) fn slots(&self) -> u32 {
        u32::try_from((self.mapping.len() - HEAD) / self.slot_bytes).unwrap_or(u32::MAX)
    }

    /// Where slot `index` begins, if it is one of this size.
    fn start<S: Size>(&self, index: u32) -> Option<NonNull<u8>> {
        let index = usize::try_from(index).ok()?;
        let start = HEAD.checked_add(index.checked_mul(S::BYTES)?)?;
        let fits = self.slot_bytes == S::BYTES && start.checked_add(S::BYTES)? <= self.mapping.len();
        // SAFETY: it is inside the mapping, as was just checked.
        fits.then(|| unsafe { self.mapping.base().add(start) })
    }

    /// The object in slot `index`, whether or not its tag says so. It is there for as long as the segment.
    pub(super) fn at<T: Shared>(&self, index: u32) -> Option<NonNull<T>> {
        const { assert!(size_of::<T>() <= <T::Size as Size>::BYTES && align_of::<T>() <= 64) };
        let start = self.start::<T::Size>(index)?;
        if let Some(entry) = self.entry {
            entry.note(index);
        }
        Some(start.cast())
    }

    /// The words of a slot; the first one is the tag of what lives in it.
    pub(super) fn words<S: Size>(&self, index: u32) -> &[AtomicU64] {
        let Some(start) = self.start::<S>(index) else { return &[] };
        let count = S::BYTES / size_of::<AtomicU64>();
        // SAFETY: the slot is so long and in the mapping, which lives as long as the segment; slots begin at multiples
        // of 64 bytes of page-aligned memory, and every byte of an atomic is a value.
        unsafe { std::slice::from_raw_parts(start.as_ptr().cast(), count) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.entry.is_some_and(|entry| !entry.withdraw()) {
            self.mapping.keep();
        }
    }
}
