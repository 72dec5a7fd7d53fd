// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queues for threads: `carrick.queue`.
//!
//! The items of a plain first-in-first-out or last-in-first-out queue are kept here and nobody but its methods sees
//! them: an operation takes the small lock of [`state`] and is done. That is a *sealed* queue. One whose class
//! overrides `_init`, `_put`, `_get` or `_qsize`, or whose `queue`, `mutex` or conditions the program looks at, is
//! *open* ([`open`]): its items are where Python code put them, and each operation holds the mutex of [`mutex`] and
//! calls those methods. Threads wait in the lines of [`monitor`] either way, so a queue may be opened while they do.
#![forbid(unsafe_code)]

mod monitor;
mod mutex;
mod open;
mod state;

pub(crate) use monitor::forked;
pub(crate) use mutex::QueueMutex;

use crate::argument::Truth;
use crate::connection::span;
use crate::once::Once;
use carrick::Deadline;
use monitor::{Turn, wake};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyTuple};
use state::{Core, Limit, Mode, Side, State, no_memory};
use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard};

/// A class of `carrick.queue`.
fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: Once<Py<PyModule>> = Once::new();
    let module = MODULE.get_or_try(py, || py.import("carrick.queue").map(Bound::unbind))?;
    module.bind(py).getattr(name)
}

/// `Empty`, `Full` or `ShutDown`.
#[cold]
fn exception(py: Python<'_>, name: &str) -> PyErr {
    match class(py, name) {
        Ok(class) => PyErr::from_value(
            class.call0().unwrap_or_else(|failure| failure.into_value(py).into_bound(py).into_any()),
        ),
        Err(failure) => failure,
    }
}

/// The deadline of a call that may wait.
fn patience(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Deadline> {
    let Some(timeout) = timeout else { return Ok(Deadline::NEVER) };
    let seconds: f64 = timeout.extract()?;
    if seconds < 0.0 {
        return Err(PyValueError::new_err("'timeout' must be a non-negative number"));
    }
    span(seconds).map(Deadline::after)
}

fn limit_of(maxsize: &Bound<'_, PyAny>) -> PyResult<Limit> {
    if !(maxsize.is_exact_instance_of::<PyInt>() || maxsize.is_exact_instance_of::<PyBool>()) {
        return Ok(Limit::Odd);
    }
    if !maxsize.gt(0)? {
        return Ok(Limit::None);
    }
    // There is no memory for more items than that.
    Ok(maxsize.extract().map_or(Limit::None, Limit::At))
}

/// A queue for threads; `carrick.queue` derives its classes from it.
#[pyclass(frozen, subclass, module = "carrick._carrick")]
pub(crate) struct ThreadQueue {
    core: Arc<Core>,
}

impl ThreadQueue {
    /// The state, if the queue is sealed.
    fn sealed(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.core.lock();
        (state.mode == Mode::Sealed).then_some(state)
    }

    #[cold]
    fn put_slowly(
        slf: &Bound<'_, Self>,
        item: Py<PyAny>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (py, core) = (slf.py(), &slf.get().core);
        let mut waits = Waits::default();
        loop {
            let mut state = core.lock();
            if state.mode != Mode::Sealed {
                drop(state);
                return open::put(slf, item, block, timeout, waits);
            }
            if state.shutdown {
                drop(state);
                return Err(exception(py, "ShutDown"));
            }
            if block && state.limit != Limit::None && waits.deadline.is_none() {
                drop(state);
                waits.deadline = Some(patience(timeout)?);
                continue;
            }
            if !state.is_full() {
                let put = state.push(item);
                drop(state);
                return put.map(wake).map_err(|_| no_memory());
            }
            let deadline = waits.deadline.unwrap_or(Deadline::NOW);
            if waits.expired || deadline.is_now() {
                drop(state);
                return Err(exception(py, "Full"));
            }
            let turn = waits.turn.get_or_insert_with(Turn::take);
            state.line(Side::Put).join(turn);
            drop(state);
            waits.expired = !core.wait(py, Side::Put, turn, deadline)?;
        }
    }

    #[cold]
    fn get_slowly(
        slf: &Bound<'_, Self>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let (py, core) = (slf.py(), &slf.get().core);
        let mut waits = Waits::default();
        loop {
            let mut state = core.lock();
            if state.mode != Mode::Sealed {
                drop(state);
                return open::get(slf, block, timeout, waits);
            }
            if state.shutdown && state.items.is_empty() {
                drop(state);
                return Err(exception(py, "ShutDown"));
            }
            if block && waits.deadline.is_none() {
                drop(state);
                waits.deadline = Some(patience(timeout)?);
                continue;
            }
            if let Some((item, next)) = state.take() {
                drop(state);
                wake(next);
                return Ok(item);
            }
            let deadline = waits.deadline.unwrap_or(Deadline::NOW);
            if waits.expired || deadline.is_now() {
                drop(state);
                return Err(exception(py, "Empty"));
            }
            let turn = waits.turn.get_or_insert_with(Turn::take);
            state.line(Side::Get).join(turn);
            drop(state);
            waits.expired = !core.wait(py, Side::Get, turn, deadline)?;
        }
    }
}

/// The waiting of one call.
#[derive(Default)]
struct Waits {
    /// Known from the first time on that it is asked for.
    deadline: Option<Deadline>,
    expired: bool,
    turn: Option<Turn>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.keep();
        }
    }
}

