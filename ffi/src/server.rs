// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers: one handle type for the three kinds, which differ in how they are made and in their handlers.

use crate::address::{parse, put};
use crate::auth::carrick_auth_options;
use crate::boundary::{boundary, on, on_any};
use crate::callback::{
    Inside, UserData, carrick_datagram_handler_fn, carrick_drop_fn, carrick_message_handler_fn,
    carrick_stream_handler_fn, verdict,
};
use crate::connection::carrick_format;
use crate::handle::{Handle, free, give, live, null, opaque};
use crate::listener::carrick_listen_options;
use crate::memory::{copy_out, options, output, write};
use crate::request::{Borrowed, carrick_request};
use crate::server_options::{carrick_message_server_options, carrick_stream_server_options};
use crate::session::{Session, carrick_session};
use crate::status::carrick_status;
use crate::stream::carrick_stream;
use carrick::server::{
    self, DatagramOptions, DatagramServer, MessageHandler, MessageOptions, MessageServer, Mode, Overload,
    Request, ServerHandle, StreamOptions, StreamServer,
};
use carrick::{Address, Deadline, Error, Kind, Result};
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server. Thread word: ANY.
pub struct carrick_server {
    _opaque: [u8; 0],
}
opaque!(carrick_server => Server, b"ck-serve");

type Serve = Box<dyn FnOnce() -> Result<()> + Send>;

