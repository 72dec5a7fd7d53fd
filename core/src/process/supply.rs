// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pieces of a fork server, for a program that forks by itself, as the Python module does: [`Supply`] is the server's
//! side, children forked ahead of time, and [`ask`] the client's. [`ForkServer`](super::ForkServer) is the whole.
//!
//! # Who knows what
//! An *idle* child waits for a request. When it has one it sends the request's report to the server: from then on it
//! is *busy*, and the server writes its exit code there. Then it writes its own number there, and begins. A child that
//! dies idle is replaced; one that is stopped idle is killed. It passes the nudges of clients on to the server, without
//! a report.
//!
//! # Deaths
//! An idle child is killed by the kernel when the server ends. A busy one lives on. All end by themselves when they
//! are idle and the last client is gone.
//!
//! # How many
//! One at first; one more, up to four, whenever the last idle child was taken.
//!
//! # Children that die before they take a request
//! Such deaths may be an accident, or what every child comes to: because a hook of a module fails, memory is short, or a
//! sandbox forbids something. A *round* ends when a child that was forked in it dies idle. After each round in a row the
//! server waits twice as long before it forks ahead. From round `MOST_ROUNDS` on it forks only when somebody asks, and
//! when that child dies, too, it tells those who ask why the last one died. A child that takes a request, or lives for a
//! while, ends the row.
//!
//! # Descriptors
//! The server has two for each busy child, so it raises its limit as far as it may, and for each idle one it keeps room for
//! its report. Where it has no room for one more it forks none, and the requests that nobody takes are refused.
#![forbid(unsafe_code)]

use super::children::{Children, Ended};
pub use super::request::{Request, ask, exit_code, last_words, try_exit_code};
use super::request::{cut, ending, leave_words, receive, refuse, write_number};
use crate::error::{Error, Kind, Result};
use crate::interrupt::{self, Sleeper};
use crate::sys::{self, Interest, KeepChildren, MostDescriptors, PollSlot};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The most children that wait for work at a time.
const MOST_IDLE: usize = 4;

/// How long a server that could not fork, or whose child died idle, waits until it tries again: at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How many rounds it takes until nothing is forked ahead.
const MOST_ROUNDS: u32 = 5;

/// A child that has waited for so long did not die of what the server does.
const SETTLED: Duration = Duration::from_secs(1);

/// How long after the arrival of a request the idle children are looked after, first and last, with twice as long
/// between two looks each time.
const ATTENDED: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// The longest reason that a child can give.
const LONGEST_REASON: usize = 2048;

const SERVING: &str = "serve forks";

/// Two connected sockets for a fork server: its clients have the first one, the server has the second.
///
/// # Errors
/// `Os` (EMFILE: no descriptors are left).
pub fn request_pair() -> Result<(OwnedFd, OwnedFd)> {
    sys::message_pair().map_err(|e| Error::from_io(&e, "make a fork server"))
}

/// Why children die idle.
enum Reason {
    Errno(i32),
    Words(String),
}

impl Reason {
    fn of(code: Option<i32>) -> Self {
        Self::Words(match code {
            Some(code) if code < 0 => format!("killed by signal {}", -code),
            Some(code) => format!("exit code {code}"),
            None => "nobody can tell how it ended: a module of the server waits for every child".to_owned(),
        })
    }
}

/// The children of a fork server. The server calls [`wait`](Self::wait) in a loop, forks when it returns true, and
/// says so ([`forked`](Self::forked), [`fork_failed`](Self::fork_failed)); the child calls [`take`](Self::take).
///
/// Until it is dropped or `take` returns, SIGCHLD has its default action in the process and the limit on descriptors is as
/// high as it may be.
pub struct Supply {
    requests: OwnedFd,
    /// The server's end of the socket pair for the children's messages, and the children's end.
    heard: OwnedFd,
    saying: OwnedFd,
    keep: KeepChildren,
    limit: MostDescriptors,
    /// Descriptors that keep the room for others: for the report of each idle child, and for that of a request that is
    /// refused.
    room: Vec<OwnedFd>,
    server: u32,
    children: Children,
    wanted: usize,
    resting: Option<Deadline>,
    /// The present round, how many there were in a row, and what ended the last one.
    round: u64,
    rounds: u32,
    reason: Option<Reason>,
    /// The text that a child left before it ended.
    words: Option<(i32, String)>,
    /// When to look after the idle children, since a request has arrived, and how long to wait after that. One that is
    /// stopped takes none, or has taken it and does not begin.
    attended: Option<(Deadline, Duration)>,
}

