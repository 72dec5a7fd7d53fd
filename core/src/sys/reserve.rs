// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory set aside for when the system has none left.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

const BLOCK: usize = 512;
const GROUPS: usize = 2;
const LENGTH: usize = BLOCK * 64 * GROUPS;

/// The system's allocator, with 64 KiB of memory behind it that serve what is small when the system has none.
///
/// Rust aborts a process that has no memory for a small thing, such as the [`Error`](crate::Error) that says so; what
/// is large carrick asks for in a way that can fail. With this as its global allocator a program gets
/// [`Kind::NoMemory`](crate::Kind::NoMemory) and can go on. The C library and the Python extension have it.
///
/// # Example
/// ```
/// #[global_allocator]
/// static ALLOCATOR: carrick::Reserve = carrick::Reserve;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserve;

#[repr(align(64))]
struct Memory(UnsafeCell<[u8; LENGTH]>);

// SAFETY: its bytes are used through pointers by whoever has the block's bit in TAKEN.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; LENGTH]));
/// A bit for each block that is in use.
static TAKEN: [AtomicU64; GROUPS] = [const { AtomicU64::new(0) }; GROUPS];

fn base() -> *mut u8 {
    MEMORY.0.get().cast()
}

/// A free block; null where there is none, or the layout does not fit into one.
fn take(layout: Layout) -> *mut u8 {
    if layout.size() > BLOCK || layout.align() > 64 {
        return ptr::null_mut();
    }
    for (group, taken) in TAKEN.iter().enumerate() {
        let mut seen = taken.load(Ordering::Relaxed);
        while seen != u64::MAX {
            let bit = seen.trailing_ones() as usize;
            // ORDER reserve: with the Release in `give`, what the last user of the block wrote comes before.
            match taken.compare_exchange_weak(seen, seen | 1 << bit, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return base().wrapping_add((group * 64 + bit) * BLOCK),
                Err(now) => seen = now,
            }
        }
    }
    ptr::null_mut()
}

/// The number of the block at `at`, if it is one of these.
fn block(at: *const u8) -> Option<usize> {
    let offset = at.addr().wrapping_sub(base().addr());
    (offset < LENGTH).then_some(offset / BLOCK)
}

fn give(block: usize) {
    if let Some(taken) = TAKEN.get(block / 64) {
        // ORDER reserve: see `take`.
        taken.fetch_and(!(1 << (block % 64)), Ordering::Release);
    }
}

// SAFETY: a block is large and aligned enough for what it is given to, and nobody else's until it is given back; all
// else is the system's.
unsafe impl GlobalAlloc for Reserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that System asks for.
        let at = unsafe { System.alloc(layout) };
        if at.is_null() { take(layout) } else { at }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let at = unsafe { System.alloc_zeroed(layout) };
        if !at.is_null() {
            return at;
        }
        let at = take(layout);
        if !at.is_null() {
            // SAFETY: the block is this caller's, and no shorter than the layout.
            unsafe { at.write_bytes(0, layout.size()) };
        }
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match block(at) {
            Some(block) => give(block),
            // SAFETY: as above; the memory is not one of these blocks, so it came from System.
            None => unsafe { System.dealloc(at, layout) },
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if block(at).is_none() {
            // SAFETY: as in dealloc.
            let to = unsafe { System.realloc(at, layout, size) };
            if !to.is_null() {
                return to;
            }
        }
        // SAFETY: the caller promises that the size, rounded up to the alignment, is one that a layout may have.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller promises that the size is not 0.
        let to = unsafe { self.alloc(wanted) };
        if !to.is_null() {
            // SAFETY: both are at least so long, and different memory.
            unsafe { to.copy_from_nonoverlapping(at, layout.size().min(size)) };
            // SAFETY: the caller gives this memory up.
            unsafe { self.dealloc(at, layout) };
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_given_once_and_again_when_it_was_given_back() {
        let layout = Layout::from_size_align(BLOCK, 64).expect("a layout");
        let mut all: Vec<*mut u8> =
            std::iter::from_fn(|| Some(take(layout)).filter(|at| !at.is_null())).collect();
        assert_eq!(all.len(), LENGTH / BLOCK);
        assert!(all.iter().all(|at| at.addr() % 64 == 0));
        all.sort_unstable();
        all.dedup();
        assert_eq!(
            all.iter().filter_map(|at| block(*at)).collect::<Vec<_>>(),
            (0..all.len()).collect::<Vec<_>>()
        );
        // The content of a block moves to the system when it grows and there is memory.
        let last = all.pop().expect("there is one");
        // SAFETY: the block is this test's, and so long.
        unsafe { last.write_bytes(7, BLOCK) };
        // SAFETY: take() gave it, for this layout, and it is not used afterwards.
        let moved = unsafe { Reserve.realloc(last, layout, BLOCK * 2) };
        assert!(block(moved).is_none());
        // SAFETY: realloc gave it, with what was in the block.
        assert!(unsafe { std::slice::from_raw_parts(moved, BLOCK) }.iter().all(|byte| *byte == 7));
        // SAFETY: as above, with that size.
        unsafe { Reserve.dealloc(moved, Layout::from_size_align(BLOCK * 2, 64).expect("a layout")) };
        assert_eq!(block(take(layout)), Some(all.len()));
        give(all.len());
        for at in all {
            // SAFETY: take() gave it, for this layout.
            unsafe { Reserve.dealloc(at, layout) };
        }
        assert!(take(Layout::from_size_align(BLOCK + 1, 1).expect("a layout")).is_null());
        assert!(take(Layout::from_size_align(1, 128).expect("a layout")).is_null());
        assert!(TAKEN.iter().all(|taken| taken.load(Ordering::Relaxed) == 0));
    }
}
