// SPDX-License-Identifier: MIT OR Apache-2.0
//! The challenges this process has issued and whose exchanges still run.
#![forbid(unsafe_code)]

use super::challenge::Role;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// A challenge and the role it was issued in.
type Entry = (Role, Vec<u8>);

static ISSUED: LazyLock<Mutex<HashSet<Entry>>> = LazyLock::new(Mutex::default);

fn issued() -> MutexGuard<'static, HashSet<Entry>> {
    ISSUED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A challenge of ours; it is remembered until this is dropped.
#[derive(Debug)]
pub(super) struct Issued {
    entry: Entry,
}

impl Issued {
    pub(super) fn remember(role: Role, payload: &[u8]) -> Self {
        let entry = (role, payload.to_vec());
        issued().insert(entry.clone());
        Self { entry }
    }
}

impl Drop for Issued {
    fn drop(&mut self) {
        issued().remove(&self.entry);
    }
}

pub(super) fn is_own(role: Role, payload: &[u8]) -> bool {
    issued().contains(&(role, payload.to_vec()))
}
