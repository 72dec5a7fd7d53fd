// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors of the core as Python exceptions.
#![forbid(unsafe_code)]

use crate::once::Once;
use carrick::{Error, Kind};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The error table of the core: name, code, text, errno and standard class of each kind.
#[pyfunction]
pub(crate) fn error_table() -> Vec<(&'static str, i32, &'static str, Option<i32>, &'static str)> {
    Kind::ALL.iter().map(|k| (k.name(), k.code(), k.text(), k.errno(), k.python_class())).collect()
}

/// The Python exception for an error of the core.
#[cold]
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    if error.kind() == Kind::Interrupted
        && let Some(raised) = crate::signals::take_raised()
    {
        return raised;
    }
    make(py, error, error.os_code(), &error.to_string(), error.subject())
}

/// The exception for an error of a plain socket's call, with the arguments that the standard library gives it:
/// "timed out", or the errno and its text.
#[cold]
pub(crate) fn raise_standard(py: Python<'_>, error: &Error) -> PyErr {
    let text =
        |errno: i32| -> PyResult<String> { py.import("os")?.call_method1("strerror", (errno,))?.extract() };
    match (error.kind(), error.os_code()) {
        (Kind::Interrupted, _) | (_, None) => raise(py, error),
        (Kind::Timeout, _) => make(py, error, None, "timed out", None),
        (_, Some(errno)) => match text(errno) {
            Ok(text) => make(py, error, Some(errno), &text, None),
            Err(failure) => failure,
        },
    }
}

fn make(py: Python<'_>, error: &Error, errno: Option<i32>, text: &str, subject: Option<&str>) -> PyErr {
    static MAKE: Once<Py<PyAny>> = Once::new();
    let make = || -> PyResult<PyErr> {
        let make = MAKE.import(py, "carrick._errors", "_from_core")?;
        // In this way it can fail: there may be no memory.
        let text = PyString::from_bytes(py, text.as_bytes())?;
        let made = make.call1((error.kind().code(), errno, text, subject))?;
        Ok(PyErr::from_value(made))
    };
    make().unwrap_or_else(|failure| match error.kind() {
        // Python fails in strange ways where it has no memory to import a module.
        Kind::NoMemory => PyMemoryError::new_err(()),
        _ => failure,
    })
}

/// Shorthand for turning a core result into a Python one.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for carrick::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}

/// Whether the call has to wait, after an attempt that was not to.
pub(crate) fn would_block<T>(result: &carrick::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == Kind::WouldBlock)
}
