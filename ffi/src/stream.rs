// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connected byte streams.

use crate::address::{parse, put};
use crate::boundary::{ask, boundary, make, on, on_any};
use crate::handle::{free, give, opaque};
use crate::memory::{bytes, bytes_mut, output, write};
use crate::option;
use crate::status::carrick_status;
use carrick::{Deadline, Error, Kind, Result, Shutdown, Stream};
use std::ffi::c_char;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// A connected byte stream over TCP, a Unix socket, a pipe or any other descriptor. Thread word: ANY.
pub struct carrick_stream {
    _opaque: [u8; 0],
}
opaque!(carrick_stream => Stream, b"ck-strea");

/// Ends one direction: what is received from here on is the end of the stream.
pub const CARRICK_SHUTDOWN_READ: i32 = 0;
/// Ends one direction: the peer receives the end of the stream.
pub const CARRICK_SHUTDOWN_WRITE: i32 = 1;
/// Ends both directions.
pub const CARRICK_SHUTDOWN_BOTH: i32 = 2;

/// A descriptor that stays C's.
pub(crate) fn lend<'a>(fd: i32, operation: &'static str) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Error::with_detail(Kind::Invalid, operation, format!("descriptor {fd}")));
    }
    // SAFETY: the descriptor is not -1 and, by the contract of the header, open for the length of the call.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// A descriptor that was made just now.
pub(crate) fn own(fd: i32) -> OwnedFd {
    // SAFETY: the caller has just made it, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Adopts a descriptor that C gives up if `make` succeeds: it gets a duplicate, and the original is closed
/// only when nothing can fail any more.
pub(crate) fn adopt<T>(
    fd: i32,
    operation: &'static str,
    make: impl FnOnce(OwnedFd) -> Result<T>,
) -> Result<T> {
    let copy = lend(fd, operation)?.try_clone_to_owned();
    let made = make(copy.map_err(|e| Error::from_os(e.raw_os_error().unwrap_or(libc::EBADF), operation))?)?;
    // SAFETY: the caller has given up the descriptor, since the call returns OK from here on.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(made)
}

/// Connects to an address such as "127.0.0.1:9000", "[::1]:9000", "unix:/path" or "unix:@abstract". TCP
/// connections have TCP_NODELAY set. out_stream is OWNED: free it with carrick_stream_free.
/// Codes: E_INVALID (address), E_TIMEOUT, E_OS (ECONNREFUSED, ...), E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_connect(
    address: *const c_char,
    address_len: usize,
    timeout_ns: i64,
    out_stream: *mut *mut carrick_stream,
) -> carrick_status {
    boundary("connect", || {
        output(out_stream, "out_stream", "connect")?;
        let address = parse(address, address_len, "connect")?;
        write(out_stream, give(Stream::connect(&address, Deadline::from_nanos(timeout_ns))?));
        Ok(())
    })
}

/// Makes two connected streams. Both are OWNED.
/// Codes: E_OS (EMFILE), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_pair(
    out_left: *mut *mut carrick_stream,
    out_right: *mut *mut carrick_stream,
) -> carrick_status {
    boundary("make pair", || {
        output(out_left, "out_left", "make pair")?;
        output(out_right, "out_right", "make pair")?;
        let (left, right) = Stream::pair()?;
        write(out_left, give(left));
        write(out_right, give(right));
        Ok(())
    })
}

/// Adopts a descriptor: a connected socket, a pipe end, a terminal. The descriptor is CONSUMED and the
/// stream has a duplicate of it; out_stream is OWNED.
/// Codes: E_INVALID (negative), E_OS (EBADF), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_from_fd(
    fd: i32,
    out_stream: *mut *mut carrick_stream,
) -> carrick_status {
    make(out_stream, "out_stream", "adopt descriptor", || adopt(fd, "adopt descriptor", Stream::from_fd))
}

/// Sends what the kernel takes of data, at least one byte unless data_len is 0.
/// Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EPIPE: the peer has closed), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_send(
    stream: *const carrick_stream,
    data: *const u8,
    data_len: usize,
    timeout_ns: i64,
    out_sent: *mut usize,
) -> carrick_status {
    ask(stream, out_sent, "out_sent", "send", |stream| {
        stream.send(bytes(data, data_len, "send")?, Deadline::from_nanos(timeout_ns))
    })
}

