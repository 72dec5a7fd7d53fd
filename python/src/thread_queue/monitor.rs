// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts that the queues for threads share: threads that wait in line, a lock that knows its holder, and a fork's end
//! of both.
//!
//! Lines and holders are guarded by the queue's own small lock, which is taken while attached only, for a few
//! instructions, and never while Python code runs or an object is dropped: a thread that holds the interpreter never
//! waits for it, and a fork, which is made while attached, never copies it locked.
#![forbid(unsafe_code)]

use crate::signals::{settle, times_detached, waiting};
use carrick::{Deadline, Parker};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a thread that was woken while it was still awake lets the waker go on.
const GRACE: Duration = Duration::from_micros(20);

/// How many forks lie between this process and the first one.
// ORDER queue-fork: written in a child that has one thread so far, before any other starts.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The thread that came through the last fork.
static SURVIVOR: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ME: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
    /// The turn with which this thread waited last.
    static SPARE: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// The number of this thread, which no other has.
pub(crate) fn me() -> u64 {
    ME.with(|me| *me)
}

pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Called in the child of a fork by the thread that there is.
pub(crate) fn forked() {
    SURVIVOR.store(me(), Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Whether the thread was left behind by the last fork.
pub(crate) fn is_left_behind(thread: u64) -> bool {
    thread != SURVIVOR.load(Ordering::Relaxed)
}

/// A thread's place in a line.
#[derive(Clone)]
pub(crate) struct Turn {
    bed: Arc<Bed>,
    thread: u64,
    generation: u32,
}

/// The parker on which one thread sleeps.
#[derive(Default)]
struct Bed {
    parker: Parker,
    /// How often threads had detached when this one was woken.
    // ORDER queue-woken: written before the unpark that publishes it.
    woken_at: AtomicU64,
}

impl Turn {
    /// One for this thread; given back with [`keep`](Self::keep).
    pub(crate) fn take() -> Self {
        let spare = SPARE.with_borrow_mut(Option::take);
        // A signal handler waits in the middle of another wait and then there is none; a parent's is not the child's.
        spare.filter(|turn| turn.generation == generation()).unwrap_or_else(|| Self {
            bed: Arc::default(),
            thread: me(),
            generation: generation(),
        })
    }

    pub(crate) fn keep(self) {
        // The thread may be ending, and what it kept be gone.
        let _ = SPARE.try_with(|spare| spare.borrow_mut().replace(self));
    }

    /// Sleeps until it is this thread's turn, or for no reason for a shorter time.
    pub(crate) fn sleep(
        &self,
        py: Python<'_>,
        operation: &'static str,
        deadline: Deadline,
    ) -> carrick::Result<()> {
        let bed = &self.bed;
        let mut wait = bed.parker.wait();
        if wait.spins()
            && waiting(py, || {
                let woken = wait.spin(deadline);
                if woken {
                    bed.let_waker_detach();
                }
                woken
            })
        {
            return Ok(());
        }
        // Signals are armed while attached: attaching again for it takes long where other threads are busy.
        match wait.prepare(operation) {
            Ok(prepared) => waiting(py, || prepared.sleep(deadline)),
            Err(error) => {
                settle(py);
                Err(error)
            }
        }
    }

    pub(crate) fn wake(&self) {
        self.bed.woken_at.store(times_detached(), Ordering::Relaxed);
        self.bed.parker.unpark();
    }
}

impl Bed {
    /// Gives the waker, who is attached, a moment to wait for something in its turn.
    ///
    /// A thread that asks for the interpreter while another one has it goes to sleep for it, and that takes longer than
    /// the waker's remaining work mostly does: an item or two, until the queue is full or empty.
    fn let_waker_detach(&self) {
        let since = Instant::now();
        while times_detached() == self.woken_at.load(Ordering::Relaxed) && since.elapsed() < GRACE {
            std::hint::spin_loop();
        }
    }
}

/// Wakes one who was taken out of a line.
pub(crate) fn wake(turn: Option<Turn>) {
    if let Some(turn) = turn {
        turn.wake();
    }
}

/// Threads that wait for the same, the longest first.
#[derive(Default)]
pub(crate) struct Line(VecDeque<Turn>);

impl Line {
    pub(crate) fn join(&mut self, turn: &Turn) {
        self.0.push_back(turn.clone());
    }

    /// Takes a turn out; false when somebody has taken it out, to wake it.
    pub(crate) fn leave(&mut self, turn: &Turn) -> bool {
        let place = self.0.iter().position(|other| Arc::ptr_eq(&other.bed, &turn.bed));
        place.and_then(|place| self.0.remove(place)).is_some()
    }

    pub(crate) fn pop(&mut self) -> Option<Turn> {
        self.0.pop_front()
    }

    pub(crate) fn pop_up_to(&mut self, count: usize) -> Vec<Turn> {
        self.0.drain(..count.min(self.0.len())).collect()
    }

    pub(crate) fn after_fork(&mut self) {
        self.0.retain(|turn| !is_left_behind(turn.thread));
    }
}
