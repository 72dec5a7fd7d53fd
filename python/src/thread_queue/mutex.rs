// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mutex of an open queue: a lock that knows its holder, so that a fork can tell whether it is held for ever.
#![forbid(unsafe_code)]

use super::monitor::{Turn, me, wake};
use super::state::{Core, Side};
use crate::argument::Truth;
use crate::connection::span;
use carrick::{Deadline, Kind};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::Arc;

/// The mutex, held until this is dropped.
pub(super) struct Held<'a>(&'a Core);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        release(self.0);
    }
}

fn release(core: &Core) -> bool {
    let mut state = core.lock();
    let was_held = state.holder.take().is_some();
    let next = state.lockers.pop();
    drop(state);
    wake(next);
    was_held
}

/// Takes the mutex; false when the deadline has passed.
fn acquire(core: &Core, py: Python<'_>, deadline: Deadline) -> PyResult<bool> {
    let mut turn = None;
    let mut expired = deadline.is_now();
    let taken = loop {
        let mut state = core.lock();
        if state.holder.is_none() {
            state.holder = Some(me());
            break true;
        }
        if expired {
            break false;
        }
        let turn = turn.get_or_insert_with(Turn::take);
        state.lockers.join(turn);
        drop(state);
        let slept = turn.sleep(py, "acquire", deadline);
        let mut state = core.lock();
        let was_woken = !state.lockers.leave(turn);
        match slept {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::Timeout => expired = true,
            Err(error) => {
                let next = if was_woken { state.lockers.pop() } else { None };
                drop(state);
                wake(next);
                return Err(crate::errors::raise(py, &error));
            }
        }
    };
    if let Some(turn) = turn {
        turn.keep();
    }
    Ok(taken)
}

impl Core {
    /// Takes the mutex for an operation of the queue.
    ///
    /// # Errors
    /// `RuntimeError` where this thread holds it already: it would wait for itself.
    pub(super) fn hold(&self, py: Python<'_>) -> PyResult<Held<'_>> {
        if self.lock().holder == Some(me()) {
            return Err(PyRuntimeError::new_err("this thread holds the queue's mutex already"));
        }
        acquire(self, py, Deadline::NEVER)?;
        Ok(Held(self))
    }

    /// Gives the mutex up, waits in a line, and takes it again; false when the deadline has passed.
    pub(super) fn wait_open<'a>(
        &'a self,
        py: Python<'_>,
        held: Held<'a>,
        side: Side,
        turn: &Turn,
        deadline: Deadline,
    ) -> PyResult<(Held<'a>, bool)> {
        self.lock().line(side).join(turn);
        drop(held);
        let in_time = self.wait(py, side, turn, deadline)?;
        match self.hold(py) {
            Ok(held) => Ok((held, in_time)),
            Err(error) => {
                self.wake(side, 1);
                Err(error)
            }
        }
    }
}

/// The lock that a queue's conditions share.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct QueueMutex {
    core: Arc<Core>,
}

impl QueueMutex {
    pub(super) fn new(core: &Arc<Core>) -> Self {
        Self { core: Arc::clone(core) }
    }
}

#[pymethods]
impl QueueMutex {
    /// Takes the lock; False when it was not to be had in `timeout` seconds, or at once where not `blocking`.
    #[pyo3(signature = (blocking=Truth(true), timeout=-1.0), text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire(&self, py: Python<'_>, blocking: Truth, timeout: f64) -> PyResult<bool> {
        #[expect(clippy::float_cmp, reason = "the one value that means for ever")]
        let for_ever = timeout == -1.0;
        let blocking = blocking.0;
        if !blocking && !for_ever {
            return Err(PyValueError::new_err("can't specify a timeout for a non-blocking call"));
        }
        if timeout < 0.0 && !for_ever {
            return Err(PyValueError::new_err("timeout value must be a non-negative number"));
        }
        let deadline = match (blocking, for_ever) {
            (false, _) => Deadline::NOW,
            (true, true) => Deadline::NEVER,
            (true, false) => Deadline::after(span(timeout)?),
        };
        acquire(&self.core, py, deadline)
    }

    /// Gives the lock up, whichever thread took it.
    fn release(&self) -> PyResult<()> {
        if release(&self.core) { Ok(()) } else { Err(PyRuntimeError::new_err("release unlocked lock")) }
    }

    /// Whether somebody holds the lock.
    fn locked(&self) -> bool {
        self.core.lock().holder.is_some()
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        acquire(&self.core, py, Deadline::NEVER)
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        self.release()
    }

    /// Wakes threads that wait in the queue's own methods: up to `count` of a side (0 get, 1 put, 2 join).
    fn _wake(&self, side: u8, count: usize) {
        let side = match side {
            0 => Side::Get,
            1 => Side::Put,
            _ => Side::Join,
        };
        self.core.wake(side, count);
    }

    /// How many forks lie between this process and the first one.
    #[staticmethod]
    fn _generation() -> u32 {
        super::monitor::generation()
    }
}
