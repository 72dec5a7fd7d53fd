// SPDX-License-Identifier: MIT OR Apache-2.0
//! The caller's memory: inputs read from it, outputs written to it.
//!
//! Each function here relies on the contract of the header: a pointer that is not NULL points to as much
//! memory as the length beside it says, valid for the call, and outputs are not read by others meanwhile.

use crate::handle::null;
use carrick::sync::Place;
use carrick::{Error, Kind, Result};
use std::ffi::c_char;
use std::os::fd::AsRawFd;

/// `(NULL, 0)` is empty; NULL with a length is an error.
pub(crate) fn bytes<'a>(data: *const u8, len: usize, operation: &'static str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(operation, "data"));
    }
    check_length(len, operation)?;
    // SAFETY: the contract at the head of this file; the length fits into isize.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

pub(crate) fn bytes_mut<'a>(data: *mut u8, len: usize, operation: &'static str) -> Result<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    if data.is_null() {
        return Err(null(operation, "buffer"));
    }
    check_length(len, operation)?;
    // SAFETY: as in bytes(); the memory is the caller's to be written.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
}

/// An array of plain C structs.
pub(crate) fn items<'a, T>(data: *const T, count: usize, operation: &'static str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(operation, "array"));
    }
    check_length(count.saturating_mul(size_of::<T>()), operation)?;
    // SAFETY: as in bytes().
    Ok(unsafe { std::slice::from_raw_parts(data, count) })
}

fn check_length(len: usize, operation: &'static str) -> Result<()> {
    if isize::try_from(len).is_ok() {
        return Ok(());
    }
    Err(Error::with_detail(
        Kind::Invalid,
        operation,
        format!("a length of {len} bytes is more than memory holds"),
    ))
}

pub(crate) fn text<'a>(data: *const c_char, len: usize, operation: &'static str) -> Result<&'a str> {
    std::str::from_utf8(bytes(data.cast(), len, operation)?)
        .map_err(|e| Error::with_detail(Kind::Invalid, operation, format!("text is not UTF-8: {e}")))
}

/// Checks an output before anything is done that would be lost if it could not be written.
pub(crate) fn output<T>(out: *mut T, name: &'static str, operation: &'static str) -> Result<()> {
    if out.is_null() { Err(null(operation, name)) } else { Ok(()) }
}

/// Writes an output that [`output`] has checked.
pub(crate) fn write<T>(out: *mut T, value: T) {
    // SAFETY: the contract at the head of this file; output() has refused NULL.
    unsafe { out.write(value) };
}

/// For E_BUFFER: writes the length that would have been enough.
pub(crate) fn tell_needed(error: &Error, out_len: *mut usize) {
    if let Some(needed) = error.needed() {
        write(out_len, usize::try_from(needed).unwrap_or(usize::MAX));
    }
}

/// Writes where in shared memory something is.
pub(crate) fn give_place(place: &Place<'_>, out_fd: *mut i32, out_slot: *mut u32) -> Result<()> {
    output(out_fd, "out_fd", "get place")?;
    output(out_slot, "out_slot", "get place")?;
    write(out_fd, place.fd.as_raw_fd());
    write(out_slot, place.slot);
    Ok(())
}

/// Gives memory of the library to C, which owns it until [`take_bytes`].
pub(crate) fn give_bytes(body: Vec<u8>, out_data: *mut *mut u8, out_len: *mut usize) {
    let body = body.into_boxed_slice();
    write(out_len, body.len());
    write(out_data, Box::into_raw(body).cast::<u8>());
}

/// Takes back and frees what [`give_bytes`] gave.
pub(crate) fn take_bytes(data: *mut u8, len: usize) {
    // SAFETY: by the contract of the header data and len came from give_bytes, which made them of a boxed slice,
    // and they are freed once.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, len)) });
}

/// Writes text or bytes to the caller's buffer; its length, or the one needed, to `out_len`.
pub(crate) fn copy_out(
    from: &[u8],
    buffer: *mut u8,
    cap: usize,
    out_len: *mut usize,
    operation: &'static str,
) -> Result<()> {
    output(out_len, "out_len", operation)?;
    let to = bytes_mut(buffer, cap, operation)?;
    let Some(to) = to.get_mut(..from.len()) else {
        write(out_len, from.len());
        return Err(Error::with_detail(
            Kind::Buffer,
            operation,
            format!("{} bytes are needed and {cap} were given", from.len()),
        ));
    };
    to.copy_from_slice(from);
    write(out_len, from.len());
    Ok(())
}

/// Reads an options struct that may be of an older or a newer version: what a short one lacks is the
/// default, what a longer one adds must be zero.
pub(crate) fn options<T: Copy>(given: *const T, defaults: T, operation: &'static str) -> Result<T> {
    if given.is_null() {
        return Ok(defaults);
    }
    // SAFETY: every options struct starts with its size_t struct_size, so that much can be read.
    let size = unsafe { given.cast::<usize>().read() };
    let known = size_of::<T>();
    if size < size_of::<usize>() || size > 4096 {
        return Err(Error::with_detail(
            Kind::Version,
            operation,
            format!("struct_size is {size}: call the _init function of the options first"),
        ));
    }
    let source = bytes(given.cast(), size, operation)?;
    if source.get(known..).unwrap_or_default().iter().any(|b| *b != 0) {
        return Err(Error::with_detail(
            Kind::Version,
            operation,
            format!("the options have {size} bytes and this library knows {known}: update the library"),
        ));
    }
    let mut options = defaults;
    let shared = size.min(known);
    let target: *mut u8 = std::ptr::from_mut(&mut options).cast();
    // SAFETY: source has at least `shared` bytes, options exactly `known`; every bit pattern is a value of
    // the options structs, which hold integers and pointers only.
    unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), target, shared) };
    Ok(options)
}

/// A C boolean: 0 is false, 1 true.
pub(crate) fn flag(value: i32, name: &str, operation: &'static str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::with_detail(Kind::Invalid, operation, format!("{name} is {value}; it is 0 or 1"))),
    }
}
