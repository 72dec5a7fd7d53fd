// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments whose errors name them and their values; PyO3's say neither.
#![forbid(unsafe_code)]

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::os::fd::RawFd;

/// An argument of which only the truth counts: `get(0)` is `get(False)`.
#[derive(Clone, Copy)]
pub(crate) struct Truth(pub(crate) bool);

impl<'py> FromPyObject<'_, 'py> for Truth {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        given.is_truthy().map(Self)
    }
}

/// The error for an argument that is no `T`: one that cannot be represented or is of another type.
fn explained(value: &Bound<'_, PyAny>, error: PyErr, name: &str, remedy: &str) -> PyErr {
    let py = value.py();
    let told = || format!("{name} {value:?}; give {remedy}");
    if error.is_instance_of::<PyOverflowError>(py) {
        PyValueError::new_err(told())
    } else if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(told())
    } else {
        error
    }
}

/// A number from 0 to `most`.
pub(crate) fn number<T: TryFrom<u64>>(value: &Bound<'_, PyAny>, name: &str, most: u64) -> PyResult<T> {
    let remedy = || format!("an int from 0 to {most}");
    let refused = |error| explained(value, error, name, &remedy());
    let number = value.extract::<u64>().map_err(refused)?;
    let fits = T::try_from(number).ok().filter(|_| number <= most);
    fits.ok_or_else(|| refused(PyOverflowError::new_err(())))
}

/// The number of a descriptor, of whatever sign.
pub(crate) fn descriptor(value: &Bound<'_, PyAny>, name: &str) -> PyResult<RawFd> {
    value.extract().map_err(|error| explained(value, error, name, "the number of a descriptor, an int"))
}

/// A text.
pub(crate) fn text(value: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
    value.extract().map_err(|error| explained(value, error, name, "a str"))
}

/// A text, or None.
pub(crate) fn text_or_none(value: Option<&Bound<'_, PyAny>>, name: &str) -> PyResult<Option<String>> {
    value.map(|value| text(value, name)).transpose()
}
