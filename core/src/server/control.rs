// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stopping a server and counting what it does.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::fork::{ForkGuard, ForkMutex};
use crate::net::Address;
use crate::sys::{self, Berths, OwnWake};
use crate::time::Deadline;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The treatment of a connection for which a server has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overload {
    /// Leaves it in the kernel's queue until there is room.
    #[default]
    Block,
    /// Accepts it and closes it at once, so that the client knows.
    Reject,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counts of a server's work since it was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Stats {
            /// The counters by name, in the order of their declaration.
            #[must_use]
            pub fn items(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }

        // ORDER server-stats: counters that guard no memory; a reader may see them a moment apart.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)+
        }

        impl Counters {
            fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Connections accepted, the rejected ones included.
    connections,
    /// Connections open now.
    active,
    /// Connections closed at once because there was no room.
    rejected,
    /// Requests handled: frames, datagrams, or whole connections of a stream server.
    requests,
    /// Bytes received.
    bytes_received,
    /// Bytes sent.
    bytes_sent,
    /// Handlers that returned an error or panicked.
    failures,
    /// Connections whose peer could not authenticate in time.
    auth_failures,
    /// Connections cut off for breaking a limit: a frame over the cap, too slow, not reading.
    limit_failures,
    /// Failures of accept itself, such as no descriptors left.
    accept_failures,
    /// Nanoseconds spent in handlers, of all threads together.
    handler_nanos,
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// How long a thread that was woken may take before it is woken again: it may just have been about to sleep.
const ROUSE: Duration = Duration::from_millis(10);

const RUNNING: u8 = 0;
const DRAINING: u8 = 1;
const ABORTING: u8 = 2;

#[derive(Debug)]
pub(crate) struct Control {
    phase: AtomicU8,
    wake: OwnWake,
    /// Where threads of the server may sleep although `wake` is readable.
    berths: Arc<Berths>,
    pub(crate) counters: Counters,
    /// The generation of the process that serves, or has served, plus 1; 0 is none. A child of fork that finds another's
    /// there serves nothing, and leaves alone what its parent's threads use.
    serving: AtomicU64,
    /// When what is left is cut off; set by whoever notices the stop first.
    cut: ForkMutex<Option<Deadline>>,
    over: AtomicBool,
    /// Readable once serving has ended.
    ended: OwnWake,
    drain: Duration,
    address: Address,
}

/// A server that serves; its end is the end of serving.
pub(crate) struct Serving(Arc<Control>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.phase.fetch_max(DRAINING, Ordering::SeqCst);
        self.0.over.store(true, Ordering::SeqCst);
        self.0.ended.set();
    }
}

impl Control {
    pub(crate) fn new(address: Address, berths: Arc<Berths>, drain: Duration) -> Result<Self> {
        let wake = || OwnWake::new().map_err(|e| Error::from_io(&e, "make server"));
        Ok(Self {
            phase: AtomicU8::new(RUNNING),
            wake: wake()?,
            berths,
            counters: Counters::default(),
            serving: AtomicU64::new(0),
            cut: ForkMutex::default(),
            over: AtomicBool::new(false),
            ended: wake()?,
            drain,
            address,
        })
    }

    /// A descriptor that is readable once the server is to stop.
    pub(crate) fn wake_fd(&self) -> RawFd {
        self.wake.fd()
    }

    pub(crate) fn stopping(&self) -> bool {
        self.phase.load(Ordering::SeqCst) != RUNNING
    }

    pub(crate) fn aborting(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == ABORTING
    }

