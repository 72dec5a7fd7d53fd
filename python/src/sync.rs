// SPDX-License-Identifier: MIT OR Apache-2.0
//! The primitives behind `carrick.multiprocessing.synchronize`.
//!
//! `SemLock` has the surface of CPython's `_multiprocessing.SemLock`, because CPython's classes are built on that: a
//! lock, a recursive lock and a semaphore in one type. An operation tries once while attached; only if that is not
//! enough it detaches and waits.
#![forbid(unsafe_code)]

use crate::argument::{Truth, descriptor, number, text_or_none};
use crate::buffer::lend;
use crate::connection::seconds;
use crate::errors::{OrRaise, raise};
use crate::signals::waiting;
use carrick::sync::{Barrier, Condition, Event, Lock, Memory, OnOwnerDeath, Place, RLock, Semaphore, Taken};
use carrick::{Deadline, Error, Kind, Result};
use pyo3::exceptions::{PyAssertionError, PyValueError};
use pyo3::prelude::*;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicI64, Ordering};

const RECURSIVE_MUTEX: i32 = 0;

/// Where a primitive is, for another process: descriptor, slot, segment.
type PlaceTuple = (RawFd, u32, u128);

fn place(place: &Place<'_>) -> PlaceTuple {
    (place.fd.as_raw_fd(), place.slot, place.segment)
}

/// The memory that another process's place means. The descriptor, which stays the caller's, is needed only where the
/// segment is not in this process yet.
fn memory<'a>(fd: Option<&Bound<'_, PyAny>>, segment: u128) -> PyResult<Memory<'a>> {
    fd.map_or(Ok(Memory::Known(segment)), |fd| lend(descriptor(fd, "fd")?).map(Memory::File))
}

fn slot_number(slot: &Bound<'_, PyAny>) -> PyResult<u32> {
    number(slot, "slot", u32::MAX.into())
}

/// The primitive behind a `SemLock`.
enum Inner {
    Lock(Lock),
    RLock(RLock),
    Semaphore {
        semaphore: Semaphore,
        /// How many units this process has taken and not given back by this object.
        // ORDER python-semaphore-count: for people to look at; nothing hangs on it.
        taken: AtomicI64,
    },
}

/// A lock, a recursive lock or a semaphore.
#[pyclass(frozen, subclass, module = "carrick._carrick")]
pub(crate) struct SemLock {
    inner: Inner,
    kind: i32,
    /// The policy for a lock from a dead holder: "warn", "raise" or "wait". A semaphore has none.
    on_owner_death: Option<String>,
}

/// Leaves the locks that this process holds taken: it ends in good order.
#[pyfunction]
pub(crate) fn leave_locks() {
    carrick::sync::leave_locks();
}

/// Whether a wait's end was a success, a failure in time or a failure.
fn in_time<T>(py: Python<'_>, result: Result<T>) -> PyResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), Kind::Timeout | Kind::WouldBlock) => Ok(None),
        Err(error) => Err(raise(py, &error)),
    }
}

impl SemLock {
    /// One of the kind, by the maker of that kind; without a policy it is a semaphore.
    fn make(
        py: Python<'_>,
        kind: i32,
        on_owner_death: Option<String>,
        lock: impl FnOnce() -> Result<Lock>,
        rlock: impl FnOnce() -> Result<RLock>,
        semaphore: impl FnOnce() -> Result<Semaphore>,
    ) -> PyResult<Self> {
        let policy = match on_owner_death.as_deref() {
            None => None,
            Some("warn" | "raise") => Some(OnOwnerDeath::TakeOver),
            Some("wait") => Some(OnOwnerDeath::Wait),
            Some(other) => {
                let text = format!("on_owner_death '{other}'; it is one of 'warn', 'raise', 'wait'");
                return Err(PyValueError::new_err(text));
            }
        };
        let inner = match policy {
            None => Inner::Semaphore { semaphore: semaphore().or_raise(py)?, taken: AtomicI64::new(0) },
            Some(policy) if kind == RECURSIVE_MUTEX => {
                Inner::RLock(rlock().or_raise(py)?.on_owner_death(policy))
            }
            Some(policy) => Inner::Lock(lock().or_raise(py)?.on_owner_death(policy)),
        };
        Ok(Self { inner, kind, on_owner_death })
    }

