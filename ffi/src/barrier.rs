// SPDX-License-Identifier: MIT OR Apache-2.0
//! Meeting points.

use crate::boundary::{ask, boundary, make, on};
use crate::handle::{free, opaque};
use crate::memory::{give_place, text};
use crate::status::carrick_status;
use crate::stream::lend;
use carrick::Deadline;
use carrick::sync::Barrier;
use std::ffi::c_char;

/// A meeting point for a fixed number of threads and processes, again and again. A party that is killed while it waits
/// breaks the meeting for the others. A child made by fork may go on using it; another program attaches to it.
/// Thread word: ANY.
pub struct carrick_barrier {
    _opaque: [u8; 0],
}
opaque!(carrick_barrier => Barrier, b"ck-barri");

/// Makes a barrier for so many parties. out_barrier is OWNED.
/// Codes: E_INVALID (no party), E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_new(
    parties: u32,
    out_barrier: *mut *mut carrick_barrier,
) -> carrick_status {
    make(out_barrier, "out_barrier", "make barrier", || Barrier::new(parties))
}

/// Makes a barrier for so many parties, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
/// programs of the same user open it (carrick_name_open, carrick_barrier_attach) until carrick_name_remove.
/// out_barrier is OWNED.
/// Codes: E_INVALID (no such name is possible, or no party), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_create(
    name: *const c_char,
    name_len: usize,
    parties: u32,
    out_barrier: *mut *mut carrick_barrier,
) -> carrick_status {
    const OPERATION: &str = "create barrier";
    make(out_barrier, "out_barrier", OPERATION, || {
        let name = text(name, name_len, OPERATION)?;
        Barrier::create(name, parties)
    })
}

/// The barrier that another process made: what its carrick_barrier_place gave. fd is BORROWED
/// for the call, for many share one. out_barrier is OWNED.
/// Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_attach(
    fd: i32,
    slot: u32,
    out_barrier: *mut *mut carrick_barrier,
) -> carrick_status {
    const OPERATION: &str = "attach barrier";
    make(out_barrier, "out_barrier", OPERATION, || Barrier::attach(lend(fd, OPERATION)?, slot))
}

/// The place of the barrier for carrick_barrier_attach in another process: a descriptor, BORROWED until the barrier is
/// freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is close-on-exec.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_place(
    barrier: *const carrick_barrier,
    out_fd: *mut i32,
    out_slot: *mut u32,
) -> carrick_status {
    on(barrier, "get place", |barrier| give_place(&barrier.place(), out_fd, out_slot))
}

/// Waits until all parties have arrived; out_turn is the caller's place in the order of arrival, from 0.
/// Codes: E_TIMEOUT and, with timeout 0, E_TIMEOUT at once (the meeting is broken for all, and the barrier until it is
/// reset), E_BROKEN (another party gave up or died, or the barrier was reset or aborted), E_INTERRUPTED (the caller does
/// not wait any more, the others do), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_wait(
    barrier: *const carrick_barrier,
    timeout_ns: i64,
    out_turn: *mut u32,
) -> carrick_status {
    ask(barrier, out_turn, "out_turn", "wait at barrier", |barrier| {
        barrier.wait(Deadline::from_nanos(timeout_ns))
    })
}

/// Ends the present meeting, which is broken for those who wait, and makes the barrier fit for the next one.
/// Codes: E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_reset(barrier: *const carrick_barrier) -> carrick_status {
    on(barrier, "reset barrier", Barrier::reset)
}

/// Breaks the barrier for all, until it is reset.
/// Codes: E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_abort(barrier: *const carrick_barrier) -> carrick_status {
    on(barrier, "abort barrier", Barrier::abort)
}

/// Whether the barrier is broken, at this moment: 1 or 0.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_is_broken(
    barrier: *const carrick_barrier,
    out_is_broken: *mut i32,
) -> carrick_status {
    ask(barrier, out_is_broken, "out_is_broken", "ask barrier", |barrier| Ok(i32::from(barrier.is_broken())))
}

/// How many meet.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_parties(
    barrier: *const carrick_barrier,
    out_parties: *mut u32,
) -> carrick_status {
    ask(barrier, out_parties, "out_parties", "ask barrier", |barrier| Ok(barrier.parties()))
}

/// How many have arrived, at this moment.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_waiting(
    barrier: *const carrick_barrier,
    out_waiting: *mut u32,
) -> carrick_status {
    ask(barrier, out_waiting, "out_waiting", "ask barrier", |barrier| Ok(barrier.waiting()))
}

/// Frees this process's handle of a barrier; for others it goes on. NULL does nothing. Nobody else may be inside a call on
/// it. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_barrier_free(barrier: *mut carrick_barrier) {
    let _ = boundary("free", || {
        free(barrier);
        Ok(())
    });
}
