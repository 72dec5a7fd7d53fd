// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of queues, locks and the like.
#![forbid(unsafe_code)]

use crate::argument::text;
use crate::errors::OrRaise;
use carrick::name;
use pyo3::prelude::*;
use std::os::fd::{IntoRawFd, RawFd};

/// The descriptor of what has a name.
#[pyfunction]
pub(crate) fn open_name(py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    name::open(&text(name, "name")?).or_raise(py).map(IntoRawFd::into_raw_fd)
}

/// Take a name away: another queue, lock or the like can have it.
///
/// A process that has the named object keeps it. Names that nobody takes away stay until the machine starts again.
#[pyfunction]
pub(crate) fn remove_name(py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<()> {
    name::remove(&text(name, "name")?).or_raise(py)
}
