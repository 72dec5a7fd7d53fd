// SPDX-License-Identifier: MIT OR Apache-2.0
//! The error table: every way a carrick call can fail, kept once.
//!
//! One row of [`error_kinds!`] gives a kind its number in C, its names, its text, the `errno` it stands
//! for and the Python class it becomes. The C constants, the Python classes and docs/errors.md are held
//! equal to this table by tests. Numbers are grouped by family and never used twice; a retired number
//! stays listed with the word *retired*.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $text:literal, $errno:expr, $python:literal;)+) => {
        /// The kind of a failure, as a stable word a program can match on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $variant,)+
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];

            /// The code of this kind in the C face: always negative.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self { $(Kind::$variant => $code,)+ }
            }

            /// The name of the C constant, less its `CARRICK_` prefix.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)+ }
            }

            /// One plain phrase for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Kind::$variant => $text,)+ }
            }

            /// The `errno` this kind stands for, where there is one.
            #[must_use]
            pub const fn errno(self) -> Option<i32> {
                match self { $(Kind::$variant => $errno,)+ }
            }

            /// The standard Python exception that callers expect for this kind, as `module.Class`.
            #[must_use]
            pub const fn python_class(self) -> &'static str {
                match self { $(Kind::$variant => $python,)+ }
            }

            /// The kind with this C code, if there is one.
            #[must_use]
            pub const fn from_code(code: i32) -> Option<Kind> {
                match code { $($code => Some(Kind::$variant),)+ _ => None }
            }
        }
    };
}

error_kinds! {
    // -1 .. -19: how the call was made
    /// An argument is out of its range; the message names it, its value and the range.
    Invalid = -1, "E_INVALID", "invalid argument", Some(libc::EINVAL), "builtins.ValueError";
    /// A pointer that must not be NULL is NULL (C only).
    Null = -2, "E_NULL", "pointer is NULL", Some(libc::EFAULT), "builtins.ValueError";
    /// The caller's buffer is too small; the needed length is reported and nothing is lost.
    Buffer = -3, "E_BUFFER", "buffer too small", Some(libc::ENOBUFS), "multiprocessing.context.BufferTooShort";
    /// An options struct is of a version this library does not know (C only).
    Version = -4, "E_VERSION", "struct version not supported", Some(libc::EPROTONOSUPPORT), "builtins.ValueError";
    /// Memory could not be had.
    NoMemory = -5, "E_NOMEMORY", "out of memory", Some(libc::ENOMEM), "builtins.MemoryError";
    /// A bug: code of ours or of a handler panicked; the handle can only be closed and freed.
    Panic = -6, "E_PANIC", "internal panic", None, "builtins.RuntimeError";
    /// The call is forbidden where it was made, for example inside a callback.
    Reentrant = -7, "E_REENTRANT", "not allowed from inside this callback", Some(libc::EDEADLK), "builtins.RuntimeError";
    /// The handle belongs to the parent process and cannot be used after fork.
    Forked = -8, "E_FORKED", "handle belongs to the process before fork", None, "builtins.RuntimeError";
    /// The call does not fit the state of the object, for example a server started twice.
    State = -9, "E_STATE", "not possible in this state", None, "builtins.RuntimeError";

    // -20 .. -39: waiting
    /// The object was closed, by this caller or by another thread.
    Closed = -20, "E_CLOSED", "closed", Some(libc::EBADF), "builtins.OSError";
    /// The deadline passed.
    Timeout = -21, "E_TIMEOUT", "timed out", Some(libc::ETIMEDOUT), "builtins.TimeoutError";
    /// Nothing can be done at once and the caller asked not to wait.
    WouldBlock = -22, "E_WOULD_BLOCK", "operation would block", Some(libc::EAGAIN), "builtins.BlockingIOError";
    /// A signal ended the wait, because the interrupt hook said so.
    Interrupted = -23, "E_INTERRUPTED", "interrupted", Some(libc::EINTR), "builtins.InterruptedError";
    /// There is no room for one more.
    Full = -24, "E_FULL", "full", None, "queue.Full";
    /// There is nothing to take.
    Empty = -25, "E_EMPTY", "empty", None, "queue.Empty";

    // -40 .. -49: frames
    /// The peer closed the connection between two frames.
    Eof = -40, "E_EOF", "end of stream", None, "builtins.EOFError";
    /// The peer closed the connection inside a frame, or the frame's head makes no sense.
    BadFrame = -41, "E_BAD_FRAME", "malformed frame", Some(libc::EBADMSG), "builtins.OSError";
    /// The frame is longer than the cap of its format or connection.
    FrameTooLarge = -42, "E_FRAME_TOO_LARGE", "frame over the cap", Some(libc::EMSGSIZE), "builtins.OSError";

    // -50 .. -59: authentication
    /// The peer could not prove that it has the key, or broke the exchange.
    AuthFailed = -50, "E_AUTH_FAILED", "authentication failed", None, "multiprocessing.context.AuthenticationError";
    /// No digest has this name.
    UnknownDigest = -51, "E_UNKNOWN_DIGEST", "unknown digest", None, "builtins.ValueError";

    // -60 .. -69: other processes and threads
    /// The process that held this died while holding it.
    OwnerDied = -60, "E_OWNER_DIED", "owner died", Some(libc::EOWNERDEAD), "builtins.OSError";
    /// The worker that ran this task died.
    WorkerDied = -61, "E_WORKER_DIED", "worker died", None, "builtins.RuntimeError";
    /// The object was broken by somebody's failure or abort.
    Broken = -62, "E_BROKEN", "broken", None, "threading.BrokenBarrierError";
    /// A handler returned an error of its own.
    Handler = -63, "E_HANDLER", "handler failed", None, "builtins.RuntimeError";
    /// Memory that processes share holds what no program of this library writes.
    Corrupt = -64, "E_CORRUPT", "shared memory is corrupted", None, "builtins.OSError";

    // -80: the operating system
    /// The operating system refused; the code is its `errno`.
    Os = -80, "E_OS", "operating system error", None, "builtins.OSError";
}

