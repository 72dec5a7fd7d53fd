// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fork servers and lifelines for `carrick.multiprocessing`.
#![forbid(unsafe_code)]

use crate::buffer::{View, lend, take};
use crate::errors::{OrRaise, raise};
use crate::signals::waiting;
use carrick::process::{self, Exit, supply};
use carrick::{Error, Kind};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

/// The children that a fork server keeps, forked ahead of time.
#[pyclass(module = "carrick._carrick")]
pub(crate) struct Supply(Option<supply::Supply>);

impl Supply {
    fn inner(&mut self, py: Python<'_>) -> PyResult<&mut supply::Supply> {
        self.0.as_mut().ok_or_else(|| raise(py, &Error::new(Kind::State, "use a supply that was taken from")))
    }
}

#[pymethods]
impl Supply {
    /// Takes the descriptor over.
    #[new]
    fn new(py: Python<'_>, requests: RawFd) -> PyResult<Self> {
        supply::Supply::new(take(requests)?).or_raise(py).map(|supply| Self(Some(supply)))
    }

    /// Waits until a child is to be forked (True) or the last client is gone (False).
    fn wait(&mut self, py: Python<'_>) -> PyResult<bool> {
        let supply = self.inner(py)?;
        waiting(py, || supply.wait()).or_raise(py)
    }

    /// The server has forked this child.
    fn forked(&mut self, py: Python<'_>, pid: i32) -> PyResult<()> {
        self.inner(py)?.forked(pid);
        Ok(())
    }

    /// The server could not fork.
    fn fork_failed(&mut self, py: Python<'_>, errno: i32) -> PyResult<()> {
        self.inner(py)?.fork_failed(errno);
        Ok(())
    }

    /// In the child: says why it ends before it has taken a request.
    fn give_up(&mut self, py: Python<'_>, reason: &str) -> PyResult<()> {
        self.inner(py)?.give_up(reason);
        Ok(())
    }

    /// In the child: waits for a request, and returns its body and its descriptors; None when there will be none.
    fn take(&mut self, py: Python<'_>) -> PyResult<Option<(Py<PyBytes>, Vec<RawFd>)>> {
        self.inner(py)?;
        let Some(supply) = self.0.take() else { return Ok(None) };
        let Some(request) = waiting(py, || supply.take()).or_raise(py)? else { return Ok(None) };
        let descriptors = request.descriptors.into_iter().map(IntoRawFd::into_raw_fd).collect();
        Ok(Some((PyBytes::new(py, &request.body).unbind(), descriptors)))
    }
}

/// The descriptors of a fork server: its clients', and its own.
#[pyfunction]
pub(crate) fn request_pair(py: Python<'_>) -> PyResult<(RawFd, RawFd)> {
    let (clients, servers) = supply::request_pair().or_raise(py)?;
    Ok((clients.into_raw_fd(), servers.into_raw_fd()))
}

/// Tells the clients of a fork server, of which this is the server's descriptor, why it ends though they are there.
#[pyfunction]
pub(crate) fn resign(requests: RawFd, reason: &str) -> PyResult<()> {
    supply::resign(lend(requests)?, reason);
    Ok(())
}

/// Why a fork server has ended, if it could say.
#[pyfunction]
pub(crate) fn last_words(server: RawFd) -> PyResult<Option<String>> {
    Ok(supply::last_words(lend(server)?))
}

/// Asks a fork server for a child. Returns its number and a descriptor on which its exit code will be.
#[pyfunction]
pub(crate) fn ask(
    py: Python<'_>,
    server: RawFd,
    body: &Bound<'_, PyAny>,
    descriptors: Vec<RawFd>,
) -> PyResult<(i32, RawFd)> {
    let view = View::get(body)?;
    let server = lend(server)?;
    let descriptors = descriptors.into_iter().map(lend).collect::<PyResult<Vec<BorrowedFd<'_>>>>()?;
    let bytes = view.bytes();
    let (pid, report) = waiting(py, || supply::ask(server, bytes, &descriptors)).or_raise(py)?;
    Ok((pid, report.into_raw_fd()))
}

/// Sets `returncode` of an object that has the number of a child of this process as `pid`, if that has ended; False
/// while it runs. True without setting it: somebody else has waited for the child.
///
/// It stays attached: no other thread finds the child gone and its exit code not known yet.
#[pyfunction]
pub(crate) fn reap(py: Python<'_>, popen: &Bound<'_, PyAny>) -> PyResult<bool> {
    // To intern a name may detach, the first time.
    let returncode = intern!(py, "returncode");
    let pid = popen.getattr(intern!(py, "pid"))?.extract()?;
    if !popen.getattr(returncode)?.is_none() {
        return Ok(true);
    }
    match process::reap(pid).or_raise(py)? {
        None => return Ok(false),
        Some(Exit::Unknown) => {}
        Some(exit) => popen.setattr(returncode, exit.code())?,
    }
    Ok(true)
}

/// The same for a child of a fork server, by the descriptor that `ask` returned, the object's `sentinel`; 255 is the exit
/// code when the server died first.
#[pyfunction]
pub(crate) fn reap_served(py: Python<'_>, popen: &Bound<'_, PyAny>) -> PyResult<bool> {
    let returncode = intern!(py, "returncode");
    let report = popen.getattr(intern!(py, "sentinel"))?.extract()?;
    if popen.getattr(returncode)?.is_none() {
        let Some(exit) = supply::try_exit_code(lend(report)?).or_raise(py)? else { return Ok(false) };
        popen.setattr(returncode, exit.unwrap_or(Exit::Unknown.code()))?;
    }
    Ok(true)
}

/// A new descriptor of this process's lifeline.
#[pyfunction]
pub(crate) fn lifeline(py: Python<'_>) -> PyResult<RawFd> {
    process::lifeline().or_raise(py).map(OwnedFd::into_raw_fd)
}

/// Has this process killed when the one that the lifeline is of ends; False when it has ended. Takes the descriptor
/// over.
#[pyfunction]
pub(crate) fn hold_on(py: Python<'_>, lifeline: RawFd) -> PyResult<bool> {
    let lifeline = take(lifeline)?;
    process::hold_on(lifeline.as_fd()).or_raise(py)
}
