// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages between two processes through carrick's queue.
//!
//!   carrick_queue stream LENGTH COUNT     prints microseconds a message
//!   carrick_queue roundtrip LENGTH COUNT  prints microseconds there and back, through two queues
//!
//! The other process is this program again.

use carrick::Deadline;
use carrick::queue::{Queue, QueueOptions};
use std::error::Error;
use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::time::Instant;

type Outcome = Result<(), Box<dyn Error>>;

fn attach(path: &str) -> Result<Queue, Box<dyn Error>> {
    Ok(Queue::attach(OpenOptions::new().read(true).write(true).open(path)?.into())?)
}

fn path(queue: &Queue) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), queue.as_fd().as_raw_fd())
}

/// The other process: takes from the first queue and, for round trips, puts into the second one.
fn other(answers: bool, count: usize, there: &str, back: &str) -> Outcome {
    let (there, back) = (attach(there)?, attach(back)?);
    back.put(b"ready", Deadline::NEVER)?;
    for _ in 0..count {
        let body = there.get(Deadline::NEVER)?;
        if answers {
            back.put(&body, Deadline::NEVER)?;
        }
    }
    if !answers {
        back.put(b"done", Deadline::NEVER)?;
    }
    Ok(())
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mode, length, count) = match *arguments.as_slice() {
        ["other", mode, count, there, back] => return other(mode == "roundtrip", count.parse()?, there, back),
        [mode, length, count] => (mode, length.parse()?, count.parse::<usize>()?),
        _ => return Err("usage: carrick_queue stream|roundtrip LENGTH COUNT".into()),
    };
    let (there, back) = (Queue::new(QueueOptions::default())?, Queue::new(QueueOptions::default())?);
    let mut child = Command::new(std::env::current_exe()?)
        .args(["other", mode, &count.to_string(), &path(&there), &path(&back)])
        .spawn()?;
    let body = vec![b'x'; length];
    back.get(Deadline::NEVER)?;
    let started = Instant::now();
    for _ in 0..count {
        there.put(&body, Deadline::NEVER)?;
        if mode == "roundtrip" {
            back.get(Deadline::NEVER)?;
        }
    }
    if mode == "stream" {
        back.get(Deadline::NEVER)?;
    }
    println!("{:.4}", started.elapsed().as_secs_f64() * 1e6 / count as f64);
    child.wait()?;
    Ok(())
}
