// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock whose waiters have deadlines: one direction of a connection belongs to one caller at a time,
//! who may hold it for as long as a peer takes.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::time::Deadline;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Turn<T> {
    /// `None` while somebody has it.
    state: Mutex<Option<T>>,
    freed: Condvar,
}

/// The turn; it is given back when this is dropped.
pub(super) struct Held<'a, T> {
    turn: &'a Turn<T>,
    value: Option<T>,
}

impl<T> Turn<T> {
    pub(super) fn new(value: T) -> Self {
        Self { state: Mutex::new(Some(value)), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, operation: &'static str, deadline: Deadline) -> Result<Held<'_, T>> {
        let mut state = self.lock();
        loop {
            if let Some(value) = state.take() {
                return Ok(Held { turn: self, value: Some(value) });
            }
            state = match deadline.remaining() {
                None => self.freed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    let kind = if deadline.is_now() { Kind::WouldBlock } else { Kind::Timeout };
                    return Err(Error::with_detail(
                        kind,
                        operation,
                        "another thread is in the middle of a frame",
                    ));
                }
                Some(left) => self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl<T> Held<'_, T> {
    /// The value; it is there for as long as the turn is held.
    pub(super) fn get(&mut self) -> Result<&mut T> {
        self.value.as_mut().ok_or_else(|| Error::new(Kind::State, "take turn"))
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        *self.turn.lock() = self.value.take();
        self.turn.freed.notify_one();
    }
}
