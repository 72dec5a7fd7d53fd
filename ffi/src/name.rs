// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of queues, locks and the like.

use crate::boundary::{boundary, fill};
use crate::memory::text;
use crate::status::carrick_status;
use carrick::name;
use std::ffi::c_char;
use std::os::fd::IntoRawFd;

/// The descriptor, OWNED (close it), of what a program of the same user gave this name with a _create function of
/// carrick_queue, carrick_lock, carrick_semaphore, carrick_condition, carrick_event or carrick_barrier: for the _attach
/// function of the same type, with slot 0 and without a bell. It is close-on-exec.
/// Codes: E_INVALID (no such name is possible), E_OS (ENOENT: nothing has this name; EACCES: it is another user's, or
/// others may open it; ELOOP, EISDIR, ENXIO, EACCES: it is a symbolic link, a directory, a socket, a pipe; EMFILE, ...),
/// E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_name_open(
    name: *const c_char,
    name_len: usize,
    out_fd: *mut i32,
) -> carrick_status {
    const OPERATION: &str = "open name";
    fill(out_fd, "out_fd", OPERATION, || {
        name::open(text(name, name_len, OPERATION)?).map(IntoRawFd::into_raw_fd)
    })
}

/// Takes a name away. A process that has the named object keeps it, and the name can be given again. Names that nobody
/// takes away stay until the machine starts again.
/// Codes: E_INVALID (no such name is possible), E_OS (ENOENT: nothing has this name; ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_name_remove(name: *const c_char, name_len: usize) -> carrick_status {
    const OPERATION: &str = "remove name";
    boundary(OPERATION, || name::remove(text(name, name_len, OPERATION)?))
}
