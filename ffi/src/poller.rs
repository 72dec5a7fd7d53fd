// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readiness of many descriptors.

use crate::boundary::{boundary, make, on};
use crate::handle::{free, null, opaque};
use crate::memory::{output, write};
use crate::status::carrick_status;
use carrick::{Deadline, Error, Kind, Poller, Readiness, Result};

/// A set of watched descriptors. Thread word: ANY.
pub struct carrick_poller {
    _opaque: [u8; 0],
}
opaque!(carrick_poller => Poller, b"ck-polle");

/// Something can be received or accepted, or the stream has ended.
pub const CARRICK_READABLE: i32 = 1;
/// Something can be sent, or a connection was made.
pub const CARRICK_WRITABLE: i32 = 2;
/// The peer has hung up, or the descriptor is in error. Only reported, never asked for.
pub const CARRICK_HUNG_UP: i32 = 4;

/// A descriptor that became ready.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_ready {
    /// The token it was added with.
    pub token: u64,
    /// CARRICK_READABLE, CARRICK_WRITABLE and CARRICK_HUNG_UP, added up.
    pub readiness: i32,
}

fn readiness(bits: i32) -> Result<Readiness> {
    if bits & !(CARRICK_READABLE | CARRICK_WRITABLE) != 0 {
        return Err(Error::with_detail(Kind::Invalid, "watch", format!("readiness {bits}; it is 1, 2 or 3")));
    }
    Ok(Readiness { readable: bits & CARRICK_READABLE != 0, writable: bits & CARRICK_WRITABLE != 0 })
}

/// Makes an empty poller, OWNED. In a child of fork its functions return E_FORKED, but for wake and free.
/// Codes: E_OS (EMFILE), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_poller_new(out_poller: *mut *mut carrick_poller) -> carrick_status {
    make(out_poller, "out_poller", "make poller", Poller::new)
}

/// Watches a descriptor, which is BORROWED until it is removed, and reports it as token.
/// Codes: E_INVALID (token 2^64 - 1, readiness), E_OS (EEXIST, EBADF, EPERM: a plain file), E_NULL. ANY thread.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_poller_add(
    poller: *const carrick_poller,
    fd: i32,
    token: u64,
    readiness: i32,
) -> carrick_status {
    on(poller, "watch", |poller| poller.add(fd, token, self::readiness(readiness)?))
}

/// Changes what a watched descriptor is watched for.
/// Codes: E_INVALID, E_OS (ENOENT: not watched), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_poller_modify(
    poller: *const carrick_poller,
    fd: i32,
    readiness: i32,
) -> carrick_status {
    on(poller, "change watch", |poller| poller.modify(fd, self::readiness(readiness)?))
}

/// Stops watching a descriptor.
/// Codes: E_OS (ENOENT: not watched), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_poller_remove(poller: *const carrick_poller, fd: i32) -> carrick_status {
    on(poller, "stop watching", |poller| poller.remove(fd))
}

/// Waits until something is ready and writes up to ready_cap reports; out_count is 0 when the time passed or
/// carrick_poller_wake was called.
/// Codes: E_INVALID (ready_cap 0), E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_poller_wait(
    poller: *const carrick_poller,
    ready: *mut carrick_ready,
    ready_cap: usize,
    timeout_ns: i64,
    out_count: *mut usize,
) -> carrick_status {
    on(poller, "poll", |poller| {
        output(out_count, "out_count", "poll")?;
        if ready.is_null() {
            return Err(null("poll", "ready"));
        }
        if ready_cap == 0 {
            return Err(Error::with_detail(
                Kind::Invalid,
                "poll",
                "ready_cap is 0: give room for one report at least",
            ));
        }
        let reports = poller.wait(ready_cap, Deadline::from_nanos(timeout_ns))?;
        for (i, report) in reports.iter().enumerate() {
            let bit = |on: bool, bit: i32| if on { bit } else { 0 };
            let bits = bit(report.readable, CARRICK_READABLE)
                + bit(report.writable, CARRICK_WRITABLE)
                + bit(report.hung_up, CARRICK_HUNG_UP);
            // wait() returns at most ready_cap reports, and the caller's array has that many places.
            write(ready.wrapping_add(i), carrick_ready { token: report.token, readiness: bits });
        }
        write(out_count, reports.len());
        Ok(())
    })
}

/// Makes the wait that is running, or else the next one, return at once.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_poller_wake(poller: *const carrick_poller) -> carrick_status {
    on(poller, "wake", |poller| {
        poller.wake();
        Ok(())
    })
}

/// Frees a poller; the descriptors it watched stay open. NULL does nothing. Nobody else may be inside. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_poller_free(poller: *mut carrick_poller) {
    let _ = boundary("free", || {
        free(poller);
        Ok(())
    });
}
