// SPDX-License-Identifier: MIT OR Apache-2.0
//! Python's memory as Rust sees it: the only `unsafe` of this crate.

use carrick::Deadline;
use carrick::frame::Body;
use carrick::queue::Queue;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyMemoryError, PyOSError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A bytes-like object whose memory is held in place for as long as this lives.
pub(crate) enum View<'a> {
    /// Of a bytes object, which cannot change: its owner's reference keeps it in place.
    Bytes(&'a [u8]),
    Buffer(PyBuffer<u8>),
}

impl<'a> View<'a> {
    /// Any contiguous buffer, read as bytes.
    pub(crate) fn get(object: &'a Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self::Bytes(bytes.as_bytes()));
        }
        let buffer = match PyBuffer::<u8>::get(object) {
            Ok(buffer) => buffer,
            // Buffers of other items are read as bytes, as memoryview.cast('B') does.
            Err(error) if error.is_instance_of::<PyBufferError>(object.py()) => {
                let bytes = object.py().get_type::<PyMemoryView>().call1((object,))?;
                PyBuffer::<u8>::get(&bytes.call_method1("cast", ("B",))?)?
            }
            Err(error) => return Err(error),
        };
        if !buffer.is_c_contiguous() {
            return Err(PyBufferError::new_err("memoryview: underlying buffer is not C-contiguous"));
        }
        Ok(Self::Buffer(buffer))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Buffer(buffer) if buffer.len_bytes() == 0 => &[],
            // SAFETY: the buffer is contiguous, and Python keeps it in place until it is released when self
            // is dropped. That nobody writes to it meanwhile is the caller's part, as with every Python
            // buffer.
            Self::Buffer(buffer) => unsafe {
                std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes())
            },
        }
    }

    /// The memory, to be written.
    pub(crate) fn bytes_mut(&mut self) -> PyResult<&mut [u8]> {
        match self {
            Self::Buffer(buffer) if !buffer.readonly() => {
                if buffer.len_bytes() == 0 {
                    return Ok(&mut []);
                }
                // SAFETY: as in bytes(); the buffer is writable.
                Ok(unsafe { std::slice::from_raw_parts_mut(buffer.buf_ptr().cast(), buffer.len_bytes()) })
            }
            _ => Err(PyTypeError::new_err("a writable bytes-like object is required, not a read-only one")),
        }
    }
}

/// The dict of what this thread has of its own, thread-locals of Python 3.12 and earlier among it; None where there is none.
pub(crate) fn thread_dict(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: this thread is attached.
    let raw = unsafe { ffi::PyThreadState_GetDict() };
    // SAFETY: raw is a borrowed reference to an object that the thread holds, or NULL.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, raw) }
}

/// An object of bytes that is being filled.
pub(crate) struct Filling<T> {
    object: Py<T>,
    memory: *mut u8,
    capacity: usize,
    filled: usize,
}

/// A bytes object that is being filled.
pub(crate) type BytesBody = Filling<PyBytes>;
/// A bytearray that is being filled.
pub(crate) type ArrayBody = Filling<PyByteArray>;

// SAFETY: the object is referred to by nobody else until it is finished, and its memory is plain bytes.
unsafe impl<T> Send for Filling<T> {}

fn size(length: usize) -> PyResult<ffi::Py_ssize_t> {
    ffi::Py_ssize_t::try_from(length)
        .map_err(|_| PyMemoryError::new_err(format!("a frame of {length} bytes does not fit into memory")))
}

fn allocate(py: Python<'_>, length: usize) -> PyResult<Py<PyBytes>> {
    // SAFETY: a NULL source asks for uninitialised memory.
    let raw = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), size(length)?) };
    // SAFETY: raw is a new reference, or NULL with an exception set.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, raw) }?;
    object.cast_into::<PyBytes>().map(Bound::unbind).map_err(Into::into)
}

fn memory_of(object: &Py<PyBytes>) -> *mut u8 {
    // SAFETY: the object is a bytes object, whose memory stays where it is until it is resized.
    unsafe { ffi::PyBytes_AsString(object.as_ptr()) }.cast()
}

impl ArrayBody {
    /// Room for `length` bytes.
    pub(crate) fn array(py: Python<'_>, length: u64) -> PyResult<Self> {
        let capacity = usize::try_from(length).unwrap_or(usize::MAX);
        // SAFETY: a NULL source asks for uninitialised memory.
        let raw = unsafe { ffi::PyByteArray_FromStringAndSize(std::ptr::null(), size(capacity)?) };
        // SAFETY: raw is a new reference, or NULL with an exception set.
        let object = unsafe { Bound::from_owned_ptr_or_err(py, raw) }?.cast_into::<PyByteArray>()?;
        // SAFETY: the object is a bytearray, whose memory stays where it is until it is resized.
        let memory = unsafe { ffi::PyByteArray_AsString(object.as_ptr()) }.cast();
        Ok(Self { object: object.unbind(), memory, capacity, filled: 0 })
    }
}

/// Lends a descriptor that a Python object owns to the core for one call.
pub(crate) fn lend<'a>(fd: RawFd) -> PyResult<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(PyOSError::new_err((libc::EBADF, "Bad file descriptor")));
    }
    // SAFETY: the descriptor is not -1. Whether it stays open is up to the Python program, as with every
    // number of a descriptor; the core only makes system calls with it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Writes to a descriptor that Python code owns, in one call.
pub(crate) fn write_now(fd: RawFd, bytes: &[u8]) -> std::io::Result<usize> {
    // SAFETY: the memory is readable for its length; a descriptor that is not open gives EBADF.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(n).map_err(|_| std::io::Error::last_os_error())
}

