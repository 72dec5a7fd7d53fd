// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shared memory behind `carrick.multiprocessing.queues`.
//!
//! An operation tries once while attached, without waiting for anybody: the core's lock of a side may be held by
//! a thread that waits for the interpreter. Only then it detaches and waits.
#![forbid(unsafe_code)]

use crate::argument::{Truth, number, text_or_none};
use crate::buffer::{ArrayBody, BytesBody, View, get_in_place, take};
use crate::connection::seconds;
use crate::errors::{OrRaise, raise};
use crate::once::Once;
use crate::signals::waiting;
use carrick::frame::Body;
use carrick::queue::{Queue, QueueOptions};
use carrick::{Deadline, Error, Kind};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Up to this length an item is copied while attached.
const QUICK: u64 = 32 << 10;

/// The pickle of a large bytes object, less the object: protocol 4, BINBYTES and the length before it; MEMOIZE and
/// STOP after it. It is put together here so that the object is copied once.
const PICKLE_START: &[u8; 3] = b"\x80\x04B";
const PICKLE_END: &[u8; 2] = b"\x94.";
const START: u64 = 7;
/// How an item of a pickle and buffers begins, as the Python module puts it together.
const BUFFERS: &[u8] = b"\0carrik";
const AROUND: u64 = 9;

/// A queue of messages in shared memory.
#[pyclass(frozen, module = "carrick._carrick")]
pub(crate) struct SharedQueue {
    queue: Queue,
}

/// The deadline of `put` and `get`.
fn patience(block: bool, timeout: Option<f64>) -> PyResult<Deadline> {
    if block { seconds(timeout) } else { Ok(Deadline::NOW) }
}

/// A caller that waits for room or for an item is told the same whether time is over or there was none.
fn over(kind: Kind, operation: &'static str) -> impl Fn(Error) -> Error {
    move |error| if error.kind() == Kind::Timeout { Error::new(kind, operation) } else { error }
}

/// An item received as what it is if it is the pickle of a large bytes object: what is before the object, the object,
/// what is after it.
struct PickledBytes {
    parts: [BytesBody; 3],
    at: usize,
    /// How much of the part is still to come.
    left: u64,
    lengths: [u64; 3],
}

impl PickledBytes {
    fn new(py: Python<'_>, length: u64) -> PyResult<Self> {
        let lengths = [START, length - AROUND, AROUND - START];
        let [start, body, end] = lengths.map(|length| BytesBody::new(py, length));
        Ok(Self { parts: [start?, body?, end?], at: 0, left: START, lengths })
    }

    fn load(self, py: Python<'_>, loads: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let [start, body, end] = self.parts.map(|part| crate::connection::finish(py, part));
        let (start, body, end) = (start?, body?, end?);
        let (before, object, after) = (start.as_bytes(py), body.as_bytes(py), end.as_bytes(py));
        if begins(before, object.len() as u64) && after == PICKLE_END {
            return Ok(body.into_any());
        }
        load(loads, &bytes_of(py, &[before, object, after])?)
    }
}

/// A bytes object of these parts; `PyBytes::new` panics where there is no memory.
fn bytes_of<'py>(py: Python<'py>, parts: &[&[u8]]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, parts.iter().map(|part| part.len()).sum(), |mut room| {
        for part in parts {
            let (here, rest) = room.split_at_mut(part.len());
            here.copy_from_slice(part);
            room = rest;
        }
        Ok(())
    })
}

/// Data received while attached: an item, or the first bytes of one that is too large for that and stays.
enum Arrival<'a> {
    Item(BytesBody),
    Start(&'a mut BytesBody),
}

impl Arrival<'_> {
    fn body(&self) -> &BytesBody {
        match self {
            Self::Item(body) => body,
            Self::Start(body) => body,
        }
    }

    fn body_mut(&mut self) -> &mut BytesBody {
        match self {
            Self::Item(body) => body,
            Self::Start(body) => body,
        }
    }
}

