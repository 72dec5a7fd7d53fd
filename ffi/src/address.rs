// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses cross as text: see docs/c-api.md, "Addresses".

use crate::memory::{copy_out, text};
use carrick::{Address, Result};
use std::ffi::c_char;

/// Room enough for any IP address as text, and for any path of ASCII characters.
pub const CARRICK_ADDRESS_MAX: usize = 128;
/// A wait without end, as a timeout.
pub const CARRICK_FOREVER: i64 = -1;

pub(crate) fn parse(data: *const c_char, len: usize, operation: &'static str) -> Result<Address> {
    text(data, len, operation)?.parse()
}

pub(crate) fn put(
    address: &Address,
    buffer: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    operation: &'static str,
) -> Result<()> {
    copy_out(address.to_string().as_bytes(), buffer.cast(), cap, out_len, operation)
}
