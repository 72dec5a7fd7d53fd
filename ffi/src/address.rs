// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses cross as text: see docs/c-api.md, "Addresses".

use crate::memory::{copy_out, text};
use carrick::{Address, Result};
use std::ffi::c_char;

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