#[pymethods]
impl ThreadQueue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { core: Core::new() }
    }

    /// Empties the queue and says how it works: order 0 is first in, first out, 1 is last in, first out, 2 is what
    /// the methods of the class do. Returns whether the queue was open, and whether it is: then `_init` is to be called.
    fn _carrick_set_up(&self, maxsize: &Bound<'_, PyAny>, order: u8) -> PyResult<(bool, bool)> {
        let limit = limit_of(maxsize)?;
        let open = order > 1 || limit == Limit::Odd;
        let mut state = self.core.lock();
        let items = std::mem::take(&mut state.items);
        let before = state.maxsize.replace(maxsize.clone().unbind());
        state.limit = limit;
        state.lifo = order == 1;
        state.unfinished = 0;
        state.shutdown = false;
        state.exposed = false;
        let was_open = state.mode != Mode::Sealed;
        state.mode = if open { Mode::Open } else { Mode::Sealed };
        drop(state);
        drop((items, before));
        Ok((was_open, open))
    }

    #[getter]
    fn maxsize(&self, py: Python<'_>) -> Py<PyAny> {
        let known = self.core.lock().maxsize.as_ref().map(|maxsize| maxsize.clone_ref(py));
        known.unwrap_or_else(|| PyInt::new(py, 0).into_any().unbind())
    }

    #[setter]
    fn set_maxsize(slf: &Bound<'_, Self>, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
        let limit = limit_of(maxsize)?;
        if limit == Limit::Odd {
            slf.call_method0(intern!(slf.py(), "_carrick_open"))?;
        }
        let core = &slf.get().core;
        let mut state = core.lock();
        let before = state.maxsize.replace(maxsize.clone().unbind());
        state.limit = limit;
        drop(state);
        drop(before);
        // There may be room now.
        core.wake(Side::Put, usize::MAX);
        Ok(())
    }

    #[getter]
    fn unfinished_tasks(&self) -> i64 {
        self.core.lock().unfinished
    }

    #[setter]
    fn set_unfinished_tasks(&self, count: i64) {
        self.core.lock().unfinished = count;
    }

    #[getter]
    fn is_shutdown(&self) -> bool {
        self.core.lock().shutdown
    }

    #[setter]
    fn set_is_shutdown(&self, is_shutdown: Truth) {
        self.core.lock().shutdown = is_shutdown.0;
    }

    /// Put an item into the queue.
    ///
    /// Where the queue is full it waits for room if ``block``, for at most ``timeout`` seconds; None is for ever. Raises
    /// Full when there is none, ShutDown when the queue has been shut down.
    #[pyo3(signature = (item, block=Truth(true), timeout=None), text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        slf: &Bound<'_, Self>,
        item: Py<PyAny>,
        block: Truth,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let mut state = slf.get().core.lock();
        let quick = state.mode == Mode::Sealed && !state.shutdown && timeout.is_none() && !state.is_full();
        if !quick {
            drop(state);
            return Self::put_slowly(slf, item, block.0, timeout);
        }
        let put = state.push(item);
        drop(state);
        put.map(wake).map_err(|_| no_memory())
    }

    /// Remove an item from the queue and return it.
    ///
    /// Where the queue is empty it waits for an item if ``block``, for at most ``timeout`` seconds; None is for ever.
    /// Raises Empty when there is none, ShutDown when the queue is empty and has been shut down.
    #[pyo3(signature = (block=Truth(true), timeout=None), text_signature = "($self, block=True, timeout=None)")]
    fn get(slf: &Bound<'_, Self>, block: Truth, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        if timeout.is_none()
            && let Some(mut state) = slf.get().sealed()
            && let Some((item, next)) = state.take()
        {
            drop(state);
            wake(next);
            return Ok(item);
        }
        Self::get_slowly(slf, block.0, timeout)
    }

    /// The number of items in the queue, at this moment.
    fn qsize(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let sealed = slf.get().sealed().map(|state| state.items.len());
        match sealed {
            Some(count) => Ok(count.into_pyobject(slf.py())?.into_any().unbind()),
            None => open::qsize(slf),
        }
    }

    /// Whether no item is in the queue, at this moment.
    fn empty(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let sealed = slf.get().sealed().map(|state| state.items.is_empty());
        sealed.map_or_else(|| open::empty(slf), Ok)
    }

    /// Whether the queue has as many items as it may have, at this moment.
    fn full(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let sealed = slf.get().sealed().map(|state| state.is_full());
        sealed.map_or_else(|| open::full(slf), Ok)
    }

    /// Say that an item taken from the queue is done.
    ///
    /// Raises ValueError when that has been said as often as items were put.
    fn task_done(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, core) = (slf.py(), &slf.get().core);
        let mode = core.lock().mode;
        if mode == Mode::Foreign {
            return open::standard(slf, "task_done", ()).map(drop);
        }
        let held = if mode == Mode::Open { Some(core.hold(py)?) } else { None };
        let mut state = core.lock();
        let left = state.unfinished - 1;
        if left < 0 {
            drop(state);
            return Err(PyValueError::new_err("task_done() called too many times"));
        }
        state.unfinished = left;
        let exposed = state.exposed;
        let joiners = if left == 0 { state.line(Side::Join).pop_up_to(usize::MAX) } else { Vec::new() };
        drop(state);
        joiners.iter().for_each(Turn::wake);
        if exposed && left == 0 {
            open::notify(slf, "all_tasks_done", true)?;
        }
        drop(held);
        Ok(())
    }

    /// Wait until every item that was put is done.
    fn join(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, core) = (slf.py(), &slf.get().core);
        let mut waits = Waits::default();
        loop {
            let mut state = core.lock();
            if state.mode == Mode::Foreign {
                drop(state);
                return open::standard(slf, "join", ()).map(drop);
            }
            if state.unfinished == 0 {
                return Ok(());
            }
            let turn = waits.turn.get_or_insert_with(Turn::take);
            state.line(Side::Join).join(turn);
            drop(state);
            core.wait(py, Side::Join, turn, Deadline::NEVER)?;
        }
    }

    /// Shut the queue down: put raises ShutDown from now on, and so does get once the queue is empty, or at once
    /// if ``immediate``.
    ///
    /// Everybody who waits in put and get is woken. If ``immediate``, the items are removed and each is counted as done.
    #[pyo3(signature = (immediate=Truth(false)), text_signature = "($self, immediate=False)")]
    fn shutdown(slf: &Bound<'_, Self>, immediate: Truth) -> PyResult<()> {
        let core = &slf.get().core;
        let Some(mut state) = slf.get().sealed() else { return open::shutdown(slf, immediate.0) };
        state.shutdown = true;
        let mut items = VecDeque::new();
        if immediate.0 {
            items = std::mem::take(&mut state.items);
            let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
            state.unfinished -= count.min(state.unfinished.max(0));
        }
        drop(state);
        for side in [Side::Get, Side::Put].into_iter().chain(immediate.0.then_some(Side::Join)) {
            core.wake(side, usize::MAX);
        }
        drop(items);
        Ok(())
    }

    /// Opens the queue: its items move to the attribute `queue`.
    fn _carrick_open(slf: &Bound<'_, Self>) -> PyResult<()> {
        open::open(slf)
    }

    /// Opens the queue and returns its mutex; from now on the conditions are notified.
    fn _carrick_expose(slf: &Bound<'_, Self>) -> PyResult<QueueMutex> {
        open::open(slf)?;
        let core = &slf.get().core;
        core.lock().exposed = true;
        Ok(QueueMutex::new(core))
    }

    /// From now on the methods of the standard class do everything, with locks that the program has set.
    fn _carrick_give_away(slf: &Bound<'_, Self>) {
        let core = &slf.get().core;
        core.lock().mode = Mode::Foreign;
        for side in [Side::Get, Side::Put, Side::Join] {
            core.wake(side, usize::MAX);
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(state) = self.core.try_lock() else { return Ok(()) };
        visit.call(&state.maxsize)?;
        state.items.iter().try_for_each(|item| visit.call(item))
    }

    fn __clear__(&self) {
        let mut state = self.core.lock();
        let items = (std::mem::take(&mut state.items), state.maxsize.take());
        drop(state);
        drop(items);
    }
}