impl Supply {
    /// A supply for the requests that arrive on the server's socket of a [`request_pair`].
    ///
    /// # Errors
    /// `Os` (EMFILE: no descriptors are left).
    pub fn new(requests: OwnedFd) -> Result<Self> {
        let pieces = || -> io::Result<_> {
            let limit = MostDescriptors::allow()?;
            let (heard, saying) = sys::message_pair()?;
            let room = vec![saying.try_clone()?];
            Ok((limit, heard, saying, room, Children::new(&requests)?, KeepChildren::begin()?))
        };
        let (limit, heard, saying, room, children, keep) = pieces().map_err(|e| {
            let error = Error::from_io(&e, SERVING);
            resign(requests.as_fd(), &error.to_string());
            error
        })?;
        Ok(Self {
            requests,
            heard,
            saying,
            keep,
            limit,
            room,
            server: std::process::id(),
            children,
            wanted: 1,
            resting: None,
            round: 0,
            rounds: 0,
            reason: None,
            words: None,
            attended: None,
        })
    }

    /// Does the server's part until a child is to be forked (true), or the last client is gone (false).
    ///
    /// # Errors
    /// `Interrupted`, `Os`.
    pub fn wait(&mut self) -> Result<bool> {
        let waited = self.attend();
        if let Err(error) = &waited
            && error.kind() != Kind::Interrupted
        {
            resign(self.requests.as_fd(), &error.to_string());
        }
        waited
    }

    fn attend(&mut self) -> Result<bool> {
        loop {
            self.hear()?;
            if self.is_to_fork() {
                match self.keep_room(self.children.idle() + 2) {
                    Ok(()) => {
                        self.keep.insist();
                        return Ok(true);
                    }
                    Err(e) => self.fork_failed(e.raw_os_error().unwrap_or(libc::EMFILE)),
                }
            }
            if !self.sleep()? {
                // Those who wait are not left to others to bury.
                self.hear()?;
                self.children.dismiss();
                return Ok(false);
            }
        }
    }

    /// Whether every child dies, so that none is forked before somebody asks.
    fn is_hopeless(&self) -> bool {
        self.rounds >= MOST_ROUNDS && self.children.idle() == 0
    }

    fn is_to_fork(&mut self) -> bool {
        self.resting = self.resting.filter(|rest| !rest.expired());
        if self.children.idle() >= self.wanted || self.resting.is_some() {
            return false;
        }
        !self.is_hopeless() || self.has_request()
    }

    fn has_request(&self) -> bool {
        let mut slot = [PollSlot::new(self.requests.as_raw_fd(), Interest::Read)];
        sys::poll(&mut slot, Deadline::NOW).is_ok_and(|fired| fired > 0)
    }

    /// Sleeps until there is something to do, and takes note of what has ended. False: the last client is gone.
    fn sleep(&mut self) -> Result<bool> {
        // While it rests a request waits for the end of that.
        let asked =
            if self.is_hopeless() && self.resting.is_none() { Interest::Read } else { Interest::Nothing };
        let look = self.attended.map(|(deadline, _)| deadline);
        let times = [self.resting, look, Some(self.children.next_look())];
        let deadline = times.into_iter().flatten().fold(Deadline::NEVER, Deadline::min);
        let sleeper = Sleeper::prepare(SERVING)?;
        let mut slots = [
            PollSlot::new(self.requests.as_raw_fd(), asked),
            PollSlot::new(self.children.fd(), Interest::Read),
            PollSlot::new(self.heard.as_raw_fd(), Interest::Read),
            PollSlot::new(sleeper.fd().unwrap_or(-1), Interest::Read),
        ];
        let fired = sys::poll(&mut slots, deadline);
        drop(sleeper);
        match fired {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(SERVING)?,
            Err(e) => return Err(Error::from_io(&e, SERVING)),
        }
        if slots[3].fired() {
            interrupt::check(SERVING)?;
        }
        if slots[1].fired() || self.children.next_look().expired() {
            self.reap()?;
        }
        if let Some((deadline, interval)) = self.attended
            && deadline.expired()
        {
            self.children.kill_stopped();
            let (first, last) = ATTENDED;
            let interval = if self.has_request() { first } else { interval * 2 };
            self.attended = (interval <= last).then(|| (Deadline::after(interval), interval));
        }
        Ok(!slots[0].hung_up())
    }

