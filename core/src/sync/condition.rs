// SPDX-License-Identifier: MIT OR Apache-2.0
//! Condition variables.
//!
//! # Who is woken
//! Each waiter has a seat and sleeps on the seat's own word, so a notification wakes exactly whom it is for: the one
//! that has waited longest. A seat is left after the lock is held again. If its process is killed before, the notification in
//! the dead one's seat is passed on to another one that waited when it came: by a sleeper that finds it (a few
//! check for all, see [`look`](super::look)), or by a waiter that needs the seat.
//!
//! # What it costs
//! Seats are taken from the first one on, and `used` says how far they have been, so that a condition with few waiters is
//! small to look through, and touches few pages. A new waiter reads the owners of taken seats, and asks the system about none
//! of them: the user's lock is held.
//!
//! # More waiters than seats
//! They sleep on a word that counts notifications, as a futex condition variable usually does: a notification for
//! one of them may wake several. They come after those who have seats.

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::lock::{Lock, RLock};
use super::look::{Look, Lookout};
use super::mutex::Taken;
use super::park::{sleep, wake};
use super::seats::{self, Seat, Seats};
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::net::Spin;
use crate::shm::{Huge, Shared, Slot};
use crate::time::Deadline;

const WAIT: &str = "wait for condition";

/// How many seats there are.
const SEATS: usize = if cfg!(loom) { 2 } else { 1020 };
/// How many seats a waiter that finds none free asks about whether their processes are dead.
const ASKED: u64 = 4;

#[derive(Default)]
#[repr(C)]
pub(super) struct ConditionWords {
    tag: AtomicU64,
    /// The next waiter's.
    ticket: AtomicU64,
    /// How often one of those without seats was notified.
    standing: AtomicU64,
    /// 1: somebody had no seat once.
    crowded: AtomicU32,
    /// So many seats, from the first one on, have been taken.
    used: AtomicU32,
    lookout: Lookout,
    _line: [AtomicU32; 6],
    seats: Seats<SEATS>,
}

// SAFETY: repr(C) of atomics, of 64 and 16 * SEATS = 16320 bytes, with the tag first.
unsafe impl Shared for ConditionWords {
    type Size = Huge;
    const TAG: u64 = u64::from_le_bytes(*b"ck-cond\x02");
    const NAME: &'static str = "condition";

    fn written(&self) -> usize {
        std::mem::offset_of!(Self, seats) + size_of_val(self.used())
    }
}

impl ConditionWords {
    /// The seats that anybody has had.
    fn used(&self) -> &[Seat] {
        self.seats.first(usize::try_from(self.used.load(Ordering::SeqCst)).unwrap_or(usize::MAX))
    }

    /// Takes a seat that nobody has. If there is none, that of a dead process, which may have been notified: a few are asked
    /// about, other ones by each waiter.
    fn take_seat(&self) -> Option<&Seat> {
        if let Some((place, seat)) = self.seats.take() {
            let used = u32::try_from(place + 1).unwrap_or(u32::MAX);
            if used > self.used.load(Ordering::SeqCst) {
                self.used.fetch_max(used, Ordering::SeqCst);
            }
            return Some(seat);
        }
        let from = self.ticket.load(Ordering::SeqCst).wrapping_mul(ASKED);
        let places = (0..ASKED).map(|next| usize::try_from(from.wrapping_add(next)).unwrap_or(0) % SEATS);
        places.filter_map(|place| self.seats.get(place)).find(|seat| seat.take_from_dead())
    }
}

/// The error of letting a lock go that the caller does not hold, for who wants to wait.
#[cold]
fn not_held(error: Error) -> Error {
    match error.kind() {
        kind @ (Kind::Invalid | Kind::State) => {
            Error::with_detail(kind, WAIT, "the caller does not hold the lock: acquire it first")
        }
        _ => error,
    }
}

/// A lock that a condition can be waited for with: it is let go during the wait, however deeply it is held.
pub trait WaitLock {
    /// Lets the lock go; what it returns is for [`restore`](Self::restore).
    ///
    /// # Errors
    /// `State`: the calling thread does not hold it.
    fn let_go(&self) -> Result<u32>;

