// SPDX-License-Identifier: MIT OR Apache-2.0
//! Barriers.
//!
//! # The word
//! Its low half counts the meetings, its high half has a bit for each of the last 32: 1 for one that was broken. A
//! meeting is over when the count has moved on, so a party of the next one need not wait until all have left
//! the last.
//!
//! # Arriving
//! A party takes the lock, counts itself and notes its process in a seat; the last one moves the count on. Of the
//! waiters a few check for all (see [`look`](super::look)) whether a process that has arrived is dead, and break the
//! meeting if so; of many parties each check is of the last one and of some, the next check of the next ones. A process
//! that dies before it arrives is nobody's to know about: that is what deadlines are for.
//!
//! # The action
//! It is done without the lock, so that those who wait can be interrupted, and others can abort or reset the barrier,
//! whatever becomes of the action. All have arrived then, so deadlines break nothing any more. A process that comes
//! now is for the next meeting and waits until this one is over. The last one finds afterwards whether its meeting
//! was broken meanwhile.
//!
//! # Many parties
//! A barrier for more than fit into its slot has slots of seats behind it, in a segment of its own.

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::look::{Look, Lookout};
use super::mutex::{Mutex, Taken};
use super::park::{sleep, wake};
use super::seats::{Seat, Seats};
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::net::Spin;
use crate::shm::{Large, Shared, Slot};
use crate::time::Deadline;
use std::time::Duration;

const WAIT: &str = "wait at barrier";
/// The longest time between two checks.
const PATIENCE: Duration = Duration::from_millis(80);
/// How many parties a check is of, besides the last. Each takes 1.5 to 6 us, and the check's wake-up as long as 20 of them.
const CHECKED: usize = 16;
/// How many seats are in the barrier's own slot.
const SEATS: usize = if cfg!(loom) { 2 } else { 56 };

#[derive(Default)]
#[repr(C)]
pub(super) struct BarrierWords {
    tag: AtomicU64,
    lock: Mutex,
    /// Meetings, and how the last ones ended.
    word: AtomicU64,
    parties: AtomicU32,
    /// How many have arrived.
    arrived: AtomicU32,
    /// 1: nobody can meet until it is reset.
    broken: AtomicU32,
    /// Of those who wait for the others, and of those who wait for the lock.
    lookouts: [Lookout; 2],
    /// Where the next check begins.
    cursor: AtomicU32,
    _line: AtomicU32,
    seats: Seats<SEATS>,
}

// SAFETY: repr(C) of atomics, of 64 and 16 * SEATS = 896 bytes, with the tag first.
unsafe impl Shared for BarrierWords {
    type Size = Large;
    const TAG: u64 = u64::from_le_bytes(*b"ck-barr\x01");
    const NAME: &'static str = "barrier";
}

/// How many seats are in a slot that has nothing else.
#[cfg(not(loom))]
const MORE_SEATS: usize = 63;
#[cfg(loom)]
const MORE_SEATS: usize = 1;

/// A slot of seats, behind that of what they belong to, where that one's own do not suffice.
#[repr(C)]
struct MoreSeats {
    _tag: AtomicU64,
    _line: AtomicU64,
    seats: [Seat; MORE_SEATS],
}

// SAFETY: repr(C) of atomics, of 16 and 16 * MORE_SEATS = 1008 bytes, with the tag first; zeros are empty seats.
unsafe impl Shared for MoreSeats {
    type Size = Large;
    const TAG: u64 = u64::from_le_bytes(*b"ck-seat\x01");
    const NAME: &'static str = "seats";
}

impl Default for MoreSeats {
    fn default() -> Self {
        let seats = std::array::from_fn(|_| Seat::default());
        Self { _tag: AtomicU64::default(), _line: AtomicU64::default(), seats }
    }
}

impl MoreSeats {
    fn get(&self, index: usize) -> Option<&Seat> {
        self.seats.get(index)
    }
}

/// How a meeting that a party had arrived for has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    Waits,
    Met,
    Broken,
}

impl BarrierWords {
    fn meeting(word: u64) -> u32 {
        u32::try_from(word & 0xffff_ffff).unwrap_or(0)
    }

    /// The number of the present meeting.
    fn present(&self) -> u32 {
        Self::meeting(self.word.load(Ordering::SeqCst))
    }

