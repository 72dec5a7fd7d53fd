// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection of a message server.
//!
//! # Who runs it
//! The thread that has its claim: a connection is in one thread's hands at a time, its replies in the order of
//! its requests.
//!
//! # What it keeps
//! Nothing while it is idle: bytes are read into the worker's memory and only an unfinished frame, or
//! output the client does not take, is kept here.
#![forbid(unsafe_code)]

use super::claim::Claim;
use super::control::{Control, add, run_counted};
use super::message::{MessageHandler, MessageOptions};
use crate::auth::{AuthOptions, Fed, Greeting};
use crate::blocking::about_to_block;
use crate::error::{Error, Kind, Result};
use crate::frame::{Format, HeadProgress, QuickHeads};
use crate::net::Address;
use crate::sys;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The size of the memory into which a worker reads.
const SCRATCH: usize = 64 << 10;
/// Output of one turn is sent off when it has grown to this.
const OUTPUT_STEP: usize = 256 << 10;
/// How many full reads one connection gets before others have their turn.
const ROUNDS: usize = 8;

/// Memory that a worker uses for whichever connection it runs.
pub(crate) struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { input: vec![0; SCRATCH].into(), output: Vec::new() }
    }
}

#[derive(Debug)]
pub(crate) struct Peer {
    number: u64,
    fd: OwnedFd,
    address: Address,
    claim: Claim,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// An unfinished frame, or with `held` what was read and not looked at yet.
    input: Vec<u8>,
    /// The client took too little of the output for the frames in `input` to be handled.
    held: bool,
    /// The client has not taken `output[sent..]` yet.
    output: Vec<u8>,
    sent: usize,
    /// The event for which the connection is waiting, and when it is cut off if that does not come.
    clock: Clock,
    expires: Option<Instant>,
    /// The earliest alarm that is set for the connection.
    alarm: Option<Instant>,
}

/// The event for which a connection is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// The next request.
    Idle,
    /// The rest of a request.
    Request,
    /// The client, to take what was sent to it.
    Output,
}

#[derive(Debug)]
enum Phase {
    Greeting(Box<Greeting>),
    Open,
    /// Nothing more is read; what is left of the output is sent.
    Closing,
}

/// The fate of the connection after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    /// There is more to do at once, after others.
    Again,
    Close,
}

/// The result of one read.
struct Round {
    /// Something arrived.
    received: bool,
    /// Something complete arrived.
    handled: bool,
    /// There may be more to read.
    more: bool,
}

impl Round {
    const NOTHING: Self = Self { received: false, handled: false, more: false };
}

/// A request in the hands of its handler.
#[derive(Debug)]
pub struct Request<'a> {
    body: &'a [u8],
    peer: &'a Address,
    connection: u64,
    format: Format,
    heads: QuickHeads,
    output: &'a mut Vec<u8>,
    close: bool,
}

impl<'a> Request<'a> {
    /// The bytes that the client sent. They can be replied with: they do not borrow the request.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Where it comes from.
    #[must_use]
    pub fn peer(&self) -> &Address {
        self.peer
    }

    /// A number for the connection, different from that of every other open one.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Sends a frame back. A request may have no reply or several; they leave when the handler returns.
    ///
    /// # Errors
    /// `FrameTooLarge`: nothing was sent.
    pub fn reply(&mut self, body: &[u8]) -> Result<()> {
        if self.heads.append(body, self.output) { Ok(()) } else { self.reply_vectored(&[IoSlice::new(body)]) }
    }

    /// Like [`reply`](Self::reply), from several buffers.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn reply_vectored(&mut self, bodies: &[IoSlice<'_>]) -> Result<()> {
        let length = bodies.iter().map(|b| b.len() as u64).sum();
        let head = self.format.encode(length)?;
        self.output.reserve(Format::HEAD_MAX + usize::try_from(length).unwrap_or(0));
        self.output.extend_from_slice(head.bytes());
        for body in bodies {
            self.output.extend_from_slice(body);
        }
        Ok(())
    }

    /// Ends the connection after the replies have been sent.
    pub fn close(&mut self) {
        self.close = true;
    }

    /// Tells the server that the handler is about to block, so that others are served at once. Without it
    /// the server finds out by itself, within some milliseconds.
    pub fn will_block(&self) {
        about_to_block();
    }
}

