// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names, by which programs that are no relatives find a queue, a lock and the like.
//!
//! Nothing in this library has a name unless a program asks for one: `create` of [`Queue`](crate::queue::Queue), of
//! [`Lock`](crate::sync::Lock) and of the others makes one with a name, their `open` finds it. The name is that of a file
//! in `/dev/shm` (`carrick.USER.NAME`), which only the user who made it may open. It is there, whole, from one
//! instant to the next: a program that is killed while it creates leaves nothing. It stays until [`remove`], or until
//! the machine starts again, whatever becomes of the program that made it; a process that has it open then keeps it.
//!
//! # Trust
//! A process that opens checks that the file is a plain one, this user's, and that nobody else may open it (see
//! [`open`]). Its content is checked as that behind a descriptor is. Programs of the same user are
//! trusted in one thing: one that shortens the file kills those who use it.
//!
//! # Example
//! ```
//! use carrick::queue::{Queue, QueueOptions};
//! use carrick::{Deadline, name};
//! # let jobs = &format!("doc-{}", std::process::id());
//! let queue = Queue::create(jobs, QueueOptions::default())?;
//! // In another program:
//! let other = Queue::open(jobs)?;
//! other.put(b"hello", Deadline::NEVER)?;
//! assert_eq!(queue.get(Deadline::NEVER)?, b"hello");
//! name::remove(jobs)?;
//! # Ok::<(), carrick::Error>(())
//! ```
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::sys;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most bytes of a name.
const LONGEST: usize = 200;

fn check(name: &str, operation: &'static str) -> Result<()> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if (1..=LONGEST).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fits) {
        return Ok(());
    }
    let detail = format!(
        "the name {name:?}; give 1 to {LONGEST} letters, digits and any of '._-', of ASCII, the first one not '.'"
    );
    Err(Error::with_detail(Kind::Invalid, operation, detail))
}

fn failed(error: &io::Error, name: &str, operation: &'static str, remedy: &str) -> Error {
    let detail = format!("{error}: the name '{name}', {}: {remedy}", sys::path_of_name(name));
    Error::from_io(error, operation).detailed(detail).about(name)
}

/// The descriptor of what has a name, for an `attach`; the slot of a lock and the like is 0.
///
/// # Errors
/// `Invalid`: no such name is possible; `Os`: ENOENT, nothing has this name; EACCES, it is another user's, or others may
/// open it; ELOOP, EISDIR, ENXIO, EACCES, it is a symbolic link, a directory, a socket, a pipe; EMFILE, ....
pub fn open(name: &str) -> Result<OwnedFd> {
    const OPERATION: &str = "open name";
    const REMEDY: &str = "it is not what carrick makes: choose another name, or remove it";
    check(name, OPERATION)?;
    let file = sys::open_name(name).map_err(|e| match e.raw_os_error() {
        Some(libc::ENOENT) => failed(&e, name, OPERATION, "create it first, as the same user"),
        Some(libc::EMFILE | libc::ENFILE) => Error::from_io(&e, OPERATION),
        _ => failed(&e, name, OPERATION, REMEDY),
    })?;
    if sys::is_private(file.as_fd()).map_err(|e| Error::from_io(&e, OPERATION))? {
        return Ok(file);
    }
    let remedy =
        "it is no plain file of this user that nobody else may open: choose another name, or remove it";
    Err(failed(&io::Error::from_raw_os_error(libc::EACCES), name, OPERATION, remedy))
}

/// Takes a name away. A process that has the named object keeps it, and another one of the name can be created.
///
/// # Errors
/// `Invalid`: no such name is possible; `Os`: ENOENT, nothing has this name; ....
pub fn remove(name: &str) -> Result<()> {
    const OPERATION: &str = "remove name";
    check(name, OPERATION)?;
    sys::remove_name(name).map_err(|e| {
        let remedy = match e.raw_os_error() {
            Some(libc::ENOENT) => "it may have been removed already",
            Some(libc::EISDIR) => "it is a directory, which carrick does not make: remove it as one",
            Some(libc::EPERM | libc::EACCES) => {
                "it is another user's: choose another name, or have it removed"
            }
            _ => "it stays",
        };
        failed(&e, name, OPERATION, remedy)
    })
}

/// The error of an attach to what has a name with that name, and the remedy.
pub(crate) fn named(error: Error, file: BorrowedFd<'_>) -> Error {
    let (Kind::Invalid, Some(name)) = (error.kind(), sys::name_of(file)) else { return error };
    let words = error.detail().unwrap_or_default();
    let detail = format!(
        "the name '{name}' is of something of another kind or version: {words}; open it as what it was created as, \
         or choose another name"
    );
    error.detailed(detail)
}

/// So many zeros, which are to have a name once what is in them is whole.
pub(crate) fn nameable(name: &str, length: u64, operation: &'static str) -> Result<OwnedFd> {
    check(name, operation)?;
    sys::nameable_file(length).map_err(|e| match e.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Error::from_io(&e, operation),
        Some(libc::ENOSPC) => Error::with_detail(Kind::NoMemory, operation, "/dev/shm is full"),
        _ => failed(&e, name, operation, "names need a tmpfs at /dev/shm that this user may write to"),
    })
}

/// Gives what [`nameable`] made its name.
pub(crate) fn give(name: &str, file: &OwnedFd, operation: &'static str) -> Result<()> {
    sys::name_file(file, name).map_err(|e| {
        let remedy = match e.raw_os_error() {
            Some(libc::EEXIST) => "open it, or remove it first",
            _ => "names need a tmpfs at /dev/shm, and /proc",
        };
        failed(&e, name, operation, remedy)
    })
}