pub(crate) struct Server {
    id: u64,
    handle: ServerHandle,
    serve: Mutex<Option<Serve>>,
    thread: Mutex<Option<JoinHandle<Result<()>>>>,
    /// How serving on a thread of its own ended, until somebody asks.
    outcome: Mutex<Option<Result<()>>>,
    pid: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections that there is no room for wait in the kernel's queue.
pub const CARRICK_OVERLOAD_BLOCK: i32 = 0;
/// Connections that there is no room for are closed at once.
pub const CARRICK_OVERLOAD_REJECT: i32 = 1;

/// Handlers run one after the other.
pub const CARRICK_MODE_IN_TURN: i32 = 0;
/// Handlers run side by side, on at most max_handlers threads.
pub const CARRICK_MODE_THREADS: i32 = 1;
/// Each handler runs in a child process made by fork, at most max_handlers at a time.
pub const CARRICK_MODE_PROCESSES: i32 = 2;

fn overload(value: i32) -> Result<Overload> {
    match value {
        CARRICK_OVERLOAD_BLOCK => Ok(Overload::Block),
        CARRICK_OVERLOAD_REJECT => Ok(Overload::Reject),
        _ => Err(Error::with_detail(Kind::Invalid, "make server", format!("overload {value}; it is 0 or 1"))),
    }
}

fn span(nanos: i64) -> Duration {
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

fn limit(nanos: i64) -> Option<Duration> {
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

fn make(id: u64, handle: ServerHandle, serve: Serve) -> *mut carrick_server {
    give(Server {
        id,
        handle,
        serve: Mutex::new(Some(serve)),
        thread: Mutex::new(None),
        outcome: Mutex::new(None),
        pid: std::process::id(),
    })
}

/// Binds a server with a blocking handler per connection; options may be NULL. out_server is OWNED. user_data is
/// handed to the handler; drop_user_data is called with it at the end, but not if this call fails.
/// Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stream_server_bind(
    address: *const c_char,
    address_len: usize,
    options: *const carrick_stream_server_options,
    handler: carrick_stream_handler_fn,
    user_data: *mut c_void,
    drop_user_data: carrick_drop_fn,
    out_server: *mut *mut carrick_server,
) -> carrick_status {
    const OPERATION: &str = "make stream server";
    boundary(OPERATION, || {
        output(out_server, "out_server", OPERATION)?;
        let handler = handler.ok_or_else(|| null(OPERATION, "handler"))?;
        let address = parse(address, address_len, OPERATION)?;
        let o = self::options(options, carrick_stream_server_options::defaults(), OPERATION)?;
        let options = StreamOptions {
            listen: carrick_listen_options::read(o.listen)?,
            mode: match o.mode {
                CARRICK_MODE_IN_TURN => Mode::InTurn,
                CARRICK_MODE_THREADS => Mode::Threads(o.max_handlers),
                CARRICK_MODE_PROCESSES => Mode::Processes(o.max_handlers),
                other => {
                    return Err(Error::with_detail(
                        Kind::Invalid,
                        OPERATION,
                        format!("mode {other}; it is 0, 1 or 2"),
                    ));
                }
            },
            overload: overload(o.overload)?,
            auth: if o.auth.is_null() { None } else { Some(carrick_auth_options::read(o.auth, OPERATION)?) },
            drain: span(o.drain_ns),
        };
        let server = StreamServer::bind(&address, options)?;
        let user = Arc::new(UserData::new(user_data, drop_user_data));
        let id = user.server();
        let handle = server.handle();
        let serve = move || {
            let mine = Arc::clone(&user);
            mine.after(server.serve(move |session: &server::Session<'_>| {
                let user = &user;
                let _inside = Inside::enter(user.server());
                let stream = Handle::borrowed::<carrick_stream>(session.stream.clone());
                let session =
                    Handle::borrowed::<carrick_session>(Session { stream, peer: session.peer.clone() });
                // SAFETY: the caller gave this function for this purpose; the session outlives the call.
                verdict(unsafe { handler(user.pointer(), session.as_c::<carrick_session>()) })
            }))
        };
        write(out_server, make(id, handle, Box::new(serve)));
        Ok(())
    })
}

/// Binds an event-driven server of framed requests; options may be NULL. out_server is OWNED. user_data is handed to
/// the handler; drop_user_data is called with it at the end, but not if this call fails.
/// Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_message_server_bind(
    address: *const c_char,
    address_len: usize,
    options: *const carrick_message_server_options,
    handler: carrick_message_handler_fn,
    user_data: *mut c_void,
    drop_user_data: carrick_drop_fn,
    out_server: *mut *mut carrick_server,
) -> carrick_status {
    const OPERATION: &str = "make message server";
    boundary(OPERATION, || {
        output(out_server, "out_server", OPERATION)?;
        let handler = handler.ok_or_else(|| null(OPERATION, "handler"))?;
        let address = parse(address, address_len, OPERATION)?;
        let o = self::options(options, carrick_message_server_options::defaults(), OPERATION)?;
        let options = MessageOptions {
            listen: carrick_listen_options::read(o.listen)?,
            format: carrick_format::read(o.format, OPERATION)?,
            auth: if o.auth.is_null() { None } else { Some(carrick_auth_options::read(o.auth, OPERATION)?) },
            max_connections: o.max_connections,
            overload: overload(o.overload)?,
            request_timeout: limit(o.request_timeout_ns),
            idle_timeout: limit(o.idle_timeout_ns),
            max_unsent: o.max_unsent,
            max_threads: o.max_threads,
            drain: span(o.drain_ns),
        };
        let server = MessageServer::bind(&address, options)?;
        let user = Arc::new(UserData::new(user_data, drop_user_data));
        let id = user.server();
        let handle = server.handle();
        let serve = move || {
            let mine = Arc::clone(&user);
            mine.after(server.serve(MessageCallback { handler, user }))
        };
        write(out_server, make(id, handle, Box::new(serve)));
        Ok(())
    })
}

/// A message handler of C's.
struct MessageCallback {
    handler: unsafe extern "C" fn(*mut c_void, *const carrick_request, *const u8, usize) -> carrick_status,
    user: Arc<UserData>,
}

impl MessageHandler for MessageCallback {
    fn handle(&self, request: &mut Request<'_>) -> Result<()> {
        let body = request.body();
        let lent = Handle::borrowed::<carrick_request>(Borrowed::new(request));
        let request = lent.as_c::<carrick_request>();
        // SAFETY: the caller gave this function for this purpose; request and body outlive the call.
        verdict(unsafe { (self.handler)(self.user.pointer(), request, body.as_ptr(), body.len()) })
    }

    fn around(&self, requests: impl FnOnce() -> Result<()>) -> Result<()> {
        let _inside = Inside::enter(self.user.server());
        requests()
    }
}

