// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flags to wait for.

use crate::boundary::{ask, boundary, make, on};
use crate::handle::{free, opaque};
use crate::memory::{give_place, text};
use crate::status::carrick_status;
use crate::stream::lend;
use carrick::Deadline;
use carrick::sync::Event;
use std::ffi::c_char;

/// A flag for threads and processes that can be waited for. A child made by fork may go on using it; another program
/// attaches to it. Thread word: ANY.
pub struct carrick_event {
    _opaque: [u8; 0],
}
opaque!(carrick_event => Event, b"ck-event");

/// Makes an event that is not set. out_event is OWNED.
/// Codes: E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_new(out_event: *mut *mut carrick_event) -> carrick_status {
    make(out_event, "out_event", "make event", Event::new)
}

/// Makes an event that is not set, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
/// programs of the same user open it (carrick_name_open, carrick_event_attach) until carrick_name_remove.
/// out_event is OWNED.
/// Codes: E_INVALID (no such name is possible), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_create(
    name: *const c_char,
    name_len: usize,
    out_event: *mut *mut carrick_event,
) -> carrick_status {
    const OPERATION: &str = "create event";
    make(out_event, "out_event", OPERATION, || {
        let name = text(name, name_len, OPERATION)?;
        Event::create(name)
    })
}

/// The event that another process made: what its carrick_event_place gave. fd is BORROWED
/// for the call, for many share one. out_event is OWNED.
/// Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_attach(
    fd: i32,
    slot: u32,
    out_event: *mut *mut carrick_event,
) -> carrick_status {
    const OPERATION: &str = "attach event";
    make(out_event, "out_event", OPERATION, || Event::attach(lend(fd, OPERATION)?, slot))
}

/// The place of the event for carrick_event_attach in another process: a descriptor, BORROWED until the event is
/// freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is close-on-exec.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_place(
    event: *const carrick_event,
    out_fd: *mut i32,
    out_slot: *mut u32,
) -> carrick_status {
    on(event, "get place", |event| give_place(&event.place(), out_fd, out_slot))
}

/// Sets the event: all who wait go on, and nobody waits until it is cleared.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_set(event: *const carrick_event) -> carrick_status {
    on(event, "set event", |event| {
        event.set();
        Ok(())
    })
}

/// Clears the event.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_clear(event: *const carrick_event) -> carrick_status {
    on(event, "clear event", |event| {
        event.clear();
        Ok(())
    })
}

/// Whether the event is set, at this moment: 1 or 0.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_is_set(
    event: *const carrick_event,
    out_is_set: *mut i32,
) -> carrick_status {
    ask(event, out_is_set, "out_is_set", "ask event", |event| Ok(i32::from(event.is_set())))
}

/// Waits until the event is set.
/// Codes: E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_wait(event: *const carrick_event, timeout_ns: i64) -> carrick_status {
    on(event, "wait for event", |event| event.wait(Deadline::from_nanos(timeout_ns)))
}

/// Frees this process's handle of an event; for others it goes on. NULL does nothing. Nobody else may be inside a call on
/// it. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_event_free(event: *mut carrick_event) {
    let _ = boundary("free", || {
        free(event);
        Ok(())
    });
}