    /// Takes the lock again.
    ///
    /// # Errors
    /// `Interrupted`.
    fn restore(&self, depth: u32) -> Result<Taken>;
}

impl WaitLock for Lock {
    fn let_go(&self) -> Result<u32> {
        self.release().map(|()| 1)
    }

    fn restore(&self, _depth: u32) -> Result<Taken> {
        self.acquire(Deadline::NEVER)
    }
}

impl WaitLock for RLock {
    fn let_go(&self) -> Result<u32> {
        self.release_all()
    }

    fn restore(&self, depth: u32) -> Result<Taken> {
        self.acquire_all(depth)
    }
}

/// A condition variable for threads and processes: waiting, with a lock, for what somebody else will do under it.
///
/// A wait may end without a notification only where more wait than there are seats for (1,020); loops around it are a
/// good habit all the same. A notification that nobody waits for is gone.
///
/// # Example
/// ```
/// use carrick::sync::{Condition, Lock};
/// use carrick::{Deadline, Kind};
/// use std::time::Duration;
/// let (lock, condition) = (Lock::new()?, Condition::new()?);
/// let guard = lock.lock(Deadline::NEVER)?;
/// let waited = condition.wait(&lock, Deadline::after(Duration::from_millis(1)));
/// assert_eq!(waited.unwrap_err().kind(), Kind::Timeout);
/// drop(guard);
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Condition {
    slot: Slot<ConditionWords>,
    spin: Spin,
}

super::handed_over!(Condition, "condition");

fn is_interrupted(waited: &Result<()>) -> bool {
    matches!(waited, Err(error) if error.kind() == Kind::Interrupted)
}

fn leave(place: Place<'_>) {
    if let Place::Seat(seat) = place {
        seat.leave();
    }
}

/// Where a waiter waits.
#[derive(Clone, Copy)]
enum Place<'a> {
    Seat(&'a Seat),
    /// The count of notifications when it began.
    Standing(u64),
}

impl Condition {
    /// A condition that nobody waits for.
    ///
    /// # Errors
    /// `Os` (EMFILE, ...), `NoMemory`.
    pub fn new() -> Result<Self> {
        Slot::new("make condition", |_| ()).map(Self::over)
    }

    /// The same with a name, by which other programs of this user [`open`](Self::open) it.
    ///
    /// # Errors
    /// `Invalid`: no such name is possible; `Os` (EEXIST: there is one of this name; EMFILE, ...), `NoMemory`.
    #[cfg(not(loom))]
    pub fn create(name: &str) -> Result<Self> {
        Slot::create(name, 0, "create condition", |_| ()).map(Self::over)
    }

    fn over(slot: Slot<ConditionWords>) -> Self {
        Self { slot, spin: Spin::new() }
    }

    /// Lets the lock go, waits for a notification until the deadline, and takes the lock again, whatever the result.
    /// The lock is to be the one under which the condition is notified.
    ///
    /// # Errors
    /// `State` or `Invalid`: the lock is not held; `Timeout`, `Interrupted`; `OwnerDied`: the wait is over, and the
    /// lock is held, taken over from a holder that died. Only a second interruption, while the lock is being taken
    /// again, leaves it alone.
    pub fn wait(&self, lock: &impl WaitLock, deadline: Deadline) -> Result<()> {
        let place = self.begin();
        let depth = lock.let_go().map_err(|error| {
            leave(place);
            not_held(error)
        })?;
        let mut waited = self.wait_at(place, deadline);
        let restored = loop {
            match lock.restore(depth) {
                // The first signal ends the wait; the second one, too, the taking of the lock.
                Err(error) if error.kind() == Kind::Interrupted && !is_interrupted(&waited) => {
                    waited = Err(error)
                }
                other => break other,
            }
        };
        leave(place);
        match (waited, restored) {
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
            (Ok(()), Ok(Taken::FromDead)) => Err(Error::new(Kind::OwnerDied, WAIT)),
            (Ok(()), Ok(Taken::Free)) => Ok(()),
        }
    }

