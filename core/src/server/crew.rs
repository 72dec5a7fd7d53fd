// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that share the work of a server: a leader, its followers, and a monitor.
//!
//! # The idea
//! Exactly one thread, the leader, waits for work. Having found a job it *keeps the lead and runs the job
//! itself*: no other thread is woken, which is what costs. Only when a job takes long does somebody else
//! take the lead: the monitor sees that the same job has been running for a tick, or the job says itself
//! that it is about to block ([`blocking::about_to_block`], which every wait on a socket of this crate calls). So quick jobs run one after the other on one thread with
//! no hand-over at all, and slow ones run side by side. Where most jobs turn out slow the crew hands the
//! lead over before each job, and goes back when they become quick again ([`Crew::eager`]).
//!
//! # State word
//! `lead` is `number << 1 | busy`: the number of the job that the leader runs or ran last. Taking the lead
//! away from a running job is a compare-exchange from `(n, busy)` to `(n + 1, not busy)`; a leader that
//! finishes job n tries `(n, busy)` to `(n, not busy)` and has lost the lead when that fails. One of the
//! two wins, so there is never more than one leader.
//!
//! # The roster
//! `vacant` says that nobody has the lead; followers wait for it. When the lead falls vacant and no
//! follower waits, a new thread is started, up to the limit; at the limit the first worker to finish takes
//! it. Followers that were not needed for [`IDLE`] leave.
//!
//! # The monitor
//! It is the thread that called [`Crew::serve`]. It ticks only while the leader is busy and otherwise
//! sleeps; a leader that starts a job wakes it if it sleeps (`asleep`, a Dekker pair with `lead`).
#![forbid(unsafe_code)]

use super::control::{Control, Overload};
use crate::blocking::{self, Relief};
use crate::sys::{self, Interest, PollSlot};
use crate::time::Deadline;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a follower waits for the lead before it leaves.
const IDLE: Duration = Duration::from_secs(10);
const TICK_SHORT: Duration = Duration::from_millis(1);
const TICK_LONG: Duration = Duration::from_millis(8);
/// A job longer than this is a slow one.
const QUICK: Duration = Duration::from_micros(500);
/// From this score on the lead is handed over before each job.
const EAGER: i32 = 16;

/// The result of the leader's wait.
pub(crate) enum Next<J> {
    Job(J),
    /// Nothing to hand out this time; ask again.
    Nothing,
    Stop,
}

/// Where jobs come from, and how they are done.
pub(crate) trait Source: Send + Sync + 'static {
    type Job: Send;
    /// The state that one thread keeps from job to job.
    type Worker: Default;

    /// Waits for the next job; only the leader calls it.
    fn next(&self, control: &Control) -> Next<Self::Job>;

    /// Does a job. It must not panic.
    fn run(&self, job: Self::Job, control: &Control, worker: &mut Self::Worker);

    /// Whether a job may take long. One that does not keeps the lead, even where most others are slow.
    fn may_block(_job: &Self::Job) -> bool {
        true
    }

    /// Nobody can take the lead and the policy is to reject: turn away what comes for a moment.
    fn turn_away(&self, _control: &Control) {}
}

#[derive(Default)]
struct Roster {
    /// Threads of the crew, those that are starting included.
    workers: usize,
    /// Threads that have been started and have not looked for the lead yet.
    starting: usize,
    /// Threads that wait for the lead.
    followers: usize,
    vacant: bool,
    stopped: bool,
}

/// Starts a thread that runs the given body.
pub type Spawn = Box<dyn Fn(Box<dyn FnOnce() + Send>) -> std::io::Result<()> + Send + Sync>;

pub(crate) struct Crew<S: Source> {
    pub(crate) source: S,
    control: Arc<Control>,
    limit: usize,
    overload: Overload,
    spawn: Spawn,
    lead: AtomicU64,
    score: AtomicI32,
    /// Outlives the crew: a worker strikes itself off only when it has let go of everything else.
    roster: Arc<Mutex<Roster>>,
    /// A follower may have the lead.
    freed: Condvar,
    /// A worker has left.
    left: Arc<Condvar>,
    asleep: AtomicBool,
    monitor: OnceLock<Thread>,
}

const BUSY: u64 = 1;

impl<S: Source> Relief for Crew<S> {
    fn relieve(&self, ticket: u64) {
        self.give_up(ticket);
    }
}

