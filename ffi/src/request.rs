// SPDX-License-Identifier: MIT OR Apache-2.0
//! A request of a message server in the hands of its handler.

use crate::address::put;
use crate::boundary::on;
use crate::connection::{carrick_slice, slices};
use crate::handle::opaque;
use crate::memory::{bytes, output, write};
use crate::status::carrick_status;
use carrick::server::Request;
use carrick::{Error, Kind, Result};
use std::cell::Cell;
use std::ffi::c_char;
use std::ptr::NonNull;

/// A request in the hands of its handler: BORROWED until the handler returns. Thread word: ONE.
pub struct carrick_request {
    _opaque: [u8; 0],
}
opaque!(carrick_request => Borrowed, b"ck-reque");

/// The core's request, for as long as the handler runs.
pub(crate) struct Borrowed {
    request: NonNull<Request<'static>>,
    busy: Cell<bool>,
}

impl Borrowed {
    pub(crate) fn new(request: &mut Request<'_>) -> Self {
        Self { request: NonNull::from(request).cast(), busy: Cell::new(false) }
    }

    fn with<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(&mut Request<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.busy.replace(true) {
            return Err(Error::new(Kind::Reentrant, operation));
        }
        // SAFETY: the handle lives inside the call of the handler, which has the core's request for itself; the
        // flag keeps a second reference from being made, and the thread word ONE other threads out.
        let result = body(unsafe { &mut *self.request.as_ptr() });
        self.busy.set(false);
        result
    }
}

/// Sends a frame back. A request may have no reply or several; they leave when the handler returns.
/// Codes: E_FRAME_TOO_LARGE, E_NULL. ONE thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_request_reply(
    request: *const carrick_request,
    data: *const u8,
    data_len: usize,
) -> carrick_status {
    on(request, "reply", |request| {
        let data = bytes(data, data_len, "reply")?;
        request.with("reply", |request| request.reply(data))
    })
}

/// Sends back one frame whose body is the slices one after the other.
/// Codes: E_FRAME_TOO_LARGE, E_NULL. ONE thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_request_reply_vectored(
    request: *const carrick_request,
    parts: *const carrick_slice,
    parts_len: usize,
) -> carrick_status {
    on(request, "reply", |request| {
        let bodies = slices(parts, parts_len, "reply")?;
        request.with("reply", |request| request.reply_vectored(&bodies))
    })
}

/// Writes where the client is as text, without a final zero.
/// Codes: E_BUFFER (out_len has the length needed), E_NULL. ONE thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_request_peer(
    request: *const carrick_request,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(request, "get peer", |request| {
        request.with("get peer", |request| put(request.peer(), buffer, buffer_cap, out_len, "get peer"))
    })
}

/// A number for the connection, different from that of every other open one.
/// Codes: E_NULL. ONE thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_request_connection(
    request: *const carrick_request,
    out_number: *mut u64,
) -> carrick_status {
    on(request, "get connection", |request| {
        output(out_number, "out_number", "get connection")?;
        request.with("get connection", |request| {
            write(out_number, request.connection());
            Ok(())
        })
    })
}

/// Ends the connection after the replies have been sent.
/// Codes: E_NULL. ONE thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_request_close(request: *const carrick_request) -> carrick_status {
    on(request, "close connection", |request| {
        request.with("close connection", |request| {
            request.close();
            Ok(())
        })
    })
}
