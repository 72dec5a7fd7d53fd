// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in a ring of shared memory.

use crate::sys::Mapping;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// A ring as this process sees it. Its size is a power of two.
#[derive(Clone, Copy)]
pub(super) struct Ring<'a> {
    mapping: &'a Mapping,
    mask: usize,
}

impl<'a> Ring<'a> {
    pub(super) fn new(mapping: &'a Mapping) -> Self {
        debug_assert!(mapping.len().is_power_of_two());
        Self { mapping, mask: mapping.len() - 1 }
    }

    /// Where a place is, and how many bytes follow before the ring's end.
    fn spot(&self, place: u64) -> (NonNull<u8>, usize) {
        let size = self.mask + 1;
        let offset = usize::try_from(place & self.mask as u64).unwrap_or(0);
        // SAFETY: the offset is less than the mapping's length.
        (unsafe { self.mapping.base().add(offset) }, size - offset)
    }

    /// Writes `bytes` from `place` on; they are no more than the ring holds.
    pub(super) fn write(&self, place: u64, bytes: &[u8]) {
        let (spot, room) = self.spot(place);
        let (first, second) = bytes.split_at(bytes.len().min(room));
        let second = second.get(..second.len().min(self.mask + 1)).unwrap_or_default();
        // SAFETY: the spot has room for the first part; the caller holds the put side's lock, so nobody who keeps
        // the rules uses these bytes. Whoever breaks them gets torn bytes and nothing worse.
        unsafe { spot.copy_from_nonoverlapping(NonNull::from(first).cast(), first.len()) };
        // SAFETY: the second part is no longer than the ring; as above.
        unsafe { self.mapping.base().copy_from_nonoverlapping(NonNull::from(second).cast(), second.len()) };
    }

    /// Reads what is from `place` on into all of `out`, which is no longer than the ring.
    pub(super) fn read(&self, place: u64, out: &mut [MaybeUninit<u8>]) {
        let (spot, room) = self.spot(place);
        let length = out.len().min(self.mask + 1);
        let (first, second) = out.split_at_mut(length.min(room));
        let second_length = length - first.len();
        // SAFETY: the spot has so many bytes; the caller holds the get side's lock.
        unsafe {
            spot.cast()
                .copy_to_nonoverlapping(NonNull::from(&mut *first).cast::<MaybeUninit<u8>>(), first.len())
        };
        if let Some(second) = second.get_mut(..second_length) {
            let to = NonNull::from(second).cast::<MaybeUninit<u8>>();
            // SAFETY: the ring is longer than this second part; as above.
            unsafe { self.mapping.base().cast().copy_to_nonoverlapping(to, second_length) };
        }
    }

    /// The word at a place that is a multiple of 8.
    pub(super) fn word(&self, place: u64) -> u64 {
        let mut bytes = [MaybeUninit::new(0); 8];
        self.read(place, &mut bytes);
        // SAFETY: every element was initialised above, whatever was read over it.
        u64::from_le_bytes(bytes.map(|byte| unsafe { byte.assume_init() }))
    }
}
