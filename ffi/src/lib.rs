// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C face: translates between C and the crate `carrick`, and holds no logic.
//!
//! `boundary` has the one wrapper that every export goes through, `handle` the typed handles, `memory` what
//! is read from and written to the caller's memory; then one file per module of the core, in the order of
//! the header. The contract is docs/c-api.md; cbindgen turns the comments here into those of the header.
#![expect(non_camel_case_types, reason = "the names are those of C")]
#![expect(clippy::missing_safety_doc, reason = "one contract holds for all exports: docs/c-api.md")]

mod boundary;
mod handle;
mod memory;
#[cfg(feature = "panic-test")]
pub mod panic_test;

pub mod status;

pub mod address;
pub mod auth;
pub mod barrier;
pub mod callback;
pub mod condition;
pub mod connection;
pub mod datagram;
pub mod event;
pub mod fork_server;
pub mod gate;
pub mod listener;
pub mod lock;
pub mod name;
pub mod option;
pub mod poller;
pub mod process;
pub mod queue;
pub mod request;
pub mod semaphore;
pub mod server;
pub mod server_options;
pub mod session;
pub mod stream;

/// Small blocks are available when memory has run out: for an error, first of all.
#[global_allocator]
static ALLOCATOR: carrick::Reserve = carrick::Reserve;
