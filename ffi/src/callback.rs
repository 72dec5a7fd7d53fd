// SPDX-License-Identifier: MIT OR Apache-2.0
//! The functions that C hands over: their types, the user's pointer, and which thread is inside of one.

use crate::request::carrick_request;
use crate::session::carrick_session;
use crate::status::carrick_status;
use carrick::{Error, Kind, Result};
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The server whose handler this thread is inside of; 0 is none.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
    /// Those around it: a handler may serve itself.
    static AROUND: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Marks a thread as running a handler of a server, for calls that would wait for themselves.
pub(crate) struct Inside {
    around: u64,
}

impl Inside {
    pub(crate) fn enter(id: u64) -> Self {
        let around = INSIDE.replace(id);
        if around != 0 {
            let _ = AROUND.try_with(|all| all.borrow_mut().push(around));
        }
        Self { around }
    }

    pub(crate) fn of(id: u64) -> bool {
        INSIDE.get() == id || AROUND.try_with(|all| all.borrow().contains(&id)).unwrap_or(false)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.around);
        if self.around != 0 {
            let _ = AROUND.try_with(|all| all.borrow_mut().pop());
        }
    }
}

/// Handles a connection and returns a status; a negative one is counted as a failure. The connection is closed when
/// it returns.
/// Which thread: one of the server's, or a child process. Concurrent: yes, but in turn. May it block: yes. Forbidden:
/// freeing the server or waiting for it (E_REENTRANT). Lifetime: session until it returns.
pub type carrick_stream_handler_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, session: *const carrick_session) -> carrick_status>;

/// Handles a request, whose body is data; returns a status: a negative one ends the connection and is counted as a
/// failure. Which thread: one of the server's. Concurrent: yes, for different connections. May it block: yes, others
/// are served meanwhile. Forbidden: freeing the server or waiting for it. Lifetime: request and data until it returns.
pub type carrick_message_handler_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        request: *const carrick_request,
        data: *const u8,
        data_len: usize,
    ) -> carrick_status,
>;

/// Handles a datagram; writes at most reply_cap bytes to reply and their number to *reply_len, which is SIZE_MAX
/// before: left so, nothing is sent back. Returns a status; a negative one is counted as a failure.
/// Which thread: the serving one. Concurrent: no. May it block: it holds up the others. Forbidden: freeing the server
/// or waiting for it (E_REENTRANT). Lifetime: all pointers until it returns; peer is text of peer_len bytes.
pub type carrick_datagram_handler_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        data: *const u8,
        data_len: usize,
        peer: *const c_char,
        peer_len: usize,
        reply: *mut u8,
        reply_cap: usize,
        reply_len: *mut usize,
    ) -> carrick_status,
>;

/// Called once when the server lets go of user_data. It may be NULL.
/// Which thread: the one that frees the server or ends serving. May it block: better not.
pub type carrick_drop_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The user's pointer, which C promises to be usable from any thread.
pub(crate) struct UserData {
    pointer: *mut c_void,
    drop: carrick_drop_fn,
    server: u64,
    dropped: AtomicBool,
}

// SAFETY: the header says on which threads handlers run; the caller that passes the pointer answers for its use there.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    /// For a new server, which gets a number of its own.
    pub(crate) fn new(pointer: *mut c_void, drop: carrick_drop_fn) -> Self {
        let server = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { pointer, drop, server, dropped: AtomicBool::new(false) }
    }

    /// Releases the pointer at the end of serving, unless a handler is still inside. A thread that is ending may keep
    /// the handler itself for a moment longer.
    pub(crate) fn after(&self, served: Result<()>) -> Result<()> {
        if !served.as_ref().is_err_and(|error| error.kind() == Kind::Timeout) {
            self.let_go();
        }
        served
    }

    fn let_go(&self) {
        if self.dropped.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(drop) = self.drop {
            let _inside = Inside::enter(self.server);
            // SAFETY: the function came with this pointer for this purpose; the mark makes it run once.
            unsafe { drop(self.pointer) };
        }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }

    pub(crate) fn server(&self) -> u64 {
        self.server
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        self.let_go();
    }
}

pub(crate) fn verdict(status: carrick_status) -> Result<()> {
    if status >= 0 {
        return Ok(());
    }
    Err(Error::with_detail(Kind::Handler, "handle", format!("the handler returned {status}")))
}
