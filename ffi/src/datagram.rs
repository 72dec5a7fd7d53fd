// SPDX-License-Identifier: MIT OR Apache-2.0
//! Datagram sockets.

use crate::address::{parse, put};
use crate::boundary::{ask, boundary, make, on, on_any};
use crate::handle::{free, opaque};
use crate::memory::{bytes, bytes_mut, output, tell_needed, write};
use crate::option;
use crate::status::carrick_status;
use crate::stream::adopt;
use carrick::{Datagram, Deadline};
use std::ffi::c_char;

/// A datagram socket: UDP or Unix. Thread word: ANY.
pub struct carrick_datagram {
    _opaque: [u8; 0],
}
opaque!(carrick_datagram => Datagram, b"ck-datag");

/// Binds a datagram socket; port 0 lets the kernel choose. out_datagram is OWNED.
/// Codes: E_INVALID, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_bind(
    address: *const c_char,
    address_len: usize,
    out_datagram: *mut *mut carrick_datagram,
) -> carrick_status {
    make(out_datagram, "out_datagram", "bind", || Datagram::bind(&parse(address, address_len, "bind")?))
}

/// Makes a datagram socket of the family of a peer's address, with no address of its own yet. OWNED.
/// Codes: E_INVALID, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_unbound(
    peer: *const c_char,
    peer_len: usize,
    out_datagram: *mut *mut carrick_datagram,
) -> carrick_status {
    make(out_datagram, "out_datagram", "make datagram socket", || {
        Datagram::unbound(&parse(peer, peer_len, "make datagram socket")?)
    })
}

/// Adopts a datagram socket. The descriptor is CONSUMED (a duplicate is used); out_datagram is OWNED.
/// Codes: E_INVALID, E_OS (EBADF, ENOTSOCK), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_from_fd(
    fd: i32,
    out_datagram: *mut *mut carrick_datagram,
) -> carrick_status {
    make(out_datagram, "out_datagram", "adopt datagram socket", || {
        adopt(fd, "adopt datagram socket", Datagram::from_fd)
    })
}

/// Sends one datagram, which may be empty.
/// Codes: E_INVALID (address), E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EMSGSIZE: over 65,507
/// bytes on IPv4), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_send_to(
    datagram: *const carrick_datagram,
    data: *const u8,
    data_len: usize,
    address: *const c_char,
    address_len: usize,
    timeout_ns: i64,
) -> carrick_status {
    on(datagram, "send datagram", |socket| {
        let to = parse(address, address_len, "send datagram")?;
        socket.send_to(bytes(data, data_len, "send datagram")?, &to, Deadline::from_nanos(timeout_ns))
    })
}

/// Receives one datagram and writes its sender's address as text; an address buffer of (NULL, 0, NULL) leaves the
/// sender out.
/// Codes: E_BUFFER (the datagram, or the address, is longer than its buffer and lost), E_TIMEOUT, E_WOULD_BLOCK,
/// E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_recv_from(
    datagram: *const carrick_datagram,
    buffer: *mut u8,
    buffer_cap: usize,
    timeout_ns: i64,
    out_len: *mut usize,
    address_buffer: *mut c_char,
    address_cap: usize,
    out_address_len: *mut usize,
) -> carrick_status {
    const OPERATION: &str = "receive datagram";
    on(datagram, OPERATION, |socket| {
        output(out_len, "out_len", OPERATION)?;
        let wants_sender = !address_buffer.is_null() || address_cap > 0 || !out_address_len.is_null();
        if wants_sender {
            output(out_address_len, "out_address_len", OPERATION)?;
            output(address_buffer, "address_buffer", OPERATION)?;
        }
        let buffer = bytes_mut(buffer, buffer_cap, OPERATION)?;
        let (length, from) = socket
            .recv_from(buffer, Deadline::from_nanos(timeout_ns))
            .inspect_err(|e| tell_needed(e, out_len))?;
        if wants_sender {
            put(&from, address_buffer, address_cap, out_address_len, OPERATION)?;
        }
        write(out_len, length);
        Ok(())
    })
}

/// Sets an option (CARRICK_OPTION_...).
/// Codes: E_INVALID (unknown option, bad value), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_set_option(
    datagram: *const carrick_datagram,
    option: i32,
    value: i64,
) -> carrick_status {
    on(datagram, "set option", |socket| option::set(socket, option, value))
}

/// Reads an option (CARRICK_OPTION_...).
/// Codes: E_INVALID (unknown option), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_get_option(
    datagram: *const carrick_datagram,
    option: i32,
    out_value: *mut i64,
) -> carrick_status {
    ask(datagram, out_value, "out_value", "get option", |socket| option::get(socket, option))
}

/// Writes the address of this end as text, without a final zero.
/// Codes: E_BUFFER (out_len has the length needed), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_local_address(
    datagram: *const carrick_datagram,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(datagram, "get local address", |socket| {
        put(&socket.local_address()?, buffer, buffer_cap, out_len, "get local address")
    })
}

/// The number of the descriptor, for polling by other means: BORROWED until close.
/// Codes: E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_fd(
    datagram: *const carrick_datagram,
    out_fd: *mut i32,
) -> carrick_status {
    ask(datagram, out_fd, "out_fd", "get descriptor", |socket| socket.fd())
}

/// Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_close(datagram: *const carrick_datagram) -> carrick_status {
    on_any(datagram, "close", |socket| {
        socket.close();
        Ok(())
    })
}

/// Closes and frees. NULL does nothing. Nobody else may be inside a call on it: close first, then join them.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_free(datagram: *mut carrick_datagram) {
    let _ = boundary("free", || {
        free(datagram);
        Ok(())
    });
}
