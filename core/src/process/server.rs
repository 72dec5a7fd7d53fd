// SPDX-License-Identifier: MIT OR Apache-2.0
//! A fork server of functions of this program.
#![forbid(unsafe_code)]

use super::child::Child;
use super::request::{self, Request};
use super::start::{PANICKED, StartOptions, run};
use super::supply::{self, Supply};
use crate::error::{Error, Kind, Result};
use crate::frame::{Connection, Format};
use crate::net::Stream;
use crate::sys::{self, ForkOutcome};
use crate::time::Deadline;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long a server that is dropped is waited for.
const PARTING: Duration = Duration::from_millis(200);

const DAEMON: u8 = 1;
const CHANNEL: u8 = 2;

/// The task of a child of a [`ForkServer`].
#[derive(Debug)]
pub struct Task {
    /// The bytes that [`ForkServer::start`] was given.
    pub body: Vec<u8>,
    /// The descriptors that it was given, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// The channel to the process that asked, where it wanted one.
    pub channel: Option<Connection<Stream>>,
}

/// A process that was forked early, when this one was small and had no threads, and forks others on request: they
/// start faster than by [`fork`](super::fork), since some are always ready, and have nothing of this process's threads
/// and memory of later times.
///
/// It serves this process and forks of it, from any thread. It ends with the last one that has the value; its children
/// live on. Where it is killed, `start` fails with `Closed`.
#[derive(Debug)]
pub struct ForkServer {
    /// `None` while it is dropped.
    socket: Option<OwnedFd>,
    process: Child,
}

impl Drop for ForkServer {
    /// Gives the server a moment to end, which it does at once where no fork of this process has the value, too.
    fn drop(&mut self) {
        drop(self.socket.take());
        let _ = self.process.join(Deadline::after(PARTING));
    }
}

impl ForkServer {
    /// Forks the server. `function` is what its children run; what it returns is their exit code.
    ///
    /// The rules of [`fork`](super::fork) hold for the function: call this before the program has threads.
    ///
    /// # Errors
    /// As [`fork`](super::fork).
    pub fn new(function: fn(Task) -> i32) -> Result<Self> {
        let (socket, requests) = supply::request_pair()?;
        let failed = |e: io::Error| Error::from_io(&e, "start a fork server");
        match sys::fork_child().map_err(failed)? {
            ForkOutcome::Parent(handle) => {
                Ok(Self { socket: Some(socket), process: Child::own(handle, None) })
            }
            ForkOutcome::Ended(pid) => {
                let process = Child::ended(pid, None).map_err(failed)?;
                Ok(Self { socket: Some(socket), process })
            }
            ForkOutcome::Child => {
                drop(socket);
                sys::exit_now(run(|| serve(requests, function).map_or(PANICKED, |()| 0)))
            }
        }
    }

    /// The server itself.
    #[must_use]
    pub fn process(&self) -> &Child {
        &self.process
    }

    /// Has a child made, and waits until it has begun.
    ///
    /// # Errors
    /// `Closed`: the server was killed. `WorkerDied`: its children die before they take a request; the message has the
    /// reason of the last one. `Interrupted`. `Os`: the server could not fork, with its errno; EMFILE: no descriptors are
    /// left, here or in the server.
    pub fn start(&self, body: &[u8], descriptors: &[BorrowedFd<'_>], options: StartOptions) -> Result<Child> {
        const STARTING: &str = "start a process";
        let lifeline = super::lifeline_if(options.daemon)?;
        let pair = if options.channel { Some(Stream::pair()?) } else { None };
        let (ours, theirs) = match pair {
            Some((ours, theirs)) => (Some(ours), Some(theirs.into_fd()?)),
            None => (None, None),
        };
        let mut flags = 0;
        let mut fds = Vec::with_capacity(descriptors.len() + 2);
        for (flag, fd) in [(DAEMON, &lifeline), (CHANNEL, &theirs)] {
            if let Some(fd) = fd {
                flags |= flag;
                fds.push(fd.as_fd());
            }
        }
        fds.extend_from_slice(descriptors);
        let message = [&[flags], body].concat();
        let socket = self.socket.as_ref().ok_or_else(|| Error::new(Kind::Closed, STARTING))?;
        // A child may be killed under the request as often as there are children ready.
        let mut attempts = 16;
        loop {
            match request::ask(socket.as_fd(), &message, &fds) {
                Err(e) if e.kind() == Kind::Closed && attempts > 0 && self.process.is_alive() => {
                    attempts -= 1
                }
                Err(e) => return Err(e),
                Ok((pid, report)) => {
                    let channel = ours.map(|stream| Connection::new(stream, Format::MULTIPROCESSING));
                    return Ok(Child::served(pid, report, channel));
                }
            }
        }
    }
}

fn serve(requests: OwnedFd, function: fn(Task) -> i32) -> Result<()> {
    // Ctrl-C is for the children that run something.
    let interrupt = sys::ignore_interrupt();
    let mut supply = Supply::new(requests)?;
    while supply.wait()? {
        match sys::fork_plain() {
            Err(e) => supply.fork_failed(e.raw_os_error().unwrap_or(libc::EAGAIN)),
            Ok(0) => match supply.take() {
                Ok(Some(request)) => {
                    sys::heed_interrupt(interrupt);
                    sys::exit_now(run(|| attend(request, function)))
                }
                Ok(None) => sys::exit_now(0),
                Err(_) => sys::exit_now(PANICKED),
            },
            Ok(pid) => supply.forked(pid),
        }
    }
    Ok(())
}

fn attend(mut request: Request, function: fn(Task) -> i32) -> i32 {
    let flags = request.body.first().copied().unwrap_or(0);
    request.body.drain(..request.body.len().min(1));
    let mut descriptors = request.descriptors.into_iter();
    if flags & DAEMON != 0 {
        let Some(lifeline) = descriptors.next() else { return PANICKED };
        if !matches!(sys::hold_on(lifeline.as_fd()), Ok(true)) {
            return PANICKED;
        }
    }
    let mut channel = None;
    if flags & CHANNEL != 0 {
        let Some(Ok(stream)) = descriptors.next().map(Stream::from_fd) else { return PANICKED };
        channel = Some(Connection::new(stream, Format::MULTIPROCESSING));
    }
    function(Task { body: request.body, descriptors: descriptors.collect(), channel })
}
