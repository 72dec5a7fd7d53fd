// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open queues: the items are where the class's `_init` has put them, and each operation holds the mutex.
#![forbid(unsafe_code)]

use super::monitor::{Turn, wake};
use super::mutex::Held;
use super::state::{Core, Limit, Mode, Side};
use super::{ThreadQueue, Waits, exception, patience};
use carrick::Deadline;
use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyAttributeError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Calls a method of the standard class.
pub(super) fn standard<'py>(
    slf: &Bound<'py, ThreadQueue>,
    method: &str,
    args: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = super::class(slf.py(), "_standard")?.getattr("Queue")?;
    class.getattr(method)?.call_method1("__get__", (slf, slf.get_type()))?.call1(args)
}

/// Whether the standard class does everything.
fn is_foreign(slf: &Bound<'_, ThreadQueue>) -> bool {
    slf.get().core.lock().mode == Mode::Foreign
}

fn size<'py>(slf: &Bound<'py, ThreadQueue>) -> PyResult<Bound<'py, PyAny>> {
    slf.call_method0(intern!(slf.py(), "_qsize"))
}

fn is_bounded(slf: &Bound<'_, ThreadQueue>) -> PyResult<bool> {
    let limit = slf.get().core.lock().limit;
    match limit {
        Limit::None => Ok(false),
        Limit::At(_) => Ok(true),
        Limit::Odd => slf.get().maxsize(slf.py()).bind(slf.py()).gt(0),
    }
}

fn is_full(slf: &Bound<'_, ThreadQueue>) -> PyResult<bool> {
    Ok(is_bounded(slf)? && size(slf)?.ge(slf.get().maxsize(slf.py()))?)
}

/// Tells those who wait in a condition of the program's.
#[cold]
pub(super) fn notify(slf: &Bound<'_, ThreadQueue>, condition: &str, all: bool) -> PyResult<()> {
    slf.call_method1(intern!(slf.py(), "_carrick_notify"), (condition, all)).map(drop)
}

fn notify_if(slf: &Bound<'_, ThreadQueue>, exposed: bool, condition: &str) -> PyResult<()> {
    if exposed { notify(slf, condition, false) } else { Ok(()) }
}

/// Waits until `ready`, with the mutex held before and after; false when the time is over.
fn await_ready<'a>(
    slf: &'a Bound<'_, ThreadQueue>,
    mut held: Held<'a>,
    (side, gone): (Side, bool),
    waits: &mut Waits,
    deadline: Deadline,
    ready: impl Fn() -> PyResult<bool>,
) -> PyResult<(Held<'a>, bool)> {
    let core: &'a Core = &slf.get().core;
    loop {
        if ready()? {
            return Ok((held, true));
        }
        if waits.expired || deadline.is_now() {
            return Ok((held, false));
        }
        let turn = waits.turn.get_or_insert_with(Turn::take);
        let (again, in_time) = core.wait_open(slf.py(), held, side, turn, deadline)?;
        held = again;
        waits.expired = !in_time;
        // With no items left there is nothing to wait for after a shutdown.
        if core.lock().shutdown && (gone || !ready()?) {
            return Err(exception(slf.py(), "ShutDown"));
        }
    }
}

pub(super) fn put(
    slf: &Bound<'_, ThreadQueue>,
    item: Py<PyAny>,
    block: bool,
    timeout: Option<&Bound<'_, PyAny>>,
    mut waits: Waits,
) -> PyResult<()> {
    let py = slf.py();
    let core = &slf.get().core;
    if is_foreign(slf) {
        return standard(slf, "put", (item, block, timeout)).map(drop);
    }
    let mut held = core.hold(py)?;
    if core.lock().shutdown {
        return Err(exception(py, "ShutDown"));
    }
    if is_bounded(slf)? {
        let deadline = match waits.deadline {
            Some(deadline) => deadline,
            None if block => patience(timeout)?,
            None => Deadline::NOW,
        };
        let room;
        (held, room) =
            await_ready(slf, held, (Side::Put, true), &mut waits, deadline, || Ok(!is_full(slf)?))?;
        if !room {
            return Err(exception(py, "Full"));
        }
    }
    slf.call_method1(intern!(py, "_put"), (item,))?;
    let mut state = core.lock();
    state.unfinished += 1;
    let next = state.line(Side::Get).pop();
    let exposed = state.exposed;
    drop(state);
    let notified = notify_if(slf, exposed, "not_empty");
    drop(held);
    wake(next);
    notified
}

