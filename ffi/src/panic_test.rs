// SPDX-License-Identifier: MIT OR Apache-2.0
//! A switch that makes the next export panic. It is in the library of tests/c/panics.c only, never in one that is
//! shipped: the feature is off, and ci/c_tests.sh checks the names that the shipped library exports.

use std::sync::atomic::{AtomicBool, Ordering};

static ARMED: AtomicBool = AtomicBool::new(false);

pub(crate) fn panic_if_armed() {
    if ARMED.swap(false, Ordering::SeqCst) {
        // Not panic!(): what it would print 90 times over hides what matters in a test's output.
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

/// Makes the next export that is called, on whatever thread, panic inside its boundary.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_test_panic_next() {
    ARMED.store(true, Ordering::SeqCst);
}

/// Whether no export has panicked since [`carrick_test_panic_next`].
#[unsafe(no_mangle)]
pub extern "C" fn carrick_test_panic_is_armed() -> i32 {
    i32::from(ARMED.swap(false, Ordering::SeqCst))
}