    /// The server has forked this child.
    pub fn forked(&mut self, pid: i32) {
        self.children.add(pid, self.round);
    }

    /// The server could not fork. Where nobody else could take them, the requests that have arrived are answered
    /// with the errno.
    pub fn fork_failed(&mut self, errno: i32) {
        self.end_round(Reason::Errno(errno));
        self.refuse_all();
    }

    /// Nothing comes of forking at the moment.
    fn end_round(&mut self, reason: Reason) {
        let (least, most) = REST;
        // While nothing is forked ahead, whoever asks is not to wait long.
        let rest = if self.is_hopeless() { least } else { most.min(least * (1 << self.rounds.min(10))) };
        self.resting = Some(Deadline::after(rest));
        self.round += 1;
        self.rounds = self.rounds.saturating_add(1);
        self.reason = Some(reason);
    }

    /// Answers all requests that have arrived, and that nobody is there to take. One that comes after an answer is another
    /// matter: the client that had it may have mended what was wrong.
    fn refuse_all(&mut self) {
        let mut reports = Vec::new();
        if self.children.idle() == 0 {
            self.room.clear();
            loop {
                match receive(&self.requests, false) {
                    Ok(Some(arrived)) => reports.push(arrived.report),
                    Err(e) if e.raw_os_error() == Some(libc::EBADMSG) => {}
                    Ok(None) | Err(_) => break,
                }
            }
        }
        for report in reports {
            // A client that is gone needs no answer.
            drop(match &self.reason {
                Some(Reason::Words(words)) => refuse(&report, words),
                Some(Reason::Errno(errno)) => write_number(&report, -i64::from(*errno)),
                None => Ok(()),
            });
        }
        let _ = self.keep_room(self.children.idle() + 1);
    }

    fn keep_room(&mut self, count: usize) -> io::Result<()> {
        while self.room.len() < count {
            self.room.push(self.saying.try_clone()?);
        }
        Ok(())
    }

    /// In the child: says why it ends before it has taken a request.
    pub fn give_up(&self, reason: &str) {
        let me = i64::from(std::process::id()).to_ne_bytes();
        let _ = sys::send_message(self.saying.as_raw_fd(), &[&me, cut(reason, LONGEST_REASON)], &[]);
    }

    /// In the child: waits for a request and takes it. `None`: there will be none, and the child is to end.
    ///
    /// # Errors
    /// `Os`. The server knows of it.
    pub fn take(self) -> Result<Option<Request>> {
        let Self { requests, saying, keep, limit, server, heard, children, room, .. } = self;
        // A report ends when nobody has it any more, and these are others'.
        drop((heard, children, room));
        let taken = take(&requests, &saying, server);
        if let Err(error) = &taken {
            let me = i64::from(std::process::id()).to_ne_bytes();
            let reason = error.to_string();
            let _ = sys::send_message(saying.as_raw_fd(), &[&me, cut(&reason, LONGEST_REASON)], &[]);
        }
        drop((keep, limit));
        taken
    }

