// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in a ring of shared memory.
//!
//! A ring is mapped as a whole, twice, one after the other. A process whose address space is limited (RLIMIT_AS,
//! RLIMIT_MEMLOCK with mlockall) may have no room for that, though its memory suffices for the item; it reads the
//! ring's file, and writes it through a window.

use super::failed;
use crate::error::{Error, Kind, Result};
use crate::sys::{self, Mapping};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;

/// The sizes of a window, tried in this order. Each is a divisor of every ring's size.
const WINDOWS: [u64; 3] = [64 << 10, 16 << 10, 4 << 10];

#[derive(Clone, Copy)]
enum Memory<'a> {
    /// Twice, one after the other: what goes on from the ring's end at its beginning is in one piece.
    Mapped(&'a Mapping),
    /// In the file, from this offset on.
    File(&'a OwnedFd, u64),
}

/// A ring as this process sees it. Its size is a power of two.
#[derive(Clone, Copy)]
pub(super) struct Ring<'a> {
    memory: Memory<'a>,
    size: u64,
}

impl<'a> Ring<'a> {
    pub(super) fn new(mapping: &'a Mapping) -> Self {
        let size = mapping.len() / 2;
        debug_assert!(size.is_power_of_two());
        Self { memory: Memory::Mapped(mapping), size: size as u64 }
    }

    /// A ring for which this process has no room in its address space.
    pub(super) fn unmapped(file: &'a OwnedFd, start: u64, size: u64) -> Self {
        Self { memory: Memory::File(file, start), size }
    }

    /// Where a place is in a mapping of this ring; as many bytes as the ring has follow.
    fn spot(&self, mapping: &Mapping, place: u64) -> NonNull<u8> {
        let offset = usize::try_from(place & (self.size - 1)).unwrap_or(0);
        // SAFETY: the offset is less than the ring's size, of which the mapping has twice.
        unsafe { mapping.base().add(offset) }
    }

    fn clip(&self, length: usize) -> usize {
        length.min(usize::try_from(self.size).unwrap_or(usize::MAX))
    }

    /// Writes `bytes` from `place` on; they are no more than the ring holds.
    ///
    /// # Errors
    /// `NoMemory`, where there is no room for a window.
    pub(super) fn write(&self, place: u64, bytes: &[u8], operation: &'static str) -> Result<()> {
        let bytes = bytes.get(..self.clip(bytes.len())).unwrap_or(bytes);
        match self.memory {
            Memory::Mapped(mapping) => {
                let from = NonNull::from(bytes).cast();
                // SAFETY: the spot has room for them; the caller holds the put side's lock, so nobody who keeps the
                // rules uses these bytes. A process that breaks them gets torn bytes and nothing worse.
                unsafe { self.spot(mapping, place).copy_from_nonoverlapping(from, bytes.len()) };
                Ok(())
            }
            Memory::File(file, start) => self.write_windows(file, start, place, bytes, operation),
        }
    }

    #[cold]
    fn write_windows(
        &self,
        file: &OwnedFd,
        start: u64,
        mut place: u64,
        mut bytes: &[u8],
        operation: &'static str,
    ) -> Result<()> {
        while !bytes.is_empty() {
            let offset = place & (self.size - 1);
            let (window, first) = Self::window(file, start, offset, operation)?;
            let skip = usize::try_from(offset - first).unwrap_or(0);
            let (now, later) = bytes.split_at(bytes.len().min(window.len() - skip));
            // SAFETY: the window begins at or before the offset and is longer than the bytes before it.
            let to = unsafe { window.base().add(skip) };
            // SAFETY: so many bytes of the window follow; as for a mapped ring otherwise.
            unsafe { to.copy_from_nonoverlapping(NonNull::from(now).cast(), now.len()) };
            place += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// A mapping of some of the ring's file around an offset, as large as there is room for, and where it begins.
    fn window(file: &OwnedFd, start: u64, offset: u64, operation: &'static str) -> Result<(Mapping, u64)> {
        let mut refused = Error::new(Kind::NoMemory, operation);
        for size in WINDOWS {
            let first = offset & !(size - 1);
            let length = usize::try_from(size).unwrap_or(0);
            match Mapping::new(file.as_raw_fd(), start + first, length) {
                Ok(window) => return Ok((window, first)),
                Err(error) => refused = failed(operation)(error),
            }
        }
        Err(refused)
    }

    /// Reads what is from `place` on into all of `out`, which is no longer than the ring.
    ///
    /// # Errors
    /// `Os`, where the ring is read as a file.
    pub(super) fn read(
        &self,
        place: u64,
        out: &mut [MaybeUninit<u8>],
        operation: &'static str,
    ) -> Result<()> {
        let length = self.clip(out.len());
        match self.memory {
            Memory::Mapped(mapping) => {
                let to = NonNull::from(out).cast::<MaybeUninit<u8>>();
                let from = self.spot(mapping, place).cast();
                // SAFETY: the spot has so many bytes, and `out` room for them; the caller holds the get side's lock.
                unsafe { from.copy_to_nonoverlapping(to, length) };
                Ok(())
            }
            Memory::File(file, start) => {
                let offset = place & (self.size - 1);
                let to_end = usize::try_from(self.size - offset).unwrap_or(usize::MAX);
                let (first, second) = out.split_at_mut(length.min(to_end));
                sys::read_file(file, start + offset, first).map_err(failed(operation))?;
                sys::read_file(file, start, second).map_err(failed(operation))
            }
        }
    }

    /// Where so many bytes from `place` on are, which are no more than the ring holds.
    ///
    /// # Errors
    /// `NoMemory`: there is no room in the address space.
    pub(super) fn part(&self, place: u64, length: u64, operation: &'static str) -> Result<NonNull<[u8]>> {
        let Memory::Mapped(mapping) = self.memory else {
            let detail = format!("{} bytes of address space for an item in place", 2 * self.size);
            return Err(Error::with_detail(Kind::NoMemory, operation, detail));
        };
        let length = self.clip(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(NonNull::slice_from_raw_parts(self.spot(mapping, place), length))
    }

    /// The word at a place that is a multiple of 8.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn word(&self, place: u64, operation: &'static str) -> Result<u64> {
        let mut bytes = [MaybeUninit::new(0); 8];
        self.read(place, &mut bytes, operation)?;
        // SAFETY: every element was initialised above, whatever was read over it.
        Ok(u64::from_le_bytes(bytes.map(|byte| unsafe { byte.assume_init() })))
    }
}
