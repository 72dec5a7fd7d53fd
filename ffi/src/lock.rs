// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks.

use crate::boundary::{boundary, fill, make, on};
use crate::handle::{free, give, opaque};
use crate::memory::{flag, give_place, options, output, text, write};
use crate::status::carrick_status;
use crate::stream::lend;
use carrick::sync::{Lock, OnOwnerDeath, Place, RLock, Taken};
use carrick::{Deadline, Error, Kind, Result};
use std::ffi::c_char;

/// Either kind of lock.
pub enum AnyLock {
    /// Anybody may release it.
    Plain(Lock),
    /// Its holder may take it again.
    Recursive(RLock),
}

/// A lock for threads and processes. A waiter for one whose holder has died gets it within 100 ms, with E_OWNER_DIED. A
/// child made by fork may go on using it; another program attaches to it. Thread word: ANY; a recursive one is released
/// by the thread that took it.
pub struct carrick_lock {
    _opaque: [u8; 0],
}
opaque!(carrick_lock => AnyLock, b"ck-lock_");

/// Take the lock over from a holder that has died: carrick_lock_acquire returns E_OWNER_DIED, with the lock held.
pub const CARRICK_ON_OWNER_DEATH_TAKE_OVER: i32 = 0;
/// Wait on: somebody else will release the lock.
pub const CARRICK_ON_OWNER_DEATH_WAIT: i32 = 1;

/// The kind of lock, and the policy of this handle's waits. Fill it with carrick_lock_options_init.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_lock_options {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// The thread that holds it may take it again, and alone may release it: 0 or 1 (0).
    pub recursive: i32,
    /// CARRICK_ON_OWNER_DEATH_TAKE_OVER or _WAIT (TAKE_OVER).
    pub on_owner_death: i32,
}

impl carrick_lock_options {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            recursive: 0,
            on_owner_death: CARRICK_ON_OWNER_DEATH_TAKE_OVER,
        }
    }
}

impl AnyLock {
    fn make(
        given: *const carrick_lock_options,
        operation: &'static str,
        plain: impl FnOnce() -> Result<Lock>,
        recursive: impl FnOnce() -> Result<RLock>,
    ) -> Result<Self> {
        let given = options(given, carrick_lock_options::defaults(), operation)?;
        let policy = match given.on_owner_death {
            CARRICK_ON_OWNER_DEATH_TAKE_OVER => OnOwnerDeath::TakeOver,
            CARRICK_ON_OWNER_DEATH_WAIT => OnOwnerDeath::Wait,
            other => {
                let detail = format!("on_owner_death {other}; it is 0 or 1");
                return Err(Error::with_detail(Kind::Invalid, operation, detail));
            }
        };
        Ok(if flag(given.recursive, "recursive", operation)? {
            Self::Recursive(recursive()?.on_owner_death(policy))
        } else {
            Self::Plain(plain()?.on_owner_death(policy))
        })
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Plain(lock) => lock.place(),
            Self::Recursive(lock) => lock.place(),
        }
    }
}

/// Fills lock options with the defaults.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_options_init(out_options: *mut carrick_lock_options) -> carrick_status {
    fill(out_options, "out_options", "init lock options", || Ok(carrick_lock_options::defaults()))
}

/// Makes a free lock. options may be NULL (a plain one). out_lock is OWNED.
/// Codes: E_INVALID, E_VERSION, E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_new(
    options: *const carrick_lock_options,
    out_lock: *mut *mut carrick_lock,
) -> carrick_status {
    make(out_lock, "out_lock", "make lock", || AnyLock::make(options, "make lock", Lock::new, RLock::new))
}

/// Makes a free lock, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
/// programs of the same user open it (carrick_name_open, carrick_lock_attach) until carrick_name_remove.
/// options may be NULL (a plain one).
/// out_lock is OWNED.
/// Codes: E_INVALID (also: no such name is possible), E_VERSION, E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_create(
    name: *const c_char,
    name_len: usize,
    options: *const carrick_lock_options,
    out_lock: *mut *mut carrick_lock,
) -> carrick_status {
    const OPERATION: &str = "create lock";
    make(out_lock, "out_lock", OPERATION, || {
        let name = text(name, name_len, OPERATION)?;
        AnyLock::make(options, OPERATION, || Lock::create(name), || RLock::create(name))
    })
}

