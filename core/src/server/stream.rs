// SPDX-License-Identifier: MIT OR Apache-2.0
//! A blocking handler per connection.
#![forbid(unsafe_code)]

use super::control::{Control, Overload, ServerHandle, add, run_counted};
use super::crew::{Crew, Next, Source, Spawn};
use super::process;
use crate::auth::{AuthOptions, Role, authenticate};
use crate::blocking::about_to_block;
use crate::error::{Error, Kind, Result};
use crate::frame::{Connection, Format};
use crate::net::{Address, ListenOptions, Listener, Stream};
use crate::sys;
use crate::time::Deadline;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How long accept rests after it failed for want of descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(20);

/// The most descriptors that room is made for in advance.
const DESCRIPTORS: usize = 1024;

/// Where handlers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One connection after the other, on one thread.
    InTurn,
    /// Side by side, on at most this many threads.
    Threads(usize),
    /// Each in a child process made by fork, at most this many at a time. The child has only the thread
    /// that runs the handler, and ends with it; no other thread should hold a lock that the handler needs.
    Processes(usize),
}

/// How a [`StreamServer`] works.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// How its socket is set up.
    pub listen: ListenOptions,
    /// Where handlers run.
    pub mode: Mode,
    /// The treatment of a connection for which there is no thread or process.
    pub overload: Overload,
    /// Authenticate each connection before its handler, which never sees those that fail.
    pub auth: Option<AuthOptions>,
    /// How long running handlers may go on after a shutdown was asked for.
    pub drain: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            listen: ListenOptions::default(),
            mode: Mode::Threads(256),
            overload: Overload::Block,
            auth: None,
            drain: Duration::from_secs(30),
        }
    }
}

/// A connection in the hands of its handler. It is closed when the handler returns.
#[derive(Debug)]
pub struct Session<'a> {
    /// The connection.
    pub stream: &'a Stream,
    /// Where it comes from.
    pub peer: &'a Address,
}

impl Session<'_> {
    /// Frames of `format` over this connection.
    #[must_use]
    pub fn framed(&self, format: Format) -> Connection {
        Connection::new(self.stream.clone(), format)
    }

    /// Takes the connection out of the server's hands: it is not closed when the handler returns, nor by
    /// the end of a drain.
    ///
    /// # Errors
    /// `State` when another thread is using it, `Closed`.
    pub fn take(&self) -> Result<OwnedFd> {
        self.stream.clone().into_fd()
    }

    /// Tells the server that the handler is about to block, so that others are accepted at once. Without
    /// it the server finds out by itself, within some milliseconds.
    pub fn will_block(&self) {
        about_to_block();
    }
}

/// Handles connections. An error it returns is counted and ends the connection, like a panic.
pub trait StreamHandler: Send + Sync + 'static {
    /// Serves one connection, blocking as it likes.
    ///
    /// # Errors
    /// Any error; it is counted as a failure.
    fn handle(&self, session: &Session<'_>) -> Result<()>;
}

