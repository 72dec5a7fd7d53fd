// SPDX-License-Identifier: MIT OR Apache-2.0
//! Python's signal handlers as the core's interrupt hook (PEP 475).
//!
//! Python runs signal handlers in the main thread only, but the kernel may interrupt any thread, and between
//! the last look at what has arrived and the sleep there is always a gap. So the main thread sleeps on Python's
//! wakeup descriptor (`signal.set_wakeup_fd`) as well, which is written to by whichever thread a signal
//! interrupts. It is ours, the *bell*, for the length of a wait only: the owner of an earlier one (asyncio)
//! has it back afterwards, with what arrived.
#![forbid(unsafe_code)]

use crate::buffer::write_now;
use crate::once::Once;
use carrick::interrupt::{Hook, Verdict, set_hook};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Where signals are written to while the main thread sleeps.
struct Bell {
    /// The process that made it: a child made by fork must not share it with its parent.
    process: u32,
    read: UnixStream,
    write: UnixStream,
}

/// The stream itself or, where its number is that of a standard descriptor, a copy: those have numbers from 3 on.
fn lift(stream: UnixStream) -> std::io::Result<UnixStream> {
    if stream.as_raw_fd() > 2 { Ok(stream) } else { stream.try_clone() }
}

impl Bell {
    fn new() -> std::io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let (read, write) = (lift(read)?, lift(write)?);
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Self { process: std::process::id(), read, write })
    }
}

thread_local! {
    /// The exception of a signal handler during a wait of this thread.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    /// Whether this is Python's main thread, once it is known.
    static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
    static BELL: RefCell<Option<Bell>> = const { RefCell::new(None) };
    /// Waits with the bell: a signal handler may wait in the middle of one.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// The end of the bell that is Python's wakeup descriptor now, or -1.
// ORDER python-bell: both change in an attached main thread only; the child of a fork reads them attached, too.
static INSTALLED: AtomicI32 = AtomicI32::new(-1);
/// The wakeup descriptor that was in place before the bell, or -1.
static BEFORE: AtomicI32 = AtomicI32::new(-1);
/// See [`times_detached`].
// ORDER python-detached: a hint that guards no memory.
static DETACHED: AtomicU64 = AtomicU64::new(0);

fn is_main(py: Python<'_>) -> bool {
    if let Some(known) = IS_MAIN.get() {
        return known;
    }
    let ask = || -> PyResult<bool> {
        let threading = py.import("threading")?;
        let main = threading.call_method0("main_thread")?.getattr("ident")?;
        threading.call_method0("get_ident")?.eq(main)
    };
    match ask() {
        Ok(answer) => {
            IS_MAIN.set(Some(answer));
            answer
        }
        // A signal handler ran in the middle of the question and raised: only the main thread runs any.
        Err(raised) => {
            keep(raised);
            true
        }
    }
}

/// Keeps what a signal handler raised until the wait has ended.
fn keep(raised: PyErr) {
    RAISED.with_borrow_mut(|slot| *slot = Some(raised));
}

/// Puts `fd` in place of Python's wakeup descriptor (-1 is none) and returns the one before. Main thread only.
fn swap_wakeup(py: Python<'_>, fd: RawFd, warn: bool) -> PyResult<RawFd> {
    static SET: Once<Py<PyAny>> = Once::new();
    let set = SET.import(py, "signal", "set_wakeup_fd")?;
    if warn {
        return set.call1((fd,))?.extract();
    }
    let quietly = [("warn_on_full_buffer", false)].into_py_dict(py)?;
    set.call((fd,), Some(&quietly))?.extract()
}

/// Makes the bell Python's wakeup descriptor; returns the end to poll, `None` where there can be none.
fn install_bell(py: Python<'_>) -> Option<RawFd> {
    let (read, write) = BELL.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|bell| bell.process != std::process::id()) {
            // Without descriptors EINTR has to do.
            let inherited = std::mem::replace(slot, Bell::new().ok());
            if DEPTH.get() > 0 {
                // A signal handler forked, and the wait that it interrupted goes on with the parent's bell.
                std::mem::forget(inherited);
            }
        }
        slot.as_ref().map(|bell| (bell.read.as_raw_fd(), bell.write.as_raw_fd()))
    })?;
    if INSTALLED.load(Ordering::Relaxed) != write {
        // It fails in a second interpreter, which has no main thread of its own.
        let before = match swap_wakeup(py, write, false) {
            Ok(before) => before,
            Err(error) if error.is_instance_of::<PyValueError>(py) => return None,
            // The first time it imports, and a signal handler may run then, and raise.
            Err(raised) => {
                keep(raised);
                return None;
            }
        };
        BEFORE.store(before, Ordering::Relaxed);
        INSTALLED.store(write, Ordering::Relaxed);
    }
    Some(read)
}

