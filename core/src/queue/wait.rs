// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for the other side of a queue.
#![forbid(unsafe_code)]

use super::layout::Side;
use crate::error::Result;
use crate::interrupt;
use crate::net::{Spin, Wait};
use crate::sync::{Look, sleep, wake};
use crate::time::Deadline;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long somebody who does not wait for room waits for a side's lock. It is held for as long as copying an item takes,
/// unless its holder is stopped in the middle (SIGSTOP); that of a dead one is taken over before this is over.
const FOR_THE_LOCK: Duration = Duration::from_millis(250);

/// How long to wait for a side's lock.
pub(super) fn for_the_lock(deadline: Deadline) -> Deadline {
    if deadline.is_now() { Deadline::after(FOR_THE_LOCK) } else { deadline }
}

/// The wait of one call, which spins once and sleeps as often as it takes.
pub(super) struct Waiting<'a> {
    spin: &'a Spin,
    wait: Option<Wait<'a>>,
    /// Of the first side that was waited for; a call mostly waits for one.
    look: Option<(Look<'a>, &'a Side)>,
    slept: bool,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(spin: &'a Spin) -> Self {
        Self { spin, wait: None, look: None, slept: false }
    }

    /// Whether this one was asleep, so that it may have been woken for what another one is to do.
    pub(super) fn slept(&self) -> bool {
        self.slept
    }

    /// The call has ended.
    pub(super) fn ended<T>(&mut self, result: &Result<T>) {
        if let Some((look, side)) = &mut self.look {
            look.end(|| wake(side.word(), 1) > 0);
        }
        if let Some(wait) = self.wait.as_ref().filter(|_| self.slept) {
            wait.ended(result);
        }
    }

    /// Waits until a side has got on from `version`.
    pub(super) fn for_commit(
        &mut self,
        side: &'a Side,
        version: u64,
        operation: &'static str,
        deadline: Deadline,
    ) -> Result<()> {
        let moved = || (side.word().load(Ordering::SeqCst) != version).then_some(());
        if self.wait.is_none() {
            let wait = self.wait.insert(self.spin.wait());
            if wait.spin_on_memory(deadline, moved).is_some() {
                return Ok(());
            }
            interrupt::check(operation)?;
            crate::blocking::about_to_block();
        }
        self.slept = true;
        side.note_sleepers();
        if moved().is_some() {
            return Ok(());
        }
        let (look, _) = self.look.get_or_insert_with(|| (Look::seldom(&side.waiters), side));
        sleep(side.word(), version, look.left(), operation, deadline)?;
        // The caller looks for itself.
        let _ = look.is_due();
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::error::Kind;
    use crate::queue::{Queue, QueueOptions};
    use crate::time::Deadline;

    #[test]
    fn who_does_not_wait_is_not_held_up_for_long_by_one_that_is_stopped_in_the_middle() {
        let queue = Queue::new(QueueOptions::default()).unwrap();
        queue.put(b"before", Deadline::NOW).unwrap();
        let head = queue.head().unwrap();
        // As one that is stopped would.
        head.put.acquire("test", Deadline::NOW).unwrap();
        head.get.acquire("test", Deadline::NOW).unwrap();
        assert_eq!(queue.put(b"now", Deadline::NOW).unwrap_err().kind(), Kind::Timeout);
        assert_eq!(queue.get(Deadline::NOW).unwrap_err().kind(), Kind::Timeout);
        assert!(head.put.lock.unlock() && head.get.lock.unlock());
        queue.put(b"now", Deadline::NOW).unwrap();
        assert_eq!(queue.get(Deadline::NOW).unwrap(), b"before");
        assert_eq!(queue.get(Deadline::NOW).unwrap(), b"now");
    }
}