/// The longest reply of a datagram handler.
const REPLY_MAX: usize = 65_507;

/// Binds a server of datagrams of at most max_length bytes (0: 65,535). out_server is OWNED. user_data is handed to the
/// handler; drop_user_data is called with it at the end, but not if this call fails.
/// Codes: E_INVALID, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_datagram_server_bind(
    address: *const c_char,
    address_len: usize,
    max_length: usize,
    handler: carrick_datagram_handler_fn,
    user_data: *mut c_void,
    drop_user_data: carrick_drop_fn,
    out_server: *mut *mut carrick_server,
) -> carrick_status {
    const OPERATION: &str = "make datagram server";
    boundary(OPERATION, || {
        output(out_server, "out_server", OPERATION)?;
        let handler = handler.ok_or_else(|| null(OPERATION, "handler"))?;
        let address = parse(address, address_len, OPERATION)?;
        let mut options = DatagramOptions::default();
        if max_length > 0 {
            options.max_length = max_length;
        }
        let server = DatagramServer::bind(&address, options)?;
        let user = Arc::new(UserData::new(user_data, drop_user_data));
        let id = user.server();
        let handle = server.handle();
        let serve = move || {
            let mine = Arc::clone(&user);
            // For the one thread that serves.
            let room = Mutex::new(vec![0; REPLY_MAX]);
            mine.after(server.serve(move |data: &[u8], peer: &Address| {
                let user = &user;
                let _inside = Inside::enter(user.server());
                let peer = peer.to_string();
                let mut reply = lock(&room);
                let mut length = usize::MAX;
                // SAFETY: the caller gave this function for this purpose; all memory outlives the call.
                let status = unsafe {
                    handler(
                        user.pointer(),
                        data.as_ptr(),
                        data.len(),
                        peer.as_ptr().cast(),
                        peer.len(),
                        reply.as_mut_ptr(),
                        REPLY_MAX,
                        &raw mut length,
                    )
                };
                verdict(status)?;
                if length == usize::MAX {
                    return Ok(None);
                }
                let reply = reply.get(..length).ok_or_else(|| {
                    Error::with_detail(
                        Kind::Handler,
                        "handle",
                        format!("a reply of {length} bytes for a buffer of {REPLY_MAX}"),
                    )
                })?;
                Ok(Some(reply.to_vec()))
            }))
        };
        write(out_server, make(id, handle, Box::new(serve)));
        Ok(())
    })
}

impl Server {
    fn take(&self, operation: &'static str) -> Result<Serve> {
        self.check_pid(operation)?;
        lock(&self.serve).take().ok_or_else(|| {
            Error::with_detail(Kind::State, operation, "this server is serving, or has served: make another")
        })
    }

    fn check_pid(&self, operation: &'static str) -> Result<()> {
        if self.pid == std::process::id() { Ok(()) } else { Err(Error::new(Kind::Forked, operation)) }
    }

    /// Waits for the serving thread, which is about to end.
    fn join(&self) {
        // Held while joining, so that everyone who waits sees the end.
        let mut thread = lock(&self.thread);
        if let Some(thread) = thread.take() {
            let ended = thread.join().unwrap_or_else(|_| Err(Error::new(Kind::Panic, "serve")));
            *lock(&self.outcome) = Some(ended);
        }
    }

    /// For what waits until handlers have returned: one of them must not.
    fn check_outside(&self, operation: &'static str) -> Result<()> {
        self.check_pid(operation)?;
        if !Inside::of(self.id) {
            return Ok(());
        }
        Err(Error::with_detail(
            Kind::Reentrant,
            operation,
            "this thread runs a handler of the server, which would wait for itself: \
             use carrick_server_request_shutdown",
        ))
    }
}

/// Serves on the calling thread until the server is shut down.
/// Codes: E_STATE (it serves or has served), E_TIMEOUT (a handler has not returned by the drain deadline), E_FORKED,
/// E_OS, E_NULL. ANY thread, once. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_serve(server: *const carrick_server) -> carrick_status {
    on(server, "serve", |server| server.take("serve")?())
}