    fn acquire_slowly(&self, deadline: Deadline) -> Result<Taken> {
        match &self.inner {
            Inner::Lock(lock) => lock.acquire(deadline),
            Inner::RLock(lock) => lock.acquire(deadline),
            Inner::Semaphore { semaphore, taken } => {
                semaphore.acquire(deadline)?;
                taken.fetch_add(1, Ordering::Relaxed);
                Ok(Taken::Free)
            }
        }
    }

    /// Tries once.
    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        match &self.inner {
            Inner::Lock(lock) => lock.try_acquire(),
            Inner::RLock(lock) => lock.try_acquire(),
            Inner::Semaphore { semaphore, taken } => {
                let done = semaphore.try_acquire();
                if done {
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                done
            }
        }
    }

    /// Tries for some microseconds, which is less than to detach and attach again takes.
    fn acquire_quickly(&self) -> bool {
        match &self.inner {
            Inner::Lock(lock) => lock.acquire_quickly(),
            Inner::RLock(lock) => lock.acquire_quickly(),
            Inner::Semaphore { .. } => self.try_acquire(),
        }
    }

    /// Releases; false when that fails, and nothing was done.
    #[inline]
    pub(crate) fn release_quickly(&self) -> bool {
        match &self.inner {
            Inner::Lock(lock) => lock.release().is_ok(),
            Inner::RLock(lock) => lock.release().is_ok(),
            Inner::Semaphore { semaphore, taken } => {
                let done = semaphore.release().is_ok();
                if done {
                    taken.fetch_sub(1, Ordering::Relaxed);
                }
                done
            }
        }
    }

    /// The lock has come from a dead holder.
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        let told = if self.on_owner_death.as_deref() == Some("raise") {
            Err(raise(py, &Error::new(Kind::OwnerDied, "acquire lock")))
        } else {
            warn_owner_died(py)
        };
        if told.is_err() {
            self._release()?;
        }
        told
    }
}

fn warn_owner_died(py: Python<'_>) -> PyResult<()> {
    let class = py.import("carrick")?.getattr("OwnerDiedWarning")?;
    let text =
        "the process that held this lock died while holding it: what the lock guards may be half changed";
    py.import("warnings")?.call_method1("warn", (text, class, 1)).map(drop)
}

#[pymethods]
impl SemLock {
    #[classattr]
    const SEM_VALUE_MAX: u32 = Semaphore::MAX;

    #[new]
    #[pyo3(signature = (kind, value, maxvalue, on_owner_death=None, name=None))]
    fn new(
        py: Python<'_>,
        kind: i32,
        value: &Bound<'_, PyAny>,
        maxvalue: &Bound<'_, PyAny>,
        on_owner_death: Option<&Bound<'_, PyAny>>,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let units = |value, name| number(value, name, Semaphore::MAX.into());
        let (value, maxvalue) = (units(value, "value")?, units(maxvalue, "maxvalue")?);
        let (on_owner_death, name) =
            (text_or_none(on_owner_death, "on_owner_death")?, text_or_none(name, "name")?);
        let name = name.as_deref();
        let lock = || name.map_or_else(Lock::new, Lock::create);
        let rlock = || name.map_or_else(RLock::new, RLock::create);
        let semaphore = || match name {
            Some(name) => Semaphore::create(name, value, maxvalue),
            None => Semaphore::bounded(value, maxvalue),
        };
        Self::make(py, kind, on_owner_death, lock, rlock, semaphore)
    }

