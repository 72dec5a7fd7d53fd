// SPDX-License-Identifier: MIT OR Apache-2.0
//! A switch that makes the next export panic. It is in the library of tests/c/panics.c only, never in one that is
//! shipped: the feature is off, and ci/c_tests.sh checks the names that the shipped library exports.

use std::cell::Cell;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn panic_if_armed() {
    if ARMED.replace(false) {
        // Not panic!(): what it would print 90 times over hides what matters in a test's output.
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

/// Makes the next export that this thread calls panic inside its boundary.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_test_panic_next() {
    ARMED.set(true);
}

/// 1 if no export has panicked on this thread since [`carrick_test_panic_next`], and none will.
#[unsafe(no_mangle)]
pub extern "C" fn carrick_test_panic_is_armed() -> i32 {
    i32::from(ARMED.replace(false))
}
