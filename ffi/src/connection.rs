// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that carry frames.

use crate::address::parse;
use crate::auth::{carrick_auth_options, role};
use crate::boundary::{ask, boundary, fill, on, on_any};
use crate::handle::{free, give, opaque};
use crate::memory::{
    bytes, bytes_mut, flag, give_bytes, items, options, output, take_bytes, tell_needed, write,
};
use crate::status::carrick_status;
use crate::stream::carrick_stream;
use carrick::auth::authenticate;
use carrick::frame::ByteOrder;
use carrick::{Connection, Deadline, Error, Format, Kind, Result, Stream};
use std::ffi::c_char;
use std::io::IoSlice;

/// A connection that carries frames. Senders take turns by frame, receivers too. Thread word: ANY.
pub struct carrick_connection {
    _opaque: [u8; 0],
}
opaque!(carrick_connection => Connection<Stream>, b"ck-conne");

/// The format of Python's multiprocessing.connection.
pub const CARRICK_FORMAT_MULTIPROCESSING: i32 = 0;
/// struct.pack('i', n): 4 bytes in this machine's order, signed.
pub const CARRICK_FORMAT_COURSE: i32 = 1;
/// Lengths as width, big_endian and is_signed say.
pub const CARRICK_FORMAT_CUSTOM: i32 = 2;

/// How frames are written. Fill it with carrick_format_init, then change what is to differ.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_format {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// CARRICK_FORMAT_...
    pub kind: i32,
    /// Custom: the bytes of a length: 1, 2, 4 or 8 (4).
    pub width: i32,
    /// Custom: the most significant byte first: 0 or 1 (1).
    pub big_endian: i32,
    /// Custom: lengths are signed: 0 or 1 (0).
    pub is_signed: i32,
    /// The longest body in bytes (64 MiB); UINT64_MAX is no cap.
    pub cap: u64,
}

impl carrick_format {
    fn defaults() -> Self {
        let cap = Format::MULTIPROCESSING.cap();
        Self {
            struct_size: size_of::<Self>(),
            kind: CARRICK_FORMAT_MULTIPROCESSING,
            width: 4,
            big_endian: 1,
            is_signed: 0,
            cap,
        }
    }

    pub(crate) fn read(given: *const Self, operation: &'static str) -> Result<Format> {
        let o = options(given, Self::defaults(), operation)?;
        let format = match o.kind {
            CARRICK_FORMAT_MULTIPROCESSING => Format::MULTIPROCESSING,
            CARRICK_FORMAT_COURSE => Format::COURSE,
            CARRICK_FORMAT_CUSTOM => {
                let order = if flag(o.big_endian, "big_endian", operation)? {
                    ByteOrder::Big
                } else {
                    ByteOrder::Little
                };
                let width = u8::try_from(o.width).map_err(|_| {
                    let detail = format!("width {}; a length is 1, 2, 4 or 8 bytes wide", o.width);
                    Error::with_detail(Kind::Invalid, operation, detail)
                })?;
                Format::custom(width, order, flag(o.is_signed, "is_signed", operation)?)?
            }
            other => {
                return Err(Error::with_detail(
                    Kind::Invalid,
                    operation,
                    format!("format {other}; it is 0, 1 or 2"),
                ));
            }
        };
        Ok(format.with_cap(o.cap))
    }
}

/// A piece of memory to be sent: BORROWED for the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_slice {
    /// May be NULL when len is 0.
    pub data: *const u8,
    /// In bytes.
    pub len: usize,
}

pub(crate) fn slices<'a>(
    given: *const carrick_slice,
    count: usize,
    operation: &'static str,
) -> Result<Vec<IoSlice<'a>>> {
    items(given, count, operation)?
        .iter()
        .map(|s| Ok(IoSlice::new(bytes(s.data, s.len, operation)?)))
        .collect()
}

/// Fills a format with the defaults of multiprocessing; set kind to change it.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_format_init(out_format: *mut carrick_format) -> carrick_status {
    fill(out_format, "out_format", "init format", || Ok(carrick_format::defaults()))
}

/// Connects and, if auth is not NULL, authenticates. format may be NULL (multiprocessing). out_connection is OWNED.
/// Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_TIMEOUT, E_AUTH_FAILED, E_INTERRUPTED, E_OS (ECONNREFUSED, ...), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_connect(
    address: *const c_char,
    address_len: usize,
    format: *const carrick_format,
    auth: *const carrick_auth_options,
    timeout_ns: i64,
    out_connection: *mut *mut carrick_connection,
) -> carrick_status {
    boundary("connect", || {
        output(out_connection, "out_connection", "connect")?;
        let address = parse(address, address_len, "connect")?;
        let format = carrick_format::read(format, "connect")?;
        let auth = if auth.is_null() { None } else { Some(carrick_auth_options::read(auth, "connect")?) };
        let deadline = Deadline::from_nanos(timeout_ns);
        let connection = carrick::auth::connect(&address, format, auth.as_ref(), deadline)?;
        write(out_connection, give(connection));
        Ok(())
    })
}

/// Frames over a stream. The stream handle stays the caller's, who frees it as ever; both share the connection.
/// format may be NULL (multiprocessing). out_connection is OWNED.
/// Codes: E_INVALID, E_VERSION, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_new(
    stream: *const carrick_stream,
    format: *const carrick_format,
    out_connection: *mut *mut carrick_connection,
) -> carrick_status {
    on(stream, "make connection", |stream| {
        output(out_connection, "out_connection", "make connection")?;
        let format = carrick_format::read(format, "make connection")?;
        write(out_connection, give(Connection::new(stream.clone(), format)));
        Ok(())
    })
}

