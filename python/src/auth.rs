// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handshakes: whole ones over a descriptor, and their halves for objects that only look like a connection.
#![forbid(unsafe_code)]

use crate::buffer::{View, lend};
use crate::connection::{connection, seconds, span};
use crate::errors::{OrRaise, raise};
use crate::request::python_address;
use crate::signals::waiting;
use crate::waker::Waker;
use carrick::auth::{self, AuthOptions, Digest, Key, Policy, Role, Scheme, Step};
use carrick::frame::Borrowed;
use carrick::{Connection, Error, Format, Kind};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::os::fd::{IntoRawFd, RawFd};

fn role(name: &str) -> PyResult<Role> {
    match name {
        "server" => Ok(Role::Server),
        "client" => Ok(Role::Client),
        "unknown" => Ok(Role::Unknown),
        _ => Err(PyValueError::new_err(format!("role '{name}'; it is 'server', 'client' or 'unknown'"))),
    }
}

fn scheme(name: &str) -> PyResult<Scheme> {
    match name {
        "multiprocessing" => Ok(Scheme::Multiprocessing),
        "course" => Ok(Scheme::Course),
        _ => Err(PyValueError::new_err(format!("scheme '{name}'; it is 'multiprocessing' or 'course'"))),
    }
}

fn policy(py: Python<'_>, digest: &str, min_digest: &str) -> PyResult<Policy> {
    let parse = |name: &str| name.parse::<Digest>().or_raise(py);
    Ok(Policy { digest: parse(digest)?, min_digest: parse(min_digest)? })
}

/// The options of a handshake, from Python's arguments.
pub(crate) fn options(
    py: Python<'_>,
    key: &Bound<'_, PyAny>,
    scheme_name: &str,
    digest: &str,
    min_digest: &str,
    timeout: Option<f64>,
) -> PyResult<AuthOptions> {
    let Ok(view) = View::get(key) else {
        return Err(PyTypeError::new_err(format!("authkey must be bytes, not {}", key.get_type().name()?)));
    };
    let mut options = AuthOptions::new(view.bytes());
    options.scheme = scheme(scheme_name)?;
    options.policy = policy(py, digest, min_digest)?;
    options.handshake_timeout = timeout.map_or(Ok(std::time::Duration::MAX), span)?;
    Ok(options)
}

/// Runs the whole handshake of a fresh connection; `role` is "server" or "client".
#[pyfunction]
#[pyo3(signature = (fd, socket, key, role, *, scheme="multiprocessing", digest="sha256", min_digest="md5", timeout=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub(crate) fn handshake(
    py: Python<'_>,
    fd: RawFd,
    socket: bool,
    key: &Bound<'_, PyAny>,
    role: &str,
    scheme: &str,
    digest: &str,
    min_digest: &str,
    timeout: Option<f64>,
) -> PyResult<()> {
    let options = options(py, key, scheme, digest, min_digest, timeout)?;
    let role = self::role(role)?;
    let connection = connection(fd, socket)?;
    waiting(py, || auth::authenticate(&connection, role, &options)).or_raise(py)
}

/// The course's check from the client's side: 32 random bytes come, their HMAC goes back.
#[pyfunction]
#[pyo3(signature = (fd, key, *, digest="sha256", timeout=None))]
pub(crate) fn course_answer(
    py: Python<'_>,
    fd: RawFd,
    key: &Bound<'_, PyAny>,
    digest: &str,
    timeout: Option<f64>,
) -> PyResult<()> {
    let options = options(py, key, "course", digest, "md5", timeout)?;
    let connection = Connection::new(Borrowed::new(lend(fd)?, true), Format::COURSE);
    waiting(py, || auth::authenticate(&connection, Role::Client, &options)).or_raise(py)
}

/// Accepts connections whose handshakes run side by side. See `carrick::auth::Gate`.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct Gate {
    inner: auth::Gate,
}

