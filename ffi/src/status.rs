// SPDX-License-Identifier: MIT OR Apache-2.0
//! Status codes. They are spelled out here because cbindgen cannot see what macros make; a test holds them
//! equal to the core's table.

use crate::boundary::{boundary, with_last};
use crate::memory::copy_out;
use std::ffi::c_char;

/// The result of a call: CARRICK_OK or a negative CARRICK_E_ code.
pub type carrick_status = i32;

/// The call did what it says.
pub const CARRICK_OK: i32 = 0;
/// An argument is out of its range; the message names it, its value and the range.
pub const CARRICK_E_INVALID: i32 = -1;
/// A pointer that must not be NULL is NULL (C only).
pub const CARRICK_E_NULL: i32 = -2;
/// The caller's buffer is too small; the needed length is reported and nothing is lost.
pub const CARRICK_E_BUFFER: i32 = -3;
/// An options struct is of a version this library does not know (C only).
pub const CARRICK_E_VERSION: i32 = -4;
/// Memory could not be had.
pub const CARRICK_E_NOMEMORY: i32 = -5;
/// A bug: code of ours or of a handler panicked; the handle can only be closed and freed.
pub const CARRICK_E_PANIC: i32 = -6;
/// The call is forbidden where it was made, for example inside a callback.
pub const CARRICK_E_REENTRANT: i32 = -7;
/// The handle belongs to the parent process and cannot be used after fork.
pub const CARRICK_E_FORKED: i32 = -8;
/// The call does not fit the state of the object, for example a server started twice.
pub const CARRICK_E_STATE: i32 = -9;
/// The object was closed, by this caller or by another thread.
pub const CARRICK_E_CLOSED: i32 = -20;
/// The deadline passed.
pub const CARRICK_E_TIMEOUT: i32 = -21;
/// Nothing can be done at once and the caller asked not to wait.
pub const CARRICK_E_WOULD_BLOCK: i32 = -22;
/// A signal ended the wait, because the program's interrupt hook said so. Only Rust can install one: in a program
/// without it a wait goes on after a signal.
pub const CARRICK_E_INTERRUPTED: i32 = -23;
/// There is no room for one more.
pub const CARRICK_E_FULL: i32 = -24;
/// There is nothing to take.
pub const CARRICK_E_EMPTY: i32 = -25;
/// The peer closed the connection between two frames.
pub const CARRICK_E_EOF: i32 = -40;
/// The peer closed the connection inside a frame, or the frame's head makes no sense.
pub const CARRICK_E_BAD_FRAME: i32 = -41;
/// The frame is longer than the cap of its format or connection.
pub const CARRICK_E_FRAME_TOO_LARGE: i32 = -42;
/// The peer could not prove that it has the key, or broke the exchange.
pub const CARRICK_E_AUTH_FAILED: i32 = -50;
/// No digest has this name.
pub const CARRICK_E_UNKNOWN_DIGEST: i32 = -51;
/// The process that held this died while holding it.
pub const CARRICK_E_OWNER_DIED: i32 = -60;
/// The worker that ran this task died.
pub const CARRICK_E_WORKER_DIED: i32 = -61;
/// The object was broken by somebody's failure or abort.
pub const CARRICK_E_BROKEN: i32 = -62;
/// A handler returned an error of its own.
pub const CARRICK_E_HANDLER: i32 = -63;
/// Memory that processes share holds what no program of this library writes.
pub const CARRICK_E_CORRUPT: i32 = -64;
/// The operating system refused; the code is its `errno`.
pub const CARRICK_E_OS: i32 = -80;

/// The version of the interface; it changes when the interface becomes incompatible. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_abi_version() -> u32 {
    0
}

