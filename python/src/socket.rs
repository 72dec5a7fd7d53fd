// SPDX-License-Identifier: MIT OR Apache-2.0
//! The quick paths of `carrick.socket.socket`.
//!
//! A method here tries once while still attached to the interpreter, or sends detached where others want the
//! interpreter (`send_now`). It leaves what it cannot do, or what is unusual
//! (flags, a non-blocking socket that has nothing), to the standard method by answering None.
#![forbid(unsafe_code)]

use crate::buffer::{View, bytes_with, lend, take};
use crate::connection::{finish, seconds};
use crate::errors::{OrRaise, raise_standard, would_block};
use crate::signals::waiting;
use carrick::fork::ForkCounter;
use carrick::frame::{Borrowed, ByteOrder, Transport};
use carrick::{Connection, Deadline, Format, Kind};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io::IoSlice;
use std::os::fd::RawFd;

/// Up to this length data is sent without giving the interpreter away first.
const QUICK: usize = 32 << 10;

/// Threads that are detached for a socket, and want the interpreter back in a moment.
/// A hint: whatever it says, the data is sent.
static AWAY: ForkCounter = ForkCounter::new();

/// Sends what goes without waiting.
///
/// Where threads of a server are about to come back they are to have the interpreter meanwhile: the kernel delivers what is
/// sent on the spot, and takes longer for that than a handler of a few lines does. Where there are none this stays
/// attached, for a thread that computes would keep the interpreter for milliseconds.
fn send_now(py: Python<'_>, transport: &Borrowed<'_>, bytes: &[u8]) -> carrick::Result<usize> {
    let send = || transport.write(&[IoSlice::new(bytes)], Deadline::NOW);
    if AWAY.count() == 0 {
        return send();
    }
    let _away = AWAY.enter();
    py.detach(send)
}

