// SPDX-License-Identifier: MIT OR Apache-2.0
//! `hmac`: the core's digests, and the standard module for all others.
//!
//! An object that is used in a way that only the standard class knows (an attribute is set, `copy.copy` makes two that share
//! a message) is *opened*: it becomes a standard object, whose inner object has the state of ours and is computed here as before.
#![forbid(unsafe_code)]

use crate::buffer::View;
use crate::once::Once;
use carrick::auth::{Digest, Mac, mac};
use carrick::fork::ForkMutex;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// From this length on hashing is worth giving the interpreter away for, as in the standard library.
const DETACH_FROM: usize = 2048;

/// `hashlib`'s constructors, to know them when they are given instead of a name.
struct Known {
    constructors: Vec<(Py<PyAny>, Digest)>,
    standard: Py<PyModule>,
}

fn known(py: Python<'_>) -> PyResult<&'static Known> {
    static KNOWN: Once<Known> = Once::new();
    KNOWN.get_or_try(py, || {
        let hashlib = py.import("hashlib")?;
        let mut constructors = Vec::new();
        for digest in Digest::ALL {
            constructors.push((hashlib.getattr(digest.name())?.unbind(), *digest));
        }
        let standard = py.import("carrick._standard")?.getattr("hmac")?.cast_into::<PyModule>()?;
        Ok(Known { constructors, standard: standard.unbind() })
    })
}

/// The digest that `digestmod` stands for, if it is one of the core's.
fn digest_of(py: Python<'_>, digestmod: &Bound<'_, PyAny>) -> PyResult<Option<Digest>> {
    if let Ok(name) = digestmod.cast::<PyString>() {
        let name = name.to_str()?;
        return Ok(Digest::ALL.iter().copied().find(|d| d.name() == name));
    }
    let constructors = &known(py)?.constructors;
    Ok(constructors.iter().find(|(c, _)| c.is(digestmod)).map(|(_, digest)| *digest))
}

enum State {
    /// Made by `__new__` and not initialised.
    Empty,
    Native(Mac),
    /// An object of the standard module, for a digest the core has not.
    Standard(Py<PyAny>),
}

/// A keyed hash being computed (RFC 2104).
#[pyclass(subclass, frozen, name = "HMAC", module = "hmac", weakref)]
pub(crate) struct Hmac {
    /// Looked at in attached threads only, so that nobody waits for it and no fork leaves it held.
    state: Mutex<State>,
    /// The turn of the thread that adds to the message, which may have detached to do so. It is waited for detached; in
    /// the child of a fork it is free, and the state is that before the addition.
    adding: ForkMutex<()>,
}

fn is_plain_key(key: &Bound<'_, PyAny>) -> bool {
    key.is_instance_of::<PyBytes>() || key.is_instance_of::<pyo3::types::PyByteArray>()
}

fn check_key<'a, 'py>(key: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyAny>> {
    if is_plain_key(key) {
        return Ok(key);
    }
    let name = key.get_type().name()?;
    Err(PyTypeError::new_err(format!("key: expected bytes or bytearray, but got '{name}'")))
}

fn native(digest: Digest, key: &Bound<'_, PyAny>, msg: Option<&Bound<'_, PyAny>>) -> PyResult<Mac> {
    let py = key.py();
    let key = View::get(key)?;
    let mut mac = Mac::new(digest, key.bytes()).map_err(|e| crate::errors::raise(py, &e))?;
    if let Some(msg) = msg {
        let msg = View::get(msg)?;
        let bytes = msg.bytes();
        if bytes.len() < DETACH_FROM {
            mac.update(bytes);
        } else {
            py.detach(|| mac.update(bytes));
        }
    }
    Ok(mac)
}

fn given<'a, 'py>(msg: Option<&'a Bound<'py, PyAny>>) -> Option<&'a Bound<'py, PyAny>> {
    msg.filter(|m| !m.is_none())
}

fn state_for(
    key: &Bound<'_, PyAny>,
    msg: Option<&Bound<'_, PyAny>>,
    digestmod: &Bound<'_, PyAny>,
) -> PyResult<State> {
    let py = key.py();
    check_key(key)?;
    if !digestmod.is_truthy()? {
        return Err(PyTypeError::new_err("Missing required argument 'digestmod'."));
    }
    match digest_of(py, digestmod)? {
        Some(digest) => Ok(State::Native(native(digest, key, given(msg))?)),
        None => {
            let class = known(py)?.standard.bind(py).getattr("HMAC")?;
            Ok(State::Standard(class.call1((key, msg, digestmod))?.unbind()))
        }
    }
}

/// Create a new hashing object and return it.
///
/// Arguments: ``key`` is bytes or bytearray; ``msg`` any bytes-like object, or None; ``digestmod`` the name of a
/// digest, a constructor of :mod:`hashlib`, or a module. Without it the digest is SHA-256.
///
/// Raises TypeError for a key that is not bytes, ValueError for an unknown digest.
#[pyfunction]
#[pyo3(signature = (key, msg=None, digestmod=None), text_signature = "(key, msg=None, digestmod='')")]
pub(crate) fn new(
    key: &Bound<'_, PyAny>,
    msg: Option<&Bound<'_, PyAny>>,
    digestmod: Option<&Bound<'_, PyAny>>,
) -> PyResult<Hmac> {
    let py = key.py();
    match digestmod {
        Some(digestmod) if digestmod.is_truthy()? => make(key, msg, Some(digestmod)),
        // The Python module says what two arguments mean, and carrick.patch() changes it.
        _ => {
            let default = py.import("carrick.hmac")?.getattr("_DEFAULT")?;
            make(key, msg, Some(&default).filter(|d| !d.is_none()))
        }
    }
}

fn make(
    key: &Bound<'_, PyAny>,
    msg: Option<&Bound<'_, PyAny>>,
    digestmod: Option<&Bound<'_, PyAny>>,
) -> PyResult<Hmac> {
    let Some(digestmod) = digestmod else {
        check_key(key)?;
        return Err(PyTypeError::new_err("Missing required argument 'digestmod'."));
    };
    Ok(Hmac::over(state_for(key, msg, digestmod)?))
}

/// The digest of one message: the quickest way when there is only one.
#[pyfunction]
#[pyo3(signature = (key, msg, digest))]
pub(crate) fn hmac_digest<'py>(
    py: Python<'py>,
    key: &Bound<'py, PyAny>,
    msg: &Bound<'py, PyAny>,
    digest: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // Which other keys are taken depends on the version.
    let native = if is_plain_key(key) { digest_of(py, digest)? } else { None };
    let Some(digest) = native else {
        return known(py)?.standard.bind(py).call_method1("digest", (key, msg, digest));
    };
    let (key, msg) = (View::get(key)?, View::get(msg)?);
    let (key, msg) = (key.bytes(), msg.bytes());
    let run = || mac(digest, key, msg);
    let tag = if msg.len() < DETACH_FROM { run() } else { py.detach(run) };
    let tag = tag.map_err(|e| crate::errors::raise(py, &e))?;
    Ok(PyBytes::new(py, tag.bytes()).into_any())
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Hmac {
    fn over(state: State) -> Self {
        Self { state: Mutex::new(state), adding: ForkMutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        let before = std::mem::replace(&mut *self.lock(), state);
        // Dropping Python objects runs Python: not under the lock.
        drop(before);
    }

    /// The core's state, copied, or the standard object.
    fn look(&self, py: Python<'_>) -> PyResult<Result<Mac, Py<PyAny>>> {
        match &*self.lock() {
            State::Native(mac) => Ok(Ok(mac.clone())),
            State::Standard(object) => Ok(Err(object.clone_ref(py))),
            State::Empty => Err(PyAttributeError::new_err("HMAC object is not initialised")),
        }
    }

    /// The standard object that this one stands on, made now if need be.
    fn open<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mac = match self.look(py)? {
            Ok(mac) => mac,
            Err(standard) => return Ok(standard.into_bound(py)),
        };
        let (size, block) = (mac.digest().size(), mac.digest().block_size());
        let inner = Bound::new(py, Self::over(State::Native(mac)))?;
        let class = known(py)?.standard.bind(py).getattr("HMAC")?;
        let object = class.call_method1("__new__", (&class,))?;
        object.setattr("_hmac", inner)?;
        object.setattr("_inner", py.None())?;
        object.setattr("_outer", py.None())?;
        object.setattr("digest_size", size)?;
        object.setattr("block_size", block)?;
        self.set(State::Standard(object.clone().unbind()));
        Ok(object)
    }

    fn set_attribute(&self, value: &Bound<'_, PyAny>, name: &str) -> PyResult<()> {
        self.open(value.py())?.setattr(name, value)
    }

    fn attribute<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        native: impl FnOnce(&Mac) -> usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.look(py)? {
            Ok(mac) => Ok(native(&mac).into_pyobject(py)?.into_any()),
            Err(standard) => standard.bind(py).getattr(name),
        }
    }

    fn ask<'py, T>(
        &self,
        py: Python<'py>,
        native: impl FnOnce(&Mac) -> T,
        standard: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
    ) -> PyResult<T> {
        let object = match &*self.lock() {
            State::Native(mac) => return Ok(native(mac)),
            State::Standard(object) => object.clone_ref(py),
            State::Empty => return Err(PyAttributeError::new_err("HMAC object is not initialised")),
        };
        standard(object.bind(py))
    }
}

