// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in: panics become a code, errors are remembered for this thread.

use crate::handle::{Castable, Handle, give, handle, live};
use crate::memory::{output, write};
use crate::status::carrick_status;
use carrick::{Error, Kind, Result};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// The record of the last failure of a thread.
pub(crate) struct LastError {
    pub(crate) text: String,
    pub(crate) errno: i32,
}

thread_local! {
    static LAST: RefCell<LastError> = const { RefCell::new(LastError { text: String::new(), errno: 0 }) };
}

/// Calls `body` with this thread's last failure; `None` when the thread is ending.
pub(crate) fn with_last<T>(body: impl FnOnce(&LastError) -> T) -> Option<T> {
    LAST.try_with(|last| last.try_borrow().ok().map(|last| body(&last))).ok().flatten()
}

#[cold]
fn remember(error: &Error) -> carrick_status {
    // A thread that is ending has no place to remember in; the code is returned all the same.
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.text = error.to_string();
            last.errno = error.os_code().unwrap_or(0);
        }
    });
    error.kind().code()
}

/// Runs an export that has no handle.
pub(crate) fn boundary(operation: &'static str, body: impl FnOnce() -> Result<()>) -> carrick_status {
    match guarded(body) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => remember(&error),
        Err(_) => remember(&Error::new(Kind::Panic, operation)),
    }
}

fn guarded<T>(body: impl FnOnce() -> T) -> std::thread::Result<T> {
    catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "panic-test")]
        crate::panic_test::panic_if_armed();
        body()
    }))
}

/// Runs an export on a handle; a panic poisons it.
pub(crate) fn on<C: Castable>(
    pointer: *const C,
    operation: &'static str,
    body: impl FnOnce(&C::Rust) -> Result<()>,
) -> carrick_status {
    run(handle(pointer, operation), operation, body)
}

/// Runs an export that a poisoned handle allows too: closing it.
pub(crate) fn on_any<C: Castable>(
    pointer: *const C,
    operation: &'static str,
    body: impl FnOnce(&C::Rust) -> Result<()>,
) -> carrick_status {
    run(live(pointer, operation), operation, body)
}

/// Fills an output.
pub(crate) fn fill<T>(
    out: *mut T,
    name: &'static str,
    operation: &'static str,
    body: impl FnOnce() -> Result<T>,
) -> carrick_status {
    boundary(operation, || {
        output(out, name, operation)?;
        write(out, body()?);
        Ok(())
    })
}

/// Makes something and gives it to C.
pub(crate) fn make<C: Castable>(
    out: *mut *mut C,
    name: &'static str,
    operation: &'static str,
    body: impl FnOnce() -> Result<C::Rust>,
) -> carrick_status {
    fill(out, name, operation, || body().map(give))
}

/// Runs an export on a handle that fills one output.
pub(crate) fn ask<C: Castable, T>(
    pointer: *const C,
    out: *mut T,
    name: &'static str,
    operation: &'static str,
    body: impl FnOnce(&C::Rust) -> Result<T>,
) -> carrick_status {
    on(pointer, operation, |value| {
        output(out, name, operation)?;
        write(out, body(value)?);
        Ok(())
    })
}

fn run<T>(
    handle: Result<&Handle<T>>,
    operation: &'static str,
    body: impl FnOnce(&T) -> Result<()>,
) -> carrick_status {
    let handle = match handle {
        Ok(handle) => handle,
        Err(error) => return remember(&error),
    };
    match guarded(|| body(&handle.value)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => remember(&error),
        Err(_) => {
            handle.poisoned.store(true, Ordering::SeqCst);
            remember(&Error::new(Kind::Panic, operation))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::{free, give};
    use crate::stream::carrick_stream;

    #[test]
    fn a_panic_becomes_a_code() {
        let status = boundary("test", || panic!("on purpose"));
        assert_eq!(status, Kind::Panic.code());
        assert_eq!(with_last(|last| last.text.contains("internal panic")), Some(true));
    }

    #[test]
    fn a_panic_poisons_the_handle_and_it_can_still_be_freed() {
        let (left, _right) = carrick::Stream::pair().unwrap();
        let pointer: *mut carrick_stream = give(left);
        assert_eq!(on(pointer.cast_const(), "test", |_| panic!("on purpose")), Kind::Panic.code());
        assert_eq!(on(pointer.cast_const(), "test", |_| Ok(())), Kind::Panic.code());
        assert_eq!(on_any(pointer.cast_const(), "test", |_| Ok(())), 0);
        free(pointer);
    }
}
