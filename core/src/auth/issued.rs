// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which challenges are this process's own.
//!
//! A challenge ends in a mark: a keyed hash of the rest of it, of the role that it was issued in and of the process. So a
//! challenge that comes back is known by itself, and there is no table of challenges, which would need a lock that the
//! child of a fork could find held. A child's challenges are not its parent's: the two may well talk to each other.
//!
//! The mark protects nobody's key. A peer that could forge it would have its own challenge refused.
#![forbid(unsafe_code)]

use super::challenge::{Role, fill_random};
use crate::error::Result;
use crate::sys;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

const MARK: usize = size_of::<u64>();

/// The secret with which this process hashes. Each word is set once; 0 is not yet.
// ORDER issued: each thread goes by the value that was the first to be set, whoever set it.
static SECRET: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Makes a word of the secret if there is none. Nobody waits for anybody who does the same.
#[cold]
fn make_word(word: &AtomicU64) -> Result<u64> {
    let mut random = [0; 8];
    fill_random(&mut random)?;
    let new = u64::from_ne_bytes(random).max(1);
    Ok(word.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|set| set, |_| new))
}

fn mark(role: Role, rest: &[u8]) -> Result<[u8; MARK]> {
    sys::watch_forks();
    let mut hasher = DefaultHasher::new();
    for word in &SECRET {
        match word.load(Ordering::Relaxed) {
            0 => make_word(word)?,
            known => known,
        }
        .hash(&mut hasher);
    }
    (std::process::id(), sys::generation(), role, rest).hash(&mut hasher);
    Ok(hasher.finish().to_ne_bytes())
}

/// Marks a challenge as issued by this process in this role: its last bytes are overwritten, of which enough before them
/// are random.
pub(super) fn sign(role: Role, challenge: &mut [u8]) -> Result<()> {
    if let Some((rest, end)) = challenge.split_last_chunk_mut::<MARK>() {
        *end = mark(role, rest)?;
    }
    Ok(())
}

/// Whether this process has issued the challenge in this role.
pub(super) fn is_own(role: Role, challenge: &[u8]) -> Result<bool> {
    let Some((rest, end)) = challenge.split_last_chunk::<MARK>() else { return Ok(false) };
    Ok(mark(role, rest)? == *end)
}
