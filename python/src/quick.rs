// SPDX-License-Identifier: MIT OR Apache-2.0
//! Methods that Python calls straight, without the frame that PyO3 puts around each.
//!
//! Taking and releasing a free lock is two compare-exchanges; PyO3's frame costs five times as much, and makes it slower
//! than CPython's own lock (benches: "lock uncontended"). So these two methods have an entry of their own for the
//! common cases, and call the PyO3 method for everything else.

use crate::argument::Truth;
use crate::sync::SemLock;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// The lock that a method was called on.
fn lock_of<'a>(slf: &'a *mut ffi::PyObject) -> &'a SemLock {
    // SAFETY: Python calls methods with the thread attached, and `install` puts these on the class, whose descriptors
    // check that the object is an instance of it.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the caller holds a reference to the object for the length of the call.
    let object = unsafe { Borrowed::from_ptr(py, *slf) };
    // SAFETY: as for the thread.
    let lock: Borrowed<'a, '_, SemLock> = unsafe { object.cast_unchecked() };
    lock.get()
}

/// The arguments of `acquire`.
#[derive(Clone, Copy)]
struct Wanted {
    block: bool,
    timeout: Option<f64>,
}

/// The arguments that are understood here: True, False or nothing, then a float or nothing, by position or by name.
fn wanted(
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> Option<Wanted> {
    // SAFETY: the names of arguments are a tuple.
    let named = if names.is_null() { 0 } else { unsafe { ffi::PyTuple_Size(names) } };
    let count = usize::try_from(nargs + named).ok()?;
    let given = if count == 0 {
        &[]
    } else {
        // SAFETY: Python passes as many arguments as it says, the named ones last.
        unsafe { std::slice::from_raw_parts(args, count) }
    };
    let (block, timeout) = match (nargs, given) {
        (0, []) => (true, None),
        (1, [block]) => (flag(*block)?, None),
        (2, [block, timeout]) => (flag(*block)?, Some(float(*timeout)?)),
        (0, [timeout]) if is_timeout(names) => (true, Some(float(*timeout)?)),
        (1, [block, timeout]) if is_timeout(names) => (flag(*block)?, Some(float(*timeout)?)),
        _ => return None,
    };
    Some(Wanted { block, timeout })
}

/// Whether the first of the names is that of the timeout.
fn is_timeout(names: *mut ffi::PyObject) -> bool {
    // SAFETY: it is a tuple that has one; the item is lent.
    let name = unsafe { ffi::PyTuple_GetItem(names, 0) };
    // SAFETY: the name is a string, and the other one ends with a zero.
    unsafe { ffi::PyUnicode_CompareWithASCIIString(name, c"timeout".as_ptr()) == 0 }
}

fn flag(given: *mut ffi::PyObject) -> Option<bool> {
    // SAFETY: both are constants of a running interpreter.
    let (yes, no) = (unsafe { ffi::Py_True() }, unsafe { ffi::Py_False() });
    (given == yes || given == no).then_some(given == yes)
}

fn float(given: *mut ffi::PyObject) -> Option<f64> {
    // SAFETY: it is a live object, of which only the type is read.
    let is_float = unsafe { ffi::PyFloat_CheckExact(given) } != 0;
    // SAFETY: it is a float.
    is_float.then(|| unsafe { ffi::PyFloat_AsDouble(given) })
}

unsafe extern "C" fn acquire(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let Some(wanted) = wanted(args, nargs, names) else {
        return slowly(slf, "_acquire", args, nargs, names);
    };
    let lock = lock_of(&slf);
    if lock.try_acquire() { truth(true) } else { wait_for(lock, wanted) }
}

fn truth(value: bool) -> *mut ffi::PyObject {
    // SAFETY: both are constants of a running interpreter.
    let (yes, no) = (unsafe { ffi::Py_True() }, unsafe { ffi::Py_False() });
    let object = if value { yes } else { no };
    // SAFETY: as above; the count is the caller's reference.
    unsafe { ffi::Py_INCREF(object) };
    object
}

/// Waits for a lock that is not free, without the search for a method and the tuple and dict of a call of one: after a sleep
/// each line of code that runs has to come from memory again.
#[cold]
fn wait_for(lock: &SemLock, wanted: Wanted) -> *mut ffi::PyObject {
    Python::attach(|py| {
        let wait = AssertUnwindSafe(|| lock.acquire(py, Truth(wanted.block), wanted.timeout));
        let waited = catch_unwind(wait).unwrap_or_else(|_| {
            Err(PanicException::new_err("acquire: a fault in carrick; please report it"))
        });
        or_raise(py, waited.map(truth))
    })
}

/// The result of a method as Python wants it: NULL where its exception is set.
fn or_raise(py: Python<'_>, result: PyResult<*mut ffi::PyObject>) -> *mut ffi::PyObject {
    result.unwrap_or_else(|error| {
        error.restore(py);
        std::ptr::null_mut()
    })
}

unsafe extern "C" fn release(slf: *mut ffi::PyObject, _none: *mut ffi::PyObject) -> *mut ffi::PyObject {
    if lock_of(&slf).release_quickly() {
        // SAFETY: a constant of a running interpreter.
        let none = unsafe { ffi::Py_None() };
        // SAFETY: as above; the count is the caller's reference.
        unsafe { ffi::Py_INCREF(none) };
        return none;
    }
    slowly(slf, "_release", std::ptr::null(), 0, std::ptr::null_mut())
}

fn object(py: Python<'_>, pointer: *mut ffi::PyObject) -> Bound<'_, PyAny> {
    // SAFETY: Python passes live objects and holds references to them for the length of the call.
    unsafe { Bound::from_borrowed_ptr(py, pointer) }
}

unsafe extern "C" fn enter(slf: *mut ffi::PyObject, _none: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: this is called as acquire is, and has no arguments.
    unsafe { acquire(slf, std::ptr::null(), 0, std::ptr::null_mut()) }
}

unsafe extern "C" fn exit(
    slf: *mut ffi::PyObject,
    _args: *mut *mut ffi::PyObject,
    _nargs: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: this is called as release is.
    unsafe { release(slf, std::ptr::null_mut()) }
}

/// Calls the method of PyO3's that does the whole.
#[cold]
fn slowly(
    slf: *mut ffi::PyObject,
    method: &str,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let call = |py: Python<'_>| -> PyResult<*mut ffi::PyObject> {
        let names =
            if names.is_null() { PyTuple::empty(py) } else { object(py, names).cast_into::<PyTuple>()? };
        let positional = usize::try_from(nargs)?;
        let given = if args.is_null() {
            &[]
        } else {
            // SAFETY: Python passes as many arguments as it says, the named ones last.
            unsafe { std::slice::from_raw_parts(args, positional + names.len()) }
        };
        let (positional, named) = given.split_at(positional.min(given.len()));
        let positional = PyTuple::new(py, positional.iter().map(|pointer| object(py, *pointer)))?;
        let keywords = PyDict::new(py);
        for (name, value) in names.iter().zip(named) {
            keywords.set_item(name, object(py, *value))?;
        }
        Ok(object(py, slf).call_method(method, positional, Some(&keywords))?.into_ptr())
    };
    Python::attach(|py| or_raise(py, call(py)))
}

/// Puts the methods on the class.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    // Under this name PyO3's complains about arguments, too.
    let class = py.get_type::<SemLock>();
    class.setattr("_acquire", class.getattr("acquire")?)?;
    let acquire = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: acquire };
    let release = ffi::PyMethodDefPointer { PyCFunction: release };
    let flags = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    add(py, c"acquire", acquire, flags, ACQUIRE)?;
    add(py, c"release", release, ffi::METH_NOARGS, RELEASE)?;
    let enter = ffi::PyMethodDefPointer { PyCFunction: enter };
    let exit = ffi::PyMethodDefPointer { PyCFunctionFast: exit };
    add(py, c"__enter__", enter, ffi::METH_NOARGS, ENTER)?;
    add(py, c"__exit__", exit, ffi::METH_FASTCALL, EXIT)
}