impl<S: Source> Crew<S> {
    /// Takes the lead from the job with this ticket, if it still has it.
    fn give_up(&self, ticket: u64) -> bool {
        if self.control.is_forked() {
            // There is nobody to take it, and the roster's lock may be held for ever.
            return false;
        }
        let next = (ticket | BUSY) + 1;
        let taken = self.lead.compare_exchange(ticket, next, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if taken {
            self.fall_vacant();
        }
        taken
    }

    pub(crate) fn new(
        source: S,
        control: Arc<Control>,
        limit: usize,
        overload: Overload,
        spawn: Spawn,
    ) -> Arc<Self> {
        Arc::new(Self {
            source,
            control,
            limit: limit.max(1),
            overload,
            spawn,
            lead: AtomicU64::new(0),
            score: AtomicI32::new(0),
            roster: Arc::default(),
            freed: Condvar::new(),
            left: Arc::default(),
            asleep: AtomicBool::new(false),
            monitor: OnceLock::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the crew until the server stops, then until the cut for the jobs to end; the calling thread is
    /// the monitor. Returns whether all jobs ended.
    pub(crate) fn serve(self: &Arc<Self>) -> bool {
        // A crew serves once: Control::begin has seen to that.
        let _ = self.monitor.set(thread::current());
        self.lock().vacant = true;
        self.watch();
        let mut roster = self.lock();
        roster.stopped = true;
        self.freed.notify_all();
        while roster.workers > 0 {
            let left = self.control.cut().remaining().unwrap_or(Duration::MAX);
            if left.is_zero() {
                return false;
            }
            self.control.rouse();
            // Asked again every so often: an abort may shorten the wait.
            let slice = left.min(Duration::from_millis(50));
            roster = self.left.wait_timeout(roster, slice).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits a little longer for workers whose connections have been closed, but not for those that `excused`
    /// counts. Returns whether all have left.
    pub(crate) fn linger(&self, deadline: Deadline, excused: impl Fn() -> usize) -> bool {
        let mut roster = self.lock();
        while roster.workers > 0 {
            let left = deadline.remaining().unwrap_or(IDLE);
            if left.is_zero() || roster.workers <= excused() {
                return false;
            }
            roster = self.left.wait_timeout(roster, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn fall_vacant(&self) {
        let mut roster = self.lock();
        roster.vacant = true;
        if roster.followers > 0 {
            self.freed.notify_one();
        } else if roster.starting == 0 {
            // Starting threads is the monitor's: it may block.
            self.unpark_monitor();
        }
    }

    fn unpark_monitor(&self) {
        if let Some(monitor) = self.monitor.get() {
            monitor.unpark();
        }
    }

    fn watch(self: &Arc<Self>) {
        let mut tick = TICK_SHORT;
        while !self.control.stopping() {
            let lead = self.lead.load(Ordering::SeqCst);
            let (unserved, workers, relief) = {
                let roster = self.lock();
                let ready = roster.followers + roster.starting;
                let relief = ready > 0 || roster.workers < self.limit || self.overload == Overload::Reject;
                (roster.vacant && ready == 0, roster.workers, relief)
            };
            if unserved {
                self.recruit(workers);
            } else if lead & BUSY == 0 {
                self.asleep.store(true, Ordering::SeqCst);
                let idle = self.lead.load(Ordering::SeqCst) == lead && !self.control.stopping();
                if idle {
                    thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                tick = TICK_SHORT;
            } else {
                thread::park_timeout(tick);
                if relief && self.lead.load(Ordering::SeqCst) == lead && self.give_up(lead) {
                    self.score.fetch_add(8, Ordering::Relaxed);
                    tick = TICK_SHORT;
                } else {
                    tick = (tick * 2).min(TICK_LONG);
                }
            }
        }
    }

    /// The lead is vacant and nobody is there to take it: starts a thread, or at the limit waits for a
    /// worker to finish.
    fn recruit(self: &Arc<Self>, workers: usize) {
        if workers < self.limit {
            {
                let mut roster = self.lock();
                roster.workers += 1;
                roster.starting += 1;
            }
            let worker = Arc::clone(self);
            if (self.spawn)(Box::new(move || worker.work())).is_ok() {
                return;
            }
            // No thread can be had: those that exist take the lead as they finish.
            let mut roster = self.lock();
            roster.workers -= 1;
            roster.starting -= 1;
        } else if self.overload == Overload::Reject {
            self.source.turn_away(&self.control);
            return;
        }
        let mut stop = [PollSlot::new(self.control.wake_fd(), Interest::Read)];
        // A signal only makes this tick shorter.
        let _ = sys::poll(&mut stop, Deadline::after(TICK_LONG));
    }

    /// Waits for the lead; false when this worker is to leave.
    fn follow(&self) -> bool {
        let mut roster = self.lock();
        loop {
            if roster.stopped || self.control.stopping() {
                return false;
            }
            if roster.vacant {
                roster.vacant = false;
                return true;
            }
            roster.followers += 1;
            let (guard, waited) =
                self.freed.wait_timeout(roster, IDLE).unwrap_or_else(PoisonError::into_inner);
            roster = guard;
            roster.followers -= 1;
            if waited.timed_out() && !roster.vacant {
                return false;
            }
        }
    }

    fn eager(&self) -> bool {
        self.score.load(Ordering::Relaxed) >= EAGER
    }

    fn work(self: Arc<Self>) {
        self.lock().starting -= 1;
        blocking::join(Arc::<Self>::clone(&self));
        let mut worker = S::Worker::default();
        while self.follow() && self.lead_on(&mut worker) {}
        blocking::leave();
        if self.control.is_forked() {
            // A handler has forked and come back in the child, where the server does not serve.
            std::mem::forget(self);
            return;
        }
        drop(worker);
        let (roster, left) = (Arc::clone(&self.roster), Arc::clone(&self.left));
        let monitor = self.monitor.get().cloned();
        // A caller that waits for the crew to end finds its descriptors closed and its handler dropped.
        drop(self);
        roster.lock().unwrap_or_else(PoisonError::into_inner).workers -= 1;
        left.notify_all();
        // The monitor may sleep because this one led.
        if let Some(monitor) = monitor {
            monitor.unpark();
        }
    }

    /// Leads until the lead is lost (true) or the server stops (false).
    fn lead_on(&self, worker: &mut S::Worker) -> bool {
        loop {
            let job = match self.source.next(&self.control) {
                Next::Job(job) => job,
                Next::Nothing => continue,
                Next::Stop => return false,
            };
            let ticket = (self.lead.load(Ordering::SeqCst) & !BUSY) + 2 + BUSY;
            self.lead.store(ticket, Ordering::SeqCst);
            if self.eager() && S::may_block(&job) {
                self.run_eagerly(job, ticket, worker);
                return !self.control.is_forked();
            }
            if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
                self.unpark_monitor();
            }
            blocking::run(ticket, || self.source.run(job, &self.control, worker));
            if self.control.is_forked() {
                return false;
            }
            let kept = self.lead.compare_exchange(ticket, ticket - BUSY, Ordering::SeqCst, Ordering::SeqCst);
            if kept.is_err() {
                return true;
            }
        }
    }

    fn run_eagerly(&self, job: S::Job, ticket: u64, worker: &mut S::Worker) {
        self.give_up(ticket);
        let started = Instant::now();
        self.source.run(job, &self.control, worker);
        let quick = started.elapsed() < QUICK;
        // ORDER crew-score: a hint; which worker's view counts makes no difference.
        self.score.fetch_add(if quick { -1 } else { 1 }, Ordering::Relaxed);
        self.score.fetch_min(EAGER * 4, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{MessageOptions, MessageServer, Request};
    use crate::{Connection, Format, Stream};

    #[test]
    fn when_serving_has_ended_nobody_holds_the_handler_any_more() {
        for _ in 0..50 {
            let held = Arc::new(());
            let mine = Arc::clone(&held);
            let server =
                MessageServer::bind(&"127.0.0.1:0".parse().unwrap(), MessageOptions::default()).unwrap();
            let handle = server.handle();
            let serving = thread::spawn(move || {
                server.serve(move |request: &mut Request<'_>| {
                    let _ = &mine;
                    // Several threads of the crew take part.
                    crate::server::about_to_block();
                    request.reply(b"")
                })
            });
            let connections: Vec<Connection> = (0..4)
                .map(|_| Stream::connect(handle.address(), Deadline::NEVER).unwrap())
                .map(|stream| Connection::new(stream, Format::MULTIPROCESSING))
                .collect();
            for connection in &connections {
                connection.send(b"x", Deadline::NEVER).unwrap();
            }
            for connection in &connections {
                connection.recv(Deadline::NEVER).unwrap();
            }
            handle.shutdown(Deadline::NEVER).unwrap();
            serving.join().unwrap().unwrap();
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }
}
