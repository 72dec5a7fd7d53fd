// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker of squares.py. Arguments: two descriptors for each of the queues of tasks and of results, descriptor and
//! number of the lock and of the event, the descriptor of the ledger.

use carrick::Deadline;
use carrick::queue::Queue;
use carrick::sync::{Event, Lock, LockError};
use std::error::Error;
use std::fs::File;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

const NEVER: Deadline = Deadline::NEVER;

/// Takes over a descriptor that the parent handed on.
fn inherited(text: &str) -> Result<OwnedFd, Box<dyn Error>> {
    let fd = text.parse()?;
    // SAFETY: the parent passed the descriptor to this process, and nobody else here has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lends a descriptor that several primitives live behind.
fn lent<'a>(text: &str) -> Result<BorrowedFd<'a>, Box<dyn Error>> {
    let fd = text.parse()?;
    // SAFETY: the parent passed the descriptor to this process, where nobody closes it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

fn count(ledger: &File) -> Result<(), Box<dyn Error>> {
    let mut text = [0; 32];
    let length = ledger.read_at(&mut text, 0)?;
    let number: u64 = std::str::from_utf8(&text[..length])?.parse()?;
    Ok(ledger.write_all_at((number + 1).to_string().as_bytes(), 0)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tasks, tasks_bell, results, results_bell, lock, lock_slot, go, go_slot, ledger] =
        arguments.as_slice()
    else {
        return Err("nine arguments are needed".into());
    };
    let tasks = Queue::attach_selectable(inherited(tasks)?, inherited(tasks_bell)?)?;
    let results = Queue::attach_selectable(inherited(results)?, inherited(results_bell)?)?;
    let lock = Lock::attach(lent(lock)?, lock_slot.parse()?)?;
    let go = Event::attach(lent(go)?, go_slot.parse()?)?;
    let ledger = File::from(inherited(ledger)?);
    results.put(b"Rust", NEVER)?;
    go.wait(NEVER)?;
    loop {
        let item = tasks.get(NEVER)?;
        if item.is_empty() {
            return Ok(());
        }
        let number: u64 = std::str::from_utf8(&item)?.parse()?;
        // A lock whose holder was killed is taken all the same.
        let guard = lock.lock(NEVER).or_else(LockError::into_guard)?;
        count(&ledger)?;
        drop(guard);
        results.put((number * number).to_string().as_bytes(), NEVER)?;
    }
}