/// Takes over a descriptor that Python code gives up.
pub(crate) fn take(fd: RawFd) -> PyResult<OwnedFd> {
    if fd < 0 {
        return Err(PyOSError::new_err((libc::EBADF, "Bad file descriptor")));
    }
    // SAFETY: the descriptor is not -1, and the caller has detached it from its Python object.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl BytesBody {
    /// Room for `length` bytes. The system commits memory as it is written, so that what a peer announces
    /// and does not send takes none.
    pub(crate) fn new(py: Python<'_>, length: u64) -> PyResult<Self> {
        let capacity = usize::try_from(length).unwrap_or(usize::MAX);
        let object = allocate(py, capacity)?;
        let memory = memory_of(&object);
        Ok(Self { object, memory, capacity, filled: 0 })
    }
}

impl<T> Filling<T> {
    /// The finished object; None when bytes are missing.
    pub(crate) fn finish(self) -> Option<Py<T>> {
        (self.filled == self.capacity).then_some(self.object)
    }
}

impl<T> Body for Filling<T> {
    fn room(&mut self, left: u64) -> carrick::Result<&mut [MaybeUninit<u8>]> {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let room = (self.capacity - self.filled).min(left);
        // SAFETY: filled is at most capacity, the size of the object's memory.
        let place = unsafe { self.memory.add(self.filled) };
        // SAFETY: filled + room is at most capacity, and nobody else uses the memory until it is finished.
        Ok(unsafe { std::slice::from_raw_parts_mut(place.cast(), room) })
    }

    fn wrote(&mut self, n: usize) {
        self.filled += n;
    }

    fn written(&self) -> &[u8] {
        // SAFETY: the first `filled` bytes have been written; see room().
        unsafe { std::slice::from_raw_parts(self.memory, self.filled) }
    }
}

/// An item where it lies in a queue's memory, for Python's buffers.
#[pyclass(frozen)]
struct Lent {
    memory: *const u8,
    length: usize,
    /// Buffers of it that Python has.
    buffers: AtomicUsize,
    /// The item is not this one's any more.
    is_over: AtomicBool,
    /// The memory is mapped for as long as this object is there.
    _queue: Py<PyAny>,
}

// SAFETY: it is only read, and memory of the whole process.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

#[pymethods]
impl Lent {
    /// # Safety
    /// Python calls it: `view` is a place for what it fills in.
    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: std::ffi::c_int,
    ) -> PyResult<()> {
        let lent = slf.get();
        if lent.is_over.load(Ordering::SeqCst) {
            return Err(PyBufferError::new_err("the item has been taken: its memory is the queue's again"));
        }
        let length = ffi::Py_ssize_t::try_from(lent.length)?;
        let memory = lent.memory.cast_mut().cast();
        // SAFETY: the memory has this length and is marked as not to be written; the view refers to this object.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), memory, length, 1, flags) };
        if filled < 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        lent.buffers.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// # Safety
    /// Python calls it, once for each buffer.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.buffers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Takes the item at the beginning of `queue`, which `owner` is the object of, when `read` has had it as a memoryview.
/// Not attached; `read` is called attached.
pub(crate) fn get_in_place(
    queue: &Queue,
    owner: &Py<PyAny>,
    read: &Py<PyAny>,
    deadline: Deadline,
) -> carrick::Result<PyResult<Py<PyAny>>> {
    let lend = |item: &[u8]| {
        let (memory, length) = (item.as_ptr(), item.len());
        Python::attach(|py| {
            let (buffers, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
            let lent = Lent { memory, length, buffers, is_over, _queue: owner.clone_ref(py) };
            let lent = Bound::new(py, lent)?;
            let view = PyMemoryView::from(lent.as_any())?;
            let result = read.call1(py, (&view,));
            lent.get().is_over.store(true, Ordering::SeqCst);
            // It fails where a buffer of the view is left.
            let _ = view.call_method0("release");
            let result = result?;
            if lent.get().buffers.load(Ordering::SeqCst) > 0 {
                let kept = "the item's memory is still in use after the call: have it return a copy of what it keeps";
                return Err(PyBufferError::new_err(kept));
            }
            Ok(result)
        })
    };
    // SAFETY: Rust does not use the slice while Python has the memory, and Python takes no buffer to be constant.
    unsafe { queue.get_in_place(lend, deadline) }
}

thread_local! {
    /// Where `recv` receives what is mostly shorter than the caller allows for.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The longest `recv` that uses the thread's scratch memory.
const SCRATCH_MAX: usize = 64 << 10;

/// A new bytes object of what `fill` receives into memory of at most `capacity` bytes.
pub(crate) fn bytes_with(
    py: Python<'_>,
    capacity: usize,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> carrick::Result<usize>,
) -> PyResult<carrick::Result<Py<PyBytes>>> {
    let collect = |memory: &mut Vec<u8>| {
        memory.clear();
        if memory.try_reserve(capacity).is_err() {
            return Err(PyMemoryError::new_err(format!("a buffer of {capacity} bytes")));
        }
        let room = memory.spare_capacity_mut().get_mut(..capacity).unwrap_or_default();
        Ok(fill(room).map(|n| {
            // SAFETY: fill reports how many of the first bytes it has written.
            unsafe { memory.set_len(n) };
            PyBytes::new(py, memory).unbind()
        }))
    };
    if capacity > SCRATCH_MAX {
        return collect(&mut Vec::new());
    }
    // Not borrowed while the interpreter is away: a signal handler may receive too.
    let mut memory = SCRATCH.take();
    let result = collect(&mut memory);
    SCRATCH.set(memory);
    result
}
