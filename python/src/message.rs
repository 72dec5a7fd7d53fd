// SPDX-License-Identifier: MIT OR Apache-2.0
//! `carrick.MessageServer`: framed request and reply with handlers in Python.
#![forbid(unsafe_code)]

use crate::auth;
use crate::buffer::View;
use crate::connection::{seconds, span};
use crate::errors::{OrRaise, raise};
use crate::request::{Request, python_address};
use crate::signals::waiting;
use crate::socket::format;
use crate::stream::{Held, overload, serve_interruptibly, spawner, stats};
use carrick::server::{self, MessageOptions, ServerHandle};
use carrick::{Address, Error, Kind, ListenOptions};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An address as `socket` writes it, for the core.
fn address(object: &Bound<'_, PyAny>) -> PyResult<Address> {
    let py = object.py();
    if let Ok(tuple) = object.cast::<PyTuple>() {
        // Of an IPv6 address more may follow.
        let (host, port) = match (tuple.get_item(0), tuple.get_item(1)) {
            (Ok(host), Ok(port)) => (host.extract::<String>(), port.extract::<i64>()),
            _ => return Err(no_address(object)),
        };
        let (Ok(host), Ok(port)) = (host, port) else { return Err(no_address(object)) };
        let Ok(port) = u16::try_from(port) else {
            return Err(pyo3::exceptions::PyOverflowError::new_err(format!(
                "port must be 0-65535, not {port}"
            )));
        };
        let text = match host.as_str() {
            "" => format!("0.0.0.0:{port}"),
            host if host.contains(':') => format!("[{host}]:{port}"),
            host => format!("{host}:{port}"),
        };
        return text.parse().or_raise(py);
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(unix_address(bytes.as_bytes()));
    }
    if let Ok(path) = object.extract::<OsString>() {
        if let Some((host, port)) = path.to_str().and_then(|text| text.rsplit_once(':'))
            && !host.contains('/')
            && port.parse::<u16>().is_ok()
        {
            // A file of this name would be a surprise.
            return Err(PyValueError::new_err(format!(
                "address '{host}:{port}' is a path: for TCP write ('{host}', {port}), for a file of this name './{host}:{port}'"
            )));
        }
        return Ok(unix_address(path.as_bytes()));
    }
    Err(no_address(object))
}

fn no_address(object: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!(
        "address: expected (host, port) with an int for the port, or a path for a Unix socket, not {object}"
    ))
}

fn unix_address(bytes: &[u8]) -> Address {
    match bytes.split_first() {
        Some((0, name)) => Address::Abstract(name.to_vec()),
        _ => Address::Unix(std::ffi::OsStr::from_bytes(bytes).into()),
    }
}

/// An event-driven server of framed requests. See `carrick.MessageServer`.
#[pyclass(frozen, subclass, module = "carrick._carrick")]
pub(crate) struct MessageServer {
    handle: ServerHandle,
    server: Mutex<Stage>,
}

/// The stage of the server; it can serve once.
enum Stage {
    Bound(server::MessageServer),
    /// By the process of this number: to a child that it forks there is nothing to wait for.
    Served(u32),
    /// Shut down before it served: serving then ends as soon as it begins.
    Unserved,
}

impl MessageServer {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread of this process serves or has served, or is about to.
    fn serves_here(&self) -> bool {
        matches!(*self.stage(), Stage::Served(process) if process == std::process::id())
    }
}

