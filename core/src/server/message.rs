// SPDX-License-Identifier: MIT OR Apache-2.0
//! Framed request and reply, event-driven.
//!
//! One leader (see `crew`) waits for events of all connections, edge-triggered, and handles what arrives on
//! the spot. Most requests thus cost a share of one wait, one read and one write, and no thread wakes
//! another. A handler that takes long is helped out by the crew, so it holds up its own connection only.
#![forbid(unsafe_code)]

use super::batch::{Alarms, Backlog, Peers};
use super::claim::Claim;
use super::control::{Control, Overload, ServerHandle, add};
use super::crew::{Crew, Next, Source, Spawn};
use super::peer::{Fate, Peer, Request, Scratch, Server};
use super::stream::spawn_thread;
use crate::auth::AuthOptions;
use crate::error::{Error, Kind, Result};
use crate::frame::Format;
use crate::net::{Address, ListenOptions, Listener, Spin};
use crate::sys::{self, Epoll, Event, Interest, OwnWake};
use crate::time::Deadline;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;
/// Only ends the leader's wait, so that it sees a new alarm. No connection has this number.
const NUDGE: u64 = u64::MAX - 2;
/// The most descriptors that room is made for in advance: where there are more, there is time for it.
const DESCRIPTORS: usize = 1 << 16;
/// Connections accepted before those that are open have their turn.
const ACCEPT_BATCH: usize = 64;
/// How long accept rests after it failed for want of descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(20);

/// How a [`MessageServer`] works.
#[derive(Clone, Debug)]
pub struct MessageOptions {
    /// How its socket is set up.
    pub listen: ListenOptions,
    /// The frames it speaks; their cap is the limit of a request and of a reply.
    pub format: Format,
    /// Authenticate each connection before its first request.
    pub auth: Option<AuthOptions>,
    /// The most connections at a time.
    pub max_connections: usize,
    /// The treatment of connections beyond them.
    pub overload: Overload,
    /// How long a request may take from its first byte to its last. `None` is for ever.
    pub request_timeout: Option<Duration>,
    /// How long a connection may be without a request. `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// The bytes of replies that may wait for a client before no more of its requests are read.
    pub max_unsent: usize,
    /// The most threads that slow handlers may take at a time.
    pub max_threads: usize,
    /// How long requests under way may take after a shutdown was asked for.
    pub drain: Duration,
}

impl Default for MessageOptions {
    fn default() -> Self {
        Self {
            listen: ListenOptions::default(),
            format: Format::MULTIPROCESSING,
            auth: None,
            max_connections: 100_000,
            overload: Overload::Block,
            request_timeout: Some(Duration::from_secs(30)),
            idle_timeout: None,
            max_unsent: 1 << 20,
            max_threads: 64,
            drain: Duration::from_secs(30),
        }
    }
}

/// Handles requests. An error it returns is counted and ends the connection, like a panic.
pub trait MessageHandler: Send + Sync + 'static {
    /// Handles one request. It may take its time: others are served meanwhile.
    ///
    /// # Errors
    /// Any error; it is counted as a failure.
    fn handle(&self, request: &mut Request<'_>) -> Result<()>;

    /// Runs `requests`, which handles all that one read of a connection brought, one after the other. A
    /// thread can set up here what its handlers need, once for all of them.
    ///
    /// # Errors
    /// Those of `requests`, which are counted as of a handler.
    fn around(&self, requests: impl FnOnce() -> Result<()>) -> Result<()>
    where
        Self: Sized,
    {
        requests()
    }
}

