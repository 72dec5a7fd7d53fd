// SPDX-License-Identifier: MIT OR Apache-2.0
//! A child process per connection.
#![forbid(unsafe_code)]

use super::control::{Control, Overload, add};
use super::stream::{StreamHandler, StreamOptions, attend};
use crate::error::{Error, Kind, Result};
use crate::net::{Address, Listener, Stream};
use crate::sys::{self, ForkOutcome, Interest, PollSlot, ProcessHandle};
use crate::time::Deadline;
use std::time::Duration;

/// How long a terminated child gets before it is killed.
const GRACE: Duration = Duration::from_millis(500);

pub(super) fn serve(
    listener: &Listener,
    options: &StreamOptions,
    limit: usize,
    control: &Control,
    handler: &impl StreamHandler,
) -> Result<()> {
    let mut children: Vec<ProcessHandle> = Vec::new();
    while !control.stopping() {
        reap(&mut children, control);
        let full = children.len() >= limit;
        if !wait(listener, &children, control, full && options.overload == Overload::Block) {
            continue;
        }
        let accepted = match listener.accept(Deadline::NOW) {
            Ok(accepted) => accepted,
            Err(e) if e.kind() == Kind::WouldBlock => continue,
            Err(e) if e.kind() == Kind::Closed => break,
            Err(_) => {
                add(&control.counters.accept_failures, 1);
                rest(control);
                continue;
            }
        };
        add(&control.counters.connections, 1);
        let (stream, peer) = accepted;
        if full {
            add(&control.counters.rejected, 1);
            continue;
        }
        match sys::fork_child() {
            Ok(ForkOutcome::Child) => child(listener, options, control, handler, &stream, &peer),
            Ok(ForkOutcome::Parent(child)) => {
                add(&control.counters.requests, 1);
                add(&control.counters.active, 1);
                children.push(child);
            }
            // Nobody knows how.
            Ok(ForkOutcome::Ended(_)) => add(&control.counters.requests, 1),
            Err(_) => {
                add(&control.counters.accept_failures, 1);
                rest(control);
            }
        }
        // The child has its own copy: this one must not end the connection for it.
        stream.forget();
    }
    drain(children, control)
}

fn rest(control: &Control) {
    let _ = sys::poll(&mut [PollSlot::new(control.wake_fd(), Interest::Read)], Deadline::after(GRACE / 20));
}

fn child(
    listener: &Listener,
    options: &StreamOptions,
    control: &Control,
    handler: &impl StreamHandler,
    stream: &Stream,
    peer: &Address,
) -> ! {
    listener.forget();
    let failures = || {
        let counters = &control.counters;
        counters.failures.load(std::sync::atomic::Ordering::Relaxed)
            + counters.auth_failures.load(std::sync::atomic::Ordering::Relaxed)
    };
    let before = failures();
    attend(stream, peer, options.auth.as_ref(), handler, control);
    crate::sync::leave_locks();
    sys::exit_now(i32::from(failures() != before))
}

/// Waits for a connection, a child's end or a stop; says whether a connection may be there.
fn wait(listener: &Listener, children: &[ProcessHandle], control: &Control, full: bool) -> bool {
    let mut slots = vec![PollSlot::new(control.wake_fd(), Interest::Read)];
    slots.extend(children.iter().map(|c| PollSlot::new(c.fd(), Interest::Read)));
    let Ok(fd) = listener.fd() else { return false };
    if !full {
        slots.push(PollSlot::new(fd, Interest::Read));
    }
    match sys::poll(&mut slots, Deadline::NEVER) {
        Ok(_) => !full && slots.last().is_some_and(PollSlot::fired),
        Err(_) => false,
    }
}

fn reap(children: &mut Vec<ProcessHandle>, control: &Control) {
    children.retain(|child| match child.wait(Deadline::NOW) {
        Ok(None) | Err(_) => true,
        Ok(Some(status)) => {
            control.counters.active.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            if status != 0 {
                add(&control.counters.failures, 1);
            }
            false
        }
    });
}

fn drain(mut children: Vec<ProcessHandle>, control: &Control) -> Result<()> {
    let until = |children: &mut Vec<ProcessHandle>, deadline: &dyn Fn() -> Deadline| {
        while !children.is_empty() && !deadline().expired() {
            if let Some(first) = children.first() {
                let slice = Deadline::after(GRACE / 10).min(deadline());
                let _ = first.wait(slice);
            }
            reap(children, control);
        }
    };
    until(&mut children, &|| control.cut());
    if children.is_empty() {
        return Ok(());
    }
    for (signal, patience) in [(libc::SIGTERM, GRACE), (libc::SIGKILL, GRACE)] {
        for child in &children {
            let _ = child.signal(signal);
        }
        let deadline = Deadline::after(patience);
        until(&mut children, &|| deadline);
    }
    if children.is_empty() {
        return Ok(());
    }
    Err(Error::with_detail(Kind::Timeout, "serve", format!("{} child processes do not end", children.len())))
}