    /// Takes note of the children that have begun.
    fn hear(&mut self) -> Result<()> {
        let mut bytes = [0; 8 + LONGEST_REASON];
        loop {
            drop(self.room.pop());
            let mut received = match sys::recv_message(self.heard.as_raw_fd(), &mut bytes, false) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    // Of the number that was just given back.
                    let _ = self.keep_room(self.children.idle() + 1);
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::from_io(&e, SERVING)),
            };
            let Some((number, text)) = bytes.get(..received.length).and_then(|said| said.split_first_chunk())
            else {
                continue;
            };
            let Ok(pid) = i32::try_from(i64::from_ne_bytes(*number)) else { continue };
            if !text.is_empty() {
                self.words = Some((pid, String::from_utf8_lossy(text).into_owned()));
            } else if let Some(report) = received.fds.pop() {
                if self.children.busy(pid, report) {
                    self.rounds = 0;
                    if self.children.idle() == 0 {
                        self.wanted = MOST_IDLE.min(self.wanted + 1);
                    }
                }
            } else {
                self.look_soon();
            }
        }
    }

    /// Takes the children that have ended from the kernel's table, and tells their clients.
    fn reap(&mut self) -> Result<()> {
        let (all, arrived) = self.children.ended().map_err(|e| Error::from_io(&e, SERVING))?;
        if arrived {
            self.look_soon();
        }
        if !all.is_empty() {
            // Their last messages have arrived by now.
            self.hear()?;
        }
        for (pid, code) in all {
            match self.children.forget(pid) {
                Some(Ended { report: Some(report), .. }) => {
                    if let Some(code) = code {
                        // A client that is gone does not want to know.
                        let _ = write_number(&report, ending(code));
                    }
                }
                Some(ended) => self.died_idle(pid, code, &ended),
                None => {}
            }
        }
        Ok(())
    }

    /// A request has arrived, or waits for its child.
    fn look_soon(&mut self) {
        let (first, _) = ATTENDED;
        let soon = Deadline::after(first);
        self.attended = Some((self.attended.map_or(soon, |(deadline, _)| deadline.min(soon)), first));
    }

    fn died_idle(&mut self, pid: i32, code: Option<i32>, ended: &Ended) {
        if ended.age >= SETTLED {
            self.rounds = 0;
        }
        if ended.round != self.round {
            // Of an older round, or killed by us: not as fast as can be, if that is what children do here.
            let (least, _) = REST;
            self.resting = Some(self.resting.unwrap_or(Deadline::after(least)));
            return;
        }
        let words = self.words.take().filter(|(who, _)| *who == pid);
        self.end_round(words.map_or_else(|| Reason::of(code), |(_, words)| Reason::Words(words)));
        if self.is_hopeless() {
            self.refuse_all();
        }
    }
}

/// Tells the clients of a server why it ends though they are there. `requests` is the server's socket of a
/// [`request_pair`]; a [`Supply`] that fails does it by itself.
pub fn resign(requests: BorrowedFd<'_>, reason: &str) {
    leave_words(requests, reason);
}

fn take(requests: &OwnedFd, saying: &OwnedFd, server: u32) -> Result<Option<Request>> {
    let failed = |e: io::Error| Error::from_io(&e, "wait for a request");
    let me = i64::from(std::process::id());
    loop {
        if !sys::die_with_parent(server).map_err(failed)? {
            return Ok(None);
        }
        let opened = match receive(requests, true) {
            Ok(Some(arrived)) => arrived.open(),
            Ok(None) => return Ok(None),
            Err(e) => Err(e),
        };
        let (request, report) = match opened {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if e.raw_os_error() == Some(libc::EBADMSG) => {
                // A nudge. Where there is no room for it the server is awake anyhow.
                let _ = sys::send_message(saying.as_raw_fd(), &[&me.to_ne_bytes()], &[]);
                continue;
            }
            Err(e) => return Err(failed(e)),
        };
        loop {
            match sys::send_message(saying.as_raw_fd(), &[&me.to_ne_bytes()], &[report.as_fd()]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let slot = PollSlot::new(saying.as_raw_fd(), Interest::Write);
                    let _ = sys::poll(&mut [slot], Deadline::NEVER);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(()) => break,
                // The server is gone, and this child with it.
                Err(_) => return Ok(None),
            }
        }
        if !sys::outlive_parent(server).map_err(failed)? {
            // Nobody could tell the client how this child ends. The next server will do it.
            return Ok(None);
        }
        if write_number(&report, me).is_err() {
            // The client is gone: nobody would know of what this child does.
            return Ok(None);
        }
        return Ok(Some(request));
    }
}