/// The lock that another process made: what its carrick_lock_place gave. fd is BORROWED
/// for the call, for many share one. options may be NULL (a plain
/// one); recursive is to be as it was made. out_lock is OWNED.
/// Codes: E_INVALID (something else is there, or one of another kind or version), E_CORRUPT, E_VERSION, E_NOMEMORY, E_OS
/// (EBADF), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_attach(
    fd: i32,
    slot: u32,
    options: *const carrick_lock_options,
    out_lock: *mut *mut carrick_lock,
) -> carrick_status {
    const OPERATION: &str = "attach lock";
    boundary(OPERATION, || {
        output(out_lock, "out_lock", OPERATION)?;
        let fd = lend(fd, OPERATION)?;
        let (plain, recursive) = (|| Lock::attach(fd, slot), || RLock::attach(fd, slot));
        write(out_lock, give(AnyLock::make(options, OPERATION, plain, recursive)?));
        Ok(())
    })
}

/// The place of the lock for carrick_lock_attach in another process: a descriptor, BORROWED until the lock is
/// freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is close-on-exec.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_place(
    lock: *const carrick_lock,
    out_fd: *mut i32,
    out_slot: *mut u32,
) -> carrick_status {
    on(lock, "get place", |lock| give_place(&lock.place(), out_fd, out_slot))
}

/// Takes the lock, waiting for it. E_OWNER_DIED says that it IS taken, from a holder that died: what it guards may be half
/// changed.
/// Codes: E_OWNER_DIED, E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_STATE (recursive: taken 2^32
/// times), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_acquire(lock: *const carrick_lock, timeout_ns: i64) -> carrick_status {
    on(lock, "acquire lock", |lock| {
        let deadline = Deadline::from_nanos(timeout_ns);
        let taken = match lock {
            AnyLock::Plain(lock) => lock.acquire(deadline)?,
            AnyLock::Recursive(lock) => lock.acquire(deadline)?,
        };
        if taken == Taken::FromDead { Err(Error::new(Kind::OwnerDied, "acquire lock")) } else { Ok(()) }
    })
}

/// Gives the lock up, whichever thread or process holds it; a recursive one is given up by its holder, as often as it was
/// taken.
/// Codes: E_INVALID (it is free), E_STATE (recursive: the calling thread does not hold it), E_NULL. ANY thread.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_release(lock: *const carrick_lock) -> carrick_status {
    on(lock, "release lock", |lock| match lock {
        AnyLock::Plain(lock) => lock.release(),
        AnyLock::Recursive(lock) => lock.release(),
    })
}

/// Whether somebody holds the lock, at this moment: 1 or 0. A holder that has died holds it still.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_is_locked(
    lock: *const carrick_lock,
    out_is_locked: *mut i32,
) -> carrick_status {
    on(lock, "ask lock", |lock| {
        output(out_is_locked, "out_is_locked", "ask lock")?;
        write(
            out_is_locked,
            i32::from(match lock {
                AnyLock::Plain(lock) => lock.is_locked(),
                AnyLock::Recursive(lock) => lock.is_locked(),
            }),
        );
        Ok(())
    })
}

/// The number of the process that holds the lock, at this moment, or 0 if nobody does. A holder that has died holds it
/// still: the kernel may know no process of that number, or another one that has it now.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_holder(lock: *const carrick_lock, out_pid: *mut i32) -> carrick_status {
    on(lock, "ask lock", |lock| {
        output(out_pid, "out_pid", "ask lock")?;
        let holder = match lock {
            AnyLock::Plain(lock) => lock.holder(),
            AnyLock::Recursive(lock) => lock.holder(),
        };
        write(out_pid, holder.map_or(0, |holder| holder.process.cast_signed()));
        Ok(())
    })
}

/// Frees this process's handle of a lock; for others it goes on. NULL does nothing. Nobody else may be inside a call on
/// it. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_lock_free(lock: *mut carrick_lock) {
    let _ = boundary("free", || {
        free(lock);
        Ok(())
    });
}