/// Serves on a thread of its own; carrick_server_wait tells how it ended.
/// Codes: E_STATE, E_FORKED, E_OS (no thread can be had), E_NULL. ANY thread, once. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_start(server: *const carrick_server) -> carrick_status {
    on(server, "start server", |server| {
        let serve = server.take("start server")?;
        let thread = std::thread::Builder::new().name("carrick-serve".into()).spawn(serve);
        let thread =
            thread.map_err(|e| Error::from_os(e.raw_os_error().unwrap_or(libc::EAGAIN), "start server"))?;
        *lock(&server.thread) = Some(thread);
        Ok(())
    })
}

/// Shuts down and waits for the end: what runs may finish within timeout_ns, then it is cut off. A server that never
/// served is shut down at once.
/// Codes: E_TIMEOUT (a handler did not return although its connection was closed), E_REENTRANT (in a handler of this
/// server), E_FORKED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_shutdown(
    server: *const carrick_server,
    timeout_ns: i64,
) -> carrick_status {
    on(server, "shut down", |server| {
        server.check_outside("shut down")?;
        let unserved = lock(&server.serve).take();
        if unserved.is_some() {
            return Ok(());
        }
        server.handle.shutdown(Deadline::from_nanos(timeout_ns))?;
        server.join();
        Ok(())
    })
}

/// Begins the shutdown and returns at once. ANY thread; safe in a signal handler and in a server's own handler, with a
/// server that is not freed meanwhile.
/// Codes: E_FORKED, E_NULL. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_request_shutdown(server: *const carrick_server) -> carrick_status {
    on_any(server, "request shutdown", |server| {
        server.check_pid("request shutdown")?;
        server.handle.request_shutdown();
        Ok(())
    })
}

/// Cuts everything off at once and returns without waiting for the end.
/// Codes: E_FORKED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_abort(server: *const carrick_server) -> carrick_status {
    on_any(server, "abort server", |server| {
        server.check_pid("abort server")?;
        server.handle.abort();
        Ok(())
    })
}

/// Waits until serving has ended. With a server that was started it returns how it ended.
/// Codes: E_TIMEOUT, E_STATE (it was never started), E_REENTRANT (in a handler of this server), E_FORKED, E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_wait(
    server: *const carrick_server,
    timeout_ns: i64,
) -> carrick_status {
    on(server, "wait for server", |server| {
        server.check_outside("wait for server")?;
        if lock(&server.serve).is_some() {
            return Err(Error::with_detail(Kind::State, "wait for server", "it was never started"));
        }
        server.handle.wait(Deadline::from_nanos(timeout_ns))?;
        server.join();
        lock(&server.outcome).take().unwrap_or(Ok(()))
    })
}

/// Writes where the server listens as text, without a final zero; the port is the one the kernel chose for 0.
/// Codes: E_BUFFER (out_len has the length needed), E_FORKED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_address(
    server: *const carrick_server,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(server, "get address", |server| {
        server.check_pid("get address")?;
        put(server.handle.address(), buffer, buffer_cap, out_len, "get address")
    })
}

/// Place in the statistics: connections accepted, the rejected ones included.
pub const CARRICK_STATS_CONNECTIONS: usize = 0;
/// Place in the statistics: connections open now.
pub const CARRICK_STATS_ACTIVE: usize = 1;
/// Place in the statistics: connections closed at once because there was no room.
pub const CARRICK_STATS_REJECTED: usize = 2;
/// Place in the statistics: requests handled: frames, datagrams, or whole connections of a stream server.
pub const CARRICK_STATS_REQUESTS: usize = 3;
/// Place in the statistics: bytes received.
pub const CARRICK_STATS_BYTES_RECEIVED: usize = 4;
/// Place in the statistics: bytes sent.
pub const CARRICK_STATS_BYTES_SENT: usize = 5;
/// Place in the statistics: handlers that returned a negative status or panicked.
pub const CARRICK_STATS_FAILURES: usize = 6;
/// Place in the statistics: connections whose peer could not authenticate in time.
pub const CARRICK_STATS_AUTH_FAILURES: usize = 7;
/// Place in the statistics: connections cut off for breaking a limit: a frame over the cap, too slow, not reading.
pub const CARRICK_STATS_LIMIT_FAILURES: usize = 8;
/// Place in the statistics: failures of accept itself, such as no descriptors left.
pub const CARRICK_STATS_ACCEPT_FAILURES: usize = 9;
/// Place in the statistics: nanoseconds spent in handlers, of all threads together.
pub const CARRICK_STATS_HANDLER_NANOS: usize = 10;
/// The number of counters that carrick_server_stats writes today.
pub const CARRICK_STATS_COUNT: usize = 11;

