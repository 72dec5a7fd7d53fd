// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in a ring of shared memory.

use crate::sys::Mapping;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// A ring as this process sees it: twice, one after the other, so that what goes on from its end at its beginning is in
/// one piece. Its size is a power of two.
#[derive(Clone, Copy)]
pub(super) struct Ring<'a> {
    mapping: &'a Mapping,
    size: usize,
}

impl<'a> Ring<'a> {
    pub(super) fn new(mapping: &'a Mapping) -> Self {
        let size = mapping.len() / 2;
        debug_assert!(size.is_power_of_two());
        Self { mapping, size }
    }

    /// Where a place is; as many bytes as the ring has follow.
    fn spot(&self, place: u64) -> NonNull<u8> {
        let offset = usize::try_from(place & (self.size as u64 - 1)).unwrap_or(0);
        // SAFETY: the offset is less than the ring's size, of which the mapping has twice.
        unsafe { self.mapping.base().add(offset) }
    }

    /// Writes `bytes` from `place` on; they are no more than the ring holds.
    pub(super) fn write(&self, place: u64, bytes: &[u8]) {
        let bytes = bytes.get(..self.size).unwrap_or(bytes);
        // SAFETY: the spot has room for them; the caller holds the put side's lock, so nobody who keeps the rules
        // uses these bytes. Whoever breaks them gets torn bytes and nothing worse.
        unsafe { self.spot(place).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }

    /// Reads what is from `place` on into all of `out`, which is no longer than the ring.
    pub(super) fn read(&self, place: u64, out: &mut [MaybeUninit<u8>]) {
        let length = out.len().min(self.size);
        let to = NonNull::from(out).cast::<MaybeUninit<u8>>();
        // SAFETY: the spot has so many bytes, and `out` room for them; the caller holds the get side's lock.
        unsafe { self.spot(place).cast().copy_to_nonoverlapping(to, length) };
    }

    /// Where so many bytes from `place` on are, which are no more than the ring holds.
    pub(super) fn part(&self, place: u64, length: u64) -> NonNull<[u8]> {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.size);
        NonNull::slice_from_raw_parts(self.spot(place), length)
    }

    /// The word at a place that is a multiple of 8.
    pub(super) fn word(&self, place: u64) -> u64 {
        let mut bytes = [MaybeUninit::new(0); 8];
        self.read(place, &mut bytes);
        // SAFETY: every element was initialised above, whatever was read over it.
        u64::from_le_bytes(bytes.map(|byte| unsafe { byte.assume_init() }))
    }
}
