// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread of a server that is about to sleep in the middle of a job lets another one take the server's work over.
//!
//! Every wait of this crate announces itself here, so handlers that use carrick's sockets need not care.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Somebody who can be told that a job of theirs is about to block.
pub(crate) trait Relief: Send + Sync {
    /// The job with this ticket blocks; tickets of jobs that are over do nothing.
    fn relieve(&self, ticket: u64);
}

thread_local! {
    /// The crew of which this thread is a worker.
    static CREW: RefCell<Option<Arc<dyn Relief>>> = const { RefCell::new(None) };
    /// The ticket of the job that this thread runs with the lead in its hands; 0 is none.
    static TICKET: Cell<u64> = const { Cell::new(0) };
}

/// This thread is a worker of `crew` from here on.
pub(crate) fn join(crew: Arc<dyn Relief>) {
    CREW.set(Some(crew));
}

/// This thread works for nobody from here on.
pub(crate) fn leave() {
    CREW.set(None);
}

/// Runs a job that keeps the lead.
pub(crate) fn run(ticket: u64, job: impl FnOnce()) {
    TICKET.set(ticket);
    job();
    TICKET.set(0);
}

/// Tells the server whose handler runs on this thread that the handler is about to block, so that others
/// are served at once. Without it the server finds out by itself, within some milliseconds. Waits in
/// carrick's own sockets do it for you. Outside a handler it does nothing.
pub fn about_to_block() {
    let ticket = TICKET.replace(0);
    if ticket != 0 {
        CREW.with_borrow(|crew| {
            if let Some(crew) = crew {
                crew.relieve(ticket);
            }
        });
    }
}