pub(super) fn get(
    slf: &Bound<'_, ThreadQueue>,
    block: bool,
    timeout: Option<&Bound<'_, PyAny>>,
    mut waits: Waits,
) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    let core = &slf.get().core;
    if is_foreign(slf) {
        return standard(slf, "get", (block, timeout)).map(Bound::unbind);
    }
    let held = core.hold(py)?;
    let some = || size(slf)?.is_truthy();
    if core.lock().shutdown && !some()? {
        return Err(exception(py, "ShutDown"));
    }
    let deadline = match waits.deadline {
        Some(deadline) => deadline,
        None if block => patience(timeout)?,
        None => Deadline::NOW,
    };
    let (held, there) = await_ready(slf, held, (Side::Get, false), &mut waits, deadline, some)?;
    if !there {
        return Err(exception(py, "Empty"));
    }
    let item = slf.call_method0(intern!(py, "_get"))?;
    let mut state = core.lock();
    let next = state.line(Side::Put).pop();
    let exposed = state.exposed;
    drop(state);
    let notified = notify_if(slf, exposed, "not_full");
    drop(held);
    wake(next);
    notified.map(|()| item.unbind())
}

pub(super) fn qsize(slf: &Bound<'_, ThreadQueue>) -> PyResult<Py<PyAny>> {
    if is_foreign(slf) {
        return standard(slf, "qsize", ()).map(Bound::unbind);
    }
    let _held = slf.get().core.hold(slf.py())?;
    size(slf).map(Bound::unbind)
}

pub(super) fn empty(slf: &Bound<'_, ThreadQueue>) -> PyResult<bool> {
    if is_foreign(slf) {
        return standard(slf, "empty", ())?.is_truthy();
    }
    let _held = slf.get().core.hold(slf.py())?;
    size(slf)?.is_truthy().map(|some| !some)
}

pub(super) fn full(slf: &Bound<'_, ThreadQueue>) -> PyResult<bool> {
    if is_foreign(slf) {
        return standard(slf, "full", ())?.is_truthy();
    }
    let _held = slf.get().core.hold(slf.py())?;
    is_full(slf)
}

pub(super) fn shutdown(slf: &Bound<'_, ThreadQueue>, immediate: bool) -> PyResult<()> {
    let py = slf.py();
    let core = &slf.get().core;
    if is_foreign(slf) {
        // The standard class can do it from Python 3.13 on.
        return standard(slf, "shutdown", (immediate,)).map(drop).map_err(|error| {
            if error.is_instance_of::<PyAttributeError>(py) {
                return PyRuntimeError::new_err("a queue with other locks than its own cannot be shut down");
            }
            error
        });
    }
    let held = core.hold(py)?;
    core.lock().shutdown = true;
    if immediate {
        while size(slf)?.is_truthy()? {
            slf.call_method0(intern!(py, "_get"))?;
            let mut state = core.lock();
            state.unfinished -= state.unfinished.clamp(0, 1);
        }
    }
    let exposed = core.lock().exposed;
    let conditions = [("not_empty", Side::Get), ("not_full", Side::Put), ("all_tasks_done", Side::Join)];
    for (condition, side) in conditions.into_iter().take(if immediate { 3 } else { 2 }) {
        core.wake(side, usize::MAX);
        if exposed {
            notify(slf, condition, true)?;
        }
    }
    drop(held);
    Ok(())
}

/// Moves the items of a sealed queue to the attribute `queue`.
pub(super) fn open(slf: &Bound<'_, ThreadQueue>) -> PyResult<()> {
    let py = slf.py();
    let core = &slf.get().core;
    if !core.lock().is_to_be_opened() {
        return Ok(());
    }
    // Made before anything is changed, and filled by C code only: no signal handler runs while the queue is neither
    // sealed nor open.
    let lifo = core.lock().lifo;
    let container = if lifo {
        PyList::empty(py).into_any()
    } else {
        py.import(intern!(py, "collections"))?.getattr(intern!(py, "deque"))?.call0()?
    };
    let extend = container.getattr(intern!(py, "extend"))?;
    let attributes = slf.getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()?;
    let held = core.hold(py)?;
    let mut state = core.lock();
    if state.mode != Mode::Sealed {
        return Ok(());
    }
    let copies: Vec<_> = state.items.iter().map(|item| item.clone_ref(py)).collect();
    state.mode = Mode::Open;
    state.opening = true;
    drop(state);
    let moved = extend.call1((copies,)).and_then(|_| attributes.set_item(intern!(py, "queue"), container));
    let mut state = core.lock();
    state.opening = false;
    if let Err(error) = moved {
        state.mode = Mode::Sealed;
        return Err(error);
    }
    let items = std::mem::take(&mut state.items);
    drop(state);
    drop(held);
    // The container refers to the earlier items now.
    drop(items);
    Ok(())
}
