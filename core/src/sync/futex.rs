// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleeping in the kernel on the low half of a word; in a model (`--cfg loom`) what the kernel promises of it.
#![forbid(unsafe_code)]

#[cfg(loom)]
pub(super) use modelled::{wait, wake};
#[cfg(not(loom))]
pub(super) use real::{wait, wake};

#[cfg(not(loom))]
mod real {
    use crate::sys;
    use crate::time::Deadline;
    use std::io;
    use std::sync::atomic::AtomicU64;

    pub(crate) fn wait(word: &AtomicU64, low: u32, deadline: Deadline) -> io::Result<()> {
        sys::futex_wait(sys::low_half(word), low, deadline)
    }

    pub(crate) fn wake(word: &AtomicU64, count: i32) -> usize {
        sys::futex_wake(sys::low_half(word), count)
    }
}

/// Looking at the word and going to sleep is one step for those who wake; sleepers are woken in order. Nobody is woken by
/// time, so that a model in which somebody is forgotten does not end.
#[cfg(loom)]
mod modelled {
    use crate::time::Deadline;
    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::sync::{Condvar, Mutex};
    use std::io;

    struct Kernel {
        sleepers: Mutex<Vec<(usize, u64)>>,
        woken: Condvar,
    }

    loom::lazy_static! {
        static ref KERNEL: Kernel = Kernel { sleepers: Mutex::new(Vec::new()), woken: Condvar::new() };
        static ref TICKETS: Mutex<u64> = Mutex::new(0);
    }

    fn place(word: &AtomicU64) -> usize {
        std::ptr::from_ref(word).addr()
    }

    pub(crate) fn wait(word: &AtomicU64, low: u32, _deadline: Deadline) -> io::Result<()> {
        let mut sleepers = KERNEL.sleepers.lock().unwrap_or_else(|e| e.into_inner());
        if word.load(Ordering::SeqCst) & 0xffff_ffff != u64::from(low) {
            return Ok(());
        }
        let ticket = {
            let mut tickets = TICKETS.lock().unwrap_or_else(|e| e.into_inner());
            *tickets += 1;
            *tickets
        };
        let me = (place(word), ticket);
        sleepers.push(me);
        while sleepers.contains(&me) {
            sleepers = KERNEL.woken.wait(sleepers).unwrap_or_else(|e| e.into_inner());
        }
        Ok(())
    }

    pub(crate) fn wake(word: &AtomicU64, count: i32) -> usize {
        let mut sleepers = KERNEL.sleepers.lock().unwrap_or_else(|e| e.into_inner());
        let mut left = usize::try_from(count).unwrap_or(0);
        let before = sleepers.len();
        sleepers.retain(|(at, _)| {
            let goes = *at == place(word) && left > 0;
            left -= usize::from(goes);
            !goes
        });
        KERNEL.woken.notify_all();
        before - sleepers.len()
    }
}