impl Body for Arrival<'_> {
    // A start that is full has no room, which ends the attempt.
    fn room(&mut self, left: u64) -> carrick::Result<&mut [MaybeUninit<u8>]> {
        self.body_mut().room(left)
    }

    fn wrote(&mut self, n: usize) {
        self.body_mut().wrote(n);
    }

    fn written(&self) -> &[u8] {
        self.body().written()
    }
}

fn start_of(length: u32) -> [u8; 7] {
    let mut start = [0; 7];
    start[..3].copy_from_slice(PICKLE_START);
    start[3..].copy_from_slice(&length.to_le_bytes());
    start
}

/// Whether `start` is that of the pickle of a bytes object of so many bytes.
fn begins(start: &[u8], length: u64) -> bool {
    u32::try_from(length).is_ok_and(|length| start == start_of(length))
}

/// A large item, received into the memory that it is to stay in.
enum Large {
    /// Probably the pickle of a bytes object.
    Bytes(PickledBytes),
    /// Probably a pickle and buffers that belong to it.
    Buffers(ArrayBody),
    Other(BytesBody),
}

/// The apparent type of a large item.
#[derive(Clone, Copy)]
enum Shape {
    Bytes,
    Buffers,
    Other,
}

impl Body for Large {
    fn room(&mut self, left: u64) -> carrick::Result<&mut [MaybeUninit<u8>]> {
        match self {
            Self::Bytes(body) => body.room(left),
            Self::Buffers(body) => body.room(left),
            Self::Other(body) => body.room(left),
        }
    }

    fn wrote(&mut self, n: usize) {
        match self {
            Self::Bytes(body) => body.wrote(n),
            Self::Buffers(body) => body.wrote(n),
            Self::Other(body) => body.wrote(n),
        }
    }

    fn written(&self) -> &[u8] {
        match self {
            Self::Bytes(body) => body.written(),
            Self::Buffers(body) => body.written(),
            Self::Other(body) => body.written(),
        }
    }
}

impl Body for PickledBytes {
    fn room(&mut self, _left: u64) -> carrick::Result<&mut [MaybeUninit<u8>]> {
        if self.left == 0 {
            self.at += 1;
            self.left = self.lengths.get(self.at).copied().unwrap_or(0);
        }
        let left = self.left;
        self.parts.get_mut(self.at).map_or(Ok(&mut []), |part| part.room(left))
    }

    fn wrote(&mut self, n: usize) {
        self.left -= n as u64;
        if let Some(part) = self.parts.get_mut(self.at) {
            part.wrote(n);
        }
    }

