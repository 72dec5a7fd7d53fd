// SPDX-License-Identifier: MIT OR Apache-2.0
//! The input and output of `multiprocessing.connection.Connection`, on descriptors that Python owns.
//!
//! Nothing is read ahead and nothing is kept between calls: other processes may use the same descriptor.
#![forbid(unsafe_code)]

use crate::buffer::{BytesBody, View, lend};
use crate::errors::{OrRaise, raise, would_block};
use crate::signals::waiting;
use carrick::frame::Borrowed;
use carrick::{Connection, Deadline, Error, Format, Kind};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::os::fd::RawFd;
use std::time::Duration;

/// Up to this length a message is sent and received without giving the interpreter away first.
const QUICK: u64 = 32 << 10;

/// CPython has no cap: a peer may send what memory holds.
const FORMAT: Format = Format::MULTIPROCESSING.with_cap(u64::MAX);

pub(crate) fn connection(fd: RawFd, socket: bool) -> PyResult<Connection<Borrowed<'static>>> {
    Ok(Connection::new(Borrowed::new(lend(fd)?, socket), FORMAT))
}

/// Whether the descriptor is a socket.
#[pyfunction]
pub(crate) fn is_socket(fd: RawFd) -> PyResult<bool> {
    Ok(carrick::net::is_socket(lend(fd)?))
}

/// Sends one frame.
#[pyfunction]
pub(crate) fn send_bytes(py: Python<'_>, fd: RawFd, socket: bool, data: &Bound<'_, PyAny>) -> PyResult<()> {
    let view = View::get(data)?;
    let bytes = view.bytes();
    let connection = connection(fd, socket)?;
    if bytes.len() as u64 <= QUICK {
        let result = connection.send(bytes, Deadline::NOW);
        if !would_block(&result) {
            result.or_raise(py)?;
            if connection.pending() == 0 {
                return Ok(());
            }
            return waiting(py, || connection.flush(Deadline::NEVER)).or_raise(py);
        }
    }
    waiting(py, || connection.send(bytes, Deadline::NEVER)).or_raise(py)
}

/// The length of the next frame, waiting for it.
fn next_length(py: Python<'_>, connection: &Connection<Borrowed<'_>>) -> PyResult<u64> {
    let result = connection.next_length(Deadline::NOW);
    if would_block(&result) {
        return waiting(py, || connection.next_length(Deadline::NEVER)).or_raise(py);
    }
    result.or_raise(py)
}

fn body(py: Python<'_>, connection: &Connection<Borrowed<'_>>, length: u64) -> PyResult<Py<PyBytes>> {
    let mut body = BytesBody::new(py, length)?;
    if length <= QUICK {
        let result = connection.recv_body(u64::MAX, |_| Ok(&mut body), Deadline::NOW);
        if !would_block(&result) {
            result.or_raise(py)?;
            return finish(py, body);
        }
        // The connection keeps the bytes that had arrived; they come first.
        body = BytesBody::new(py, length)?;
    }
    waiting(py, || connection.recv_body(u64::MAX, |_| Ok(&mut body), Deadline::NEVER)).or_raise(py)?;
    finish(py, body)
}

/// The bytes object of a frame that was received whole.
pub(crate) fn finish(py: Python<'_>, body: BytesBody) -> PyResult<Py<PyBytes>> {
    body.finish().ok_or_else(|| raise(py, &Error::new(Kind::BadFrame, "receive frame")))
}

/// Receives one frame; None when it is longer than `maxlength`.
#[pyfunction]
#[pyo3(signature = (fd, socket, maxlength=None))]
pub(crate) fn recv_bytes(
    py: Python<'_>,
    fd: RawFd,
    socket: bool,
    maxlength: Option<u64>,
) -> PyResult<Option<Py<PyBytes>>> {
    let connection = connection(fd, socket)?;
    let length = next_length(py, &connection)?;
    if maxlength.is_some_and(|most| length > most) {
        return Ok(None);
    }
    if length == 0 {
        // Takes the empty frame off the connection's books.
        connection.recv(Deadline::NOW).or_raise(py)?;
        return Ok(Some(PyBytes::new(py, b"").unbind()));
    }
    body(py, &connection, length).map(Some)
}

/// Receives one frame into `buffer` at `offset` and returns its length, or, when it does not fit, the frame.
#[pyfunction]
pub(crate) fn recv_bytes_into(
    py: Python<'_>,
    fd: RawFd,
    socket: bool,
    buffer: &Bound<'_, PyAny>,
    offset: usize,
) -> PyResult<Py<PyAny>> {
    let mut view = View::get(buffer)?;
    let memory = view.bytes_mut()?.get_mut(offset..).unwrap_or_default();
    let connection = connection(fd, socket)?;
    let length = next_length(py, &connection)?;
    if length > memory.len() as u64 {
        return Ok(body(py, &connection, length)?.into_any());
    }
    let n = waiting(py, || connection.recv_into(memory, Deadline::NEVER)).or_raise(py)?;
    Ok(n.into_pyobject(py)?.into_any().unbind())
}

/// Whether something can be received; waits for at most `timeout` seconds, None is for ever.
#[pyfunction]
#[pyo3(signature = (fd, timeout=None))]
pub(crate) fn poll(py: Python<'_>, fd: RawFd, timeout: Option<f64>) -> PyResult<bool> {
    let fd = lend(fd)?;
    let now = carrick::net::readable(fd, Deadline::NOW).or_raise(py)?;
    let deadline = seconds(timeout)?;
    if now || deadline.is_now() {
        return Ok(now);
    }
    waiting(py, || carrick::net::readable(fd, deadline)).or_raise(py)
}

/// A deadline from Python's seconds: None is for ever, zero and less is now.
pub(crate) fn seconds(timeout: Option<f64>) -> PyResult<Deadline> {
    let Some(timeout) = timeout else { return Ok(Deadline::NEVER) };
    span(timeout).map(Deadline::after)
}

/// A span from Python's seconds; what is negative is zero.
pub(crate) fn span(timeout: f64) -> PyResult<Duration> {
    if timeout.is_nan() {
        return Err(pyo3::exceptions::PyValueError::new_err("Invalid value NaN (not a number)"));
    }
    Ok(Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(Duration::MAX))
}