impl<F: Fn(&mut Request<'_>) -> Result<()> + Send + Sync + 'static> MessageHandler for F {
    fn handle(&self, request: &mut Request<'_>) -> Result<()> {
        self(request)
    }
}

/// An event-driven server of framed requests.
///
/// # Example
/// ```
/// use carrick::server::{MessageOptions, MessageServer, Request};
/// use carrick::{Connection, Deadline, Format, Stream};
/// let server = MessageServer::bind(&"127.0.0.1:0".parse()?, MessageOptions::default())?;
/// let handle = server.handle();
/// let serving = std::thread::spawn(move || {
///     server.serve(|request: &mut Request<'_>| {
///         let answer = request.body().to_ascii_uppercase();
///         request.reply(&answer)
///     })
/// });
/// let client = Connection::new(Stream::connect(handle.address(), Deadline::NEVER)?, Format::default());
/// client.send(b"hello", Deadline::NEVER)?;
/// assert_eq!(client.recv(Deadline::NEVER)?, b"HELLO");
/// handle.shutdown(Deadline::NEVER)?;
/// assert!(serving.join().is_ok_and(|served| served.is_ok()));
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct MessageServer {
    listener: Listener,
    options: MessageOptions,
    control: Arc<Control>,
}

impl MessageServer {
    /// Binds and listens; connections wait in the kernel's queue until [`serve`](Self::serve).
    ///
    /// # Errors
    /// Those of [`Listener::bind`]; `Invalid` for a limit of 0, or for an authentication that cannot succeed.
    pub fn bind(address: &Address, options: MessageOptions) -> Result<Self> {
        let listener = Listener::bind(address, &options.listen)?;
        Self::over(listener, options)
    }

    /// Serves the connections of a listener that exists already.
    ///
    /// # Errors
    /// `Invalid` for a limit of 0, or for an authentication that cannot succeed; `Closed`.
    pub fn over(listener: Listener, options: MessageOptions) -> Result<Self> {
        for (name, value) in
            [("max_connections", options.max_connections), ("max_threads", options.max_threads)]
        {
            if value == 0 {
                return Err(Error::with_detail(
                    Kind::Invalid,
                    "make server",
                    format!("{name} is 0: allow at least 1"),
                ));
            }
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

    /// Serves until the server is shut down, on this thread and those it starts. The listener and all
    /// connections are closed at the end.
    ///
    /// # Errors
    /// `Timeout`: a handler did not return by the drain deadline. `State`: it has served before. `Os` when
    /// no descriptors are left.
    pub fn serve(self, handler: impl MessageHandler) -> Result<()> {
        self.serve_on(handler, Box::new(spawn_thread))
    }

    /// Like [`serve`](Self::serve), with threads that `spawn` starts to run the body it is given.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn serve_on(self, handler: impl MessageHandler, spawn: Spawn) -> Result<()> {
        let _serving = self.control.begin()?;
        let (epoll, nudge) = self.watch()?;
        let limit = self.options.max_threads;
        sys::reserve_descriptors(self.options.max_connections.min(DESCRIPTORS));
        let source = Events {
            epoll,
            listener: self.listener,
            options: self.options,
            handler,
            peers: Mutex::default(),
            alarms: Mutex::default(),
            waiting: Mutex::default(),
            spin: Spin::default(),
            nudge,
            acceptor: Claim::new(),
            accepting: Mutex::new(true),
            rest_until: Mutex::new(None),
            draining: AtomicBool::new(false),
        };
        // Overload is a matter of connections here, not of threads.
        let crew = Crew::new(source, Arc::clone(&self.control), limit, Overload::Block, spawn);
        let mut ended = crew.serve();
        crew.source.listener.close();
        let left = crew.source.peers().all();
        for peer in left {
            peer.cut();
            crew.source.drop_peer(&peer, &self.control);
        }
        if !ended {
            ended = crew.linger(Deadline::after(Duration::from_millis(500)), || 0);
        }
        if ended {
            Ok(())
        } else {
            Err(Error::with_detail(Kind::Timeout, "serve", "a handler has not returned"))
        }
    }

    fn watch(&self) -> Result<(Epoll, OwnWake)> {
        let failed = |e: std::io::Error| Error::from_io(&e, "serve");
        let (epoll, nudge) = (Epoll::new().map_err(failed)?, OwnWake::new().map_err(failed)?);
        epoll.add(self.listener.fd()?, LISTENER, Interest::Read, true).map_err(failed)?;
        epoll.add(self.control.wake_fd(), WAKE, Interest::Read, true).map_err(failed)?;
        epoll.add(nudge.fd(), NUDGE, Interest::Read, true).map_err(failed)?;
        Ok((epoll, nudge))
    }
}

struct Events<H> {
    epoll: Epoll,
    listener: Listener,
    options: MessageOptions,
    handler: H,
    // Lock order: waiting, then peers, then alarms; none is held while a handler runs.
    peers: Mutex<Peers>,
    alarms: Mutex<Alarms>,
    waiting: Mutex<Backlog>,
    spin: Spin,
    nudge: OwnWake,
    acceptor: Claim,
    /// Whether the listener is watched; held while that changes, after `peers` where both are.
    accepting: Mutex<bool>,
    /// Accept rests until then.
    rest_until: Mutex<Option<Instant>>,
    draining: AtomicBool,
}

enum Job {
    Accept,
    /// A connection has something; the word says whether its client has ended it.
    Turn(Arc<Peer>, bool),
    Expire(Arc<Peer>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<H: MessageHandler> Events<H> {
    fn peers(&self) -> MutexGuard<'_, Peers> {
        lock(&self.peers)
    }

    fn watch_listener(&self, on: bool) {
        let mut accepting = lock(&self.accepting);
        if std::mem::replace(&mut *accepting, on) != on
            && let Ok(fd) = self.listener.fd()
        {
            let interest = if on { Interest::Read } else { Interest::Nothing };
            // It fails only when the listener is closed, and then there is nothing to watch.
            let _ = self.epoll.modify(fd, LISTENER, interest, true);
        }
    }

    /// Has the listener reported again if a connection waits.
    fn rearm_listener(&self) {
        let accepting = lock(&self.accepting);
        if *accepting && let Ok(fd) = self.listener.fd() {
            let _ = self.epoll.modify(fd, LISTENER, Interest::Read, true);
        }
    }

    fn rest(&self) {
        self.watch_listener(false);
        *lock(&self.rest_until) = Instant::now().checked_add(ACCEPT_REST);
        self.nudge.set();
    }

    /// Has a connection looked at again at a time. Another thread may lead by now, and sleep for longer.
    fn set_alarm(&self, at: Instant, number: u64) {
        let mut alarms = lock(&self.alarms);
        let soonest = alarms.next().is_none_or(|next| at < next);
        alarms.set(at, number);
        drop(alarms);
        if soonest {
            self.nudge.set();
        }
    }

    /// Accepts what waits. Only one thread does: accept can block for some milliseconds, where the kernel has to
    /// make room for more descriptors, and others would only wait with it.
    fn accept(&self, control: &Control) {
        if !self.acceptor.take() {
            return;
        }
        let more = self.accept_batch(control);
        if self.acceptor.let_go() || more {
            self.rearm_listener();
        }
    }

    /// Accepts some connections; true when more may wait.
    fn accept_batch(&self, control: &Control) -> bool {
        for _ in 0..ACCEPT_BATCH {
            if control.stopping() {
                return false;
            }
            let peers = self.peers();
            let full = peers.len() >= self.options.max_connections;
            if full && self.options.overload == Overload::Block {
                // Under the lock: the next thread to make room watches the listener again.
                self.watch_listener(false);
                return false;
            }
            drop(peers);
            let (stream, address) = match self.listener.accept(Deadline::NOW) {
                Ok(accepted) => accepted,
                Err(e) if e.kind() == Kind::Os || e.kind() == Kind::NoMemory => {
                    add(&control.counters.accept_failures, 1);
                    self.rest();
                    return false;
                }
                Err(_) => return false,
            };
            add(&control.counters.connections, 1);
            if full {
                add(&control.counters.rejected, 1);
                stream.close();
                continue;
            }
            let Ok(fd) = stream.into_fd() else { continue };
            self.admit(fd, address, control);
        }
        true
    }

    fn admit(&self, fd: std::os::fd::OwnedFd, address: Address, control: &Control) {
        // Nobody else knows it before epoll does.
        let peer = self.peers().insert(|number| Peer::new(number, fd, address));
        add(&control.counters.active, 1);
        let greeted = match &self.options.auth {
            Some(auth) => peer.greet(auth, control).is_ok(),
            None => true,
        };
        if let Some(at) = peer.alarm() {
            self.set_alarm(at, peer.number());
        }
        if !greeted {
            add(&control.counters.auth_failures, 1);
        }
        if !greeted || self.epoll.add(peer.fd(), peer.number(), Interest::Both, true).is_err() {
            self.drop_peer(&peer, control);
        }
    }

    fn drop_peer(&self, peer: &Peer, control: &Control) {
        if self.peers().remove(peer.number()) {
            let _ = self.epoll.remove(peer.fd());
            control.counters.active.fetch_sub(1, Ordering::Relaxed);
            if control.stopping() {
                // It may be the last one that a sleeping leader waits for.
                self.nudge.set();
            }
            if lock(&self.rest_until).is_none() && !control.stopping() {
                self.watch_listener(true);
            }
        }
    }

    /// Lets go of a claimed connection; what came meanwhile, or is left to do, is reported anew.
    fn release(&self, peer: &Peer, unfinished: bool) {
        let missed = peer.claim().let_go();
        if missed || unfinished {
            // It fails only when the connection has been dropped.
            let _ = self.epoll.modify(peer.fd(), peer.number(), Interest::Both, true);
        }
    }

    fn turn(&self, peer: &Peer, ended: bool, control: &Control, scratch: &mut Scratch) {
        if !peer.claim().take() {
            return;
        }
        let server = Server { options: &self.options, handler: &self.handler, control };
        let (fate, alarm) = peer.turn(&server, scratch, ended);
        if control.is_forked() {
            // The watch on the connection, and the locks, are the parent's.
            return;
        }
        // A closed connection stays claimed, so that no late event takes it up again.
        if fate == Fate::Close && peer.is_greeting() {
            add(&control.counters.auth_failures, 1);
        }
        if fate == Fate::Close || (control.stopping() && peer.is_quiet()) {
            return self.drop_peer(peer, control);
        }
        if let Some(at) = alarm {
            self.set_alarm(at, peer.number());
        }
        self.release(peer, fate == Fate::Again);
    }

    fn expire(&self, peer: &Peer, control: &Control) {
        if !peer.claim().take() {
            // Its handler is running: look again later.
            let later = Instant::now() + Duration::from_secs(1);
            self.set_alarm(later, peer.number());
            return;
        }
        peer.alarmed();
        match peer.expires() {
            Some(at) if at <= Instant::now() => {
                let counters = &control.counters;
                add(if peer.is_greeting() { &counters.auth_failures } else { &counters.limit_failures }, 1);
                self.drop_peer(peer, control);
            }
            _ => {
                if let Some(at) = peer.alarm() {
                    self.set_alarm(at, peer.number());
                }
                self.release(peer, false);
            }
        }
    }

    /// Begins the drain: nothing new is accepted, quiet connections are closed.
    fn drain(&self, control: &Control) {
        if self.draining.swap(true, Ordering::SeqCst) {
            return;
        }
        self.watch_listener(false);
        let peers = self.peers().all();
        for peer in peers {
            if peer.claim().take() {
                if peer.is_quiet() {
                    self.drop_peer(&peer, control);
                } else {
                    self.release(&peer, false);
                }
            }
        }
    }

    fn wait(&self, events: &mut [Event], deadline: Deadline) -> usize {
        let look = |events: &mut [Event]| self.epoll.wait(events, Deadline::NOW).ok().filter(|n| *n > 0);
        if let Some(n) = look(events) {
            return n;
        }
        let mut wait = self.spin.wait();
        if let Some(n) = wait.spin(deadline, || look(events)) {
            return n;
        }
        // A signal ends the wait early, which costs one more look.
        let n = self.epoll.wait(events, deadline).unwrap_or(0);
        if n > 0 {
            wait.slept()
        } else {
            wait.slept_in_vain()
        }
        n
    }

    fn next_deadline(&self, control: &Control) -> Deadline {
        let alarm = lock(&self.alarms).next();
        let rest = *lock(&self.rest_until);
        let soonest = match (alarm, rest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let left = soonest.map(|at| at.saturating_duration_since(Instant::now()));
        let deadline = Deadline::after_opt(left.map(|l| l.max(Duration::from_millis(1))));
        if control.stopping() { deadline.min(control.cut()) } else { deadline }
    }

    /// The job that has become due, if anything waits for a time at all.
    fn due(&self) -> Option<Job> {
        let rest = *lock(&self.rest_until);
        if rest.is_none() && lock(&self.alarms).next().is_none() {
            return None;
        }
        let now = Instant::now();
        if rest.is_some_and(|at| at <= now) {
            *lock(&self.rest_until) = None;
            self.watch_listener(true);
        }
        let number = lock(&self.alarms).due(now)?;
        self.peers().get(number).map(Job::Expire)
    }
}

impl<H: MessageHandler> Source for Events<H> {
    type Job = Job;
    type Worker = Scratch;

    fn next(&self, control: &Control) -> Next<Job> {
        if control.stopping() {
            self.drain(control);
            if control.aborting() || self.peers().len() == 0 || control.cut().expired() {
                return Next::Stop;
            }
        }
        let mut waiting = lock(&self.waiting);
        while let Some((token, ended)) = waiting.pop() {
            if token == LISTENER {
                return Next::Job(Job::Accept);
            }
            if let Some(peer) = self.peers().get(token) {
                return Next::Job(Job::Turn(peer, ended));
            }
        }
        if let Some(job) = self.due() {
            return Next::Job(job);
        }
        let deadline = self.next_deadline(control);
        waiting.fill(|events| self.wait(events, deadline));
        Next::Nothing
    }

    fn may_block(job: &Job) -> bool {
        matches!(job, Job::Turn(..))
    }

    fn run(&self, job: Job, control: &Control, scratch: &mut Scratch) {
        match job {
            Job::Accept => self.accept(control),
            Job::Turn(peer, ended) => self.turn(&peer, ended, control, scratch),
            Job::Expire(peer) => self.expire(&peer, control),
        }
    }
}