/// The result of carrick's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation: its kind, what was being done, and the cause where there is one.
///
/// It prints as `operation: text: cause`. No message holds a byte of a key.
///
/// # Example
/// ```
/// use carrick::{Error, Kind};
/// let error = Error::new(Kind::Timeout, "receive frame");
/// assert_eq!(error.kind(), Kind::Timeout);
/// assert_eq!(error.to_string(), "receive frame: timed out");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    operation: &'static str,
    detail: Option<String>,
    os: Option<i32>,
    needed: Option<u64>,
    subject: Option<String>,
}

impl Error {
    /// An error of `kind` in `operation`.
    #[must_use]
    #[cold]
    pub fn new(kind: Kind, operation: &'static str) -> Self {
        Self(Box::new(Inner { kind, operation, detail: None, os: kind.errno(), needed: None, subject: None }))
    }

    /// The same with words on the values involved and the remedy.
    #[must_use]
    #[cold]
    pub fn with_detail(kind: Kind, operation: &'static str, detail: impl Into<String>) -> Self {
        let mut error = Self::new(kind, operation);
        error.0.detail = Some(detail.into());
        error
    }

    /// An error for an `errno` of the operating system.
    #[must_use]
    #[cold]
    pub fn from_os(errno: i32, operation: &'static str) -> Self {
        let kind = match errno {
            libc::EAGAIN => Kind::WouldBlock,
            libc::EINTR => Kind::Interrupted,
            libc::ENOMEM => Kind::NoMemory,
            _ => Kind::Os,
        };
        let mut error = Self::new(kind, operation);
        error.0.os = Some(errno);
        error
    }

