// SPDX-License-Identifier: MIT OR Apache-2.0
//! The connections of a message server and what the kernel has to say of them.
#![forbid(unsafe_code)]

use super::peer::Peer;
use crate::sys::Event;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;

/// Connections by number. A number holds the place in its low half and, in its high half, how often
/// that place was given away, so that a late event is not taken for another connection's.
#[derive(Debug, Default)]
pub(super) struct Peers {
    places: Vec<(u32, Option<Arc<Peer>>)>,
    free: Vec<u32>,
    count: usize,
}

impl Peers {
    pub(super) fn insert(&mut self, make: impl FnOnce(u64) -> Peer) -> Arc<Peer> {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let index = usize::try_from(place).unwrap_or(usize::MAX);
        let generation = self.places.get(index).map_or(0, |p| p.0);
        let peer = Arc::new(make(u64::from(generation) << 32 | u64::from(place)));
        if let Some(entry) = self.places.get_mut(index) {
            entry.1 = Some(Arc::clone(&peer));
        }
        self.count += 1;
        peer
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Peer>> {
        let (generation, place) = split(number);
        self.places.get(place).filter(|p| p.0 == generation).and_then(|p| p.1.clone())
    }

    /// Removes a connection; false when somebody else has done so.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        let (generation, place) = split(number);
        let Some(entry) = self.places.get_mut(place).filter(|p| p.0 == generation && p.1.is_some()) else {
            return false;
        };
        // The last generation would come back to the first: 2^31 - 1 of them are enough to tell apart.
        *entry = ((generation + 1) & 0x7fff_ffff, None);
        self.free.push(u32::try_from(place).unwrap_or(u32::MAX));
        self.count -= 1;
        true
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        self.places.iter().filter_map(|p| p.1.clone()).collect()
    }
}

fn split(number: u64) -> (u32, usize) {
    let generation = u32::try_from(number >> 32).unwrap_or(u32::MAX);
    (generation, usize::try_from(number & 0xffff_ffff).unwrap_or(usize::MAX))
}

/// When connections are to be looked at again. An entry may be out of date: the peer itself knows.
#[derive(Debug, Default)]
pub(super) struct Alarms(BinaryHeap<Reverse<(Instant, u64)>>);

impl Alarms {
    pub(super) fn set(&mut self, at: Instant, number: u64) {
        self.0.push(Reverse((at, number)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// The connection whose alarm is due first.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.next().is_none_or(|at| at > now) {
            return None;
        }
        self.0.pop().map(|Reverse((_, number))| number)
    }
}

/// Readiness that the kernel reported and that was not handed out yet. Only the leader uses it.
pub(super) struct Backlog {
    events: Box<[Event]>,
    next: usize,
    end: usize,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { events: vec![Event::EMPTY; EVENTS].into(), next: 0, end: 0 }
    }
}

impl Backlog {
    /// The token of the next event, and whether the peer has ended its direction or all of the connection.
    pub(super) fn pop(&mut self) -> Option<(u64, bool)> {
        let event = self.events.get(self.next..self.end)?.first()?;
        self.next += 1;
        Some((event.token(), event.ended()))
    }

    /// Refills the empty backlog with what `wait` writes and counts.
    pub(super) fn fill(&mut self, wait: impl FnOnce(&mut [Event]) -> usize) {
        self.next = 0;
        self.end = wait(&mut self.events).min(self.events.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Address, Stream};

    #[test]
    fn a_number_of_a_removed_connection_finds_nothing() {
        let mut peers = Peers::default();
        let make = |n| {
            let (a, _b) = Stream::pair().and_then(|(a, b)| Ok((a.into_fd()?, b))).unwrap();
            Peer::new(n, a, Address::Unnamed)
        };
        let first = peers.insert(make).number();
        assert!(peers.get(first).is_some());
        assert!(peers.remove(first));
        assert!(!peers.remove(first));
        let second = peers.insert(make).number();
        assert_ne!(first, second);
        assert!(peers.get(first).is_none());
        assert_eq!(peers.len(), 1);
    }
}
