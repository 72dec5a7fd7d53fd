// SPDX-License-Identifier: MIT OR Apache-2.0
//! Authentication: both ends of a new connection prove that they have the same key.
//!
//! # What it protects against, and what it does not
//! A peer without the key cannot get past the handshake, cannot learn the key from it, and cannot hold up
//! anybody but itself (deadlines are the caller's, 10 s unless told otherwise). Digests are compared in
//! constant time, keys are wiped when dropped, and whatever a peer did wrong it is told the same thing.
//! The data *after* the handshake is neither encrypted nor authenticated: an attacker that can change packets
//! on the way can take the connection over. Use TLS, or a Unix socket, where that matters.
//!
//! # The exchanges
//! [`Scheme::Multiprocessing`] is mutual and is what CPython's `multiprocessing.connection` speaks, in both
//! its dialects; [`Scheme::Course`] is one-sided: 32 random bytes raw, the raw digest back. `challenge` has
//! them as state machines without input or output, docs/wire.md the bytes, and facts about versions.
//!
//! # Reflection
//! A fake server that gets two connections from key holders could send the challenge of one as its own
//! on the other. Each challenge of ours is therefore remembered, with the role it was issued in, for as
//! long as its exchange runs; in the same role no challenge of our own is answered. (In the other role it
//! must be: a process may well connect to itself.)

mod challenge;
mod exchange;
mod gate;
mod greeting;
mod issued;
mod mac;

pub use challenge::{Answer, Challenge, Policy, Role, Scheme, Step};
pub use exchange::{AuthOptions, HANDSHAKE_TIMEOUT, authenticate, connect};
pub use gate::Gate;
pub(crate) use greeting::{Fed, Greeting};
pub use mac::{Digest, Key, Mac, Tag, constant_time_eq, mac};
