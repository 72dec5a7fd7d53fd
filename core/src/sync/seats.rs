// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places for processes that wait, so that each can be woken by itself and the dead be told from the living.
#![forbid(unsafe_code)]

use super::atomic::{AtomicU64, Ordering};
use super::park::wake;
use crate::sys::Identity;

/// A seat's state is in its two low bits; the ticket is above them.
const WAITING: u64 = 1;
const NOTIFIED: u64 = 2;
const PHASE: u64 = 3;
const TICKET_SHIFT: u32 = 2;

/// A place of one waiter.
///
/// Nobody but the owner takes a seat or leaves it, unless the owner is dead.
#[derive(Default)]
#[repr(C)]
pub(super) struct Seat {
    /// The process that has it; 0 is nobody.
    owner: AtomicU64,
    /// Ticket and phase; 0 is not waiting. Once notified, the ticket that the next waiter had at that time: one with an
    /// older ticket waited when the notification came.
    state: AtomicU64,
}

impl Seat {
    /// Whether a process that has died has it.
    pub(super) fn is_of_dead(&self) -> bool {
        let owner = self.owner.load(Ordering::SeqCst);
        owner != 0 && Identity::from_word(owner).is_dead()
    }

    /// Takes the seat from whom it was found with, if that one still has it.
    fn take(&self, found: u64) -> bool {
        let me = Identity::me().word();
        self.owner.compare_exchange(found, me, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes the seat if its process has died; false if it lives, or if another one was faster.
    pub(super) fn take_from_dead(&self) -> bool {
        let found = self.owner.load(Ordering::SeqCst);
        found != 0 && Identity::from_word(found).is_dead() && self.take(found)
    }

    /// Makes the calling process the one that has it. For those who have a lock around all seats.
    pub(super) fn occupy(&self) {
        self.owner.store(Identity::me().word(), Ordering::SeqCst);
    }

    /// Gives the seat to whom another one is of. For those who have a lock around all seats.
    pub(super) fn pass_on(&self, other: &Self) {
        self.owner.store(other.owner.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Whether the calling process has it.
    pub(super) fn is_mine(&self) -> bool {
        self.owner.load(Ordering::SeqCst) == Identity::me().word()
    }

    /// Waits from now on, as the one with this ticket.
    pub(super) fn begin(&self, ticket: u64) {
        self.state.store(ticket << TICKET_SHIFT | WAITING, Ordering::SeqCst);
    }

    pub(super) fn is_notified(&self) -> bool {
        self.state.load(Ordering::SeqCst) & PHASE == NOTIFIED
    }

    /// The ticket that the next waiter had when this one was notified; `None` if it is not.
    pub(super) fn notification(&self) -> Option<u64> {
        let found = self.state.load(Ordering::SeqCst);
        (found & PHASE == NOTIFIED).then_some(found >> TICKET_SHIFT)
    }

    /// Has no notification any more.
    pub(super) fn forget(&self) {
        self.state.store(0, Ordering::SeqCst);
    }

    /// Ends the wait without a notification; false if one has come.
    pub(super) fn give_up(&self) -> bool {
        let found = self.state.load(Ordering::SeqCst);
        found & PHASE == WAITING
            && self.state.compare_exchange(found, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The ticket, of one that waits and has an older one than this.
    fn waits_since(&self, before: u64) -> Option<u64> {
        let found = self.state.load(Ordering::SeqCst);
        (found & PHASE == WAITING).then_some(found >> TICKET_SHIFT).filter(|ticket| *ticket < before)
    }

    /// Makes the one that waits with this ticket a notified one; false if it does not wait any more.
    fn notify(&self, ticket: u64, before: u64) -> bool {
        let (found, next) = (ticket << TICKET_SHIFT | WAITING, before << TICKET_SHIFT | NOTIFIED);
        self.state.compare_exchange(found, next, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The same; false, too, if its process has died, and then the seat is free.
    fn notify_living(&self, ticket: u64, before: u64) -> bool {
        if !self.notify(ticket, before) {
            return false;
        }
        // A waiter that is awake sees it by itself, unless it is dead; one that takes a dead one's seat passes it on.
        if wake(&self.state, 1) > 0 || !self.take_from_dead() {
            return true;
        }
        self.leave();
        false
    }

    /// Leaves the seat.
    pub(super) fn leave(&self) {
        self.state.store(0, Ordering::SeqCst);
        self.owner.store(0, Ordering::SeqCst);
    }

    /// The word to sleep on, and its value while nothing happens.
    pub(super) fn word(&self) -> (&AtomicU64, u64) {
        (&self.state, self.state.load(Ordering::SeqCst))
    }
}

/// The seats of a slot.
#[repr(C)]
pub(super) struct Seats<const COUNT: usize>([Seat; COUNT]);

impl<const COUNT: usize> Default for Seats<COUNT> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Seat::default()))
    }
}

impl<const COUNT: usize> Seats<COUNT> {
    pub(super) fn get(&self, index: usize) -> Option<&Seat> {
        self.0.get(index)
    }

    /// The first so many of them.
    pub(super) fn first(&self, count: usize) -> &[Seat] {
        self.0.get(..count).unwrap_or(&self.0)
    }

    /// Takes the first seat that nobody has, and returns its place, too.
    pub(super) fn take(&self) -> Option<(usize, &Seat)> {
        self.0.iter().enumerate().find(|(_, seat)| seat.owner.load(Ordering::SeqCst) == 0 && seat.take(0))
    }
}

/// Notifies the one that has waited longest of those with tickets older than this one; false if there is none.
pub(super) fn notify_one(seats: &[Seat], before: u64) -> bool {
    loop {
        let waiting = seats.iter().filter_map(|seat| Some((seat.waits_since(before)?, seat)));
        let Some((ticket, seat)) = waiting.min_by_key(|(ticket, _)| *ticket) else { return false };
        if seat.notify_living(ticket, before) {
            return true;
        }
    }
}

/// Notifies all with tickets older than this one.
pub(super) fn notify_all(seats: &[Seat], before: u64) {
    for seat in seats {
        if let Some(ticket) = seat.waits_since(before) {
            // A waiter that has given up meanwhile, or is dead, needs none.
            seat.notify_living(ticket, before);
        }
    }
}

/// Has one that waits look around; false if nobody sleeps.
pub(super) fn stir(seats: &[Seat]) -> bool {
    seats.iter().any(|seat| seat.waits_since(u64::MAX).is_some() && wake(&seat.state, 1) > 0)
}

/// How many wait, at this moment.
pub(super) fn waiting(seats: &[Seat]) -> usize {
    seats.iter().filter(|seat| seat.waits_since(u64::MAX).is_some()).count()
}