/// The version of the library, such as "0.1.0": static text. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The name of a status, such as "CARRICK_E_TIMEOUT": static text, for any integer. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_status_name(status: i32) -> *const c_char {
    let name: &'static str = match status {
        0 => "CARRICK_OK\0",
        -1 => "CARRICK_E_INVALID\0",
        -2 => "CARRICK_E_NULL\0",
        -3 => "CARRICK_E_BUFFER\0",
        -4 => "CARRICK_E_VERSION\0",
        -5 => "CARRICK_E_NOMEMORY\0",
        -6 => "CARRICK_E_PANIC\0",
        -7 => "CARRICK_E_REENTRANT\0",
        -8 => "CARRICK_E_FORKED\0",
        -9 => "CARRICK_E_STATE\0",
        -20 => "CARRICK_E_CLOSED\0",
        -21 => "CARRICK_E_TIMEOUT\0",
        -22 => "CARRICK_E_WOULD_BLOCK\0",
        -23 => "CARRICK_E_INTERRUPTED\0",
        -24 => "CARRICK_E_FULL\0",
        -25 => "CARRICK_E_EMPTY\0",
        -40 => "CARRICK_E_EOF\0",
        -41 => "CARRICK_E_BAD_FRAME\0",
        -42 => "CARRICK_E_FRAME_TOO_LARGE\0",
        -50 => "CARRICK_E_AUTH_FAILED\0",
        -51 => "CARRICK_E_UNKNOWN_DIGEST\0",
        -60 => "CARRICK_E_OWNER_DIED\0",
        -61 => "CARRICK_E_WORKER_DIED\0",
        -62 => "CARRICK_E_BROKEN\0",
        -63 => "CARRICK_E_HANDLER\0",
        -64 => "CARRICK_E_CORRUPT\0",
        -80 => "CARRICK_E_OS\0",
        _ => "CARRICK_E_UNKNOWN\0",
    };
    name.as_ptr().cast()
}

/// One phrase on what a status means: static text, for any integer. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_status_text(status: i32) -> *const c_char {
    let text: &'static str = match status {
        0 => "success\0",
        -1 => "invalid argument\0",
        -2 => "pointer is NULL\0",
        -3 => "buffer too small\0",
        -4 => "struct version not supported\0",
        -5 => "out of memory\0",
        -6 => "internal panic\0",
        -7 => "not allowed from inside this callback\0",
        -8 => "handle belongs to the process before fork\0",
        -9 => "not possible in this state\0",
        -20 => "closed\0",
        -21 => "timed out\0",
        -22 => "operation would block\0",
        -23 => "interrupted\0",
        -24 => "full\0",
        -25 => "empty\0",
        -40 => "end of stream\0",
        -41 => "malformed frame\0",
        -42 => "frame over the cap\0",
        -50 => "authentication failed\0",
        -51 => "unknown digest\0",
        -60 => "owner died\0",
        -61 => "worker died\0",
        -62 => "broken\0",
        -63 => "handler failed\0",
        -64 => "shared memory is corrupted\0",
        -80 => "operating system error\0",
        _ => "unknown status\0",
    };
    text.as_ptr().cast()
}

/// The cause of the last failing call of this thread, with the values involved; empty before any. It
/// holds no byte of a key. Writes text without a final zero.
/// Codes: E_BUFFER (out_len has the length needed), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_last_error(
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    boundary("get last error", || {
        let text = with_last(|last| last.text.clone()).unwrap_or_default();
        copy_out(text.as_bytes(), buffer.cast(), buffer_cap, out_len, "get last error")
    })
}