/// The parts of the server that a turn needs.
pub(crate) struct Server<'a, H> {
    pub(crate) options: &'a MessageOptions,
    pub(crate) handler: &'a H,
    pub(crate) control: &'a Control,
}

impl State {
    /// When an alarm is to be set, if the one that is set already comes too late; it counts as set.
    fn next_alarm(&mut self) -> Option<Instant> {
        let at = self.expires.filter(|at| self.alarm.is_none_or(|alarm| *at < alarm))?;
        self.alarm = Some(at);
        Some(at)
    }

    /// A frame that has begun has to be complete in time, and output has to be taken in time.
    fn set_clock(&mut self, progress: bool, options: &MessageOptions) {
        if matches!(self.phase, Phase::Greeting(_)) {
            return;
        }
        let (clock, limit) = if !self.output.is_empty() {
            (Clock::Output, options.request_timeout)
        } else if !self.input.is_empty() {
            (Clock::Request, options.request_timeout)
        } else {
            (Clock::Idle, options.idle_timeout)
        };
        if clock != self.clock || progress || self.expires.is_none() {
            self.clock = clock;
            self.expires = limit.and_then(|limit| Instant::now().checked_add(limit));
        }
    }
}

impl Peer {
    pub(super) fn new(number: u64, fd: OwnedFd, address: Address) -> Self {
        let state = State {
            phase: Phase::Open,
            input: Vec::new(),
            held: false,
            output: Vec::new(),
            sent: 0,
            clock: Clock::Idle,
            expires: None,
            alarm: None,
        };
        Self { number, fd, address, claim: Claim::new(), state: Mutex::new(state) }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claim of the thread that runs it.
    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// When the connection expires.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.state().expires
    }

