// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which process this is, and whether another one still lives.

use super::syscall;
use crate::time::Deadline;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// A process: its number, and the low bits of when it started, in clock ticks. Numbers are used again, both
/// together are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) start: u32,
}

/// The start of a process that has ended in good order. No process has started then: one that would have counts as started
/// a tick earlier.
const ENDED_WELL: u32 = u32::MAX;

/// This process's identity as one word; 0 is not known yet. A child made by fork starts with 0.
// ORDER identity: a thread that finds 0 works it out, always with the same result.
static ME: AtomicU64 = AtomicU64::new(0);

/// In a child made by fork: it has another one.
pub(super) fn forget() {
    ME.store(0, Ordering::Relaxed);
}

/// The mark that tells the calling thread from all others, also from those of other processes that died; not 0.
///
/// A thread's address has zeros in its lower 6 bits and fits into 48; threads of related processes often have the
/// same. The process number, of 22 bits at the most, goes where the address has none.
#[inline]
pub(crate) fn thread_mark() -> u64 {
    // SAFETY: it has no arguments and only tells a number.
    let address = unsafe { libc::pthread_self() };
    address.rotate_right(6) ^ u64::from(Identity::me().pid) << 42
}

/// A process that /proc has said is alive, and when.
// ORDER identity-seen: hints. The two may be of different processes for a moment; then a number that was given to another
// process is noticed later, by as much as a hint counts.
struct Seen {
    word: AtomicU64,
    at: AtomicU64,
}

/// How long what /proc has said counts, in nanoseconds.
const SEEN_FOR: u64 = 5_000_000_000;

impl Identity {
    /// This process.
    pub(crate) fn me() -> Self {
        let known = ME.load(Ordering::Relaxed);
        if known == 0 { Self::find_me() } else { Self::from_word(known) }
    }

    #[cold]
    fn find_me() -> Self {
        super::watch_forks();
        let pid = std::process::id();
        let start = stat("/proc/self/stat").map_or(0, |stat| stat.start);
        let me = Self { pid, start };
        ME.store(me.word(), Ordering::Relaxed);
        me
    }

    /// Both numbers as one word, which is never 0.
    pub(crate) fn word(self) -> u64 {
        u64::from(self.start) << 32 | u64::from(self.pid)
    }

    pub(crate) fn from_word(word: u64) -> Self {
        let (pid, start) = (word & 0xffff_ffff, word >> 32);
        Self { pid: u32::try_from(pid).unwrap_or(0), start: u32::try_from(start).unwrap_or(0) }
    }

    /// The same process as one that has ended in good order, which is not dead.
    pub(crate) fn ended_well(self) -> Self {
        Self { start: ENDED_WELL, ..self }
    }

    /// Whether the process has been killed, or may be yet.
    pub(crate) fn is_mortal(self) -> bool {
        self.start != ENDED_WELL
    }

    /// Whether the process has ended otherwise than in good order ([`ended_well`](Self::ended_well)); one that nobody has
    /// waited for yet has ended, too.
    pub(crate) fn is_dead(self) -> bool {
        if self == Self::me() || !self.is_mortal() {
            return false;
        }
        if self.was_seen_alive()
            && let Some(ended) = self.has_ended()
        {
            return ended;
        }
        match stat(&format!("/proc/{}/stat", self.pid)) {
            Ok(stat) if (self.start != 0 && stat.start != self.start) || stat.ended => true,
            Ok(_) => {
                self.note_alive();
                false
            }
            Err(_) => self.has_no_number(),
        }
    }

    fn seen(self) -> &'static Seen {
        static SEEN: [Seen; 256] = [const { Seen { word: AtomicU64::new(0), at: AtomicU64::new(0) } }; 256];
        let place = usize::try_from(self.pid).unwrap_or(0) % SEEN.len();
        &SEEN[place]
    }

    /// Whether /proc has said a short time ago that this process lives: then its number has not been given to another one, or
    /// that will be found soon.
    fn was_seen_alive(self) -> bool {
        let seen = self.seen();
        let since = || super::clock_nanos().saturating_sub(seen.at.load(Ordering::Relaxed));
        seen.word.load(Ordering::Relaxed) == self.word() && since() < SEEN_FOR
    }

    fn note_alive(self) {
        let seen = self.seen();
        seen.word.store(self.word(), Ordering::Relaxed);
        seen.at.store(super::clock_nanos(), Ordering::Relaxed);
    }

    /// Whether the process with this number has ended, asked in a sixth of the time that /proc takes; `None` where the
    /// system does not say.
    fn has_ended(self) -> Option<bool> {
        let pidfd = match super::pidfd(i32::try_from(self.pid).ok()?) {
            Ok(pidfd) => pidfd,
            Err(error) => return super::is_gone(&error).then_some(true),
        };
        let mut slots = [super::PollSlot::new(pidfd.as_raw_fd(), super::Interest::Read)];
        super::poll(&mut slots, Deadline::NOW).ok().map(|_| slots[0].fired())
    }

    /// For where /proc cannot be read.
    fn has_no_number(self) -> bool {
        // 0 would be this process's group.
        let Ok(pid @ 1..) = libc::pid_t::try_from(self.pid) else { return true };
        matches!(syscall!(kill(pid, 0)), Err(e) if e.raw_os_error() == Some(libc::ESRCH))
    }
}

struct Stat {
    start: u32,
    ended: bool,
}

fn stat(path: &str) -> io::Result<Stat> {
    let text = std::fs::read_to_string(path)?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Fields 3, 20 and 22 of `/proc/<pid>/stat`, as proc(5) numbers them. The name before them may hold anything.
fn parse(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let start: u64 = fields.nth(1)?.parse().ok()?;
    // A first thread that has ended is a zombie, too, as long as others run.
    let ended = matches!(state, "X" | "x") || (state == "Z" && threads <= 1);
    let start = u32::try_from(start & 0xffff_ffff).unwrap_or(0).min(ENDED_WELL - 1);
    Some(Stat { start, ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_of_another_time_does_not() {
        let me = Identity::me();
        assert_eq!(me, Identity::from_word(me.word()));
        assert!(me.start > 0 && !me.is_dead());
        assert!(Identity { start: me.start.wrapping_add(1), ..me }.is_dead());
        assert!(Identity { pid: 0, ..me }.is_dead(), "that is nobody's number");
    }

    #[test]
    fn a_child_that_nobody_waited_for_is_dead() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let path = format!("/proc/{}/stat", child.id());
        while !stat(&path).unwrap().ended {
            std::thread::yield_now();
        }
        let start = stat(&path).unwrap().start;
        assert!(Identity { pid: child.id(), start }.is_dead());
        child.wait().unwrap();
        assert!(Identity { pid: child.id(), start }.is_dead());
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_is_passed_over() {
        let text = "7 (a) S (b)) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 1 18 4294967297 20";
        let stat = parse(text).unwrap();
        assert!(stat.ended);
        assert_eq!(stat.start, 1);
    }
}