/// The errno behind the last failing call of this thread, 0 where it had none. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_last_os_error() -> i32 {
    with_last(|last| last.errno).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick::Kind;
    use std::ffi::CStr;

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: the functions under test return static text that ends in a zero.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_core() {
        let listed = [
            (CARRICK_E_INVALID, "E_INVALID"),
            (CARRICK_E_NULL, "E_NULL"),
            (CARRICK_E_BUFFER, "E_BUFFER"),
            (CARRICK_E_VERSION, "E_VERSION"),
            (CARRICK_E_NOMEMORY, "E_NOMEMORY"),
            (CARRICK_E_PANIC, "E_PANIC"),
            (CARRICK_E_REENTRANT, "E_REENTRANT"),
            (CARRICK_E_FORKED, "E_FORKED"),
            (CARRICK_E_STATE, "E_STATE"),
            (CARRICK_E_CLOSED, "E_CLOSED"),
            (CARRICK_E_TIMEOUT, "E_TIMEOUT"),
            (CARRICK_E_WOULD_BLOCK, "E_WOULD_BLOCK"),
            (CARRICK_E_INTERRUPTED, "E_INTERRUPTED"),
            (CARRICK_E_FULL, "E_FULL"),
            (CARRICK_E_EMPTY, "E_EMPTY"),
            (CARRICK_E_EOF, "E_EOF"),
            (CARRICK_E_BAD_FRAME, "E_BAD_FRAME"),
            (CARRICK_E_FRAME_TOO_LARGE, "E_FRAME_TOO_LARGE"),
            (CARRICK_E_AUTH_FAILED, "E_AUTH_FAILED"),
            (CARRICK_E_UNKNOWN_DIGEST, "E_UNKNOWN_DIGEST"),
            (CARRICK_E_OWNER_DIED, "E_OWNER_DIED"),
            (CARRICK_E_WORKER_DIED, "E_WORKER_DIED"),
            (CARRICK_E_BROKEN, "E_BROKEN"),
            (CARRICK_E_HANDLER, "E_HANDLER"),
            (CARRICK_E_CORRUPT, "E_CORRUPT"),
            (CARRICK_E_OS, "E_OS"),
        ];
        assert_eq!(listed.len(), Kind::ALL.len());
        for (kind, (code, name)) in Kind::ALL.iter().zip(listed) {
            assert_eq!((kind.code(), kind.name()), (code, name));
            assert_eq!(text(carrick_status_name(code)), format!("CARRICK_{name}"));
            assert_eq!(text(carrick_status_text(code)), kind.text());
        }
        assert_eq!(text(carrick_status_name(12345)), "CARRICK_E_UNKNOWN");
    }

    fn errno_name(errno: Option<i32>) -> &'static str {
        match errno {
            None => "none",
            Some(libc::EINVAL) => "EINVAL",
            Some(libc::EFAULT) => "EFAULT",
            Some(libc::ENOBUFS) => "ENOBUFS",
            Some(libc::EPROTONOSUPPORT) => "EPROTONOSUPPORT",
            Some(libc::ENOMEM) => "ENOMEM",
            Some(libc::EDEADLK) => "EDEADLK",
            Some(libc::EBADF) => "EBADF",
            Some(libc::ETIMEDOUT) => "ETIMEDOUT",
            Some(libc::EAGAIN) => "EAGAIN",
            Some(libc::EINTR) => "EINTR",
            Some(libc::EBADMSG) => "EBADMSG",
            Some(libc::EMSGSIZE) => "EMSGSIZE",
            Some(libc::EOWNERDEAD) => "EOWNERDEAD",
            Some(other) => panic!("errno {other} has no name here: add it"),
        }
    }

    #[test]
    fn the_page_of_errors_and_the_python_table_are_those_of_the_core() {
        let page = include_str!("../../docs/errors.md");
        let python = include_str!("../../python/carrick/_errors.py");
        let rows: Vec<Vec<&str>> = page
            .lines()
            .filter(|line| line.starts_with("| -"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), Kind::ALL.len(), "a row for each kind and a kind for each row");
        for (kind, row) in Kind::ALL.iter().zip(&rows) {
            let entry = format!("    \"{}\": ", kind.name());
            let class = python
                .lines()
                .find_map(|line| line.strip_prefix(&entry)?.strip_suffix(','))
                .unwrap_or_else(|| panic!("python/carrick/_errors.py has no {}", kind.name()));
            let expected = [
                kind.code().to_string(),
                format!("`CARRICK_{}`", kind.name()),
                kind.text().to_owned(),
                errno_name(kind.errno()).to_owned(),
                format!("`carrick.{class}` (`{}`)", kind.python_class()),
            ];
            assert_eq!(row.get(..5), Some(&expected.each_ref().map(String::as_str)[..]));
            assert_eq!(row.len(), 7, "{}: when it comes and what to do", kind.name());
            assert!(row.iter().skip(5).all(|text| text.ends_with('.')), "{}", kind.name());
        }
        let listed = python.lines().filter(|line| line.starts_with("    \"E_")).count();
        assert_eq!(listed, Kind::ALL.len());
    }
}