#[pymethods]
impl MessageServer {
    #[new]
    #[pyo3(signature = (address, *, authkey=None, scheme="multiprocessing", digest="sha256", min_digest="md5",
        handshake_timeout=10.0, frame_format=None, max_frame=None, backlog=4096, reuse_port=false,
        max_connections=100_000, overload="block", request_timeout=30.0, idle_timeout=None,
        max_unsent=1_048_576, max_threads=64, drain=30.0))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        address: &Bound<'_, PyAny>,
        authkey: Option<&Bound<'_, PyAny>>,
        scheme: &str,
        digest: &str,
        min_digest: &str,
        handshake_timeout: Option<f64>,
        frame_format: Option<&Bound<'_, PyAny>>,
        max_frame: Option<u64>,
        backlog: u32,
        reuse_port: bool,
        max_connections: usize,
        overload: &str,
        request_timeout: Option<f64>,
        idle_timeout: Option<f64>,
        max_unsent: usize,
        max_threads: usize,
        drain: Option<f64>,
    ) -> PyResult<Self> {
        let mut options = MessageOptions {
            listen: ListenOptions { backlog, reuse_port, ..ListenOptions::default() },
            max_connections,
            overload: self::overload(overload)?,
            request_timeout: request_timeout.map(span).transpose()?,
            idle_timeout: idle_timeout.map(span).transpose()?,
            max_unsent,
            max_threads,
            drain: drain.map_or(Ok(Duration::MAX), span)?,
            ..MessageOptions::default()
        };
        if let Some(spec) = frame_format {
            options.format = format(spec, None)?;
        }
        if let Some(cap) = max_frame {
            options.format = options.format.with_cap(cap);
        }
        let no_key = PyBytes::new(py, b"").into_any();
        let auth =
            auth::options(py, authkey.unwrap_or(&no_key), scheme, digest, min_digest, handshake_timeout)?;
        options.auth = authkey.is_some().then_some(auth);
        let address = self::address(address)?;
        let server = py.detach(|| server::MessageServer::bind(&address, options)).or_raise(py)?;
        Ok(Self { handle: server.handle(), server: Mutex::new(Stage::Bound(server)) })
    }

    /// Where the server listens.
    #[getter]
    fn address<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python_address(py, self.handle.address())
    }

    /// Serves with `handler(request)` until shut down; `start(job)` starts threads.
    fn _carrick_serve(&self, py: Python<'_>, handler: Py<PyAny>, start: Py<PyAny>) -> PyResult<()> {
        let begun = {
            let mut stage = self.stage();
            match &*stage {
                Stage::Unserved => return Ok(()),
                Stage::Served(_) => {
                    let detail = "this server is serving, or has served: make another";
                    return Err(raise(py, &Error::with_detail(Kind::State, "serve", detail)));
                }
                Stage::Bound(_) => std::mem::replace(&mut *stage, Stage::Served(std::process::id())),
            }
        };
        let Stage::Bound(server) = begun else { return Ok(()) };
        let handler = Held::new(handler);
        let handle = move |request: &mut server::Request<'_>| answer(&handler, request);
        serve_interruptibly(py, &self.handle, move || server.serve_on(handle, spawner(start)))
    }

    /// Stops serving: what has been begun may finish for up to `timeout` seconds (None is for ever), then
    /// it is cut off. Raises TimeoutError when a handler does not return.
    #[pyo3(signature = (timeout=None))]
    fn shutdown(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let deadline = seconds(timeout)?;
        let unserved = {
            let mut stage = self.stage();
            match &*stage {
                Stage::Served(_) => None,
                _ => Some(std::mem::replace(&mut *stage, Stage::Unserved)),
            }
        };
        if unserved.is_some() {
            // Dropping it closes the listener, after the lock is gone.
            return Ok(());
        }
        if !self.serves_here() {
            self.handle.request_shutdown();
            return Ok(());
        }
        waiting(py, || self.handle.shutdown(deadline)).or_raise(py)
    }

    /// Waits until serving has ended.
    fn _carrick_wait(&self, py: Python<'_>) -> PyResult<()> {
        if !self.serves_here() {
            return Ok(());
        }
        waiting(py, || self.handle.wait(carrick::Deadline::NEVER)).or_raise(py)
    }

    /// Asks the server to stop and returns at once; may be called in a signal handler.
    fn request_shutdown(&self) {
        self.handle.request_shutdown();
    }

    /// Counters of what the server has done, by name.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats(py, &self.handle)
    }
}

/// The bytes of a handler's answer. If it has none, no frame of Python's shows whose it is: the message does.
fn answer_bytes<'a>(object: &'a Bound<'_, PyAny>, whose: &str, give: &str) -> PyResult<View<'a>> {
    View::get(object).map_err(|error| {
        if !error.is_instance_of::<PyTypeError>(object.py()) {
            return error;
        }
        let kind = object.get_type();
        let kind = kind.name().map_or_else(|_| kind.to_string(), |name| name.to_string());
        PyTypeError::new_err(format!("{whose} {kind}: {give}"))
    })
}

fn answer(handler: &Held, request: &mut server::Request<'_>) -> carrick::Result<()> {
    let failed = || Error::new(Kind::Handler, "handle request");
    let outcome = Python::try_attach(|py| {
        let Ok(handler) = handler.bind(py) else { return Err(()) };
        let object = Request::new(py, request.body(), request.peer().clone(), request.connection());
        let run = || -> PyResult<()> {
            let object = Bound::new(py, object)?;
            let result = handler.call1((&object,))?;
            let (replies, close) = object.get().take();
            for reply in &replies {
                let reply = reply.bind(py);
                let body = answer_bytes(reply, "request.reply() was given", "give a bytes-like object")?;
                request.reply(body.bytes()).or_raise(py)?;
            }
            if !result.is_none() {
                let body = answer_bytes(&result, "handler returned", "return a bytes-like object or None")?;
                request.reply(body.bytes()).or_raise(py)?;
            }
            if close {
                request.close();
            }
            Ok(())
        };
        run().map_err(|error| error.write_unraisable(py, Some(handler)))
    });
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(())) | None => Err(failed()),
    }
}