    /// The one that another process made, from what its `_place` and `_state` said.
    #[staticmethod]
    fn _attach(
        py: Python<'_>,
        fd: Option<&Bound<'_, PyAny>>,
        slot: &Bound<'_, PyAny>,
        segment: u128,
        state: (i32, Option<Bound<'_, PyAny>>),
    ) -> PyResult<Self> {
        let (memory, slot) = (memory(fd, segment)?, slot_number(slot)?);
        let (kind, on_owner_death) = state;
        let on_owner_death = text_or_none(on_owner_death.as_ref(), "on_owner_death")?;
        let (lock, rlock) = (|| Lock::attach(memory, slot), || RLock::attach(memory, slot));
        Self::make(py, kind, on_owner_death, lock, rlock, || Semaphore::attach(memory, slot))
    }

    /// The state that another process needs besides the place.
    fn _state(&self) -> (i32, Option<&str>) {
        (self.kind, self.on_owner_death.as_deref())
    }

    fn _place(&self) -> PlaceTuple {
        match &self.inner {
            Inner::Lock(lock) => place(&lock.place()),
            Inner::RLock(lock) => place(&lock.place()),
            Inner::Semaphore { semaphore, .. } => place(&semaphore.place()),
        }
    }

    #[getter]
    fn kind(&self) -> i32 {
        self.kind
    }

    #[getter]
    fn maxvalue(&self) -> u32 {
        match &self.inner {
            Inner::Semaphore { semaphore, .. } => semaphore.limit(),
            _ => 1,
        }
    }

    /// CPython would have its tracker remove what has this name.
    #[getter]
    fn name(&self) -> Option<&str> {
        None
    }

    #[getter]
    fn handle(&self) -> u32 {
        self._place().1
    }

    /// The `acquire` that has to wait, or has arguments that `quick` leaves to PyO3.
    #[pyo3(signature = (block=Truth(true), timeout=None), text_signature = "($self, block=True, timeout=None)")]
    pub(crate) fn acquire(&self, py: Python<'_>, block: Truth, timeout: Option<f64>) -> PyResult<bool> {
        if self.try_acquire() {
            return Ok(true);
        }
        let deadline = if block.0 { seconds(timeout)? } else { Deadline::NOW };
        if !deadline.is_now() && self.acquire_quickly() {
            return Ok(true);
        }
        let taken = if deadline.is_now() {
            self.acquire_slowly(deadline)
        } else {
            waiting(py, || self.acquire_slowly(deadline))
        };
        match in_time(py, taken)? {
            None => Ok(false),
            Some(Taken::Free) => Ok(true),
            Some(Taken::FromDead) => self.tell(py).map(|()| true),
        }
    }

    /// The `release` that fails.
    fn _release(&self) -> PyResult<()> {
        if self.release_quickly() {
            return Ok(());
        }
        Err(match &self.inner {
            Inner::RLock(_) => {
                PyAssertionError::new_err("attempt to release recursive lock not owned by thread")
            }
            _ => PyValueError::new_err("semaphore or lock released too many times"),
        })
    }

    /// How often this process has taken it.
    fn _count(&self) -> i64 {
        let depth = |holder: Option<carrick::sync::Holder>| {
            holder.filter(|holder| holder.is_this_process).map_or(0, |holder| i64::from(holder.depth))
        };
        match &self.inner {
            Inner::Lock(lock) => depth(lock.holder()),
            Inner::RLock(lock) => depth(lock.holder()),
            Inner::Semaphore { taken, .. } => taken.load(Ordering::Relaxed),
        }
    }

    /// Whether the calling thread holds it.
    fn _is_mine(&self) -> bool {
        match &self.inner {
            Inner::Lock(lock) => lock.is_mine(),
            Inner::RLock(lock) => lock.is_mine(),
            Inner::Semaphore { taken, .. } => taken.load(Ordering::Relaxed) > 0,
        }
    }

    fn _get_value(&self) -> u32 {
        match &self.inner {
            Inner::Lock(lock) => u32::from(!lock.is_locked()),
            Inner::RLock(lock) => u32::from(!lock.is_locked()),
            Inner::Semaphore { semaphore, .. } => semaphore.value(),
        }
    }

    fn _is_zero(&self) -> bool {
        self._get_value() == 0
    }

    /// In the child of a fork: what the parent took, this process has not taken.
    fn _after_fork(&self) {
        if let Inner::Semaphore { taken, .. } = &self.inner {
            taken.store(0, Ordering::Relaxed);
        }
    }
}

/// A condition to wait for with a lock.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct SharedCondition(Condition);

#[pymethods]
impl SharedCondition {
    #[new]
    #[pyo3(signature = (name=None))]
    fn new(py: Python<'_>, name: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let name = text_or_none(name, "name")?;
        name.as_deref().map_or_else(Condition::new, Condition::create).or_raise(py).map(Self)
    }

    #[staticmethod]
    fn _attach(
        py: Python<'_>,
        fd: Option<&Bound<'_, PyAny>>,
        slot: &Bound<'_, PyAny>,
        segment: u128,
    ) -> PyResult<Self> {
        Condition::attach(memory(fd, segment)?, slot_number(slot)?).or_raise(py).map(Self)
    }

    fn _place(&self) -> PlaceTuple {
        place(&self.0.place())
    }