extern "C" fn finalized() {
    carrick::sync::leave_locks();
}

/// Has the end of the interpreter noted in the locks that this process holds. The end of the process alone would not do:
/// after a KeyboardInterrupt that nobody catches Python finalizes the interpreter and then kills itself.
pub(crate) fn watch_finalization() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.swap(true, Ordering::SeqCst) {
        // SAFETY: the module is being imported, so the thread is attached. It fails where 32 are there already; then the end of
        // the process is what is left.
        let _ = unsafe { ffi::Py_AtExit(Some(finalized)) };
    }
}

const ENTER: &CStr = c"__enter__($self, /)\n--\n\nTake the lock.";
const EXIT: &CStr = c"__exit__($self, /, *args)\n--\n\nRelease the lock.";

const ACQUIRE: &CStr = c"acquire($self, /, block=True, timeout=None)\n--\n\n\
Take the lock, or a unit of the semaphore; False when there was none in time.";
const RELEASE: &CStr = c"release($self, /)\n--\n\nRelease the lock, or give a unit to the semaphore.";

fn add(
    py: Python<'_>,
    name: &'static CStr,
    function: ffi::PyMethodDefPointer,
    flags: i32,
    doc: &'static CStr,
) -> PyResult<()> {
    let definition =
        ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: function, ml_flags: flags, ml_doc: doc.as_ptr() };
    let class = py.get_type::<SemLock>();
    let definition: *mut _ = Box::leak(Box::new(definition));
    // SAFETY: the definition lives for ever, and its function has the signature that its flags say.
    let descriptor = unsafe { ffi::PyDescr_NewMethod(class.as_type_ptr(), definition) };
    // SAFETY: it returns a new reference, or NULL with an exception set.
    let descriptor = unsafe { Bound::from_owned_ptr_or_err(py, descriptor) }?;
    class.setattr(name.to_string_lossy(), descriptor)
}