    /// Marks the start of serving; it can be done once. Serving has ended when what this returns is dropped,
    /// however serving was left: a caller that waits for the end must not wait for ever.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Serving> {
        let mine = sys::generation() + 1;
        if self.serving.compare_exchange(0, mine, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Err(Error::with_detail(
                Kind::State,
                "serve",
                "this server is serving, or has served; make another",
            ));
        }
        Ok(Serving(Arc::clone(self)))
    }

    /// Whether this is a child of fork of the process that serves: a handler has forked, and the child has come back
    /// from it. It has none of the server's other threads, and what they held when it was made stays held.
    pub(crate) fn is_forked(&self) -> bool {
        // ORDER server-generation: a process sees its own.
        self.serving.load(Ordering::Relaxed) != sys::generation() + 1
    }

    /// Wakes threads that sleep where no descriptor wakes them, if the server is to stop; true when there was one.
    pub(crate) fn rouse(&self) -> bool {
        self.stopping() && self.berths.wake()
    }

    fn is_over(&self) -> bool {
        // Of the process that a child was forked from, the child cannot know.
        self.over.load(Ordering::SeqCst) || (self.serving.load(Ordering::SeqCst) != 0 && self.is_forked())
    }

    /// Until when running handlers may go on.
    pub(crate) fn cut(&self) -> Deadline {
        if self.aborting() {
            return Deadline::NOW;
        }
        *self.cut_slot().get_or_insert_with(|| Deadline::after(self.drain))
    }

    fn cut_slot(&self) -> ForkGuard<'_, Option<Deadline>> {
        self.cut.lock()
    }

    fn stop(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::SeqCst);
        self.wake.set();
        self.berths.wake();
    }
}

/// Stops a server and reads its statistics, from any thread. Clones are of the same server.
///
/// In the child of a fork it is of a server that does not serve there: nothing that it does reaches the parent's,
/// and there is nothing to wait for.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    pub(crate) control: Arc<Control>,
}

impl ServerHandle {
    /// Where the server listens; the port is the one the kernel chose where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.control.address
    }

    /// Begins the shutdown and returns at once: nothing new is accepted, what runs may finish until the
    /// drain deadline of the server's options. May be called in a signal handler.
    pub fn request_shutdown(&self) {
        self.control.stop(DRAINING);
    }

    /// Shuts down and waits for the end: what runs may finish until `deadline`, then it is cut off.
    ///
    /// # Errors
    /// `Timeout`: a handler did not return although its connection was closed; its thread is left to
    /// itself. It also comes where serving has not begun yet; it will end as soon as it does.
    /// `Interrupted`: the interrupt hook said so; the shutdown goes on.
    pub fn shutdown(&self, deadline: Deadline) -> Result<()> {
        {
            let mut slot = self.control.cut_slot();
            *slot = Some(slot.map_or(deadline, |cut| cut.min(deadline)));
        }
        self.control.stop(DRAINING);
        // Cut-off handlers get a moment to see their connection closed.
        let patience = deadline.remaining().map(|left| left + Duration::from_secs(1));
        if self.ended(Deadline::after_opt(patience))? {
            return Ok(());
        }
        Err(Error::with_detail(Kind::Timeout, "shut down", "a handler has not returned yet"))
    }

    /// Cuts off everything at once and returns; does not wait for the end.
    pub fn abort(&self) {
        self.control.stop(ABORTING);
    }

    /// Waits until serving has ended; a signal is answered by the interrupt hook.
    ///
    /// # Errors
    /// `Timeout`, `Interrupted`.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        if self.ended(deadline)? {
            return Ok(());
        }
        Err(Error::with_detail(Kind::Timeout, "wait for server", "it is still serving: shut it down"))
    }

    fn ended(&self, deadline: Deadline) -> Result<bool> {
        loop {
            if self.control.is_over() {
                return Ok(true);
            }
            let again = self.control.rouse().then(|| Deadline::after(ROUSE).min(deadline));
            if crate::net::readable(sys::lend_fd(self.control.ended.fd()), again.unwrap_or(deadline))? {
                return Ok(true);
            }
            if again.is_none() || deadline.expired() {
                return Ok(false);
            }
        }
    }

    /// Whether the server is to stop or has stopped.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.control.stopping()
    }

    /// The counts of the server's work so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.control.counters.read()
    }
}

/// Runs a handler, counting its time and what became of it. `None` when it failed or panicked.
pub(crate) fn run_counted<T>(counters: &Counters, body: impl FnOnce() -> Result<T>) -> Option<T> {
    let started = Instant::now();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    add(&counters.handler_nanos, nanos);
    match outcome {
        Ok(Ok(value)) => Some(value),
        Ok(Err(_)) | Err(_) => {
            add(&counters.failures, 1);
            None
        }
    }
}
