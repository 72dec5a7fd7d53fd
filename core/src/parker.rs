// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sleep of one thread that another thread of the process ends.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::fork::SetOnce;
use crate::interrupt::{self, Sleeper};
use crate::net::{Spin, Wait};
use crate::sys::{self, Interest, PollSlot, Wake};
use crate::time::Deadline;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

// ORDER parker: every access is SeqCst; the waker publishes what it did before, the woken thread sees it.
/// Nobody sleeps and nobody has unparked.
const IDLE: u32 = 0;
/// An unpark that no sleep has used up yet.
const UNPARKED: u32 = 1;
/// The owner sleeps on this word.
const ON_WORD: u32 = 2;
/// The owner sleeps in `poll`, because it has signals to hear of.
const IN_POLL: u32 = 3;

/// Puts one thread at a time to sleep until another calls [`unpark`](Self::unpark), a deadline passes or a
/// signal is to end the wait.
///
/// An unpark that comes before the sleep ends it at once; several before one sleep count as one. Besides, a
/// sleep may end for no reason: look again at what you wait for.
///
/// # Example
/// ```
/// use carrick::{Deadline, Parker};
/// use std::sync::Arc;
/// let parker = Arc::new(Parker::new());
/// let other = Arc::clone(&parker);
/// let thread = std::thread::spawn(move || other.unpark());
/// parker.prepare("wait")?.sleep(Deadline::NEVER)?;
/// # thread.join().unwrap();
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Parker {
    state: AtomicU32,
    /// Made for the first sleep of a thread that has signals to hear of, by the process with this number. A child
    /// made by fork must not share it with its parent.
    wake: SetOnce<(u32, Wake)>,
    spin: Spin,
}

/// A thread that is about to sleep, and may look for a moment whether it has to.
pub struct Waiting<'a> {
    parker: &'a Parker,
    wait: Wait<'a>,
}

/// A thread that is prepared to sleep: from here on no signal is missed.
pub struct Prepared<'a> {
    waiting: Waiting<'a>,
    sleeper: Sleeper,
    operation: &'static str,
}

impl Parker {
    /// One that nobody sleeps on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a wait that may be over before the thread has gone to sleep.
    #[must_use]
    pub fn wait(&self) -> Waiting<'_> {
        Waiting { parker: self, wait: self.spin.wait() }
    }

    /// Prepares this thread to sleep; `operation` names the wait in errors.
    ///
    /// # Errors
    /// `Interrupted`: a signal has arrived, and the hook wants the wait to end.
    pub fn prepare(&self, operation: &'static str) -> Result<Prepared<'_>> {
        self.wait().prepare(operation)
    }

    /// Ends the sleep of the thread that sleeps, or the next one.
    pub fn unpark(&self) {
        match self.state.swap(UNPARKED, Ordering::SeqCst) {
            ON_WORD => {
                sys::futex_wake(&self.state, 1);
            }
            IN_POLL => {
                if let Some(wake) = self.wake() {
                    wake.set();
                }
            }
            _ => {}
        }
    }

    /// The wake to poll; `None` where there is no descriptor for it.
    fn wake(&self) -> Option<&Wake> {
        let me = std::process::id();
        if self.wake.get().is_none() {
            self.wake.get_or_set((me, Wake::new().ok()?));
        }
        self.wake.get().filter(|(process, _)| *process == me).map(|(_, wake)| wake)
    }
}

impl<'a> Waiting<'a> {
    /// Whether [`spin`](Self::spin) does anything: where the last waits of this parker were long it does not.
    #[must_use]
    pub fn spins(&self) -> bool {
        self.wait.spins()
    }

    /// Looks again and again for the unpark, for some 60 microseconds at most; true when it has come, and this wait is over.
    ///
    /// It ends with the deadline, and takes no notice of signals.
    pub fn spin(&mut self, deadline: Deadline) -> bool {
        let state = &self.parker.state;
        // A swap: what a second unpark published meanwhile is seen, too.
        let look = || (state.load(Ordering::SeqCst) == UNPARKED).then(|| state.swap(IDLE, Ordering::SeqCst));
        self.wait.spin_on_memory(deadline, look).is_some()
    }

    /// Prepares this thread to sleep; `operation` names the wait in errors.
    ///
    /// # Errors
    /// `Interrupted`: a signal has arrived, and the hook wants the wait to end.
    pub fn prepare(self, operation: &'static str) -> Result<Prepared<'a>> {
        crate::blocking::about_to_block();
        let sleeper = Sleeper::prepare(operation)?;
        Ok(Prepared { waiting: self, sleeper, operation })
    }
}

impl Prepared<'_> {
    /// Sleeps until unparked.
    ///
    /// # Errors
    /// `Timeout`, `Interrupted`, `Os`.
    pub fn sleep(self, deadline: Deadline) -> Result<()> {
        let Waiting { parker, wait } = &self.waiting;
        let state = &parker.state;
        let bell = self.sleeper.fd().filter(|_| parker.wake().is_some());
        let how = if bell.is_some() { IN_POLL } else { ON_WORD };
        let slept = match state.compare_exchange(IDLE, how, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => self.until_unparked(bell, deadline),
            Err(_) => Ok(()),
        };
        let unparked = state.swap(IDLE, Ordering::SeqCst) == UNPARKED;
        wait.ended(&slept);
        match slept {
            // An unpark that came together with the end of the time counts.
            Err(error) if error.kind() == Kind::Timeout && unparked => Ok(()),
            other => other,
        }
    }

    fn until_unparked(&self, bell: Option<RawFd>, deadline: Deadline) -> Result<()> {
        let parker = self.waiting.parker;
        let state = &parker.state;
        while state.load(Ordering::SeqCst) != UNPARKED {
            let woken = match bell.and_then(|bell| Some((bell, parker.wake()?))) {
                Some((bell, wake)) => nap_in_poll(bell, wake, deadline),
                None => {
                    // In the child of a signal handler that forked.
                    let _ = state.compare_exchange(IN_POLL, ON_WORD, Ordering::SeqCst, Ordering::SeqCst);
                    sys::futex_wait(state, ON_WORD, deadline)
                }
            };
            match woken {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::check(self.operation)?,
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    if deadline.expired() {
                        return Err(Error::new(Kind::Timeout, self.operation));
                    }
                }
                Err(e) => return Err(Error::from_io(&e, self.operation)),
            }
        }
        Ok(())
    }
}

fn nap_in_poll(bell: RawFd, wake: &Wake, deadline: Deadline) -> io::Result<()> {
    let mut slots = [bell, wake.fd()].map(|fd| PollSlot::new(fd, Interest::Read));
    if sys::poll(&mut slots, deadline)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    if slots[0].fired() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    // Cleared before the state is looked at: the next unpark sets it again.
    wake.clear();
    Ok(())
}
