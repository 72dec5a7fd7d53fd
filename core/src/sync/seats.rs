// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places for processes that wait, so that each can be woken by itself and the dead be told from the living.
#![forbid(unsafe_code)]

use super::atomic::{AtomicU64, Ordering};
use super::park::wake;
use crate::sys::Identity;

/// How many there are in a slot.
pub(super) const SEATS: usize = if cfg!(loom) { 2 } else { 56 };

/// What a seat's state is, in its two low bits; the ticket is above them.
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
    /// Ticket and phase; 0 is not waiting. Once notified, the ticket that the next waiter had at that time: who has an
    /// older one waited when the notification came.
    state: AtomicU64,
}

impl Seat {
    fn owner(&self) -> Option<Identity> {
        match self.owner.load(Ordering::SeqCst) {
            0 => None,
            word => Some(Identity::from_word(word)),
        }
    }

    /// Whether a process that has died has it.
    pub(super) fn is_of_dead(&self) -> bool {
        self.owner().is_some_and(Identity::is_dead)
    }

    /// Takes the seat from whom it was found with, if that one still has it.
    fn take(&self, found: u64) -> bool {
        let me = Identity::me().word();
        self.owner.compare_exchange(found, me, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes the seat if its process has died; false if it lives, or if another one was faster.
    fn take_from_dead(&self) -> bool {
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

    /// Makes one that waits a notified one; false if it does not wait any more.
    fn notify(&self, found: u64, before: u64) -> bool {
        let next = before << TICKET_SHIFT | NOTIFIED;
        self.state.compare_exchange(found, next, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Leaves the seat.
    pub(super) fn leave(&self) {
        self.state.store(0, Ordering::SeqCst);
        self.owner.store(0, Ordering::SeqCst);
    }

    /// What to sleep on, and its value while nothing happens.
    pub(super) fn word(&self) -> (&AtomicU64, u64) {
        (&self.state, self.state.load(Ordering::SeqCst))
    }
}

/// The seats of a slot.
#[repr(C)]
pub(super) struct Seats([Seat; SEATS]);

impl Default for Seats {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Seat::default()))
    }
}

impl Seats {
    pub(super) fn get(&self, index: usize) -> Option<&Seat> {
        self.0.get(index)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Seat> {
        self.0.iter()
    }

    /// Takes a seat that nobody has or, if there is none, that of a dead process, which may have been notified.
    pub(super) fn take(&self) -> Option<&Seat> {
        let free = self.iter().find(|seat| seat.owner().is_none() && seat.take(0));
        free.or_else(|| self.iter().find(|seat| seat.take_from_dead()))
    }

    /// Notifies the one that has waited longest of those with tickets older than this one; false if there is none.
    pub(super) fn notify_one(&self, before: u64) -> bool {
        loop {
            let ticket = |seat: &Seat| {
                let found = seat.state.load(Ordering::SeqCst);
                (found & PHASE == WAITING).then_some(found >> TICKET_SHIFT).filter(|ticket| *ticket < before)
            };
            let waiting = self.iter().filter_map(|seat| Some((ticket(seat)?, seat)));
            let Some((ticket, seat)) = waiting.min_by_key(|(ticket, _)| *ticket) else { return false };
            if !seat.notify(ticket << TICKET_SHIFT | WAITING, before) {
                continue;
            }
            // Who is not asleep sees it by itself, unless it is dead; who takes a dead one's seat passes it on.
            if wake(&seat.state, 1) > 0 || !seat.take_from_dead() {
                return true;
            }
            seat.leave();
        }
    }

    /// Takes the seat of a process that died before it made use of a notification, for a waiter with this ticket: of
    /// notifications that came before it began to wait it has none.
    pub(super) fn inherit(&self, ticket: u64) -> Option<&Seat> {
        let due = |seat: &&Seat| seat.notification().is_some_and(|before| ticket < before);
        self.iter().filter(due).find(|seat| seat.take_from_dead())
    }

    /// How many wait, at this moment.
    pub(super) fn waiting(&self) -> usize {
        self.iter().filter(|seat| seat.state.load(Ordering::SeqCst) & PHASE == WAITING).count()
    }
}