    fn outcome(&self, meeting: u32) -> Meeting {
        let word = self.word.load(Ordering::SeqCst);
        let since = Self::meeting(word).wrapping_sub(meeting);
        if since == 0 {
            return Meeting::Waits;
        }
        let history = u32::try_from(word >> 32).unwrap_or(0);
        // A waiter that has slept through 32 of them cannot know.
        let broken = since > 32 || history >> (since - 1) & 1 == 1;
        if broken { Meeting::Broken } else { Meeting::Met }
    }

    /// Ends the meeting; the lock is held.
    fn end(&self, broken: bool) {
        let word = self.word.load(Ordering::SeqCst);
        let history = u32::try_from(word >> 32).unwrap_or(0) << 1 | u32::from(broken);
        let meeting = Self::meeting(word).wrapping_add(1);
        self.arrived.store(0, Ordering::SeqCst);
        self.word.store(u64::from(history) << 32 | u64::from(meeting), Ordering::SeqCst);
        wake(&self.word, i32::MAX);
    }

    fn break_up(&self) {
        self.broken.store(1, Ordering::SeqCst);
        self.end(true);
    }

    fn arrived(&self) -> usize {
        usize::try_from(self.arrived.load(Ordering::SeqCst)).unwrap_or(0)
    }
}

/// The held lock of a barrier.
struct Held<'a>(&'a BarrierWords);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock.unlock();
    }
}

/// The last party's action, which is being done. If it does not end but by a panic the meeting is broken.
struct Action<'a> {
    barrier: &'a Barrier,
    meeting: u32,
}

impl Action<'_> {
    /// It has ended well: the meeting is over, if it was not broken meanwhile.
    fn end(self) -> Result<()> {
        let barrier = self.barrier;
        let _held = barrier.lock_surely(WAIT)?;
        let waits = barrier.slot.outcome(self.meeting) == Meeting::Waits;
        if waits {
            barrier.slot.end(false);
        }
        std::mem::forget(self);
        if waits { Ok(()) } else { Err(Error::new(Kind::Broken, WAIT)) }
    }
}

impl Drop for Action<'_> {
    fn drop(&mut self) {
        // Without the lock nobody can be told; those who wait have their deadlines.
        let _ = self.barrier.break_meeting(self.meeting);
    }
}

/// A meeting point for a fixed number of threads and processes, again and again.
///
/// # Example
/// ```
/// use carrick::sync::Barrier;
/// use carrick::Deadline;
/// let barrier = Barrier::new(2)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| barrier.wait(Deadline::NEVER));
///     barrier.wait(Deadline::NEVER).map(drop)
/// })?;
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Barrier {
    slot: Slot<BarrierWords>,
    spin: Spin,
}

super::handed_over!(Barrier, "barrier");

impl Barrier {
    /// One for so many parties.
    ///
    /// # Errors
    /// `Invalid`: none; `Os` (EMFILE, ...), `NoMemory`.
    pub fn new(parties: u32) -> Result<Self> {
        const OPERATION: &str = "make barrier";
        Slot::with_more(Self::more(parties), OPERATION, Self::fill(parties, OPERATION)?).map(Self::over)
    }

    /// The same with a name, by which other programs of this user [`open`](Self::open) it.
    ///
    /// # Errors
    /// `Invalid`: no party, or no such name is possible; `Os` (EEXIST: there is one of this name; EMFILE, ...),
    /// `NoMemory`.
    #[cfg(not(loom))]
    pub fn create(name: &str, parties: u32) -> Result<Self> {
        const OPERATION: &str = "create barrier";
        Slot::create(name, Self::more(parties), OPERATION, Self::fill(parties, OPERATION)?).map(Self::over)
    }

    /// How many slots of seats so many parties need besides.
    fn more(parties: u32) -> usize {
        usize::try_from(parties).unwrap_or(usize::MAX).saturating_sub(SEATS).div_ceil(MORE_SEATS)
    }

    fn fill(parties: u32, operation: &'static str) -> Result<impl FnOnce(&BarrierWords)> {
        if parties == 0 {
            return Err(Error::with_detail(Kind::Invalid, operation, "0 parties; give 1 or more"));
        }
        Ok(move |words: &BarrierWords| words.parties.store(parties, Ordering::Relaxed))
    }

    fn over(slot: Slot<BarrierWords>) -> Self {
        Self { slot, spin: Spin::new() }
    }