    #[cold]
    pub(crate) fn from_io(error: &io::Error, operation: &'static str) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::from_os(errno, operation),
            None => Self::with_detail(kind_of_io(error.kind()), operation, error.to_string()),
        }
    }

    #[cold]
    pub(crate) fn too_small(operation: &'static str, needed: u64, given: usize) -> Self {
        let mut error = Self::with_detail(
            Kind::Buffer,
            operation,
            format!(
                "{needed} bytes are needed and {given} were given; what is to be received stays: call again with more"
            ),
        );
        error.0.needed = Some(needed);
        error
    }

    #[cold]
    pub(crate) fn cut_short(operation: &'static str, length: u64, given: usize) -> Self {
        let mut error = Self::with_detail(
            Kind::Buffer,
            operation,
            format!(
                "a datagram of {length} bytes for a buffer of {given}; its rest is lost: give a larger buffer"
            ),
        );
        error.0.needed = Some(length);
        error
    }

    /// The same error with words on the values involved.
    #[must_use]
    pub(crate) fn detailed(mut self, detail: String) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// The same error with the file, name or address that it is about.
    #[must_use]
    pub(crate) fn about(mut self, subject: impl Into<String>) -> Self {
        self.0.subject = Some(subject.into());
        self
    }

    /// The path, name or address that the call was given and that the error is about, if there is one.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// The kind of the failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The `errno` behind the error, or the one its kind stands for.
    #[must_use]
    pub fn os_code(&self) -> Option<i32> {
        self.0.os
    }

    /// For [`Kind::Buffer`]: how many bytes would have been enough.
    #[must_use]
    pub fn needed(&self) -> Option<u64> {
        self.0.needed
    }

    /// The words on the values involved, if any.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }
}

fn kind_of_io(kind: io::ErrorKind) -> Kind {
    match kind {
        io::ErrorKind::TimedOut => Kind::Timeout,
        io::ErrorKind::WouldBlock => Kind::WouldBlock,
        io::ErrorKind::Interrupted => Kind::Interrupted,
        io::ErrorKind::InvalidInput => Kind::Invalid,
        io::ErrorKind::UnexpectedEof => Kind::BadFrame,
        io::ErrorKind::OutOfMemory => Kind::NoMemory,
        _ => Kind::Os,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.kind.text())?;
        if let Some(detail) = &self.0.detail {
            return write!(f, ": {detail}");
        }
        match (self.0.kind, self.0.os) {
            (Kind::Os, Some(errno)) => write!(f, ": {}", io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("detail", &self.0.detail)
            .field("os", &self.0.os)
            .finish()
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match (error.kind(), error.os_code()) {
            (Kind::Os, Some(errno)) => io::Error::from_raw_os_error(errno),
            (Kind::Timeout, _) => io::Error::new(io::ErrorKind::TimedOut, error),
            (Kind::WouldBlock, _) => io::Error::new(io::ErrorKind::WouldBlock, error),
            (Kind::Interrupted, _) => io::Error::new(io::ErrorKind::Interrupted, error),
            (Kind::Invalid, _) => io::Error::new(io::ErrorKind::InvalidInput, error),
            (Kind::Eof | Kind::BadFrame, _) => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            _ => io::Error::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_and_names_are_unique_and_negative() {
        let codes: HashSet<i32> = Kind::ALL.iter().map(|k| k.code()).collect();
        let names: HashSet<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(kind.code() < 0);
            assert_eq!(Kind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(Kind::from_code(0), None);
    }

    #[test]
    fn an_os_error_keeps_its_errno_and_prints_its_text() {
        let error = Error::from_os(libc::ECONNREFUSED, "connect");
        assert_eq!(error.kind(), Kind::Os);
        assert_eq!(error.os_code(), Some(libc::ECONNREFUSED));
        assert!(error.to_string().starts_with("connect: operating system error: Connection refused"));
        assert_eq!(error.subject(), None);
        assert_eq!(error.about("here").subject(), Some("here"));
    }
}
