// SPDX-License-Identifier: MIT OR Apache-2.0
//! Daemons, and who ends with whom. A parent has a daemon, the daemon has a daemon and another child. When the parent
//! ends, by itself or by kill -9, the kernel kills its daemon, and therefore the daemon's daemon; the other child lives
//! on. Python refuses to start a child in a daemon, for that one's sake; here it is up to you. Nobody is waited for who
//! is not joined.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::process::{StartOptions, fork};
use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Event, Lock, LockError};
use carrick::{Deadline, Result};

const NEVER: Deadline = Deadline::NEVER;
const DAEMON: StartOptions = StartOptions { daemon: true, channel: false };
const PLAIN: StartOptions = StartOptions { daemon: false, channel: false };

struct Family {
    words: Queue,
    daemon_lives: Lock,
    daemons_daemon_lives: Lock,
    home: Event,
    go: Event,
    never: Event,
}

impl Family {
    fn daemons_daemon(&self) -> Result<()> {
        let _guard = self.daemons_daemon_lives.lock(NEVER)?;
        self.words.put(b"started", NEVER)?;
        self.never.wait(NEVER)
    }

    fn daemons_child(&self) -> Result<()> {
        self.words.put(b"started", NEVER)?;
        self.go.wait(NEVER)?;
        self.words.put(b"still here", NEVER)
    }

    fn daemon(&self) -> Result<()> {
        let _guard = self.daemon_lives.lock(NEVER)?;
        fork(DAEMON, |_| self.daemons_daemon().is_err().into())?;
        fork(PLAIN, |_| self.daemons_child().is_err().into())?;
        self.never.wait(NEVER)
    }

    fn parent(&self) -> Result<()> {
        fork(DAEMON, |_| self.daemon().is_err().into())?;
        self.home.wait(NEVER)
    }
}

/// Waits for the end of a process that holds a lock: it leaves the lock to the next one, who is told.
fn fate(lives: &Lock) -> Result<&'static str> {
    match lives.lock(NEVER) {
        Ok(_guard) => Ok("ended by itself"),
        Err(LockError::OwnerDied(_guard)) => Ok("killed"),
        Err(LockError::Failed(error)) => Err(error),
    }
}

fn story(by_force: bool) -> Result<()> {
    let family = Family {
        words: Queue::new(QueueOptions::default())?,
        daemon_lives: Lock::new()?,
        daemons_daemon_lives: Lock::new()?,
        home: Event::new()?,
        go: Event::new()?,
        never: Event::new()?,
    };
    let parent = fork(PLAIN, |_| family.parent().is_err().into())?;
    for _ in 0..2 {
        family.words.get(NEVER)?; // the daemon's children have started
    }
    if by_force {
        parent.kill()?;
    } else {
        family.home.set();
    }
    println!("parent ended with {}", parent.join(NEVER)?.code());
    println!("  daemon: {}", fate(&family.daemon_lives)?);
    println!("  daemon's daemon: {}", fate(&family.daemons_daemon_lives)?);
    family.go.set();
    println!("  daemon's other child: {}", String::from_utf8_lossy(&family.words.get(NEVER)?));
    Ok(())
}

fn main() -> Result<()> {
    story(false)?;
    story(true)
}