    /// Begins to wait; returns where.
    fn begin(&self) -> Place<'_> {
        let seat = self.slot.take_seat();
        if let Some(seat) = seat {
            self.clear(seat);
        }
        let ticket = self.slot.ticket.fetch_add(1, Ordering::SeqCst);
        let Some(seat) = seat else {
            let began = self.slot.standing.load(Ordering::SeqCst);
            self.slot.crowded.store(1, Ordering::SeqCst);
            return Place::Standing(began);
        };
        seat.begin(ticket);
        Place::Seat(seat)
    }

    /// Makes a seat of the caller's fit for a new waiter: a dead one may have waited in it or been notified.
    fn clear(&self, seat: &Seat) {
        if !seat.give_up() {
            self.pass_on(seat);
        }
    }

    /// Gives the notification in a seat of the caller's, if there is one, to another one that waited when it came. A
    /// caller killed in between leaves it in both seats: better twice than never.
    fn pass_on(&self, seat: &Seat) {
        if let Some(before) = seat.notification() {
            self.notify_before(before, 1);
            seat.forget();
        }
    }

    fn wait_at(&self, place: Place<'_>, deadline: Deadline) -> Result<()> {
        let standing = &self.slot.standing;
        let notified = || match place {
            Place::Seat(seat) => seat.is_notified(),
            Place::Standing(began) => standing.load(Ordering::SeqCst) != began,
        };
        let mut wait = self.spin.wait();
        if !deadline.is_now() && wait.spin_on_memory(deadline, || notified().then_some(())).is_some() {
            return Ok(());
        }
        let mut look = Look::seldom(&self.slot.lookout);
        let mut asleep = || {
            interrupt::check(WAIT)?;
            crate::blocking::about_to_block();
            loop {
                let (word, value) = match place {
                    Place::Seat(seat) => seat.word(),
                    Place::Standing(began) => (standing, began),
                };
                if notified() {
                    return Ok(());
                }
                sleep(word, value, look.left(), WAIT, deadline)?;
                if look.is_due() {
                    self.pass_on_of_dead();
                }
            }
        };
        let outcome: Result<()> = asleep();
        look.end(|| seats::stir(self.slot.used()));
        wait.ended(&outcome);
        if let (Err(error), Place::Seat(seat)) = (&outcome, place)
            && !seat.give_up()
        {
            // A notification came at the last moment.
            if error.kind() == Kind::Timeout {
                return Ok(());
            }
            self.pass_on(seat);
        }
        outcome
    }

    /// Passes the notifications on that dead waiters had.
    fn pass_on_of_dead(&self) {
        let notified = self.slot.used().iter().filter(|seat| seat.is_notified());
        for seat in notified.filter(|seat| seat.take_from_dead()) {
            self.clear(seat);
            seat.leave();
        }
    }

    /// Wakes up to `count` of those who wait, the one that has waited longest first.
    pub fn notify(&self, count: usize) {
        self.notify_before(self.slot.ticket.load(Ordering::SeqCst), count);
    }

    /// The same for those with tickets older than this one.
    fn notify_before(&self, before: u64, count: usize) {
        for left in (1..=count).rev() {
            if !seats::notify_one(self.slot.used(), before) {
                return self.notify_standing(i32::try_from(left).unwrap_or(i32::MAX));
            }
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        seats::notify_all(self.slot.used(), self.slot.ticket.load(Ordering::SeqCst));
        self.notify_standing(i32::MAX);
    }

    fn notify_standing(&self, count: i32) {
        if self.slot.crowded.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.slot.standing.fetch_add(1, Ordering::SeqCst);
        wake(&self.slot.standing, count);
    }

    /// How many wait in seats, at this moment; a process that was killed while it waited may still count.
    #[must_use]
    pub fn waiting(&self) -> usize {
        seats::waiting(self.slot.used())
    }
}