fn transport(socket: &Bound<'_, PyAny>) -> PyResult<Borrowed<'static>> {
    let fd: RawFd = socket.call_method0(intern!(socket.py(), "fileno"))?.extract()?;
    Ok(Borrowed::new(lend(fd)?, true))
}

/// The same, or None for a closed socket, of which the standard method says the right thing.
fn open(socket: &Bound<'_, PyAny>) -> PyResult<Option<Borrowed<'static>>> {
    let fd: RawFd = socket.call_method0(intern!(socket.py(), "fileno"))?.extract()?;
    if fd < 0 { Ok(None) } else { Ok(Some(Borrowed::new(lend(fd)?, true))) }
}

/// Until when a blocking socket may wait; None for a non-blocking one.
fn patience(socket: &Bound<'_, PyAny>) -> PyResult<Option<Deadline>> {
    let timeout: Option<f64> = socket.call_method0(intern!(socket.py(), "gettimeout"))?.extract()?;
    if timeout == Some(0.0) { Ok(None) } else { seconds(timeout).map(Some) }
}

/// Receives up to `bufsize` bytes; None to have the standard method do it.
#[pyfunction]
pub(crate) fn sock_recv(
    py: Python<'_>,
    socket: &Bound<'_, PyAny>,
    bufsize: isize,
) -> PyResult<Option<Py<PyBytes>>> {
    let Ok(bufsize @ 1..) = usize::try_from(bufsize) else { return Ok(None) };
    let Some(transport) = open(socket)? else { return Ok(None) };
    let mut deadline = None;
    if AWAY.count() > 0 {
        deadline = patience(socket)?;
    }
    if deadline.is_none() {
        let quick = bytes_with(py, bufsize, |room| transport.read(room, Deadline::NOW))?;
        if !would_block(&quick) {
            return quick.map(Some).map_err(|e| raise_standard(py, &e));
        }
        deadline = patience(socket)?;
    }
    let Some(deadline) = deadline else { return Ok(None) };
    let away = AWAY.enter();
    let waited = bytes_with(py, bufsize, |room| waiting(py, || transport.read(room, deadline)))?;
    drop(away);
    waited.map(Some).map_err(|e| raise_standard(py, &e))
}

/// Sends all of `data`; False to have the standard method do it.
#[pyfunction]
pub(crate) fn sock_sendall(
    py: Python<'_>,
    socket: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let view = View::get(data)?;
    let bytes = view.bytes();
    if bytes.is_empty() {
        return Ok(false);
    }
    let Some(transport) = open(socket)? else { return Ok(false) };
    let mut sent = 0;
    if bytes.len() <= QUICK {
        match send_now(py, &transport, bytes) {
            Ok(n) => sent = n,
            Err(e) if e.kind() == Kind::WouldBlock => {}
            Err(e) => return Err(raise_standard(py, &e)),
        }
        if sent == bytes.len() {
            return Ok(true);
        }
    }
    let Some(deadline) = patience(socket)? else {
        if sent == 0 {
            return Ok(false);
        }
        return Err(raise_standard(py, &carrick::Error::new(Kind::WouldBlock, "sendall")));
    };
    waiting(py, || {
        while let Some(rest) = bytes.get(sent..)
            && !rest.is_empty()
        {
            sent += transport.write(&[IoSlice::new(rest)], deadline)?;
        }
        Ok(true)
    })
    .map_err(|e| raise_standard(py, &e))
}

/// Sends what the socket takes of `data` and tells how much; None to have the standard method do it.
#[pyfunction]
pub(crate) fn sock_send(
    py: Python<'_>,
    socket: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
) -> PyResult<Option<usize>> {
    let view = View::get(data)?;
    let bytes = view.bytes();
    if bytes.is_empty() || bytes.len() > QUICK {
        return Ok(None);
    }
    let Some(transport) = open(socket)? else { return Ok(None) };
    match send_now(py, &transport, bytes) {
        Err(e) if e.kind() == Kind::WouldBlock => Ok(None),
        other => other.map(Some).map_err(|e| raise_standard(py, &e)),
    }
}

/// A frame format from its name, or from `(width, byteorder, signed)`.
pub(crate) fn format(spec: &Bound<'_, PyAny>, cap: Option<u64>) -> PyResult<Format> {
    let py = spec.py();
    let format = if let Ok((width, order, signed)) = spec.extract::<(u8, String, bool)>() {
        let order = match order.as_str() {
            "big" => ByteOrder::Big,
            "little" => ByteOrder::Little,
            other => {
                return Err(PyValueError::new_err(format!("byte order '{other}'; it is 'big' or 'little'")));
            }
        };
        Format::custom(width, order, signed).or_raise(py)?
    } else {
        match spec.extract::<String>()?.as_str() {
            "multiprocessing" => Format::MULTIPROCESSING,
            "course" => Format::COURSE,
            other => {
                return Err(PyValueError::new_err(format!(
                    "frame format '{other}'; it is 'multiprocessing', 'course' or (width, byteorder, signed)"
                )));
            }
        }
    };
    Ok(cap.map_or(format, |cap| format.with_cap(cap)))
}

/// Sends one frame.
#[pyfunction]
pub(crate) fn send_frame(
    py: Python<'_>,
    socket: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
    format: &Bound<'_, PyAny>,
    cap: Option<u64>,
) -> PyResult<()> {
    let connection = Connection::new(transport(socket)?, self::format(format, cap)?);
    let view = View::get(data)?;
    let bytes = view.bytes();
    let deadline = patience(socket)?.unwrap_or(Deadline::NOW);
    waiting(py, || {
        connection.send(bytes, deadline)?;
        // Of a non-blocking socket's frame that was begun the rest has to follow.
        connection.flush(Deadline::NEVER)
    })
    .or_raise(py)
}

/// Receives one frame.
#[pyfunction]
pub(crate) fn recv_frame(
    py: Python<'_>,
    socket: &Bound<'_, PyAny>,
    format: &Bound<'_, PyAny>,
    cap: Option<u64>,
) -> PyResult<Py<PyBytes>> {
    let connection = Connection::new(transport(socket)?, self::format(format, cap)?);
    let deadline = patience(socket)?.unwrap_or(Deadline::NOW);
    let head = waiting(py, || match connection.next_length(deadline) {
        // A part of the head has come and cannot be put back.
        Err(error) if error.kind() == Kind::WouldBlock && connection.buffered()? => {
            connection.next_length(Deadline::NEVER)
        }
        other => other,
    });
    let length = head.or_raise(py)?;
    // A frame that has begun is waited for, also by a non-blocking socket: its start cannot be put back.
    let deadline = if deadline.is_now() { Deadline::NEVER } else { deadline };
    let mut body = crate::buffer::BytesBody::new(py, length)?;
    waiting(py, || connection.recv_body(u64::MAX, |_| Ok(&mut body), deadline)).or_raise(py)?;
    finish(py, body)
}

/// Closes a descriptor that was handed to Python code which could not use it.
pub(crate) fn discard(fd: RawFd) {
    if let Ok(fd) = take(fd) {
        drop(fd);
    }
}
