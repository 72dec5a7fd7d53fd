// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state of a queue for threads, and its small lock.
#![forbid(unsafe_code)]

use super::monitor::{self, Line, Turn};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An empty queue with room for more than this gives the memory back.
const KEPT: usize = 4096;

/// The holder of the items, and the code that may look at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The items are here, and nobody has seen the locks.
    Sealed,
    /// The items are where `_init` of the Python class has put them; `_put`, `_get` and `_qsize` are called with the
    /// queue's mutex held.
    Open,
    /// The program has put locks of its own in place: the standard class's methods do everything.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    At(usize),
    /// `maxsize` is not an int: Python compares.
    Odd,
}

/// Whom a queue has waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Get,
    Put,
    Join,
}

pub(super) struct State {
    pub(super) mode: Mode,
    pub(super) items: VecDeque<Py<PyAny>>,
    /// Whether the last item put is the first one taken.
    pub(super) lifo: bool,
    pub(super) limit: Limit,
    pub(super) maxsize: Option<Py<PyAny>>,
    pub(super) unfinished: i64,
    pub(super) shutdown: bool,
    /// Whether the program has the conditions, and may wait with them.
    pub(super) exposed: bool,
    /// Whether a thread that holds the mutex moves the items away.
    pub(super) opening: bool,
    getters: Line,
    putters: Line,
    joiners: Line,
    /// The thread that holds the queue's mutex.
    pub(super) holder: Option<u64>,
    pub(super) lockers: Line,
    generation: u32,
}

impl State {
    fn new() -> Self {
        Self {
            mode: Mode::Sealed,
            items: VecDeque::new(),
            lifo: false,
            limit: Limit::None,
            maxsize: None,
            unfinished: 0,
            shutdown: false,
            exposed: false,
            opening: false,
            getters: Line::default(),
            putters: Line::default(),
            joiners: Line::default(),
            holder: None,
            lockers: Line::default(),
            generation: monitor::generation(),
        }
    }

    pub(super) fn line(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Get => &mut self.getters,
            Side::Put => &mut self.putters,
            Side::Join => &mut self.joiners,
        }
    }

    /// Whether who opens the queue has something to do, or to wait for.
    pub(super) fn is_to_be_opened(&self) -> bool {
        self.mode == Mode::Sealed || self.opening
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.limit, Limit::At(limit) if self.items.len() >= limit)
    }

    /// Puts an item into a sealed queue; `None` gives it back because there is no memory for it.
    pub(super) fn push(&mut self, item: Py<PyAny>) -> Result<Option<Turn>, Py<PyAny>> {
        if self.items.len() == self.items.capacity() && self.items.try_reserve(1).is_err() {
            return Err(item);
        }
        self.items.push_back(item);
        self.unfinished += 1;
        Ok(self.getters.pop())
    }

    /// Takes an item out of a sealed queue.
    pub(super) fn take(&mut self) -> Option<(Py<PyAny>, Option<Turn>)> {
        let item = if self.lifo { self.items.pop_back() } else { self.items.pop_front() }?;
        if self.items.is_empty() && self.items.capacity() > KEPT {
            self.items = VecDeque::new();
        }
        Some((item, self.putters.pop()))
    }

    #[cold]
    fn after_fork(&mut self) {
        self.generation = monitor::generation();
        for line in [&mut self.getters, &mut self.putters, &mut self.joiners, &mut self.lockers] {
            line.after_fork();
        }
        self.holder = self.holder.filter(|&holder| !monitor::is_left_behind(holder));
    }
}

/// A queue, as its Python objects share it.
pub(super) struct Core(Mutex<State>);

impl Core {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::new())))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.generation != monitor::generation() {
            state.after_fork();
        }
        state
    }

    /// For the garbage collector, which asks at any time.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.0.try_lock().ok()
    }

    /// Waits in a line that the thread has joined. True in time, false when the deadline has passed.
    ///
    /// # Errors
    /// The exception of a signal handler; another thread is woken for the event for which this one was woken.
    pub(super) fn wait(
        &self,
        py: Python<'_>,
        side: Side,
        turn: &Turn,
        deadline: carrick::Deadline,
    ) -> PyResult<bool> {
        let slept = turn.sleep(py, "queue", deadline);
        let mut state = self.lock();
        let was_woken = !state.line(side).leave(turn);
        match slept {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == carrick::Kind::Timeout => Ok(false),
            Err(error) => {
                let next = if was_woken { state.line(side).pop() } else { None };
                drop(state);
                monitor::wake(next);
                Err(crate::errors::raise(py, &error))
            }
        }
    }

    /// Wakes up to `count` threads of a side.
    pub(super) fn wake(&self, side: Side, count: usize) {
        let woken = self.lock().line(side).pop_up_to(count);
        woken.iter().for_each(Turn::wake);
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.items.is_empty() {
            return;
        }
        let items = std::mem::take(&mut state.items);
        // A list is taken apart without recursion however deep queues hold queues.
        Python::try_attach(|py| drop(PyList::new(py, items)));
    }
}

pub(super) fn no_memory() -> PyErr {
    PyMemoryError::new_err(())
}
