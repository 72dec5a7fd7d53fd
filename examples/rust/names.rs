// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two programs that are no relatives meet by a name: this one, and the same one started with the name.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::queue::{Queue, QueueOptions};
use carrick::{Deadline, name};
use std::error::Error;
use std::process::Command;

fn visit(name: &str) -> carrick::Result<()> {
    Queue::open(name)?.put(b"a job from another program", Deadline::NEVER)
}

fn meet(name: &str, queue: &Queue) -> Result<(), Box<dyn Error>> {
    let status = Command::new(std::env::current_exe()?).arg(name).status()?;
    if !status.success() {
        return Err(format!("the other program ended with {status}").into());
    }
    println!("{}", String::from_utf8(queue.get(Deadline::NEVER)?)?);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(name) = std::env::args().nth(1) {
        return Ok(visit(&name)?);
    }
    let name = format!("example-{}", std::process::id());
    let queue = Queue::create(&name, QueueOptions::default())?;
    let met = meet(&name, &queue);
    name::remove(&name)?;
    met?;
    if Queue::open(&name).is_err_and(|error| error.os_code() == Some(libc::ENOENT)) {
        println!("the name is gone");
    }
    Ok(())
}
