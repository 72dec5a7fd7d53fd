// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes of other processes to shared memory, at any time: to the head and the ring of a queue, and to
//! slots. Every operation ends with a result: no crash, no wait past its deadline, no memory of a size that only the
//! nonsense asks for.
#![no_main]

use carrick::interrupt::{self, Hook, Verdict};
use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Barrier, Condition, Event, Lock, Memory, Semaphore};
use carrick::{Deadline, Error, Kind};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[derive(Arbitrary, Debug)]
enum Step {
    Put(u16),
    Get,
    GetInPlace,
    Look,
    Done,
    Close,
    Attach,
    Lock,
    Release,
    Wait,
    Notify(u8),
    Meet,
    Reset,
    Take,
    Give(u32),
    Event,
    /// Writes to the queue's file: the head is the first page, the smallest ring comes after it.
    SpoilQueue(u16, Vec<u8>),
    /// Writes one word of the head.
    SpoilHead(u8, u64),
    /// Writes to the segment of the condition and the barrier, or to that of the others.
    SpoilSlots(bool, u16, Vec<u8>),
}

struct Stage {
    queue: Queue,
    lock: Lock,
    condition: Condition,
    semaphore: Semaphore,
    event: Event,
    barrier: Barrier,
}

/// How many more times a call may ask whether to go on waiting.
static PATIENCE: AtomicU32 = AtomicU32::new(u32::MAX);

struct Impatient;

impl Hook for Impatient {
    fn signalled(&self) -> Verdict {
        match PATIENCE.load(Ordering::Relaxed) {
            u32::MAX => Verdict::Continue,
            0 => Verdict::Stop,
            left => {
                PATIENCE.store(left - 1, Ordering::Relaxed);
                Verdict::Continue
            }
        }
    }
}

/// A call without a deadline, that may wait for ever where the nonsense names a process that lives as the holder of a
/// lock. It is ended when it has looked whether the holder is dead.
fn with_patience<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    PATIENCE.store(2, Ordering::Relaxed);
    let result = call();
    PATIENCE.store(u32::MAX, Ordering::Relaxed);
    result
}

fn spoil(fd: BorrowedFd<'_>, at: u64, bytes: &[u8]) {
    let file = File::from(fd.try_clone_to_owned().expect("a descriptor"));
    let length = file.metadata().expect("its length").len();
    // Not past the end: the file's length is the kernel's to keep, and no process can shorten it.
    let room = usize::try_from(length.saturating_sub(at)).unwrap_or(0);
    let _ = file.write_all_at(&bytes[..bytes.len().min(room)], at);
}

impl Stage {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            queue: Queue::new(QueueOptions { max_items: 20, ..QueueOptions::default() })?,
            lock: Lock::new()?,
            condition: Condition::new()?,
            semaphore: Semaphore::new(1)?,
            event: Event::new()?,
            barrier: Barrier::new(2)?,
        })
    }

    fn take(&self, step: Step) -> Result<(), Error> {
        match step {
            Step::Put(length) => self.queue.try_put(&[IoSlice::new(&vec![7; length.into()])]),
            Step::Get => {
                let make = |length: u64| {
                    assert!(length < 1 << 41, "a body of {length} bytes");
                    if length > 1 << 20 {
                        return Err(Error::new(Kind::NoMemory, "fuzz"));
                    }
                    Ok(Vec::with_capacity(length as usize))
                };
                self.queue.try_get_with(make).map(drop)
            }
            Step::GetInPlace if self.queue.is_empty()? => Ok(()),
            Step::GetInPlace => {
                let read = |body: &[u8]| {
                    std::hint::black_box(body.iter().fold(0_u8, |all, byte| all ^ byte));
                };
                // SAFETY: nobody writes to the memory while it is read.
                unsafe { self.queue.get_in_place(read, Deadline::after(Duration::from_millis(1))) }
            }
            Step::Look => self.queue.len().and(self.queue.bytes()).and(self.queue.unfinished()).map(drop),
            Step::Done => self.queue.task_done(),
            Step::Close => with_patience(|| self.queue.close()),
            Step::Attach => {
                let again = self.queue.as_fd().try_clone_to_owned().expect("a descriptor");
                let attached = Queue::attach(again)?;
                attached.try_put(&[IoSlice::new(b"from another handle")])
            }
            Step::Lock => self.lock.acquire(Deadline::NOW).map(drop),
            Step::Release => self.lock.release(),
            Step::Wait => self.condition.wait(&self.lock, Deadline::NOW),
            Step::Notify(count) => {
                self.condition.notify(count.into());
                self.condition.notify_all();
                Ok(())
            }
            Step::Meet if self.barrier.waiting() == 1 => {
                with_patience(|| self.barrier.wait(Deadline::NOW)).map(drop)
            }
            Step::Meet => Ok(()),
            Step::Reset => {
                let aborted = with_patience(|| self.barrier.abort());
                aborted.and(with_patience(|| self.barrier.reset()))
            }
            Step::Take => self.semaphore.acquire(Deadline::NOW),
            Step::Give(count) => self.semaphore.release_many(count),
            Step::Event => {
                self.event.set();
                self.event.clear();
                self.event.wait(Deadline::NOW)
            }
            Step::SpoilQueue(at, bytes) => {
                spoil(self.queue.as_fd(), at.into(), &bytes);
                Ok(())
            }
            Step::SpoilHead(word, value) => {
                spoil(self.queue.as_fd(), u64::from(word) * 8, &value.to_le_bytes());
                Ok(())
            }
            Step::SpoilSlots(large, at, bytes) => {
                let place = if large { self.condition.place() } else { self.lock.place() };
                spoil(place.fd, at.into(), &bytes);
                let _ = Lock::attach(Memory::Known(place.segment), place.slot);
                let _ = Event::attach(place.fd, place.slot);
                Ok(())
            }
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    interrupt::set_hook(&Impatient);
    let Ok(stage) = Stage::new() else { return };
    for step in steps {
        let _ = stage.take(step);
    }
});
