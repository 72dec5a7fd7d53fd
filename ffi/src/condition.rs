// SPDX-License-Identifier: MIT OR Apache-2.0
//! Condition variables.

use crate::boundary::{boundary, make, on};
use crate::handle::{free, handle, opaque};
use crate::lock::{AnyLock, carrick_lock};
use crate::memory::{give_place, text};
use crate::status::carrick_status;
use crate::stream::lend;
use carrick::Deadline;
use carrick::sync::Condition;
use std::ffi::c_char;

/// A condition variable for threads and processes: waiting, with a lock, for what somebody else will do under it. A child
/// made by fork may go on using it; another program attaches to it. Thread word: ANY.
pub struct carrick_condition {
    _opaque: [u8; 0],
}
opaque!(carrick_condition => Condition, b"ck-condi");

/// Makes a condition that nobody waits for. out_condition is OWNED.
/// Codes: E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_new(out_condition: *mut *mut carrick_condition) -> carrick_status {
    make(out_condition, "out_condition", "make condition", Condition::new)
}

/// Makes a condition that nobody waits for, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
/// programs of the same user open it (carrick_name_open, carrick_condition_attach) until carrick_name_remove.
/// out_condition is OWNED.
/// Codes: E_INVALID (no such name is possible), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_create(
    name: *const c_char,
    name_len: usize,
    out_condition: *mut *mut carrick_condition,
) -> carrick_status {
    const OPERATION: &str = "create condition";
    make(out_condition, "out_condition", OPERATION, || {
        let name = text(name, name_len, OPERATION)?;
        Condition::create(name)
    })
}

/// The condition that another process made: what its carrick_condition_place gave. fd is BORROWED
/// for the call, for many share one. out_condition is OWNED.
/// Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_attach(
    fd: i32,
    slot: u32,
    out_condition: *mut *mut carrick_condition,
) -> carrick_status {
    const OPERATION: &str = "attach condition";
    make(out_condition, "out_condition", OPERATION, || Condition::attach(lend(fd, OPERATION)?, slot))
}

/// The place of the condition for carrick_condition_attach in another process: a descriptor, BORROWED until the
/// condition is freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is
/// close-on-exec.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_place(
    condition: *const carrick_condition,
    out_fd: *mut i32,
    out_slot: *mut u32,
) -> carrick_status {
    on(condition, "get place", |condition| give_place(&condition.place(), out_fd, out_slot))
}

/// Lets the lock go, which the caller holds and which is BORROWED for the call, waits for a notification and takes the
/// lock again, whatever the result. More than 1,020 waiters may see one that is another one's: wait in a loop.
/// Codes: E_TIMEOUT, E_INTERRUPTED, E_OWNER_DIED (the wait is over; the lock came from a holder that died), E_STATE or
/// E_INVALID (the lock is not held), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_wait(
    condition: *const carrick_condition,
    lock: *const carrick_lock,
    timeout_ns: i64,
) -> carrick_status {
    on(condition, "wait for condition", |condition| {
        let deadline = Deadline::from_nanos(timeout_ns);
        match &handle(lock, "wait for condition")?.value {
            AnyLock::Plain(lock) => condition.wait(lock, deadline),
            AnyLock::Recursive(lock) => condition.wait(lock, deadline),
        }
    })
}

/// Wakes up to count of those who wait, the one that has waited longest first. Call it with the lock held.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_notify(
    condition: *const carrick_condition,
    count: usize,
) -> carrick_status {
    on(condition, "notify condition", |condition| {
        condition.notify(count);
        Ok(())
    })
}

/// Wakes all who wait. Call it with the lock held.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_notify_all(condition: *const carrick_condition) -> carrick_status {
    on(condition, "notify condition", |condition| {
        condition.notify_all();
        Ok(())
    })
}

/// Frees this process's handle of a condition; for others it goes on. NULL does nothing. Nobody else may be inside a call on
/// it. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_condition_free(condition: *mut carrick_condition) {
    let _ = boundary("free", || {
        free(condition);
        Ok(())
    });
}