    fn written(&self) -> &[u8] {
        self.parts[1].written()
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[pymethods]
impl SharedQueue {
    #[new]
    #[pyo3(signature = (max_items, max_bytes, soft=false, name=None))]
    fn new(
        py: Python<'_>,
        max_items: &Bound<'_, PyAny>,
        max_bytes: &Bound<'_, PyAny>,
        soft: bool,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let max_items = number(max_items, "maxsize", u64::MAX)?;
        let max_bytes = number(max_bytes, "max_bytes", u64::MAX)?;
        let options = QueueOptions { max_items, max_bytes, soft };
        let queue = match text_or_none(name, "name")?.as_deref() {
            Some(name) => Queue::create(name, options),
            None => Queue::new(options).and_then(Queue::selectable),
        };
        Ok(Self { queue: queue.or_raise(py)? })
    }

    /// The queue behind the descriptors of another process, which are taken over; without a bell it is -1.
    #[staticmethod]
    fn attach(py: Python<'_>, fd: RawFd, bell: RawFd) -> PyResult<Self> {
        let file = take(fd)?;
        let queue =
            if bell == -1 { Queue::attach(file) } else { Queue::attach_selectable(file, take(bell)?) };
        Ok(Self { queue: queue.or_raise(py)? })
    }

    /// The two descriptors to hand to another process; without a bell the second one is -1.
    fn descriptors(&self) -> (RawFd, RawFd) {
        let bell = self.queue.bell_fd().map_or(-1, |bell| bell.as_raw_fd());
        (self.queue.as_fd().as_raw_fd(), bell)
    }

    /// A descriptor that is readable while an item is there.
    fn event_fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        self.queue.event_fd().or_raise(py).map(|fd| fd.as_raw_fd())
    }

    /// Puts one item: bytes, or a list of parts that follow one another.
    #[pyo3(signature = (data, block=Truth(true), timeout=None), text_signature = "($self, data, block=True, timeout=None)")]
    fn put(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        block: Truth,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        if let Ok(parts) = data.cast::<PyList>() {
            let parts: Vec<_> = parts.iter().collect();
            let views = parts.iter().map(View::get).collect::<PyResult<Vec<_>>>()?;
            let parts: Vec<_> = views.iter().map(|view| IoSlice::new(view.bytes())).collect();
            return self.put_parts(py, &parts, block.0, timeout);
        }
        let view = View::get(data)?;
        self.put_parts(py, &[IoSlice::new(view.bytes())], block.0, timeout)
    }

    /// Puts the pickle of a bytes object of less than 4 GiB.
    #[pyo3(signature = (data, block=Truth(true), timeout=None), text_signature = "($self, data, block=True, timeout=None)")]
    fn put_bytes(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyBytes>,
        block: Truth,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let bytes = data.as_bytes();
        let length = u32::try_from(bytes.len())
            .map_err(|_| PyValueError::new_err(format!("{} bytes: 4 GiB or more", bytes.len())))?;
        let start = start_of(length);
        let parts = [IoSlice::new(&start), IoSlice::new(bytes), IoSlice::new(PICKLE_END)];
        self.put_parts(py, &parts, block.0, timeout)
    }

    /// Takes one item and returns what `loads` makes of it.
    #[pyo3(signature = (loads, block=Truth(true), timeout=None), text_signature = "($self, loads, block=True, timeout=None)")]
    fn get(
        &self,
        py: Python<'_>,
        loads: &Bound<'_, PyAny>,
        block: Truth,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let mut deadline = None;
        loop {
            let (mut large, mut start) = (0, None);
            let mut place = Some(&mut start);
            let taken = self.queue.try_get_with(|length| {
                let no_memory = |_| Error::new(Kind::NoMemory, "get");
                if length <= QUICK {
                    return BytesBody::new(py, length).map(Arrival::Item).map_err(no_memory);
                }
                large = length;
                let place = place.take().ok_or_else(|| Error::new(Kind::Buffer, "get"))?;
                Ok(Arrival::Start(place.insert(BytesBody::new(py, START).map_err(no_memory)?)))
            });
            match taken {
                Ok(Arrival::Item(body)) => return load(loads, crate::connection::finish(py, body)?.bind(py)),
                // A start alone is never taken.
                Ok(Arrival::Start(_)) => return Err(raise(py, &Error::new(Kind::Corrupt, "get"))),
                Err(error) if error.kind() == Kind::Buffer && large > QUICK => {
                    let start = start.as_ref().map_or(&[][..], BytesBody::written);
                    let shape = match start {
                        _ if !is_unpickler(py, loads)? => Shape::Other,
                        BUFFERS => Shape::Buffers,
                        start if begins(start, large - AROUND) => Shape::Bytes,
                        _ => Shape::Other,
                    };
                    if let Some(object) = self.get_large(py, loads, large, shape)? {
                        return Ok(object);
                    }
                }
                Err(error) if matches!(error.kind(), Kind::Empty | Kind::WouldBlock) => {
                    let deadline = match deadline {
                        Some(deadline) => deadline,
                        None => *deadline.insert(patience(block.0, timeout)?),
                    };
                    if error.kind() == Kind::Empty && deadline.is_now() {
                        return Err(raise(py, &error));
                    }
                    let taken = waiting(py, || self.queue.get_with(small, deadline));
                    match taken.map_err(over(Kind::Empty, "get")) {
                        Ok(body) => return load(loads, &bytes_of(py, &[&body])?),
                        // A large one: this thread must be attached to make room for it.
                        Err(error) if error.kind() == Kind::Buffer => {}
                        Err(error) => return Err(raise(py, &error)),
                    }
                }
                Err(error) => return Err(raise(py, &error)),
            }
        }
    }

    /// Takes one item, which `read` has as a memoryview where it lies.
    #[pyo3(signature = (read, block=Truth(true), timeout=None), text_signature = "($self, read, block=True, timeout=None)")]
    fn get_in_place(
        slf: &Bound<'_, Self>,
        read: &Bound<'_, PyAny>,
        block: Truth,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let (py, queue) = (slf.py(), &slf.get().queue);
        if !read.is_callable() {
            return Err(PyTypeError::new_err(format!(
                "read {}; give a function of one argument",
                read.repr()?
            )));
        }
        let deadline = patience(block.0, timeout)?;
        let (owner, read) = (slf.as_any().clone().unbind(), read.clone().unbind());
        let taken = waiting(py, || get_in_place(queue, &owner, &read, deadline));
        taken.map_err(over(Kind::Empty, "get")).or_raise(py)?
    }

    /// Takes up to `most` items, waiting for the first one only.
    #[pyo3(signature = (loads, most, block=Truth(true), timeout=None), text_signature = "($self, loads, most, block=True, timeout=None)")]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        loads: &Bound<'py, PyAny>,
        most: &Bound<'py, PyAny>,
        block: Truth,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let most = index(number(most, "max_items", u64::MAX)?);
        let items = PyList::empty(py);
        if most == 0 {
            return Ok(items);
        }
        items.append(self.get(py, loads, block, timeout)?)?;
        while items.len() < most && !self.queue.is_empty().or_raise(py)? {
            match self.get(py, loads, Truth(false), None) {
                Ok(item) => items.append(item)?,
                // Another taker was quicker.
                Err(error) if error.is_instance(py, &empty_class(py)?) => break,
                Err(error) => {
                    // One that refuses attributes is raised all the same.
                    let _ = error.value(py).setattr("taken", &items);
                    return Err(error);
                }
            }
        }
        Ok(items)
    }

