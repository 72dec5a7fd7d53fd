// SPDX-License-Identifier: MIT OR Apache-2.0
//! A chapter on processes: starting and joining, many, a process as an object, isolation, terminating, tickets under a
//! lock.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::process::{Child, StartOptions, fork};
use carrick::sync::{Event, Lock};
use carrick::{Deadline, Error, Result};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::parent_id;
use std::sync::atomic::{AtomicI32, Ordering};

const NEVER: Deadline = Deadline::NEVER;

/// Runs `body` in a process of its own; an error is its exit code 2.
fn started(body: impl FnOnce() -> Result<i32>) -> Result<Child> {
    fork(StartOptions::default(), |_| body().unwrap_or(2))
}

/// Waits for the end of a process: its exit code, or the negative number of a signal.
fn ended(child: &Child) -> Result<i32> {
    Ok(child.join(NEVER)?.code())
}

fn start_and_join() -> Result<()> {
    let here = std::process::id();
    let child = started(|| Ok(i32::from(parent_id() != here)))?;
    let own = u32::try_from(child.pid()).is_ok_and(|there| there != here);
    let number = if own { "its own" } else { "the same" };
    println!("start: a process with {number} number, exit code {}", ended(&child)?);
    Ok(())
}

fn many() -> Result<()> {
    let children = (0..10).map(|number| started(|| Ok(number * number))).collect::<Result<Vec<_>>>()?;
    let codes = children.iter().map(|child| Ok(ended(child)?.to_string())).collect::<Result<Vec<_>>>()?;
    println!("many: {}", codes.join(" "));
    Ok(())
}

/// A process as an object: the object has what it needs, and `run` is what it does.
trait Process: Sized {
    fn run(self) -> Result<i32>;

    fn start(self) -> Result<Child> {
        started(|| self.run())
    }
}

struct Sum {
    x: i32,
    y: i32,
}

impl Process for Sum {
    fn run(self) -> Result<i32> {
        Ok(self.x + self.y)
    }
}

fn as_an_object() -> Result<()> {
    let child = Sum { x: 1, y: 2 }.start()?;
    println!("object: 1 + 2 = {}", ended(&child)?);
    Ok(())
}

fn isolation() -> Result<()> {
    let count = AtomicI32::new(100);
    let child = started(|| {
        count.store(0, Ordering::Relaxed);
        Ok(count.load(Ordering::Relaxed))
    })?;
    println!("isolation: {} there, {} here", ended(&child)?, count.into_inner());
    Ok(())
}

fn terminate() -> Result<()> {
    let never = Event::new()?;
    let child = started(|| never.wait(NEVER).map(|()| 0))?;
    let state = || if child.is_alive() { "alive" } else { "dead" };
    let before = state();
    child.terminate()?; // asks for its end, and does not wait for it
    let code = ended(&child)?;
    println!("terminate: {before}, then {} with {code}", state());
    Ok(())
}

fn tickets_with_a_lock() -> Result<()> {
    let wrong = |e: std::io::Error| Error::from_os(e.raw_os_error().unwrap_or(0), "tickets");
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE);
    let tickets = options.open(std::env::temp_dir()).map_err(wrong)?;
    tickets.write_all_at(b"3", 0).map_err(wrong)?;
    let lock = Lock::new()?;
    // A process that reads, counts and writes must hold the lock.
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
    let buyers = (0..10).map(|_| started(|| buy(&tickets))).collect::<Result<Vec<_>>>()?;
    let codes = buyers.iter().map(ended).collect::<Result<Vec<_>>>()?;
    let of = |wanted| codes.iter().filter(|code| **code == wanted).count();
    println!("tickets: {} sold, {} refused", of(0), of(1));
    Ok(())
}

fn main() -> Result<()> {
    start_and_join()?;
    many()?;
    as_an_object()?;
    isolation()?;
    terminate()?;
    tickets_with_a_lock()
}