    /// Lets the lock go, waits for a notification and takes the lock again; False when none came in time.
    #[pyo3(signature = (lock, timeout=None))]
    fn wait(&self, py: Python<'_>, lock: &SemLock, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = seconds(timeout)?;
        let waited = waiting(py, || match &lock.inner {
            Inner::Lock(lock) => self.0.wait(lock, deadline),
            Inner::RLock(lock) => self.0.wait(lock, deadline),
            Inner::Semaphore { .. } => {
                Err(Error::with_detail(Kind::Invalid, "wait for condition", "a semaphore for a lock"))
            }
        });
        match waited {
            Err(error) if error.kind() == Kind::OwnerDied => lock.tell(py).map(|()| true),
            other => in_time(py, other).map(|waited| waited.is_some()),
        }
    }

    /// Wakes up to `count` of those who wait.
    fn notify(&self, count: usize) {
        self.0.notify(count);
    }

    /// Wakes all who wait.
    fn notify_all(&self) {
        self.0.notify_all();
    }

    /// How many wait.
    fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

/// A flag that can be waited for.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct SharedEvent(Event);

#[pymethods]
impl SharedEvent {
    #[new]
    #[pyo3(signature = (name=None))]
    fn new(py: Python<'_>, name: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let name = text_or_none(name, "name")?;
        name.as_deref().map_or_else(Event::new, Event::create).or_raise(py).map(Self)
    }

    #[staticmethod]
    fn _attach(
        py: Python<'_>,
        fd: Option<&Bound<'_, PyAny>>,
        slot: &Bound<'_, PyAny>,
        segment: u128,
    ) -> PyResult<Self> {
        Event::attach(memory(fd, segment)?, slot_number(slot)?).or_raise(py).map(Self)
    }

    fn _place(&self) -> PlaceTuple {
        place(&self.0.place())
    }

    /// Whether it is set.
    fn is_set(&self) -> bool {
        self.0.is_set()
    }

    /// Sets it: all who wait go on.
    fn set(&self) {
        self.0.set();
    }

    /// Clears it.
    fn clear(&self) {
        self.0.clear();
    }

    /// Waits until it is set; False when it was not in time.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        if self.0.is_set() {
            return Ok(true);
        }
        let deadline = seconds(timeout)?;
        in_time(py, waiting(py, || self.0.wait(deadline))).map(|waited| waited.is_some())
    }
}

/// A meeting point.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct SharedBarrier(Barrier);

#[pymethods]
impl SharedBarrier {
    #[new]
    #[pyo3(signature = (parties, name=None))]
    fn new(py: Python<'_>, parties: &Bound<'_, PyAny>, name: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let (parties, name) = (number(parties, "parties", u32::MAX.into())?, text_or_none(name, "name")?);
        let made =
            name.as_deref().map_or_else(|| Barrier::new(parties), |name| Barrier::create(name, parties));
        made.or_raise(py).map(Self)
    }

    #[staticmethod]
    fn _attach(
        py: Python<'_>,
        fd: Option<&Bound<'_, PyAny>>,
        slot: &Bound<'_, PyAny>,
        segment: u128,
    ) -> PyResult<Self> {
        Barrier::attach(memory(fd, segment)?, slot_number(slot)?).or_raise(py).map(Self)
    }

    fn _place(&self) -> PlaceTuple {
        place(&self.0.place())
    }

    /// Waits for the others; the last one calls `action`, unless it is None. Returns the place in the order of arrival.
    #[pyo3(signature = (action=None, timeout=None))]
    fn wait(&self, py: Python<'_>, action: Option<Py<PyAny>>, timeout: Option<f64>) -> PyResult<u32> {
        let deadline = seconds(timeout)?;
        let mut raised = None;
        let waited = waiting(py, || {
            let Some(action) = &action else { return self.0.wait(deadline) };
            self.0.wait_with(deadline, || {
                let called = Python::attach(|py| action.call0(py).map(drop));
                called.map_err(|error| {
                    raised = Some(error);
                    Error::new(Kind::Handler, "barrier action")
                })
            })
        });
        match (waited, raised) {
            (Err(_), Some(raised)) => Err(raised),
            (Err(error), None) if error.kind() == Kind::Timeout => {
                Err(raise(py, &Error::new(Kind::Broken, "wait at barrier")))
            }
            (other, _) => other.or_raise(py),
        }
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, || self.0.reset()).or_raise(py)
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, || self.0.abort()).or_raise(py)
    }

    #[getter]
    fn parties(&self) -> u32 {
        self.0.parties()
    }

    #[getter]
    fn waiting(&self) -> u32 {
        self.0.waiting()
    }

    #[getter]
    fn broken(&self) -> bool {
        self.0.is_broken()
    }
}