    fn lock(&self, operation: &'static str, deadline: Deadline) -> Result<Held<'_>> {
        let taken = self.slot.lock.lock(&self.slot.lookouts[1], operation, deadline)?;
        let held = Held(&self.slot);
        if taken == Taken::FromDead {
            // It may have died between two changes that belong together.
            self.slot.break_up();
        }
        Ok(held)
    }

    /// For what must be done whatever signals come: the lock is never held for long.
    fn lock_surely(&self, operation: &'static str) -> Result<Held<'_>> {
        loop {
            match self.lock(operation, Deadline::NEVER) {
                Err(error) if error.kind() == Kind::Interrupted => {}
                other => return other,
            }
            // A waiter that is interrupted again and again never sleeps long enough to see that the holder died.
            match self.lock(operation, Deadline::NOW) {
                Err(error) if error.kind() == Kind::WouldBlock => std::thread::yield_now(),
                other => return other,
            }
        }
    }

    /// Waits until all parties have arrived. Returns the caller's place in the order of arrival, from 0.
    ///
    /// # Errors
    /// `Timeout` (the meeting is broken for all, and the barrier until it is reset); `Broken`: another party gave up
    /// or died, or the barrier was reset or aborted; `Interrupted`: the caller does not wait any more, the others do.
    pub fn wait(&self, deadline: Deadline) -> Result<u32> {
        self.arrive(deadline, None::<fn() -> Result<()>>)
    }

    /// Like [`wait`](Self::wait); the party that arrives last does `action` before all go on. Deadlines are for all to
    /// arrive: those who have wait for the action past theirs, as with CPython's barrier. If the barrier is aborted or
    /// reset meanwhile the last party is told by `Broken` when its action has ended.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and those of `action`, which break the barrier.
    ///
    /// # Panics
    /// If `action` does, which breaks the barrier, too.
    pub fn wait_with(&self, deadline: Deadline, action: impl FnOnce() -> Result<()>) -> Result<u32> {
        self.arrive(deadline, Some(action))
    }

    fn arrive(&self, deadline: Deadline, action: Option<impl FnOnce() -> Result<()>>) -> Result<u32> {
        let words = &*self.slot;
        let (held, turn) = self.enter(deadline)?;
        if let Some(seat) = self.seat(words.arrived()) {
            seat.occupy();
        }
        words.arrived.store(turn + 1, Ordering::SeqCst);
        let meeting = words.present();
        if turn + 1 == self.parties() {
            let Some(action) = action else {
                words.end(false);
                return Ok(turn);
            };
            drop(held);
            let begun = Action { barrier: self, meeting };
            return action().and_then(|()| begun.end()).map(|()| turn);
        }
        drop(held);
        self.stay(meeting, turn, deadline)
    }

    /// Waits, having arrived, until the meeting is over.
    fn stay(&self, meeting: u32, turn: u32, deadline: Deadline) -> Result<u32> {
        match self.wait_for(meeting, deadline) {
            Ok(Meeting::Broken) => Err(Error::new(Kind::Broken, WAIT)),
            Ok(_) => Ok(turn),
            Err(error) => self.leave(meeting, turn, error),
        }
    }

    /// Takes the lock when there is a place in the present meeting; returns which one.
    fn enter(&self, deadline: Deadline) -> Result<(Held<'_>, u32)> {
        let words = &*self.slot;
        loop {
            // The lock is held for a moment only.
            let held = self.lock(WAIT, if deadline.is_now() { Deadline::NEVER } else { deadline })?;
            if self.is_broken() {
                return Err(Error::new(Kind::Broken, WAIT));
            }
            let (turn, parties) = (words.arrived.load(Ordering::SeqCst), self.parties());
            if turn < parties {
                return Ok((held, turn));
            }
            if turn > parties {
                return Err(Error::with_detail(
                    Kind::Corrupt,
                    WAIT,
                    format!("{turn} of {parties} have arrived"),
                ));
            }
            let meeting = words.present();
            drop(held);
            self.wait_for(meeting, deadline)?;
        }
    }

    /// Breaks the meeting if it has not ended yet.
    fn break_meeting(&self, meeting: u32) -> Result<()> {
        let _held = self.lock_surely(WAIT)?;
        if self.slot.outcome(meeting) == Meeting::Waits {
            self.slot.break_up();
        }
        Ok(())
    }

    /// The seat of the party that arrived as this one, from 0.
    fn seat(&self, turn: usize) -> Option<&Seat> {
        let Some(more) = turn.checked_sub(SEATS) else { return self.slot.seats.get(turn) };
        self.slot.behind::<MoreSeats>(more / MORE_SEATS)?.get(more % MORE_SEATS)
    }

    /// Whether the last party that has arrived, or one of the next ones, is dead.
    fn has_lost_one(&self) -> bool {
        let arrived = self.slot.arrived();
        let count = u32::try_from(CHECKED).unwrap_or(0);
        let from = usize::try_from(self.slot.cursor.fetch_add(count, Ordering::SeqCst)).unwrap_or(0);
        let some = (from..).take(arrived.min(CHECKED)).map(|place| place % arrived);
        some.chain(arrived.checked_sub(1)).filter_map(|place| self.seat(place)).any(Seat::is_of_dead)
    }

    fn wait_for(&self, meeting: u32, deadline: Deadline) -> Result<Meeting> {
        let words = &*self.slot;
        let over = || Some(words.outcome(meeting)).filter(|outcome| *outcome != Meeting::Waits);
        let mut wait = self.spin.wait();
        if let Some(outcome) = wait.spin_on_memory(deadline, over) {
            return Ok(outcome);
        }
        interrupt::check(WAIT)?;
        crate::blocking::about_to_block();
        let mut look = Look::after(PATIENCE, PATIENCE, &words.lookouts[0]);
        let mut asleep = || loop {
            if let Some(outcome) = over() {
                return Ok(outcome);
            }
            sleep(&words.word, u64::from(meeting), look.left(), WAIT, deadline)?;
            if !look.is_due() {
                continue;
            }
            if self.has_lost_one() || words.lock.holder().is_some_and(crate::sys::Identity::is_dead) {
                self.break_meeting(meeting)?;
            }
        };
        let waited = asleep();
        wait.ended(&waited);
        // Where the meeting is over all have been woken.
        look.end(|| waited.is_err() && wake(&words.word, 1) > 0);
        waited
    }

    /// A party that had arrived gives up, unless the meeting has ended meanwhile.
    fn leave(&self, meeting: u32, turn: u32, error: Error) -> Result<u32> {
        let words = &*self.slot;
        let held = self.lock_surely(WAIT)?;
        let acting = words.arrived.load(Ordering::SeqCst) >= self.parties();
        match words.outcome(meeting) {
            Meeting::Met if error.kind() == Kind::Timeout => return Ok(turn),
            Meeting::Waits if acting && error.kind() == Kind::Timeout => {
                drop(held);
                return self.stay(meeting, turn, Deadline::NEVER);
            }
            Meeting::Waits if error.kind() == Kind::Timeout => words.break_up(),
            Meeting::Waits if acting => {
                // The action is being done: the others meet without this one, which need not live until then.
                let others = 0..words.arrived().saturating_sub(1);
                let mine = others.map_while(|place| self.seat(place)).find(|seat| seat.is_mine());
                mine.into_iter().for_each(Seat::leave);
            }
            Meeting::Waits => {
                let left = words.arrived().saturating_sub(1);
                words.arrived.store(u32::try_from(left).unwrap_or(0), Ordering::SeqCst);
                let mine = (0..=left).map_while(|place| self.seat(place)).find(|seat| seat.is_mine());
                if let (Some(mine), Some(last)) = (mine, self.seat(left)) {
                    mine.pass_on(last);
                }
            }
            _ => {}
        }
        Err(error)
    }

    /// Ends the present meeting, which is broken for those who wait, and makes the barrier fit for the next one.
    ///
    /// # Errors
    /// `Interrupted`.
    pub fn reset(&self) -> Result<()> {
        let _held = self.lock("reset barrier", Deadline::NEVER)?;
        self.slot.broken.store(0, Ordering::SeqCst);
        if self.slot.arrived() > 0 {
            self.slot.end(true);
        }
        Ok(())
    }

    /// Breaks the barrier for all, until it is reset.
    ///
    /// # Errors
    /// `Interrupted`.
    pub fn abort(&self) -> Result<()> {
        let _held = self.lock("abort barrier", Deadline::NEVER)?;
        self.slot.break_up();
        Ok(())
    }

    /// Whether the barrier is broken, at this moment.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.slot.broken.load(Ordering::SeqCst) != 0
    }

    /// How many meet.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.slot.parties.load(Ordering::Relaxed)
    }

    /// How many have arrived, at this moment.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.slot.arrived.load(Ordering::SeqCst)
    }
}