/// Authenticates a fresh connection before its first frame; role says which end this is (CARRICK_ROLE_...).
/// After an error close it.
/// Codes: E_AUTH_FAILED, E_TIMEOUT, E_INVALID, E_UNKNOWN_DIGEST, E_VERSION, E_CLOSED, E_INTERRUPTED, E_OS, E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_authenticate(
    connection: *const carrick_connection,
    role: i32,
    auth: *const carrick_auth_options,
) -> carrick_status {
    on(connection, "authenticate", |connection| {
        let auth = carrick_auth_options::read(auth, "authenticate")?;
        let greeting = Connection::new(connection.transport().clone(), Format::MULTIPROCESSING);
        authenticate(&greeting, self::role(role, "authenticate")?, &auth)
    })
}

/// Sends one frame. With timeout 0 it is taken whole (what the kernel does not take now leaves with the next send
/// or flush) or refused with E_WOULD_BLOCK.
/// Codes: E_FRAME_TOO_LARGE (nothing was sent), E_TIMEOUT and E_INTERRUPTED (nothing was sent if
/// carrick_connection_pending is 0, otherwise the rest leaves first with the next call: do not send it again),
/// E_WOULD_BLOCK, E_CLOSED, E_OS (EPIPE), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_send(
    connection: *const carrick_connection,
    data: *const u8,
    data_len: usize,
    timeout_ns: i64,
) -> carrick_status {
    on(connection, "send frame", |connection| {
        connection.send(bytes(data, data_len, "send frame")?, Deadline::from_nanos(timeout_ns))
    })
}

/// Sends one frame whose body is the slices one after the other.
/// Codes: as carrick_connection_send. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_send_vectored(
    connection: *const carrick_connection,
    parts: *const carrick_slice,
    parts_len: usize,
    timeout_ns: i64,
) -> carrick_status {
    on(connection, "send frame", |connection| {
        let bodies = slices(parts, parts_len, "send frame")?;
        connection.send_vectored(&bodies, Deadline::from_nanos(timeout_ns))
    })
}

/// Sends what is left of a frame that was begun.
/// Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_flush(
    connection: *const carrick_connection,
    timeout_ns: i64,
) -> carrick_status {
    on(connection, "flush", |connection| connection.flush(Deadline::from_nanos(timeout_ns)))
}

/// How many bytes of a frame that was begun have not left yet.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_pending(
    connection: *const carrick_connection,
    out_pending: *mut usize,
) -> carrick_status {
    ask(connection, out_pending, "out_pending", "get pending", |connection| Ok(connection.pending()))
}

/// Waits for the next frame and tells its length; the frame stays for the next receive.
/// Codes: as carrick_connection_recv_into. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_next_length(
    connection: *const carrick_connection,
    timeout_ns: i64,
    out_len: *mut u64,
) -> carrick_status {
    ask(connection, out_len, "out_len", "receive frame", |connection| {
        connection.next_length(Deadline::from_nanos(timeout_ns))
    })
}

/// Receives one frame into the caller's memory.
/// Codes: E_EOF (the peer closed between frames), E_BAD_FRAME (inside one), E_FRAME_TOO_LARGE, E_BUFFER (out_len has
/// the length needed; the frame stays), E_TIMEOUT, E_WOULD_BLOCK and E_INTERRUPTED (what has arrived is kept),
/// E_CLOSED, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_recv_into(
    connection: *const carrick_connection,
    buffer: *mut u8,
    buffer_cap: usize,
    timeout_ns: i64,
    out_len: *mut usize,
) -> carrick_status {
    on(connection, "receive frame", |connection| {
        output(out_len, "out_len", "receive frame")?;
        let buffer = bytes_mut(buffer, buffer_cap, "receive frame")?;
        let length = connection
            .recv_into(buffer, Deadline::from_nanos(timeout_ns))
            .inspect_err(|e| tell_needed(e, out_len))?;
        write(out_len, length);
        Ok(())
    })
}

/// Receives one frame into memory of the library: *out_data is OWNED, free it with carrick_bytes_free.
/// Codes: as carrick_connection_recv_into, and E_NOMEMORY. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_recv(
    connection: *const carrick_connection,
    timeout_ns: i64,
    out_data: *mut *mut u8,
    out_len: *mut usize,
) -> carrick_status {
    on(connection, "receive frame", |connection| {
        output(out_data, "out_data", "receive frame")?;
        output(out_len, "out_len", "receive frame")?;
        let body = connection.recv(Deadline::from_nanos(timeout_ns))?;
        give_bytes(body, out_data, out_len);
        Ok(())
    })
}

/// Frees what carrick_connection_recv or carrick_queue_get gave, with the length it gave. NULL does nothing. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_bytes_free(data: *mut u8, data_len: usize) {
    let _ = boundary("free", || {
        if !data.is_null() {
            take_bytes(data, data_len);
        }
        Ok(())
    });
}

/// A stream handle for the same connection, OWNED: for its addresses, options and descriptor.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_stream(
    connection: *const carrick_connection,
    out_stream: *mut *mut carrick_stream,
) -> carrick_status {
    on(connection, "get stream", |connection| {
        output(out_stream, "out_stream", "get stream")?;
        write(out_stream, give(connection.transport().clone()));
        Ok(())
    })
}

/// Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_close(connection: *const carrick_connection) -> carrick_status {
    on_any(connection, "close", |connection| {
        connection.close();
        Ok(())
    })
}

/// Frees a connection; the descriptor is closed when no stream handle shares it either. NULL does nothing. Nobody
/// else may be inside a call on it: close first, then join them. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_connection_free(connection: *mut carrick_connection) {
    let _ = boundary("free", || {
        free(connection);
        Ok(())
    });
}