impl<F: Fn(&Session<'_>) -> Result<()> + Send + Sync + 'static> StreamHandler for F {
    fn handle(&self, session: &Session<'_>) -> Result<()> {
        self(session)
    }
}

/// A server with a blocking handler per connection.
///
/// # Example
/// ```
/// use carrick::server::{Session, StreamOptions, StreamServer};
/// use carrick::{Deadline, Stream};
/// let server = StreamServer::bind(&"127.0.0.1:0".parse()?, StreamOptions::default())?;
/// let handle = server.handle();
/// let serving = std::thread::spawn(move || {
///     server.serve(|session: &Session<'_>| {
///         let mut buf = [0; 1024];
///         let n = session.stream.recv(&mut buf, Deadline::NEVER)?;
///         session.stream.send_all(&buf[..n].to_ascii_uppercase(), Deadline::NEVER)
///     })
/// });
/// let client = Stream::connect(handle.address(), Deadline::NEVER)?;
/// client.send_all(b"hello", Deadline::NEVER)?;
/// let mut buf = [0; 16];
/// let n = client.recv(&mut buf, Deadline::NEVER)?;
/// assert_eq!(&buf[..n], b"HELLO");
/// handle.shutdown(Deadline::NEVER)?;
/// assert!(serving.join().is_ok_and(|served| served.is_ok()));
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct StreamServer {
    listener: Listener,
    options: StreamOptions,
    control: Arc<Control>,
}

impl StreamServer {
    /// Binds and listens; connections wait in the kernel's queue until [`serve`](Self::serve).
    ///
    /// # Errors
    /// Those of [`Listener::bind`]; `Invalid` for a limit of 0, or for an authentication that cannot succeed.
    pub fn bind(address: &Address, options: StreamOptions) -> Result<Self> {
        let listener = Listener::bind(address, &options.listen)?;
        Self::over(listener, options)
    }

    /// Serves the connections of a listener that exists already.
    ///
    /// # Errors
    /// `Invalid` for a limit of 0, or for an authentication that cannot succeed; `Closed`.
    pub fn over(listener: Listener, options: StreamOptions) -> Result<Self> {
        if let Mode::Threads(0) | Mode::Processes(0) = options.mode {
            return Err(Error::with_detail(
                Kind::Invalid,
                "make server",
                "a limit of 0: allow at least 1 at a time",
            ));
        }
        if let Some(auth) = &options.auth {
            auth.check()?;
        }
        let control = Arc::new(Control::new(listener.local_address()?, listener.berths(), options.drain)?);
        Ok(Self { listener, options, control })
    }

    /// A handle to stop the server and to read its statistics.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { control: Arc::clone(&self.control) }
    }

    /// Serves until the server is shut down, on this thread and those it starts. The listener is closed
    /// at the end.
    ///
    /// # Errors
    /// `Timeout`: a handler did not return by the drain deadline, nor after its connection was closed.
    /// `State`: it has served before.
    pub fn serve(self, handler: impl StreamHandler) -> Result<()> {
        self.serve_on(handler, Box::new(spawn_thread))
    }

    /// Like [`serve`](Self::serve), with threads that `spawn` starts to run the body it is given.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn serve_on(self, handler: impl StreamHandler, spawn: Spawn) -> Result<()> {
        let _serving = self.control.begin()?;
        let limit = match self.options.mode {
            Mode::InTurn => 1,
            Mode::Threads(limit) => limit,
            Mode::Processes(limit) => {
                let result = process::serve(&self.listener, &self.options, limit, &self.control, &handler);
                self.listener.close();
                return result;
            }
        };
        let source = Accepting {
            listener: self.listener,
            auth: self.options.auth,
            handler,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            accepting: Mutex::default(),
        };
        sys::reserve_descriptors(limit.min(DESCRIPTORS));
        let crew = Crew::new(source, Arc::clone(&self.control), limit, self.options.overload, spawn);
        let mut ended = crew.serve();
        // A descriptor that was lent to us is the caller's again when this returns: by then nobody may be about to
        // accept from it. The server is stopping, so whoever is leaves at once.
        crew.source.end_accepting(&self.control);
        crew.source.listener.close();
        if !ended {
            let taken = crew.source.close_all();
            // Also where no handler runs: a worker that was waiting takes a moment to leave. Those whose connection was
            // taken out of our hands take as long as they like.
            ended = crew.linger(Deadline::after(Duration::from_millis(500)), || crew.source.count(&taken));
        }
        if ended {
            Ok(())
        } else {
            Err(Error::with_detail(Kind::Timeout, "serve", "a handler has not returned"))
        }
    }
}

pub(super) fn spawn_thread(body: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
    std::thread::Builder::new().name("carrick-server".into()).spawn(body).map(drop)
}

