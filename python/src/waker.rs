// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waits for a listening socket that another thread can end.
#![forbid(unsafe_code)]

use crate::buffer::lend;
use crate::connection::seconds;
use crate::errors::OrRaise;
use crate::request::python_address;
use crate::signals::waiting;
use carrick::{Deadline, Kind, net};
use pyo3::prelude::*;
use std::os::fd::{IntoRawFd, RawFd};

/// Ends waits of this process's threads: in the child of a fork it is not set. See `carrick::net::Waker`.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct Waker {
    pub(crate) inner: net::Waker,
}

#[pymethods]
impl Waker {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        Ok(Self { inner: net::Waker::new().or_raise(py)? })
    }

    /// Ends waits until `clear`. True when a thread may be asleep where one call is not enough: call again.
    fn set(&self) -> bool {
        self.inner.set()
    }

    /// Has waits wait again.
    fn clear(&self) {
        self.inner.clear();
    }

    /// A descriptor that is readable while it is set.
    fn fileno(&self) -> RawFd {
        self.inner.fd()
    }

    /// Takes a connection from the listening descriptor: its descriptor and the client's address, or None when this was set
    /// first. Waits for up to `timeout` seconds, None is for ever.
    #[pyo3(signature = (fd, timeout=None))]
    fn accept<'py>(
        &self,
        py: Python<'py>,
        fd: RawFd,
        timeout: Option<f64>,
    ) -> PyResult<Option<(RawFd, Bound<'py, PyAny>)>> {
        let (fd, deadline) = (lend(fd)?, seconds(timeout)?);
        let accept = || self.inner.accept(fd, deadline);
        let accepted = if deadline == Deadline::NOW { accept() } else { waiting(py, accept) };
        let (fd, address) = match accepted {
            Err(error) if error.kind() == Kind::Closed => return Ok(None),
            other => other.or_raise(py)?,
        };
        let address = python_address(py, &address)?;
        Ok(Some((fd.into_raw_fd(), address)))
    }
}
