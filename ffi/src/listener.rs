// SPDX-License-Identifier: MIT OR Apache-2.0
//! Listening sockets.

use crate::address::{parse, put};
use crate::boundary::{ask, boundary, fill, make, on, on_any};
use crate::handle::{free, give, opaque};
use crate::memory::{flag, options, output, write};
use crate::option;
use crate::status::carrick_status;
use crate::stream::{adopt, carrick_stream};
use carrick::{Deadline, ListenOptions, Listener, Result};
use std::ffi::c_char;

/// A listening TCP or Unix socket. Thread word: ANY.
pub struct carrick_listener {
    _opaque: [u8; 0],
}
opaque!(carrick_listener => Listener, b"ck-liste");

/// How a listener is set up. Fill it with carrick_listen_options_init, then change what is to differ.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_listen_options {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// How many connections may wait to be accepted (4096); the kernel caps it.
    pub backlog: u32,
    /// SO_REUSEADDR: 0 or 1 (1).
    pub reuse_address: i32,
    /// SO_REUSEPORT: 0 or 1 (0).
    pub reuse_port: i32,
    /// For an IPv6 address, leave IPv4 to others: 0 or 1 (1).
    pub only_v6: i32,
}

impl carrick_listen_options {
    pub(crate) fn defaults() -> Self {
        let d = ListenOptions::default();
        Self {
            struct_size: size_of::<Self>(),
            backlog: d.backlog,
            reuse_address: d.reuse_address.into(),
            reuse_port: d.reuse_port.into(),
            only_v6: d.only_v6.into(),
        }
    }

    pub(crate) fn read(given: *const Self) -> Result<ListenOptions> {
        let o = options(given, Self::defaults(), "listen")?;
        Ok(ListenOptions {
            backlog: o.backlog,
            reuse_address: flag(o.reuse_address, "reuse_address", "listen")?,
            reuse_port: flag(o.reuse_port, "reuse_port", "listen")?,
            only_v6: flag(o.only_v6, "only_v6", "listen")?,
        })
    }
}

/// Fills the options with the defaults.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listen_options_init(
    out_options: *mut carrick_listen_options,
) -> carrick_status {
    fill(out_options, "out_options", "init options", || Ok(carrick_listen_options::defaults()))
}

/// Binds and listens; options may be NULL. out_listener is OWNED. The path of a Unix socket is removed when the
/// process that bound it closes it.
/// Codes: E_INVALID, E_VERSION, E_OS (EADDRINUSE, EACCES, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_bind(
    address: *const c_char,
    address_len: usize,
    options: *const carrick_listen_options,
    out_listener: *mut *mut carrick_listener,
) -> carrick_status {
    boundary("listen", || {
        output(out_listener, "out_listener", "listen")?;
        let address = parse(address, address_len, "listen")?;
        write(out_listener, give(Listener::bind(&address, &carrick_listen_options::read(options)?)?));
        Ok(())
    })
}

/// Adopts a listening socket, whose flags are left alone: other processes may have it, too. On one that blocks, an accept whose
/// connection another process has just taken waits past its timeout; a close or a stop ends that wait, by SIGURG to the
/// thread (a handler that does nothing is set, unless the program has one). The descriptor is CONSUMED (a duplicate is
/// used); out_listener is OWNED.
/// Codes: E_INVALID, E_OS (EBADF, ENOTSOCK), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_from_fd(
    fd: i32,
    out_listener: *mut *mut carrick_listener,
) -> carrick_status {
    make(out_listener, "out_listener", "adopt listener", || adopt(fd, "adopt listener", Listener::from_fd))
}

/// Takes the next connection, OWNED; carrick_stream_peer_address tells where it comes from.
/// Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EMFILE: the connection stays in the queue),
/// E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_accept(
    listener: *const carrick_listener,
    timeout_ns: i64,
    out_stream: *mut *mut carrick_stream,
) -> carrick_status {
    on(listener, "accept", |listener| {
        output(out_stream, "out_stream", "accept")?;
        let (stream, _) = listener.accept(Deadline::from_nanos(timeout_ns))?;
        write(out_stream, give(stream));
        Ok(())
    })
}

/// Sets an option (CARRICK_OPTION_...).
/// Codes: E_INVALID (unknown option, bad value), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_set_option(
    listener: *const carrick_listener,
    option: i32,
    value: i64,
) -> carrick_status {
    on(listener, "set option", |socket| option::set(socket, option, value))
}

/// Reads an option (CARRICK_OPTION_...).
/// Codes: E_INVALID (unknown option), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_get_option(
    listener: *const carrick_listener,
    option: i32,
    out_value: *mut i64,
) -> carrick_status {
    ask(listener, out_value, "out_value", "get option", |socket| option::get(socket, option))
}

/// Writes the address of this end as text, without a final zero.
/// Codes: E_BUFFER (out_len has the length needed), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_local_address(
    listener: *const carrick_listener,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(listener, "get local address", |socket| {
        put(&socket.local_address()?, buffer, buffer_cap, out_len, "get local address")
    })
}

/// The number of the descriptor, for polling by other means: BORROWED until close.
/// Codes: E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_fd(
    listener: *const carrick_listener,
    out_fd: *mut i32,
) -> carrick_status {
    ask(listener, out_fd, "out_fd", "get descriptor", |socket| socket.fd())
}

/// Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_close(listener: *const carrick_listener) -> carrick_status {
    on_any(listener, "close", |socket| {
        socket.close();
        Ok(())
    })
}

/// Closes and frees. NULL does nothing. Nobody else may be inside a call on it: close first, then join them.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_listener_free(listener: *mut carrick_listener) {
    let _ = boundary("free", || {
        free(listener);
        Ok(())
    });
}