struct Accepting<H> {
    listener: Listener,
    auth: Option<AuthOptions>,
    handler: H,
    /// The connections that handlers have, so that the end of a drain can close them.
    open: Mutex<HashMap<u64, Stream>>,
    next: AtomicU64,
    /// Held by whoever accepts.
    accepting: Mutex<()>,
}

impl<H> Accepting<H> {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Stream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accepting(&self) -> MutexGuard<'_, ()> {
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody accepts.
    fn end_accepting(&self, control: &Control) {
        while self.accepting.try_lock().is_err_and(|e| matches!(e, TryLockError::WouldBlock)) {
            control.rouse();
            // A signal only makes this shorter.
            let _ = sys::poll(&mut [], Deadline::after(Duration::from_millis(1)));
        }
    }

    /// Closes what handlers still have; returns those that have taken it out of the server's hands.
    fn close_all(&self) -> Vec<u64> {
        let open = self.open();
        let taken = open.iter().filter(|(_, stream)| stream.fd().is_err()).map(|(id, _)| *id).collect();
        for stream in open.values() {
            stream.close();
        }
        taken
    }

    /// How many of these handlers still run.
    fn count(&self, handlers: &[u64]) -> usize {
        let open = self.open();
        handlers.iter().filter(|id| open.contains_key(id)).count()
    }
}

/// Takes the next connection, resting after a failure; `None` when the server stops.
pub(super) fn accept(listener: &Listener, control: &Control) -> Option<(Stream, Address)> {
    while !control.stopping() {
        match listener.accept_or_wake(control.wake_fd(), || control.stopping(), Deadline::NEVER) {
            Ok(accepted) => {
                add(&control.counters.connections, 1);
                return Some(accepted);
            }
            Err(e) if matches!(e.kind(), Kind::Closed | Kind::Interrupted) => return None,
            Err(_) => {
                add(&control.counters.accept_failures, 1);
                let _ = sys::poll(
                    &mut [sys::PollSlot::new(control.wake_fd(), sys::Interest::Read)],
                    Deadline::after(ACCEPT_REST),
                );
            }
        }
    }
    None
}

/// Authenticates, hands over to the handler, counts, closes.
pub(super) fn attend(
    stream: &Stream,
    peer: &Address,
    auth: Option<&AuthOptions>,
    handler: &impl StreamHandler,
    control: &Control,
) {
    let counters = &control.counters;
    if let Some(options) = auth {
        // The peer decides how long this takes.
        about_to_block();
        let connection = Connection::new(stream.clone(), Format::MULTIPROCESSING);
        if authenticate(&connection, Role::Server, options).is_err() {
            add(&counters.auth_failures, 1);
            stream.close();
            return;
        }
    }
    add(&counters.requests, 1);
    run_counted(counters, || handler.handle(&Session { stream, peer }));
    let (received, sent) = stream.traffic();
    add(&counters.bytes_received, received);
    add(&counters.bytes_sent, sent);
    stream.close();
}

impl<H: StreamHandler> Source for Accepting<H> {
    type Job = (Stream, Address);
    type Worker = ();

    fn next(&self, control: &Control) -> Next<Self::Job> {
        let _accepting = self.accepting();
        accept(&self.listener, control).map_or(Next::Stop, Next::Job)
    }

    fn run(&self, (stream, peer): Self::Job, control: &Control, (): &mut ()) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(id, stream.clone());
        add(&control.counters.active, 1);
        attend(&stream, &peer, self.auth.as_ref(), &self.handler, control);
        if control.is_forked() {
            return;
        }
        control.counters.active.fetch_sub(1, Ordering::Relaxed);
        self.open().remove(&id);
    }

    fn turn_away(&self, control: &Control) {
        let moment = Deadline::after(Duration::from_millis(8));
        if let Ok((stream, _)) =
            self.listener.accept_or_wake(control.wake_fd(), || control.stopping(), moment)
        {
            add(&control.counters.connections, 1);
            add(&control.counters.rejected, 1);
            stream.close();
        }
    }
}
