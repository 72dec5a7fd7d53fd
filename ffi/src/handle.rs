// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handles: opaque pointers of C, each tied to its Rust type.

use carrick::{Error, Kind, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// An opaque C type and the Rust value behind it.
pub(crate) trait Castable {
    /// The type of the value that the handle holds.
    type Rust;
    /// The name of the C type, for messages.
    const NAME: &'static str;
    /// Marks live handles of this type in memory.
    const MAGIC: u64;
}

/// The mark comes first in every handle, so that it can be read through a pointer to one of another type.
#[repr(C)]
pub(crate) struct Handle<T> {
    magic: AtomicU64,
    pub(crate) poisoned: AtomicBool,
    /// It lives on the stack of a callback: freeing it does nothing.
    lent: bool,
    pub(crate) value: T,
}

const DEAD: u64 = 0xdead_dead_dead_dead;

/// Declares an opaque type of C.
macro_rules! opaque {
    ($name:ident => $rust:ty, $magic:literal) => {
        impl crate::handle::Castable for $name {
            type Rust = $rust;
            const NAME: &'static str = stringify!($name);
            const MAGIC: u64 = u64::from_le_bytes(*$magic);
        }
    };
}
pub(crate) use opaque;

impl<T> Handle<T> {
    /// A handle that lives on the stack for the length of a callback.
    pub(crate) fn borrowed<C: Castable<Rust = T>>(value: T) -> Self {
        Self::make::<C>(value, true)
    }

    fn make<C: Castable<Rust = T>>(value: T, lent: bool) -> Self {
        Self { magic: AtomicU64::new(C::MAGIC), poisoned: AtomicBool::new(false), lent, value }
    }

    pub(crate) fn as_c<C: Castable<Rust = T>>(&self) -> *const C {
        std::ptr::from_ref(self).cast()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.magic.store(DEAD, Ordering::Relaxed);
    }
}

/// Gives a new handle to C, which owns it from here on.
pub(crate) fn give<C: Castable>(value: C::Rust) -> *mut C {
    Box::into_raw(Box::new(Handle::make::<C>(value, false))).cast()
}

/// The handle behind a pointer, for one call; a poisoned one is refused.
pub(crate) fn handle<'a, C: Castable>(
    pointer: *const C,
    operation: &'static str,
) -> Result<&'a Handle<C::Rust>> {
    let handle = live(pointer, operation)?;
    if handle.poisoned.load(Ordering::SeqCst) {
        return Err(Error::with_detail(
            Kind::Panic,
            operation,
            "an earlier call on this handle panicked: close and free it",
        ));
    }
    Ok(handle)
}

/// The handle behind a pointer, poisoned or not: for closing and freeing.
pub(crate) fn live<'a, C: Castable>(
    pointer: *const C,
    operation: &'static str,
) -> Result<&'a Handle<C::Rust>> {
    if pointer.is_null() {
        return Err(null(operation, C::NAME));
    }
    if !pointer.cast::<Handle<C::Rust>>().is_aligned() {
        return Err(wrong::<C>(operation));
    }
    // SAFETY: by the contract of the header a pointer that is not NULL came from this library and has not
    // been freed; give() made what is behind it. The mark below catches most of what breaks that.
    let handle = unsafe { &*pointer.cast::<Handle<C::Rust>>() };
    if handle.magic.load(Ordering::Relaxed) != C::MAGIC {
        return Err(wrong::<C>(operation));
    }
    Ok(handle)
}

#[cold]
fn wrong<C: Castable>(operation: &'static str) -> Error {
    Error::with_detail(
        Kind::Invalid,
        operation,
        format!("the pointer is to no {}, or to one freed already", C::NAME),
    )
}

#[cold]
pub(crate) fn null(operation: &'static str, name: &str) -> Error {
    Error::with_detail(Kind::Null, operation, name)
}

/// Takes a handle back from C and drops it. NULL does nothing; so does what is no live handle of the type.
pub(crate) fn free<C: Castable>(pointer: *mut C) {
    drop(reclaim(pointer));
}

fn reclaim<C: Castable>(pointer: *mut C) -> Option<Box<Handle<C::Rust>>> {
    if pointer.is_null() || !pointer.cast::<Handle<C::Rust>>().is_aligned() {
        return None;
    }
    // SAFETY: as in live().
    let handle = unsafe { &*pointer.cast::<Handle<C::Rust>>() };
    if handle.magic.load(Ordering::SeqCst) != C::MAGIC || handle.lent {
        return None;
    }
    // The mark is taken away first, so that freeing twice at the same time frees once.
    handle.magic.compare_exchange(C::MAGIC, DEAD, Ordering::SeqCst, Ordering::SeqCst).ok()?;
    // SAFETY: the pointer came from Box::into_raw in give(), and the mark showed that nobody has freed it.
    Some(unsafe { Box::from_raw(pointer.cast::<Handle<C::Rust>>()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::on;
    use crate::stream::carrick_stream;

    #[test]
    fn freeing_what_a_callback_was_lent_does_nothing() {
        let (left, _right) = carrick::Stream::pair().unwrap();
        let lent = Handle::borrowed::<carrick_stream>(left);
        free(lent.as_c::<carrick_stream>().cast_mut());
        assert_eq!(on(lent.as_c::<carrick_stream>(), "test", |_| Ok(())), 0);
    }
}
