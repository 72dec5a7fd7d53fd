// SPDX-License-Identifier: MIT OR Apache-2.0
//! A request of a message server, as its Python handler sees it.
#![forbid(unsafe_code)]

use carrick::Address;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use std::sync::{Mutex, PoisonError};

/// A request: what the client sent, and where answers go. Answers leave when the handler returns.
#[pyclass(frozen, module = "carrick")]
pub(crate) struct Request {
    /// The bytes that the client sent.
    #[pyo3(get)]
    body: Py<PyBytes>,
    address: Address,
    /// A number for the connection, different from that of every other open one.
    #[pyo3(get)]
    connection: u64,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    replies: Vec<Py<PyAny>>,
    close: bool,
}

/// An address as Python's `socket` writes it.
pub(crate) fn python_address<'py>(py: Python<'py>, address: &Address) -> PyResult<Bound<'py, PyAny>> {
    match address {
        Address::Ip(std::net::SocketAddr::V4(v4)) => Ok(PyTuple::new(
            py,
            [v4.ip().to_string().into_pyobject(py)?.into_any(), v4.port().into_pyobject(py)?.into_any()],
        )?
        .into_any()),
        Address::Ip(std::net::SocketAddr::V6(v6)) => {
            Ok((v6.ip().to_string(), v6.port(), v6.flowinfo(), v6.scope_id()).into_pyobject(py)?.into_any())
        }
        Address::Unix(path) => Ok(path.as_os_str().into_pyobject(py)?.into_any()),
        Address::Abstract(name) => Ok(PyBytes::new(py, &[&[0], name.as_slice()].concat()).into_any()),
        _ => Ok(PyString::new(py, "").into_any()),
    }
}

impl Request {
    pub(crate) fn new(py: Python<'_>, body: &[u8], address: Address, connection: u64) -> Self {
        Self { body: PyBytes::new(py, body).unbind(), address, connection, answers: Mutex::default() }
    }

    pub(crate) fn take(&self) -> (Vec<Py<PyAny>>, bool) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut answers.replies), answers.close)
    }
}

#[pymethods]
impl Request {
    /// Where the client is, as `socket` writes addresses.
    #[getter]
    fn peer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python_address(py, &self.address)
    }

    /// Sends a frame back; a handler may reply several times, or not at all.
    fn reply(&self, body: Py<PyAny>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).replies.push(body);
    }

    /// Ends the connection after the replies.
    fn close(&self) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).close = true;
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let length = self.body.bind(py).len()?;
        Ok(format!("<carrick.Request of {length} bytes from {}>", self.address))
    }
}