/// Writes up to stats_cap counters, each at its CARRICK_STATS_... place: connections accepted, connections open now,
/// connections rejected, requests handled,
/// bytes received, bytes sent, handlers that failed, failed authentications, connections cut off for breaking a limit,
/// failures of accept, nanoseconds spent in handlers. Later versions may have more. out_count is how many were written.
/// Codes: E_FORKED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_stats(
    server: *const carrick_server,
    stats: *mut u64,
    stats_cap: usize,
    out_count: *mut usize,
) -> carrick_status {
    on(server, "get statistics", |server| {
        server.check_pid("get statistics")?;
        output(out_count, "out_count", "get statistics")?;
        if stats.is_null() && stats_cap > 0 {
            return Err(null("get statistics", "stats"));
        }
        let items = server.handle.stats().items();
        let count = items.len().min(stats_cap);
        for (i, (_, value)) in items.iter().take(count).enumerate() {
            // The caller's array has stats_cap places.
            write(stats.wrapping_add(i), *value);
        }
        write(out_count, count);
        Ok(())
    })
}

/// Writes the name of a counter of carrick_server_stats, without a final zero.
/// Codes: E_INVALID (no such counter), E_BUFFER, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_stats_name(
    index: usize,
    buffer: *mut c_char,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    boundary("get statistics", || {
        let items = server::Stats::default().items();
        let Some((name, _)) = items.get(index) else {
            return Err(Error::with_detail(
                Kind::Invalid,
                "get statistics",
                format!("counter {index} of {}", items.len()),
            ));
        };
        copy_out(name.as_bytes(), buffer.cast(), buffer_cap, out_len, "get statistics")
    })
}

/// Frees a server. One that still serves on a thread of its own is cut off and waited for; in a child of fork it is
/// only forgotten. NULL does nothing; nor does a call in a handler of this server, which carrick_last_error tells (call
/// carrick_server_request_shutdown there and free it elsewhere). Nobody else may be inside. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_server_free(server: *mut carrick_server) {
    let _ = boundary("free", || {
        let Ok(live) = live(server.cast_const(), "free") else { return Ok(()) };
        if live.value.pid != std::process::id() {
            return Ok(());
        }
        live.value.check_outside("free server")?;
        if lock(&live.value.thread).is_some() {
            live.value.handle.abort();
            live.value.join();
        }
        free(server);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_counters_is_the_cores() {
        let places = [
            (CARRICK_STATS_CONNECTIONS, "connections"),
            (CARRICK_STATS_ACTIVE, "active"),
            (CARRICK_STATS_REJECTED, "rejected"),
            (CARRICK_STATS_REQUESTS, "requests"),
            (CARRICK_STATS_BYTES_RECEIVED, "bytes_received"),
            (CARRICK_STATS_BYTES_SENT, "bytes_sent"),
            (CARRICK_STATS_FAILURES, "failures"),
            (CARRICK_STATS_AUTH_FAILURES, "auth_failures"),
            (CARRICK_STATS_LIMIT_FAILURES, "limit_failures"),
            (CARRICK_STATS_ACCEPT_FAILURES, "accept_failures"),
            (CARRICK_STATS_HANDLER_NANOS, "handler_nanos"),
        ];
        let items = server::Stats::default().items();
        assert_eq!(items.len(), CARRICK_STATS_COUNT);
        assert_eq!(items.len(), places.len());
        for (index, (place, name)) in places.iter().enumerate() {
            assert_eq!((*place, *name), (index, items[index].0));
        }
    }
}
