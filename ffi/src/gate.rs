// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accepting authenticated connections.

use crate::auth::carrick_auth_options;
use crate::boundary::{boundary, make, on};
use crate::handle::{free, give, handle, opaque};
use crate::listener::carrick_listener;
use crate::memory::{output, write};
use crate::status::carrick_status;
use crate::stream::carrick_stream;
use carrick::Deadline;
use carrick::auth::Gate;

/// Accepts connections of a listener whose handshakes run side by side. Thread word: ANY. In a child of fork it can
/// be used; the handshakes that were not finished stay the parent's.
pub struct carrick_gate {
    _opaque: [u8; 0],
}
opaque!(carrick_gate => Gate, b"ck-gate_");

/// Makes a gate, OWNED; options are BORROWED for the call. Their deadline is that of each handshake.
/// Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_OS (EMFILE), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_gate_new(
    options: *const carrick_auth_options,
    out_gate: *mut *mut carrick_gate,
) -> carrick_status {
    make(out_gate, "out_gate", "make gate", || Gate::new(carrick_auth_options::read(options, "make gate")?))
}

/// Takes the next connection of the listener, BORROWED for the call, that has proved itself; out_stream is OWNED.
/// A client that says nothing until its handshake's deadline is closed, and holds up nobody meanwhile. After
/// E_AUTH_FAILED (a client has another key, broke the exchange or hung up) the next call goes on with the others.
/// Codes: E_AUTH_FAILED, E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EMFILE: the connection stays in
/// the queue), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_gate_accept(
    gate: *const carrick_gate,
    listener: *const carrick_listener,
    timeout_ns: i64,
    out_stream: *mut *mut carrick_stream,
) -> carrick_status {
    on(gate, "accept", |gate| {
        output(out_stream, "out_stream", "accept")?;
        let listener = &handle(listener, "accept")?.value;
        let (stream, _) = gate.accept(listener, Deadline::from_nanos(timeout_ns))?;
        write(out_stream, give(stream));
        Ok(())
    })
}

/// Frees a gate and closes the connections whose handshakes were not finished. NULL does nothing. Nobody else may
/// be inside. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_gate_free(gate: *mut carrick_gate) {
    let _ = boundary("free", || {
        free(gate);
        Ok(())
    });
}
