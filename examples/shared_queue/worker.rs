// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker of squares.py. Arguments: the descriptors of the tasks and of the results, two for each queue.

use carrick::Deadline;
use carrick::queue::Queue;
use std::error::Error;
use std::os::fd::{FromRawFd, OwnedFd};

/// Takes over a descriptor that the parent handed on.
fn inherited(text: &str) -> Result<OwnedFd, Box<dyn Error>> {
    let fd = text.parse()?;
    // SAFETY: the parent passed the descriptor to this process, and nobody else here has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tasks, tasks_bell, results, results_bell] = arguments.as_slice() else {
        return Err("four descriptors are needed".into());
    };
    let tasks = Queue::attach_selectable(inherited(tasks)?, inherited(tasks_bell)?)?;
    let results = Queue::attach_selectable(inherited(results)?, inherited(results_bell)?)?;
    results.put(b"Rust", Deadline::NEVER)?;
    loop {
        let item = tasks.get(Deadline::NEVER)?;
        if item.is_empty() {
            return Ok(());
        }
        let number: u64 = std::str::from_utf8(&item)?.parse()?;
        results.put((number * number).to_string().as_bytes(), Deadline::NEVER)?;
    }
}