#[pymethods]
impl Hmac {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::over(State::Empty)
    }

    #[pyo3(signature = (key, msg=None, digestmod=None))]
    fn __init__(
        &self,
        key: &Bound<'_, PyAny>,
        msg: Option<&Bound<'_, PyAny>>,
        digestmod: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let made = make(key, msg, digestmod)?;
        self.set(made.state.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    #[pyo3(signature = (key, msg, digestmod))]
    fn _init_hmac(
        &self,
        key: &Bound<'_, PyAny>,
        msg: Option<&Bound<'_, PyAny>>,
        digestmod: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.set(state_for(key, msg, digestmod)?);
        Ok(())
    }

    #[pyo3(signature = (key, msg, digestmod))]
    fn _init_openssl_hmac(
        &self,
        key: &Bound<'_, PyAny>,
        msg: Option<&Bound<'_, PyAny>>,
        digestmod: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self._init_hmac(key, msg, digestmod)
    }

    #[pyo3(signature = (key, msg, digestmod))]
    fn _init_builtin_hmac(
        &self,
        key: &Bound<'_, PyAny>,
        msg: Option<&Bound<'_, PyAny>>,
        digestmod: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self._init_hmac(key, msg, digestmod)
    }

    #[pyo3(signature = (key, msg, digestmod))]
    fn _init_old(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        msg: Option<&Bound<'_, PyAny>>,
        digestmod: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let class = known(py)?.standard.bind(py).getattr("HMAC")?;
        let object = class.call_method1("__new__", (&class,))?;
        object.call_method1("_init_old", (key, msg, digestmod))?;
        self.set(State::Standard(object.unbind()));
        Ok(())
    }

    /// Adds `msg` to the message.
    fn update(&self, py: Python<'_>, msg: &Bound<'_, PyAny>) -> PyResult<()> {
        let view = View::get(msg)?;
        let bytes = view.bytes();
        let turn = match self.adding.try_lock() {
            Some(turn) => turn,
            None => py.detach(|| self.adding.lock()),
        };
        if bytes.len() < DETACH_FROM {
            if let State::Native(mac) = &mut *self.lock() {
                mac.update(bytes);
                return Ok(());
            }
        } else if let Ok(mut mac) = self.look(py)? {
            // A copy: the state is for attached threads.
            let mac = py.detach(|| {
                mac.update(bytes);
                mac
            });
            self.set(State::Native(mac));
            return Ok(());
        }
        drop(turn);
        self.ask(py, |_| (), |standard| standard.call_method1("update", (msg,)).map(drop))
    }

    /// The digest of the message so far, as bytes.
    fn digest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.look(py)? {
            Ok(mac) => Ok(PyBytes::new(py, mac.finish().bytes()).into_any()),
            Err(standard) => standard.bind(py).call_method0("digest"),
        }
    }

    /// The digest of the message so far, as a string of hexadecimal digits.
    fn hexdigest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mac = match self.look(py)? {
            Ok(mac) => mac,
            Err(standard) => return standard.bind(py).call_method0("hexdigest"),
        };
        let mut text = String::with_capacity(128);
        for byte in mac.finish().bytes() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
            }
        }
        Ok(PyString::new(py, &text).into_any())
    }

    /// A copy that goes on by itself.
    fn copy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let state = match slf.get().look(py)? {
            Ok(mac) => State::Native(mac),
            Err(standard) => {
                let (standard, copied) = (standard.bind(py), standard.bind(py).call_method0("copy")?);
                // Python 3.11 and 3.12 forget it.
                if !copied.hasattr("block_size")? {
                    copied.setattr("block_size", standard.getattr("block_size")?)?;
                }
                State::Standard(copied.unbind())
            }
        };
        let class: Bound<'py, PyType> = slf.get_type();
        let other = class.call_method1("__new__", (&class,))?;
        other.cast::<Self>()?.get().set(state);
        Ok(other)
    }

    /// The name of the algorithm, such as `hmac-sha256`.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, |mac| format!("hmac-{}", mac.digest()), |s| s.getattr("name")?.extract())
    }

    /// The result of `copy.copy`: as with the standard class the two share a message, and have all attributes.
    fn __copy__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let class: Bound<'py, PyType> = slf.get_type();
        let other = class.call_method1("__new__", (&class,))?;
        let shared = py.import("copy")?.call_method1("copy", (slf.get().open(py)?,))?;
        other.cast::<Self>()?.get().set(State::Standard(shared.unbind()));
        if let Ok(attributes) = slf.getattr("__dict__") {
            other.getattr("__dict__")?.call_method1("update", (attributes,))?;
        }
        for name in py.import("copyreg")?.call_method1("_slotnames", (&class,))?.try_iter()? {
            let name = name?.cast_into::<PyString>()?;
            if let Ok(value) = slf.getattr(&name) {
                other.setattr(&name, value)?;
            }
        }
        Ok(other)
    }

    /// The length of the digest in bytes.
    #[getter]
    fn digest_size<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, "digest_size", |mac| mac.digest().size())
    }

    #[setter(digest_size)]
    fn set_digest_size(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_attribute(value, "digest_size")
    }

    /// The length of the algorithm's block in bytes.
    #[getter]
    fn block_size<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, "block_size", |mac| mac.digest().block_size())
    }

    #[setter(block_size)]
    fn set_block_size(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_attribute(value, "block_size")
    }

    #[setter(_hmac)]
    fn set_hmac(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_attribute(value, "_hmac")
    }

    #[setter(_inner)]
    fn set_inner(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_attribute(value, "_inner")
    }

    #[setter(_outer)]
    fn set_outer(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_attribute(value, "_outer")
    }

    /// The standard module's name for the state of a known digest: this object itself.
    #[getter(_hmac)]
    fn hmac_state<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        match slf.get().look(py)? {
            Ok(_) => Ok(Some(slf.clone().into_any())),
            Err(standard) => Ok(Some(standard.bind(py).getattr("_hmac")?).filter(|s| !s.is_none())),
        }
    }

    #[getter(_inner)]
    fn inner_state<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.ask(py, |_| None, |standard| standard.getattr("_inner").map(Some))
    }

    #[getter(_outer)]
    fn outer_state<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.ask(py, |_| None, |standard| standard.getattr("_outer").map(Some))
    }

    /// The block size assumed for a digest that does not tell its own.
    #[classattr]
    fn blocksize() -> usize {
        64
    }
}
