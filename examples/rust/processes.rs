// SPDX-License-Identifier: MIT OR Apache-2.0
//! A chapter on processes: starting and joining, isolation, daemons, a lock, a pipe, queues with and without waiting.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::process::{Child, StartOptions, fork};
use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Event, Lock};
use carrick::{Deadline, Error, Kind, Result};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicI32, Ordering};

const NEVER: Deadline = Deadline::NEVER;

/// Runs `body` in a process of its own; an error is its exit code 2.
fn started(body: impl FnOnce() -> Result<i32>) -> Result<Child> {
    fork(StartOptions::default(), |_| body().unwrap_or(2))
}

fn code(child: &Child) -> Result<i32> {
    Ok(child.join(NEVER)?.code())
}

fn codes(children: &[Child]) -> Result<Vec<i32>> {
    children.iter().map(code).collect()
}

fn many() -> Result<()> {
    let children = [1, 2, 3].map(|number| started(|| Ok(number * number)));
    let codes = codes(&children.into_iter().collect::<Result<Vec<_>>>()?)?;
    println!("many: {}", codes.iter().map(i32::to_string).collect::<Vec<_>>().join(" "));
    Ok(())
}

fn isolation() -> Result<()> {
    let count = AtomicI32::new(100);
    let child = started(|| {
        count.store(0, Ordering::Relaxed);
        Ok(0)
    })?;
    code(&child)?;
    println!("isolation: {}", count.into_inner());
    Ok(())
}

fn daemons() -> Result<()> {
    let never = Event::new()?;
    let options = StartOptions { daemon: true, channel: false };
    let daemon = fork(options, |_| i32::from(never.wait(NEVER).is_err()))?;
    let alive = if daemon.is_alive() { "alive" } else { "dead" };
    daemon.terminate()?;
    println!("daemon: {alive} {}", code(&daemon)?);
    Ok(())
}

fn tickets_with_a_lock() -> Result<()> {
    let wrong = |e: std::io::Error| Error::from_os(e.raw_os_error().unwrap_or(0), "tickets");
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE);
    let tickets = options.open(std::env::temp_dir()).map_err(wrong)?;
    tickets.write_all_at(b"3", 0).map_err(wrong)?;
    let lock = Lock::new()?;
    let buy = |tickets: &File| {
        let _guard = lock.lock(NEVER)?;
        let mut left = [0];
        tickets.read_exact_at(&mut left, 0).map_err(wrong)?;
        if left[0] == b'0' {
            return Ok(1);
        }
        tickets.write_all_at(&[left[0] - 1], 0).map_err(wrong)?;
        Ok(0)
    };
    let buyers = (0..6).map(|_| started(|| buy(&tickets))).collect::<Result<Vec<_>>>()?;
    let codes = codes(&buyers)?;
    let of = |wanted| codes.iter().filter(|code| **code == wanted).count();
    println!("tickets: {} sold, {} refused", of(0), of(1));
    Ok(())
}

fn pipe() -> Result<()> {
    let options = StartOptions { daemon: false, channel: true };
    let child = fork(options, |channel| {
        let shout = || -> Result<()> {
            let channel = channel.ok_or_else(|| Error::new(Kind::State, "pipe"))?;
            channel.send(&channel.recv(NEVER)?.to_ascii_uppercase(), NEVER)
        };
        i32::from(shout().is_err())
    })?;
    let channel = child.channel().ok_or_else(|| Error::new(Kind::State, "pipe"))?;
    channel.send(b"hello", NEVER)?;
    println!("pipe: {}", String::from_utf8_lossy(&channel.recv(NEVER)?));
    code(&child).map(drop)
}

fn without_waiting() -> Result<()> {
    let small = Queue::new(QueueOptions { max_items: 1, ..QueueOptions::default() })?;
    small.put(b"one", Deadline::NOW)?;
    let full = small.put(b"two", Deadline::NOW).map_err(|error| error.kind()) == Err(Kind::Full);
    small.get(Deadline::NOW)?;
    let empty = small.get(Deadline::NOW).map_err(|error| error.kind()) == Err(Kind::Empty);
    println!("nowait: {}, {}", if full { "full" } else { "room" }, if empty { "empty" } else { "an item" });
    Ok(())
}

fn producers_and_consumers() -> Result<()> {
    let (items, results) = (Queue::new(QueueOptions::default())?, Queue::new(QueueOptions::default())?);
    let produce = || (0..5).try_for_each(|_| items.put(b"item", NEVER)).map(|()| 0);
    let consume = || {
        let mut taken = 0_u8;
        while !items.get(NEVER)?.is_empty() {
            taken += 1;
        }
        results.put(&[taken], NEVER).map(|()| 0)
    };
    let producers = [started(produce)?, started(produce)?];
    let consumers = [started(consume)?, started(consume)?];
    codes(&producers)?;
    items.put(b"", NEVER)?;
    items.put(b"", NEVER)?;
    let taken: u8 = results.get(NEVER)?.iter().chain(&results.get(NEVER)?).sum();
    println!("consumed: {taken}");
    codes(&consumers).map(drop)
}

fn joined() -> Result<()> {
    let tasks = Queue::new(QueueOptions::default())?;
    let worker = started(|| {
        loop {
            let last = tasks.get(NEVER)?.is_empty();
            tasks.task_done()?;
            if last {
                return Ok(0);
            }
        }
    })?;
    for task in ["task", "task", "task", ""] {
        tasks.put(task.as_bytes(), NEVER)?;
    }
    tasks.join(NEVER)?;
    println!("joined: {}", code(&worker)?);
    Ok(())
}

fn main() -> Result<()> {
    many()?;
    isolation()?;
    daemons()?;
    tickets_with_a_lock()?;
    pipe()?;
    without_waiting()?;
    producers_and_consumers()?;
    joined()
}