/// Sends all of data. After an error an unknown part of it has been sent.
/// Codes: as carrick_stream_send. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_send_all(
    stream: *const carrick_stream,
    data: *const u8,
    data_len: usize,
    timeout_ns: i64,
) -> carrick_status {
    on(stream, "send", |stream| {
        stream.send_all(bytes(data, data_len, "send")?, Deadline::from_nanos(timeout_ns))
    })
}

/// Receives what is there, at least one byte; out_len 0 is the end of the stream.
/// Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_recv(
    stream: *const carrick_stream,
    buffer: *mut u8,
    buffer_cap: usize,
    timeout_ns: i64,
    out_len: *mut usize,
) -> carrick_status {
    on(stream, "receive", |stream| {
        output(out_len, "out_len", "receive")?;
        let buffer = bytes_mut(buffer, buffer_cap, "receive")?;
        write(out_len, stream.recv(buffer, Deadline::from_nanos(timeout_ns))?);
        Ok(())
    })
}

/// Ends one or both directions (CARRICK_SHUTDOWN_...); the descriptor stays open.
/// Codes: E_INVALID, E_OS (ENOTCONN), E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_shutdown(stream: *const carrick_stream, how: i32) -> carrick_status {
    on(stream, "shut down", |stream| {
        let how = match how {
            CARRICK_SHUTDOWN_READ => Shutdown::Read,
            CARRICK_SHUTDOWN_WRITE => Shutdown::Write,
            CARRICK_SHUTDOWN_BOTH => Shutdown::Both,
            _ => {
                return Err(Error::with_detail(
                    Kind::Invalid,
                    "shut down",
                    format!("how is {how}; it is 0, 1 or 2"),
                ));
            }
        };
        stream.shutdown(how)
    })
}

/// Waits until something can be received or the stream has ended; out_ready is 0 when the time passed.
/// Codes: E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_wait_readable(
    stream: *const carrick_stream,
    timeout_ns: i64,
    out_ready: *mut i32,
) -> carrick_status {
    ask(stream, out_ready, "out_ready", "wait", |stream| {
        Ok(i32::from(stream.wait_readable(Deadline::from_nanos(timeout_ns))?))
    })
}

/// Writes the address of the other end as text, without a final zero.
/// Codes: E_BUFFER (out_len has the length needed), E_OS (ENOTCONN), E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_peer_address(
    stream: *const carrick_stream,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(stream, "get peer address", |stream| {
        put(&stream.peer_address()?, buffer, buffer_cap, out_len, "get peer address")
    })
}

/// Gives the descriptor to the caller, OWNED, without closing it; the stream is closed from here on and still
/// has to be freed.
/// Codes: E_STATE (a call is inside), E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_release_fd(
    stream: *const carrick_stream,
    out_fd: *mut i32,
) -> carrick_status {
    ask(stream, out_fd, "out_fd", "release descriptor", |stream| Ok(stream.clone().into_fd()?.into_raw_fd()))
}

/// Sets an option (CARRICK_OPTION_...).
/// Codes: E_INVALID (unknown option, bad value), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_set_option(
    stream: *const carrick_stream,
    option: i32,
    value: i64,
) -> carrick_status {
    on(stream, "set option", |socket| option::set(socket, option, value))
}

/// Reads an option (CARRICK_OPTION_...).
/// Codes: E_INVALID (unknown option), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_get_option(
    stream: *const carrick_stream,
    option: i32,
    out_value: *mut i64,
) -> carrick_status {
    ask(stream, out_value, "out_value", "get option", |socket| option::get(socket, option))
}

/// Writes the address of this end as text, without a final zero.
/// Codes: E_BUFFER (out_len has the length needed), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_local_address(
    stream: *const carrick_stream,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(stream, "get local address", |socket| {
        put(&socket.local_address()?, buffer, buffer_cap, out_len, "get local address")
    })
}

/// The number of the descriptor, for polling by other means: BORROWED until close.
/// Codes: E_CLOSED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_fd(
    stream: *const carrick_stream,
    out_fd: *mut i32,
) -> carrick_status {
    ask(stream, out_fd, "out_fd", "get descriptor", |socket| socket.fd())
}

/// Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_close(stream: *const carrick_stream) -> carrick_status {
    on_any(stream, "close", |socket| {
        socket.close();
        Ok(())
    })
}

/// Closes and frees. NULL does nothing. Nobody else may be inside a call on it: close first, then join them.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_free(stream: *mut carrick_stream) {
    let _ = boundary("free", || {
        free(stream);
        Ok(())
    });
}
