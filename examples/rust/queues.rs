// SPDX-License-Identifier: MIT OR Apache-2.0
//! A chapter on what processes tell each other: a result in a queue, a pipe, queues that are full and empty, producers
//! and consumers, a queue that can be joined.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::process::{Child, StartOptions, fork};
use carrick::queue::{Queue, QueueOptions};
use carrick::{Deadline, Error, Kind, Result};
use std::time::Duration;

const NEVER: Deadline = Deadline::NEVER;

/// Runs `body` in a process of its own; an error is its exit code 255.
fn started(body: impl FnOnce() -> Result<i32>) -> Result<Child> {
    fork(StartOptions::default(), |_| body().unwrap_or(255))
}

fn ended(child: &Child) -> Result<i32> {
    Ok(child.join(NEVER)?.code())
}

/// A queue of at most so many items; 0 is no limit.
fn queue(max_items: u64) -> Result<Queue> {
    Queue::new(QueueOptions { max_items, ..QueueOptions::default() })
}

fn a_result() -> Result<()> {
    let results = queue(0)?;
    let child = started(|| results.put((2 + 3).to_string().as_bytes(), NEVER).map(|()| 0))?;
    println!("queue: 2 + 3 = {}", String::from_utf8_lossy(&results.get(NEVER)?));
    ended(&child).map(drop)
}

fn a_pipe() -> Result<()> {
    let options = StartOptions { daemon: false, channel: true };
    // The other end of the pipe; 0 when it was told that nobody is there any more.
    let mut child = fork(options, |channel| {
        let answer = || -> Result<()> {
            let channel = channel.ok_or_else(|| Error::new(Kind::State, "pipe"))?;
            loop {
                channel.send(&channel.recv(NEVER)?.to_ascii_uppercase(), NEVER)?;
            }
        };
        i32::from(answer().map_err(|error| error.kind()) != Err(Kind::Eof))
    })?;
    let channel = child.take_channel().ok_or_else(|| Error::new(Kind::State, "pipe"))?;
    print!("pipe:");
    for word in ["belay", "haul in"] {
        channel.send(word.as_bytes(), NEVER)?;
        print!(" {},", String::from_utf8_lossy(&channel.recv(NEVER)?));
    }
    drop(channel);
    println!(" {}", if ended(&child)? == 0 { "the end" } else { "an error" });
    Ok(())
}

fn full_and_empty() -> Result<()> {
    let small = queue(3)?;
    let soon = || Deadline::after(Duration::from_millis(10));
    let put = |deadline, wanted| {
        let full = small.put(b"item", deadline).map_err(|error| error.kind()) == Err(wanted);
        if full { "full" } else { "room" }
    };
    let get = |deadline, wanted| {
        let empty = small.get(deadline).map_err(|error| error.kind()) == Err(wanted);
        if empty { "empty" } else { "an item" }
    };
    for _ in 0..3 {
        small.put(b"item", Deadline::NOW)?;
    }
    print!("without waiting: {}, in 10 ms: {}", put(Deadline::NOW, Kind::Full), put(soon(), Kind::Timeout));
    for _ in 0..3 {
        small.get(Deadline::NOW)?;
    }
    println!(
        "; without waiting: {}, in 10 ms: {}",
        get(Deadline::NOW, Kind::Empty),
        get(soon(), Kind::Timeout)
    );
    Ok(())
}

fn producers_and_consumers() -> Result<()> {
    let items = queue(10)?;
    let produce = || (0..10).try_for_each(|_| items.put(b"rope", NEVER)).map(|()| 0);
    // An item without a body says that there is no more; each consumer leaves it to the next one.
    let consume = || {
        let mut taken = 0;
        while !items.get(NEVER)?.is_empty() {
            taken += 1;
        }
        items.put(b"", NEVER).map(|()| taken)
    };
    let producers = [started(produce)?, started(produce)?];
    let consumers = (0..4).map(|_| started(consume)).collect::<Result<Vec<_>>>()?;
    for producer in &producers {
        ended(producer)?;
    }
    items.put(b"", NEVER)?;
    let taken: i32 = consumers.iter().map(ended).sum::<Result<_>>()?;
    println!("consumed: {taken}, then {}", if items.get(NEVER)?.is_empty() { "the end" } else { "one more" });
    Ok(())
}

fn joined() -> Result<()> {
    let items = queue(0)?;
    let consume = || -> Result<()> {
        loop {
            items.get(NEVER)?;
            items.task_done()?;
        }
    };
    let daemon = StartOptions { daemon: true, channel: false };
    // They end with this process.
    let _consumers =
        [fork(daemon, |_| consume().is_err().into())?, fork(daemon, |_| consume().is_err().into())?];
    let producer = started(|| {
        (0..10).try_for_each(|_| items.put(b"sheet", NEVER))?;
        items.join(NEVER).map(|()| 0) // all that was put is used
    })?;
    let all = if ended(&producer)? == 0 { "all is used" } else { "an error" };
    let refused = items.task_done().map_err(|error| error.kind()) == Err(Kind::Invalid);
    println!("joined: {all}, once more: {}", if refused { "refused" } else { "accepted" });
    Ok(())
}

fn main() -> Result<()> {
    a_result()?;
    a_pipe()?;
    full_and_empty()?;
    producers_and_consumers()?;
    joined()
}
