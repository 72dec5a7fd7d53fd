// SPDX-License-Identifier: MIT OR Apache-2.0
//! The accept loop and the threads of `carrick.socketserver`.
#![forbid(unsafe_code)]

use crate::buffer::{self, lend};
use crate::errors::{OrRaise, raise};
use crate::request::python_address;
use crate::signals::waiting;
use crate::socket::discard;
use carrick::net::Listener;
use carrick::server::{Mode, Overload, ServerHandle, Session, Spawn, StreamOptions};
use carrick::{Deadline, Error, Kind};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The body of a thread, to be called once by the thread that Python starts for it.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct Job {
    body: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[pymethods]
impl Job {
    fn __call__(&self, py: Python<'_>) {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(body) = body {
            py.detach(body);
        }
    }
}

/// A Python object that a thread of Rust's may be the last to hold.
///
/// Dropped by a thread that is not attached, a `Py` would be kept until somebody next enters this module, and
/// with it the server and its descriptors.
pub(crate) struct Held(Option<Py<PyAny>>);

impl Held {
    pub(crate) fn new(object: Py<PyAny>) -> Self {
        Self(Some(object))
    }

    /// The object, in an attached thread.
    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let gone = || raise(py, &Error::new(Kind::State, "call Python"));
        self.0.as_ref().map(|object| object.bind(py)).ok_or_else(gone)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let object = self.0.take();
        // Without an interpreter there is nothing to give the object back to.
        let _ = Python::try_attach(move |_| drop(object));
    }
}

/// Starts threads by calling `start(job)`.
pub(crate) fn spawner(start: Py<PyAny>) -> Spawn {
    let start = Held::new(start);
    Box::new(move |body| {
        let job = Job { body: Mutex::new(Some(body)) };
        let started = Python::try_attach(|py| start.bind(py)?.call1((job,)).map(drop));
        match started {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(std::io::Error::other(error.to_string())),
            None => Err(std::io::Error::other("the interpreter is shutting down")),
        }
    })
}

pub(crate) fn overload(name: &str) -> PyResult<Overload> {
    match name {
        "block" => Ok(Overload::Block),
        "reject" => Ok(Overload::Reject),
        _ => Err(PyValueError::new_err(format!("overload '{name}'; it is 'block' or 'reject'"))),
    }
}

pub(crate) fn stats<'py>(py: Python<'py>, handle: &ServerHandle) -> PyResult<Bound<'py, PyDict>> {
    let stats = handle.stats();
    let dict = PyDict::new(py);
    for (name, value) in stats.items() {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

/// Runs `serve` on a thread of Rust's own while the caller waits where a signal reaches it.
///
/// A signal handler that raises stops the server and is raised.
pub(crate) fn serve_interruptibly(
    py: Python<'_>,
    handle: &ServerHandle,
    serve: impl FnOnce() -> carrick::Result<()> + Send + 'static,
) -> PyResult<()> {
    let thread = std::thread::Builder::new().name("carrick-monitor".into()).spawn(serve);
    let thread = thread.map_err(|e| raise(py, &Error::with_detail(Kind::Os, "serve", e.to_string())))?;
    let waited = waiting(py, || handle.wait(Deadline::NEVER));
    if waited.is_err() {
        handle.request_shutdown();
    }
    let served = py.detach(|| thread.join());
    waited.or_raise(py)?;
    match served {
        Ok(served) => served.or_raise(py),
        Err(_) => Err(raise(py, &Error::new(Kind::Panic, "serve"))),
    }
}

/// Accepts connections of a listening socket and calls `handle(fd, address)` for each, on threads that
/// `start(job)` starts.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct StreamServer {
    handle: ServerHandle,
    /// The number of its copy of the listening descriptor, while it serves: a child of fork has that, too.
    #[pyo3(get)]
    listening: RawFd,
    server: Mutex<Option<carrick::server::StreamServer>>,
    attend: Arc<Held>,
    start: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl StreamServer {
    #[new]
    fn new(
        py: Python<'_>,
        fd: RawFd,
        max_threads: usize,
        overload: &str,
        handle: Py<PyAny>,
        start: Py<PyAny>,
    ) -> PyResult<Self> {
        let own = lend(fd)?.try_clone_to_owned()?;
        let listening = own.as_raw_fd();
        let options = StreamOptions {
            mode: Mode::Threads(max_threads),
            overload: self::overload(overload)?,
            // Handlers that run are the Python server's: it waits for them when it is closed.
            drain: Duration::ZERO,
            ..StreamOptions::default()
        };
        let listener = Listener::from_fd(own).or_raise(py)?;
        let server = carrick::server::StreamServer::over(listener, options).or_raise(py)?;
        Ok(Self {
            handle: server.handle(),
            listening,
            server: Mutex::new(Some(server)),
            attend: Arc::new(Held::new(handle)),
            start: Mutex::new(Some(start)),
        })
    }

    /// Serves until a shutdown is requested; does not wait for handlers that run.
    fn serve(&self, py: Python<'_>) -> PyResult<()> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(server), Some(start)) = (server, start) else {
            return Err(raise(py, &Error::with_detail(Kind::State, "serve", "this server has served")));
        };
        let attend = Arc::clone(&self.attend);
        let handler = move |session: &Session<'_>| {
            let fd = session.take()?.into_raw_fd();
            let outcome = Python::try_attach(|py| {
                let called =
                    python_address(py, session.peer).and_then(|peer| attend.bind(py)?.call1((fd, peer)));
                called.map(drop).map_err(|error| error.write_unraisable(py, None))
            });
            match outcome {
                Some(Ok(())) => Ok(()),
                Some(Err(())) => Err(Error::new(Kind::Handler, "handle connection")),
                None => {
                    discard(fd);
                    Err(Error::with_detail(
                        Kind::Handler,
                        "handle connection",
                        "the interpreter is shutting down",
                    ))
                }
            }
        };
        let served = serve_interruptibly(py, &self.handle, move || server.serve_on(handler, spawner(start)));
        match served {
            // Handlers still run.
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyTimeoutError>(py) => Ok(()),
            other => other,
        }
    }

    /// Asks the server to stop; may be called from anywhere, a signal handler included.
    fn request_shutdown(&self) {
        self.handle.request_shutdown();
    }

    /// Waits until serving has ended; False when `timeout` seconds passed first.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = crate::connection::seconds(timeout)?;
        match waiting(py, || self.handle.wait(deadline)) {
            Err(error) if error.kind() == Kind::Timeout => Ok(false),
            other => other.or_raise(py).map(|()| true),
        }
    }

    /// Counters of what the server has done.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats(py, &self.handle)
    }
}

/// The dict of what this thread has of its own.
#[pyfunction]
pub(crate) fn thread_dict(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    buffer::thread_dict(py)
}

/// Tells the server whose handler runs on this thread that it is about to block.
#[pyfunction]
pub(crate) fn about_to_block() {
    carrick::server::about_to_block();
}