/// Puts the wakeup descriptor back that was in place before the bell.
fn remove_bell(py: Python<'_>) {
    let bell = INSTALLED.swap(-1, Ordering::Relaxed);
    let before = BEFORE.load(Ordering::Relaxed);
    if let Ok(found) = swap_wakeup(py, before, true)
        && found != bell
    {
        // A signal handler has set another one meanwhile: that is what counts.
        let _ = swap_wakeup(py, found, true);
    }
    empty_bell();
    BEFORE.store(-1, Ordering::Relaxed);
}

/// Empties the bell. Its bytes go on to the wakeup descriptor that was set before.
fn empty_bell() {
    BELL.with_borrow(|bell| {
        // A parent's bell is not the child's to empty.
        let Some(bell) = bell.as_ref().filter(|bell| bell.process == std::process::id()) else { return };
        let next = BEFORE.load(Ordering::Relaxed);
        let mut signals = [0; 64];
        while let Ok(count) = (&bell.read).read(&mut signals)
            && count > 0
        {
            if next >= 0 {
                // A full one wakes its reader all the same.
                let _ = write_now(next, signals.get(..count).unwrap_or_default());
            }
        }
    });
}

fn run_handlers(py: Python<'_>) -> Verdict {
    if let Err(raised) = py.check_signals() {
        keep(raised);
    }
    if RAISED.with_borrow(Option::is_some) { Verdict::Stop } else { Verdict::Continue }
}

struct PythonSignals;

impl Hook for PythonSignals {
    fn signalled(&self) -> Verdict {
        if IS_MAIN.get() == Some(false) {
            return Verdict::Continue;
        }
        empty_bell();
        let attached = |py: Python<'_>| if is_main(py) { run_handlers(py) } else { Verdict::Continue };
        Python::try_attach(attached).unwrap_or(Verdict::Continue)
    }

    fn arm(&self) -> (Verdict, Option<RawFd>) {
        if IS_MAIN.get() == Some(false) {
            return (Verdict::Continue, None);
        }
        let attached = |py: Python<'_>| {
            if !is_main(py) {
                return (Verdict::Continue, None);
            }
            let bell = install_bell(py);
            DEPTH.set(DEPTH.get() + usize::from(bell.is_some()));
            (run_handlers(py), bell)
        };
        Python::try_attach(attached).unwrap_or((Verdict::Continue, None))
    }

    fn is_for_this_thread(&self) -> bool {
        IS_MAIN.get() != Some(false)
    }

    fn disarm(&self) {
        // The bell is removed by who called, when it is attached again: attaching for that alone could take
        // long where other threads are busy.
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Runs what may wait, detached from the interpreter.
pub(crate) fn waiting<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    let result = py.detach(|| {
        DETACHED.fetch_add(1, Ordering::Relaxed);
        wait()
    });
    settle(py);
    result
}

/// How often threads have detached for a wait.
pub(crate) fn times_detached() -> u64 {
    DETACHED.load(Ordering::Relaxed)
}

/// Ends a wait of this thread.
pub(crate) fn settle(py: Python<'_>) {
    if INSTALLED.load(Ordering::Relaxed) >= 0 && IS_MAIN.get() == Some(true) && DEPTH.get() == 0 {
        remove_bell(py);
    }
}

/// In the child of a fork, before anything of Python runs there.
fn in_child() {
    // Whether the thread that forked is the main thread is Python's to say, which knows it a moment later.
    IS_MAIN.set(None);
    crate::thread_queue::forked();
}

/// In the child of a fork the thread that forked is the main thread, and a bell is its parent's.
#[pyfunction]
pub(crate) fn forked(py: Python<'_>) {
    IS_MAIN.set(Some(true));
    if INSTALLED.load(Ordering::Relaxed) >= 0 {
        remove_bell(py);
    }
}

/// The exception that ended a wait of this thread with `Interrupted`.
pub(crate) fn take_raised() -> Option<PyErr> {
    RAISED.with_borrow_mut(Option::take)
}

/// Installs the hook. A second interpreter in the process leaves the first one's.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    if set_hook(&PythonSignals) {
        carrick::fork::set_handler(in_child);
        let forked = wrap_pyfunction!(forked, py)?;
        let arguments = [("after_in_child", forked)].into_py_dict(py)?;
        py.import("os")?.call_method("register_at_fork", (), Some(&arguments))?;
    }
    Ok(())
}
