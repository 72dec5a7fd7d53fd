// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handlers of the servers: what they do is chosen by the bytes that arrive.

use super::{WAITS, ok};
use carrick_c::{connection::carrick_slice, request::*, session::*, status::*, stream::*};
use std::ffi::{c_char, c_void};
use std::ptr::null;

pub unsafe extern "C" fn on_request(
    _: *mut c_void,
    request: *const carrick_request,
    data: *const u8,
    length: usize,
) -> carrick_status {
    let (mut text_length, mut number, mut text) = (0, 0, [0; 32]);
    unsafe {
        ok(carrick_request_connection(request, &raw mut number));
        ok(carrick_request_peer(request, text.as_mut_ptr(), text.len(), &raw mut text_length));
        let body = std::slice::from_raw_parts(data, length);
        match body.first() {
            Some(b'c') => {
                ok(carrick_request_close(request));
            }
            Some(b'f') => return i32::from(body.len() > 1) * -1000 + 7,
            Some(b'v') => {
                let parts = [carrick_slice { data, len: length }, carrick_slice { data: null(), len: 0 }];
                ok(carrick_request_reply_vectored(request, parts.as_ptr(), parts.len()));
            }
            Some(b'n') => {
                ok(carrick_request_reply(request, null(), body.len()));
            }
            _ => {
                ok(carrick_request_reply(request, data, length));
            }
        }
    }
    0
}

pub unsafe extern "C" fn on_session(_: *mut c_void, session: *const carrick_session) -> carrick_status {
    let (mut stream, mut length, mut text, mut data) = (null(), 0, [0; 64], [0; 64]);
    unsafe {
        ok(carrick_session_peer(session, text.as_mut_ptr(), text.len(), &raw mut length));
        if !ok(carrick_session_stream(session, &raw mut stream)) {
            return CARRICK_E_HANDLER;
        }
        if ok(carrick_stream_recv(stream, data.as_mut_ptr(), data.len(), WAITS[2], &raw mut length)) {
            ok(carrick_stream_send_all(stream, data.as_ptr(), length, 0));
            if data[0] == b'c' {
                ok(carrick_stream_close(stream));
            }
        }
    }
    data[0].into()
}

pub unsafe extern "C" fn on_datagram(
    _: *mut c_void,
    data: *const u8,
    data_len: usize,
    _: *const c_char,
    _: usize,
    reply: *mut u8,
    reply_cap: usize,
    reply_len: *mut usize,
) -> carrick_status {
    let n = data_len.min(reply_cap);
    if n > 0 {
        unsafe { reply.copy_from(data, n) };
        // More than there is room for is a failure of the handler's.
        unsafe { reply_len.write(if *data == b'm' { reply_cap + 1 } else { n }) };
    }
    0
}
