// SPDX-License-Identifier: MIT OR Apache-2.0
//! How servers are set up.

use crate::auth::carrick_auth_options;
use crate::boundary::fill;
use crate::connection::carrick_format;
use crate::listener::carrick_listen_options;
use crate::server::{CARRICK_MODE_THREADS, CARRICK_OVERLOAD_BLOCK};
use crate::status::carrick_status;
use carrick::server::MessageOptions;

/// How a stream server works. Fill it with carrick_stream_server_options_init.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_stream_server_options {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// How its socket is set up: BORROWED for the call, may be NULL.
    pub listen: *const carrick_listen_options,
    /// Authenticate each connection before its handler: BORROWED for the call, may be NULL (no).
    pub auth: *const carrick_auth_options,
    /// CARRICK_MODE_... (THREADS).
    pub mode: i32,
    /// CARRICK_OVERLOAD_... (BLOCK).
    pub overload: i32,
    /// The most handlers at a time (256).
    pub max_handlers: usize,
    /// How long running handlers may go on after a shutdown was asked for, in nanoseconds; negative is for ever (30 s).
    pub drain_ns: i64,
}

/// How a message server works. Fill it with carrick_message_server_options_init.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_message_server_options {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// How its socket is set up: BORROWED for the call, may be NULL.
    pub listen: *const carrick_listen_options,
    /// Authenticate each connection before its first request: BORROWED for the call, may be NULL (no).
    pub auth: *const carrick_auth_options,
    /// The frames it speaks: BORROWED for the call, may be NULL (multiprocessing, 64 MiB).
    pub format: *const carrick_format,
    /// The most connections at a time (100,000).
    pub max_connections: usize,
    /// The bytes of replies that may wait for a client before no more of its requests are read (1 MiB).
    pub max_unsent: usize,
    /// The most threads that slow handlers may take at a time (64).
    pub max_threads: usize,
    /// How long a request may take from its first byte to its last, in nanoseconds; negative is for ever (30 s).
    pub request_timeout_ns: i64,
    /// How long a connection may be without a request, in nanoseconds; negative is for ever (for ever).
    pub idle_timeout_ns: i64,
    /// How long requests under way may take after a shutdown was asked for (30 s).
    pub drain_ns: i64,
    /// CARRICK_OVERLOAD_... (BLOCK).
    pub overload: i32,
}

const DRAIN: i64 = 30_000_000_000;

impl carrick_stream_server_options {
    pub(crate) fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            listen: std::ptr::null(),
            auth: std::ptr::null(),
            mode: CARRICK_MODE_THREADS,
            overload: CARRICK_OVERLOAD_BLOCK,
            max_handlers: 256,
            drain_ns: DRAIN,
        }
    }
}

impl carrick_message_server_options {
    pub(crate) fn defaults() -> Self {
        let d = MessageOptions::default();
        Self {
            struct_size: size_of::<Self>(),
            listen: std::ptr::null(),
            auth: std::ptr::null(),
            format: std::ptr::null(),
            max_connections: d.max_connections,
            max_unsent: d.max_unsent,
            max_threads: d.max_threads,
            request_timeout_ns: DRAIN,
            idle_timeout_ns: -1,
            drain_ns: DRAIN,
            overload: CARRICK_OVERLOAD_BLOCK,
        }
    }
}

/// Fills the options with the defaults.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_server_options_init(
    out_options: *mut carrick_stream_server_options,
) -> carrick_status {
    fill(out_options, "out_options", "init options", || Ok(carrick_stream_server_options::defaults()))
}

/// Fills the options with the defaults.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_message_server_options_init(
    out_options: *mut carrick_message_server_options,
) -> carrick_status {
    fill(out_options, "out_options", "init options", || Ok(carrick_message_server_options::defaults()))
}