#[pymethods]
impl Gate {
    #[new]
    #[pyo3(signature = (key, *, min_digest="md5", timeout=None))]
    fn new(py: Python<'_>, key: &Bound<'_, PyAny>, min_digest: &str, timeout: Option<f64>) -> PyResult<Self> {
        let options = options(py, key, "multiprocessing", "sha256", min_digest, timeout)?;
        Ok(Self { inner: auth::Gate::new(options).or_raise(py)? })
    }

    /// The descriptor and the address of the next client that has proved itself, or None when `waker` was set first.
    /// Waits for up to `timeout` seconds, None is for ever.
    fn accept<'py>(
        &self,
        py: Python<'py>,
        fd: RawFd,
        waker: &Waker,
        timeout: Option<f64>,
    ) -> PyResult<Option<(RawFd, Bound<'py, PyAny>)>> {
        let (listener, deadline) = (lend(fd)?, seconds(timeout)?);
        let (stream, address) = match waiting(py, || self.inner.accept_from(listener, &waker.inner, deadline))
        {
            Err(error) if error.kind() == Kind::Closed => return Ok(None),
            other => other.or_raise(py)?,
        };
        let address = python_address(py, &address)?;
        Ok(Some((stream.into_fd().or_raise(py)?.into_raw_fd(), address)))
    }
}

/// The asking half of the handshake of `multiprocessing`.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct Challenge {
    inner: auth::Challenge,
    message: Vec<u8>,
}

#[pymethods]
impl Challenge {
    #[new]
    #[pyo3(signature = (key, digest="sha256", min_digest="md5", role="unknown"))]
    fn new(
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        digest: &str,
        min_digest: &str,
        role: &str,
    ) -> PyResult<Self> {
        let key = Key::new(View::get(key)?.bytes());
        let policy = policy(py, digest, min_digest)?;
        let (inner, message) = auth::Challenge::new(&key, policy, self::role(role)?).or_raise(py)?;
        Ok(Self { inner, message })
    }

    /// The challenge, to be sent.
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.message)
    }

    /// The verdict on a response, to be sent, and why it is a refusal (None when it is a welcome).
    fn verdict<'py>(
        &self,
        py: Python<'py>,
        response: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyBytes>, Option<&'static str>)> {
        let response = View::get(response)?;
        match self.inner.response(response.bytes()).or_raise(py)? {
            Step::Finish(verdict) | Step::Send(verdict) => Ok((PyBytes::new(py, &verdict), None)),
            Step::Refuse(verdict, why) => Ok((PyBytes::new(py, &verdict), Some(why))),
            Step::Done => Err(raise(py, &Error::new(Kind::State, "deliver challenge"))),
        }
    }
}

/// The proving half of the handshake of `multiprocessing`.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct Answer {
    inner: auth::Answer,
}

#[pymethods]
impl Answer {
    #[new]
    #[pyo3(signature = (key, min_digest="md5", role="unknown"))]
    fn new(py: Python<'_>, key: &Bound<'_, PyAny>, min_digest: &str, role: &str) -> PyResult<Self> {
        let key = Key::new(View::get(key)?.bytes());
        let policy = Policy { min_digest: min_digest.parse().or_raise(py)?, ..Policy::default() };
        Ok(Self { inner: auth::Answer::new(&key, policy, self::role(role)?) })
    }

    /// The response to a challenge.
    fn response<'py>(&self, py: Python<'py>, challenge: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let challenge = View::get(challenge)?;
        let response = self.inner.challenge(challenge.bytes()).or_raise(py)?;
        Ok(PyBytes::new(py, &response))
    }

    /// Takes the peer's verdict; raises AuthenticationError when it is not a welcome.
    fn verdict(&self, py: Python<'_>, verdict: &Bound<'_, PyAny>) -> PyResult<()> {
        let verdict = View::get(verdict)?;
        self.inner.verdict(verdict.bytes()).or_raise(py)
    }
}