    /// How many items were put that nobody is done with yet.
    fn unfinished(&self, py: Python<'_>) -> PyResult<u64> {
        self.queue.unfinished().or_raise(py)
    }

    /// The most items, 0 is no limit.
    fn max_items(&self, py: Python<'_>) -> PyResult<u64> {
        self.queue.options().or_raise(py).map(|options| options.max_items)
    }

    /// How many items are in the queue.
    fn qsize(&self, py: Python<'_>) -> PyResult<u64> {
        self.queue.len().or_raise(py)
    }

    /// Waits until an item is there; False when `timeout` seconds passed first, None is for ever.
    fn poll(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        if !self.queue.is_empty().or_raise(py)? {
            return Ok(true);
        }
        let deadline = patience(true, timeout)?;
        if deadline.is_now() {
            return Ok(false);
        }
        match waiting(py, || self.queue.wait(deadline)) {
            Err(error) if error.kind() == Kind::Timeout => Ok(false),
            other => other.or_raise(py).map(|()| true),
        }
    }

    /// Says that a taker is done with an item.
    fn task_done(&self, py: Python<'_>) -> PyResult<()> {
        match self.queue.task_done() {
            Err(error) if error.kind() == Kind::Invalid => {
                Err(PyValueError::new_err("task_done() called too many times"))
            }
            other => other.or_raise(py),
        }
    }

