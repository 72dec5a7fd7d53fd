// SPDX-License-Identifier: MIT OR Apache-2.0
//! Python objects that are looked up once.
#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A value that the first call looks up. Two threads may look it up at once: the first one's stays.
///
/// PyO3's cell has the others wait, while what looks the value up imports modules and gives the interpreter to other threads:
/// where one of them forks, the child would wait for ever. Here the cell is only taken to set it, attached.
pub(crate) struct Once<T>(PyOnceLock<T>);

impl<T> Once<T> {
    pub(crate) const fn new() -> Self {
        Self(PyOnceLock::new())
    }

    pub(crate) fn get_or_try(&self, py: Python<'_>, find: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        if let Some(known) = self.0.get(py) {
            return Ok(known);
        }
        let found = find()?;
        Ok(self.0.get_or_init(py, || found))
    }
}

impl Once<Py<PyAny>> {
    /// An attribute of a module.
    pub(crate) fn import<'py>(
        &self,
        py: Python<'py>,
        module: &str,
        name: &str,
    ) -> PyResult<&Bound<'py, PyAny>> {
        self.get_or_try(py, || Ok(py.import(module)?.getattr(name)?.unbind())).map(|object| object.bind(py))
    }
}