    /// When an alarm is to be set, if those that are set already come too late. The caller sets it.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.state().next_alarm()
    }

    /// The earliest alarm has rung.
    pub(super) fn alarmed(&self) {
        self.state().alarm = None;
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state();
        state.input.is_empty() && state.output.is_empty() && matches!(state.phase, Phase::Open)
    }

    pub(super) fn is_greeting(&self) -> bool {
        matches!(self.state().phase, Phase::Greeting(_))
    }

    /// Makes whoever waits for the connection see its end.
    pub(super) fn cut(&self) {
        sys::shutdown_both(self.fd());
    }

    /// Begins the handshake, if there is to be one. The connection is claimed.
    pub(super) fn greet(&self, auth: &AuthOptions, control: &Control) -> Result<()> {
        let mut state = self.state();
        let mut output = Vec::new();
        let greeting = Greeting::begin(auth, &mut output)?;
        state.phase = Phase::Greeting(Box::new(greeting));
        state.expires = Instant::now().checked_add(auth.handshake_timeout);
        self.send_off(&mut state, &mut output, control).map_err(|()| Error::new(Kind::Closed, "greet"))
    }

    /// One turn: sends what waits, reads, handles complete frames, sends the replies.
    ///
    /// `ended` says that the client sends no more: then what is there is read to its end, for which there
    /// will be no further event. With the fate comes when an alarm is to be set, as from [`alarm`](Self::alarm).
    pub(super) fn turn<H: MessageHandler>(
        &self,
        server: &Server<'_, H>,
        scratch: &mut Scratch,
        ended: bool,
    ) -> (Fate, Option<Instant>) {
        let mut state = self.state();
        let fate = self.turn_of(&mut state, server, scratch, ended);
        (fate, if fate == Fate::Close { None } else { state.next_alarm() })
    }

    fn turn_of<H: MessageHandler>(
        &self,
        state: &mut State,
        server: &Server<'_, H>,
        scratch: &mut Scratch,
        ended: bool,
    ) -> Fate {
        let unsent = state.output.len() - state.sent;
        if self.flush(state, server.control).is_err() {
            return Fate::Close;
        }
        let mut progress = state.output.len() - state.sent < unsent;
        let mut fate = Fate::Again;
        for _ in 0..ROUNDS {
            if matches!(state.phase, Phase::Closing) {
                fate = if state.output.is_empty() { Fate::Close } else { Fate::Keep };
                break;
            }
            if state.output.len() - state.sent > server.options.max_unsent {
                // The client does not read: neither do we, until it does. Its room is a new event.
                fate = Fate::Keep;
                break;
            }
            match self.round(state, server, scratch) {
                Ok(round) => {
                    progress |= round.handled;
                    let go_on = round.more || (round.received && ended);
                    if !go_on {
                        fate = Fate::Keep;
                        break;
                    }
                }
                Err(()) => return Fate::Close,
            }
        }
        if fate == Fate::Keep && matches!(state.phase, Phase::Closing) && state.output.is_empty() {
            return Fate::Close;
        }
        state.set_clock(progress, server.options);
        fate
    }

    /// Reads once and handles what is complete.
    fn round<H: MessageHandler>(
        &self,
        state: &mut State,
        server: &Server<'_, H>,
        scratch: &mut Scratch,
    ) -> std::result::Result<Round, ()> {
        let counters = &server.control.counters;
        let Scratch { input, output } = scratch;
        output.clear();
        let was_held = std::mem::take(&mut state.held);
        let was_partial = !state.input.is_empty();
        let (n, room) = if was_held {
            (Some(0), 0)
        } else if was_partial {
            let step = state.input.len().clamp(4096, 8 << 20);
            if state.input.try_reserve(step).is_err() {
                return Err(());
            }
            let spare = state.input.spare_capacity_mut();
            let room = spare.len();
            let n = receive(|| sys::recv_uninit(self.fd.as_raw_fd(), spare))?;
            sys::commit(&mut state.input, n.unwrap_or(0));
            (n, room)
        } else {
            (receive(|| sys::recv(self.fd.as_raw_fd(), input))?, input.len())
        };
        let Some(n) = n else { return Ok(Round::NOTHING) };
        if n == 0 && !was_held {
            if state.output.is_empty() {
                return Err(());
            }
            // It sends no more, but may still read what it asked for.
            state.phase = Phase::Closing;
            return Ok(Round::NOTHING);
        }
        add(&counters.bytes_received, n as u64);
        let mut kept = std::mem::take(&mut state.input);
        let bytes = if was_partial { kept.as_slice() } else { input.get(..n).unwrap_or_default() };
        let used = match self.consume(state, bytes, server, output) {
            Ok(used) => used,
            Err(error) => {
                if error.kind() != Kind::Handler {
                    add(&counters.limit_failures, 1);
                }
                // Replies to the requests before the bad one, or the word that the key was wrong.
                let _ = self.send_off(state, output, server.control);
                return Err(());
            }
        };
        let rest = bytes.len() - used;
        if was_partial {
            kept.drain(..used);
            if rest > 0 {
                state.input = kept;
            }
        } else if rest > 0 {
            state.input = bytes.get(used..).unwrap_or_default().to_vec();
        }
        self.send_off(state, output, server.control)?;
        // After held frames nobody has asked yet whether there is more.
        Ok(Round { received: true, handled: used > 0, more: n == room || state.held })
    }

    /// Handles the complete frames at the start of `bytes`; returns how many bytes they took.
    fn consume<H: MessageHandler>(
        &self,
        state: &mut State,
        bytes: &[u8],
        server: &Server<'_, H>,
        output: &mut Vec<u8>,
    ) -> Result<usize> {
        let mut used = 0;
        while let Phase::Greeting(_) = state.phase {
            let Some(n) = self.greeted(state, bytes.get(used..).unwrap_or_default(), output)? else {
                return Ok(used);
            };
            used += n;
        }
        let format = server.options.format;
        let heads = format.quick();
        let mut rest = bytes.get(used..).unwrap_or_default();
        // Whether there is a request is asked before the clock is.
        let Some(first) = complete(format, heads, rest)? else { return Ok(used) };
        let mut failure = None;
        let mut requests = 0;
        let (left, at_most) = (&mut rest, server.options.max_unsent);
        let run = || {
            let mut request = Request {
                body: &[],
                peer: &self.address,
                connection: self.number,
                format,
                heads,
                output,
                close: false,
            };
            let (mut bytes, mut next) = (*left, first);
            loop {
                let (head, length) = next;
                // It is complete: the lengths are within the bytes.
                let (frame, after) = bytes.split_at_checked(head + length).unwrap_or_default();
                request.body = frame.get(head..).unwrap_or_default();
                bytes = after;
                *left = after;
                requests += 1;
                server.handler.handle(&mut request)?;
                if server.control.is_forked() {
                    // The reply is the parent's to send.
                    request.output.clear();
                    return Err(Error::new(Kind::Forked, "handle request"));
                }
                if request.close
                    || (request.output.len() > OUTPUT_STEP
                        && self.send_off(state, request.output, server.control).is_err())
                {
                    state.phase = Phase::Closing;
                    return Ok(());
                }
                if state.output.len() - state.sent > at_most {
                    // The rest of what was read waits until the client has read.
                    state.held = !bytes.is_empty();
                    return Ok(());
                }
                next = match complete(format, heads, bytes) {
                    Ok(Some(next)) => next,
                    Ok(None) => return Ok(()),
                    Err(error) => {
                        failure = Some(error);
                        return Ok(());
                    }
                };
            }
        };
        let ran = run_counted(&server.control.counters, || server.handler.around(run));
        add(&server.control.counters.requests, requests);
        match (ran, failure) {
            (None, _) => Err(Error::new(Kind::Handler, "handle request")),
            (_, Some(error)) => Err(error),
            _ => Ok(bytes.len() - rest.len()),
        }
    }

    /// Goes on with the handshake; the bytes it took, or `None` when a message is not complete.
    fn greeted(&self, state: &mut State, bytes: &[u8], output: &mut Vec<u8>) -> Result<Option<usize>> {
        let Phase::Greeting(greeting) = &mut state.phase else { return Ok(Some(0)) };
        let fed = greeting.feed(bytes, output).map_err(|error| {
            // Kind::Handler: the server counts a connection that ends while it is greeting.
            Error::with_detail(Kind::Handler, "authenticate", error.to_string())
        })?;
        let used = match fed {
            Fed::Needs(_) => return Ok(None),
            Fed::Took(used) => used,
            Fed::Done(used) => {
                state.phase = Phase::Open;
                state.expires = None;
                used
            }
        };
        // A stock client leaves Nagle's algorithm on: its next message waits for our acknowledgement.
        sys::quick_ack(self.fd());
        Ok(Some(used))
    }

    fn flush(&self, state: &mut State, control: &Control) -> std::result::Result<(), ()> {
        while state.sent < state.output.len() {
            let rest = state.output.get(state.sent..).unwrap_or_default();
            match send(self.fd(), rest)? {
                Some(n) => {
                    add(&control.counters.bytes_sent, n as u64);
                    state.sent += n;
                }
                None => return Ok(()),
            }
        }
        state.output = Vec::new();
        state.sent = 0;
        Ok(())
    }

    /// Sends `output`, after what waits already; keeps what the client does not take now.
    fn send_off(
        &self,
        state: &mut State,
        output: &mut Vec<u8>,
        control: &Control,
    ) -> std::result::Result<(), ()> {
        let mut rest = output.as_slice();
        if state.output.is_empty() {
            while !rest.is_empty() {
                let Some(n) = send(self.fd(), rest)? else { break };
                add(&control.counters.bytes_sent, n as u64);
                rest = rest.get(n..).unwrap_or_default();
            }
        }
        state.output.extend_from_slice(rest);
        output.clear();
        Ok(())
    }
}

/// The lengths of head and body of the frame at the start of `bytes`, if it is all there.
fn complete(format: Format, heads: QuickHeads, bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    match heads.decode(bytes) {
        None if !bytes.is_empty() => complete_slowly(format, bytes),
        found => Ok(found),
    }
}

#[cold]
fn complete_slowly(format: Format, bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let HeadProgress::Complete { head, body } = format.decode(bytes)? else { return Ok(None) };
    let body = usize::try_from(body).unwrap_or(usize::MAX);
    Ok((bytes.len() - head >= body).then_some((head, body)))
}

/// Reads once: `None` when nothing is there, an error when the connection is gone.
fn receive(mut read: impl FnMut() -> io::Result<usize>) -> std::result::Result<Option<usize>, ()> {
    loop {
        return match read() {
            Ok(n) => Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => Err(()),
        };
    }
}

fn send(fd: RawFd, bytes: &[u8]) -> std::result::Result<Option<usize>, ()> {
    receive(|| sys::send_vectored(fd, &[IoSlice::new(bytes)]))
}
