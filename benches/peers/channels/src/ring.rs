// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ceiling: a ring of equal slots for one producer and one consumer, who spin and never sleep. It survives no death.

use crate::library::{self, End, Ends, Open};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory of the slots, of which there are at least four and at most 4096.
const MEMORY: u64 = 4 << 20;

pub fn slots(length: usize) -> u64 {
    (MEMORY / length.max(1) as u64).clamp(4, 4096)
}

/// Looks again at once, and gives the core away now and then.
pub fn pause(looks: u32) {
    if looks.is_multiple_of(1000) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

#[repr(C, align(128))]
struct Line(AtomicU64);

#[repr(C)]
struct Head {
    put: Line,
    taken: Line,
}

/// Memory that both processes have; it is theirs until they end.
#[derive(Clone, Copy)]
pub struct Ring {
    head: NonNull<Head>,
    length: usize,
    slots: u64,
}

impl Ring {
    pub fn new(length: usize) -> Self {
        let slots = slots(length);
        let size = size_of::<Head>() + length * slots as usize;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED, "no memory");
        Self { head: NonNull::new(base.cast()).expect("an address"), length, slots }
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping begins with a Head, of which zeros are a value, and is never taken away.
        unsafe { self.head.as_ref() }
    }

    fn slot(&self, number: u64) -> *mut u8 {
        let offset = (number % self.slots) as usize * self.length;
        // SAFETY: the mapping has that many slots of this length after its head.
        unsafe { self.head.as_ptr().add(1).cast::<u8>().add(offset) }
    }
}

impl Ends for Ring {
    fn split(self: Box<Self>) -> (Box<dyn Open>, Box<dyn Open>) {
        (
            Box::new(RingEnd { ring: *self, body: Vec::new() }),
            Box::new(RingEnd { ring: *self, body: Vec::new() }),
        )
    }
}

struct RingEnd {
    ring: Ring,
    body: Vec<u8>,
}

impl Open for RingEnd {
    fn connect(mut self: Box<Self>) -> Box<dyn End> {
        self.body.resize(self.ring.length, 0);
        self
    }
}

impl End for RingEnd {
    fn send(&mut self, body: &[u8]) {
        let head = self.ring.head();
        let number = head.put.0.load(Ordering::Relaxed);
        let mut looks = 0;
        while number - head.taken.0.load(Ordering::Acquire) == self.ring.slots {
            looks += 1;
            pause(looks);
        }
        // SAFETY: the consumer has taken what was in the slot, and bodies have the slots' length.
        unsafe {
            self.ring.slot(number).copy_from_nonoverlapping(body.as_ptr(), self.ring.length.min(body.len()))
        };
        head.put.0.store(number + 1, Ordering::Release);
    }

    fn recv(&mut self) -> usize {
        let head = self.ring.head();
        let number = head.taken.0.load(Ordering::Relaxed);
        let mut looks = 0;
        while head.put.0.load(Ordering::Acquire) == number {
            looks += 1;
            pause(looks);
        }
        // SAFETY: the producer has filled the slot and does not touch it until it is taken.
        unsafe { self.body.as_mut_ptr().copy_from_nonoverlapping(self.ring.slot(number), self.ring.length) };
        head.taken.0.store(number + 1, Ordering::Release);
        library::read(&self.body)
    }
}
