// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counting semaphores.

use crate::boundary::{ask, boundary, make, on};
use crate::handle::{free, opaque};
use crate::memory::{give_place, text};
use crate::status::carrick_status;
use crate::stream::lend;
use carrick::Deadline;
use carrick::sync::Semaphore;
use std::ffi::c_char;

/// A number of units for threads and processes: taking one waits until there is one. The units that a process has taken
/// are gone if it is killed. A child made by fork may go on using it; another program attaches to it. Thread word: ANY.
pub struct carrick_semaphore {
    _opaque: [u8; 0],
}
opaque!(carrick_semaphore => Semaphore, b"ck-semap");

/// The most units that a semaphore can have.
pub const CARRICK_SEMAPHORE_MAX: u32 = 0x7fff_ffff;

/// Makes a semaphore with value units that never has more than max_value (at most CARRICK_SEMAPHORE_MAX). out_semaphore is
/// OWNED.
/// Codes: E_INVALID (value over max_value, or that over the limit), E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_new(
    value: u32,
    max_value: u32,
    out_semaphore: *mut *mut carrick_semaphore,
) -> carrick_status {
    make(out_semaphore, "out_semaphore", "make semaphore", || Semaphore::bounded(value, max_value))
}

/// Makes a semaphore as carrick_semaphore_new does, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
/// programs of the same user open it (carrick_name_open, carrick_semaphore_attach) until carrick_name_remove.
/// out_semaphore is OWNED.
/// Codes: E_INVALID (as carrick_semaphore_new, or no such name is possible), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_create(
    name: *const c_char,
    name_len: usize,
    value: u32,
    max_value: u32,
    out_semaphore: *mut *mut carrick_semaphore,
) -> carrick_status {
    const OPERATION: &str = "create semaphore";
    make(out_semaphore, "out_semaphore", OPERATION, || {
        let name = text(name, name_len, OPERATION)?;
        Semaphore::create(name, value, max_value)
    })
}

/// The semaphore that another process made: what its carrick_semaphore_place gave. fd is BORROWED
/// for the call, for many share one. out_semaphore is OWNED.
/// Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_attach(
    fd: i32,
    slot: u32,
    out_semaphore: *mut *mut carrick_semaphore,
) -> carrick_status {
    const OPERATION: &str = "attach semaphore";
    make(out_semaphore, "out_semaphore", OPERATION, || Semaphore::attach(lend(fd, OPERATION)?, slot))
}

/// The place of the semaphore for carrick_semaphore_attach in another process: a descriptor, BORROWED until the
/// semaphore is freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is
/// close-on-exec.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_place(
    semaphore: *const carrick_semaphore,
    out_fd: *mut i32,
    out_slot: *mut u32,
) -> carrick_status {
    on(semaphore, "get place", |semaphore| give_place(&semaphore.place(), out_fd, out_slot))
}

/// Takes a unit, waiting for one.
/// Codes: E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_acquire(
    semaphore: *const carrick_semaphore,
    timeout_ns: i64,
) -> carrick_status {
    on(semaphore, "acquire semaphore", |semaphore| semaphore.acquire(Deadline::from_nanos(timeout_ns)))
}

/// Gives count units at once.
/// Codes: E_INVALID (it would have more than it may have; nothing was given), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_release(
    semaphore: *const carrick_semaphore,
    count: u32,
) -> carrick_status {
    on(semaphore, "release semaphore", |semaphore| semaphore.release_many(count))
}

/// How many units there are, at this moment.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_value(
    semaphore: *const carrick_semaphore,
    out_value: *mut u32,
) -> carrick_status {
    ask(semaphore, out_value, "out_value", "ask semaphore", |semaphore| Ok(semaphore.value()))
}

/// Frees this process's handle of a semaphore; for others it goes on. NULL does nothing. Nobody else may be inside a call on
/// it. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_semaphore_free(semaphore: *mut carrick_semaphore) {
    let _ = boundary("free", || {
        free(semaphore);
        Ok(())
    });
}