    /// Waits until every item is done.
    #[pyo3(signature = (timeout=None))]
    fn join(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let deadline = seconds(timeout)?;
        let late = |error: Error| {
            if error.kind() == Kind::WouldBlock { Error::new(Kind::Timeout, "join") } else { error }
        };
        waiting(py, || self.queue.join(deadline)).map_err(late).or_raise(py)
    }
}

fn empty_class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("queue")?.getattr("Empty")
}

/// Room for an item that need not be received into its final place.
fn small(length: u64) -> carrick::Result<Vec<u8>> {
    if length > QUICK {
        return Err(Error::new(Kind::Buffer, "get"));
    }
    let mut body = Vec::new();
    let no_memory = |_| Error::new(Kind::NoMemory, "get");
    body.try_reserve_exact(index(length)).map_err(no_memory).map(|()| body)
}

/// Whether `loads` is pickle's: what looks like a pickle is one.
fn is_unpickler(py: Python<'_>, loads: &Bound<'_, PyAny>) -> PyResult<bool> {
    static LOADS: Once<Py<PyAny>> = Once::new();
    LOADS.import(py, "pickle", "loads").map(|standard| standard.is(loads))
}

/// Unpickles an item that begins with [`BUFFERS`].
fn load_buffers(py: Python<'_>, body: ArrayBody) -> PyResult<Py<PyAny>> {
    static LOAD: Once<Py<PyAny>> = Once::new();
    let body = body.finish().ok_or_else(|| raise(py, &Error::new(Kind::Corrupt, "get")))?;
    LOAD.import(py, "carrick.multiprocessing.queues", "_load_parts")?.call1((body,)).map(Bound::unbind)
}

fn load(loads: &Bound<'_, PyAny>, body: &Bound<'_, PyBytes>) -> PyResult<Py<PyAny>> {
    loads.call1((body,)).map(Bound::unbind)
}

impl SharedQueue {
    fn put_parts(
        &self,
        py: Python<'_>,
        parts: &[IoSlice<'_>],
        block: bool,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        if parts.iter().map(|part| part.len() as u64).sum::<u64>() <= QUICK {
            match self.queue.try_put(parts) {
                Ok(()) => return Ok(()),
                Err(error) if matches!(error.kind(), Kind::Full | Kind::WouldBlock) => {}
                Err(error) => return Err(raise(py, &error)),
            }
        }
        let deadline = patience(block, timeout)?;
        let put = waiting(py, || self.queue.put_vectored(parts, deadline));
        put.map_err(over(Kind::Full, "put")).or_raise(py)
    }

    /// Takes an item that was seen to be of this length, and perhaps of this shape; None when another one is at the
    /// beginning by now. The memory is there before the item is taken.
    fn get_large(
        &self,
        py: Python<'_>,
        loads: &Bound<'_, PyAny>,
        length: u64,
        shape: Shape,
    ) -> PyResult<Option<Py<PyAny>>> {
        let mut room = Some(match shape {
            Shape::Bytes => Large::Bytes(PickledBytes::new(py, length)?),
            Shape::Buffers => Large::Buffers(ArrayBody::array(py, length)?),
            Shape::Other => Large::Other(BytesBody::new(py, length)?),
        });
        let make = |found: u64| {
            let other = || Error::new(Kind::Buffer, "get");
            if found == length { room.take().ok_or_else(other) } else { Err(other()) }
        };
        match waiting(py, || self.queue.get_with(make, Deadline::NOW)) {
            Ok(Large::Bytes(body)) => body.load(py, loads).map(Some),
            Ok(Large::Buffers(body)) => load_buffers(py, body).map(Some),
            Ok(Large::Other(body)) => load(loads, crate::connection::finish(py, body)?.bind(py)).map(Some),
            Err(error) if matches!(error.kind(), Kind::Buffer | Kind::Empty) => Ok(None),
            Err(error) => Err(raise(py, &error)),
        }
    }
}
