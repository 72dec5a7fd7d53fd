// SPDX-License-Identifier: MIT OR Apache-2.0
//! A connection of a stream server in the hands of its handler.

use crate::address::put;
use crate::boundary::{ask, boundary, on};
use crate::handle::{Handle, opaque};
use crate::status::carrick_status;
use crate::stream::carrick_stream;
use carrick::{Address, Stream};
use std::ffi::c_char;

/// A connection in the hands of its handler: BORROWED until the handler returns. Thread word: ONE.
pub struct carrick_session {
    _opaque: [u8; 0],
}
opaque!(carrick_session => Session, b"ck-sessi");

pub(crate) struct Session {
    pub(crate) stream: Handle<Stream>,
    pub(crate) peer: Address,
}

/// The stream of the connection: BORROWED until the handler returns; do not free it.
/// Codes: E_NULL. ONE thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_session_stream(
    session: *const carrick_session,
    out_stream: *mut *const carrick_stream,
) -> carrick_status {
    ask(session, out_stream, "out_stream", "get stream", |session| {
        Ok(session.stream.as_c::<carrick_stream>())
    })
}

/// Writes where the client is as text, without a final zero.
/// Codes: E_BUFFER (out_len has the length needed), E_NULL. ONE thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_session_peer(
    session: *const carrick_session,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(session, "get peer", |session| put(&session.peer, buffer, buffer_cap, out_len, "get peer"))
}

/// Tells the server whose handler runs on this thread that the handler is about to block on something that is not
/// carrick's, so that others are served at once; without it the server finds out within some milliseconds. Outside a
/// handler it does nothing. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_about_to_block() {
    let _ = boundary("about to block", || {
        carrick::server::about_to_block();
        Ok(())
    });
}
