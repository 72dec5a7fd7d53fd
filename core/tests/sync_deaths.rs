// SPDX-License-Identifier: MIT OR Apache-2.0
//! Conditions and barriers whose waiters and parties are killed or stopped, or panic, at the worst moments.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here is a failed test")]

mod support;

use carrick::interrupt::{Hook, Verdict, set_hook};
use carrick::sync::{Barrier, Condition, Lock};
use carrick::{Deadline, Kind, Result};
use std::fmt::Debug;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use support::{Test, asleep, eventually, in_child, named, soon};

const NEVER: Deadline = Deadline::NEVER;

fn kind<T: Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

/// A child made by fork, which works on shared memory. It does not outlive a test that fails.
struct Child(libc::pid_t);

impl Child {
    fn start(body: impl FnOnce()) -> Self {
        // SAFETY: the child runs `body`, which only works on shared memory, and ends.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: it has no arguments of ours.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let failed = catch_unwind(AssertUnwindSafe(body)).is_err();
            // SAFETY: it ends the child without the parent's destructors.
            unsafe { libc::_exit(failed.into()) };
        }
        Self(pid)
    }

    fn signal(&self, signal: i32) {
        // SAFETY: it is our child, which nobody has waited for.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    /// Waits until it is stopped or has ended.
    fn status(&self, options: i32) -> i32 {
        let mut status = 0;
        // SAFETY: status is live for the call.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, options) }, self.0);
        status
    }

    fn stop(&self) {
        self.signal(libc::SIGSTOP);
        assert!(libc::WIFSTOPPED(self.status(libc::WUNTRACED)));
    }

    fn kill(self) {
        self.signal(libc::SIGKILL);
        assert!(libc::WIFSIGNALED(self.status(0)));
    }
}

/// The objects that waiters for a condition share.
#[derive(Clone)]
struct Shared {
    lock: Arc<Lock>,
    condition: Arc<Condition>,
    woken: Arc<AtomicUsize>,
}

impl Shared {
    fn new() -> Self {
        Self {
            lock: Arc::new(Lock::new().unwrap()),
            condition: Arc::new(Condition::new().unwrap()),
            woken: Arc::default(),
        }
    }

    fn wait(&self, deadline: Deadline) -> Result<()> {
        let _guard = self.lock.lock(NEVER).unwrap();
        self.condition.wait(&*self.lock, deadline)
    }

    fn waiter(&self, name: &'static str) -> JoinHandle<()> {
        let shared = self.clone();
        named(name, move || {
            shared.wait(soon()).unwrap();
            shared.woken.fetch_add(1, Ordering::SeqCst);
        })
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }

    /// So many wait, and the lock is free: the last one has let it go.
    fn waited_for_by(&self, count: usize) {
        eventually("they wait", || self.condition.waiting() == count && !self.lock.is_locked());
    }

    fn notify(&self, count: usize) {
        let _guard = self.lock.lock(NEVER).unwrap();
        self.condition.notify(count);
    }

    /// A child that has waited longest is notified, and killed before it makes use of that.
    fn notify_one_that_dies(&self, meanwhile: impl FnOnce()) {
        let child = Child::start(|| drop(self.wait(NEVER)));
        self.waited_for_by(1);
        meanwhile();
        child.stop();
        self.notify(1);
        child.kill();
    }
}

#[test]
fn the_notification_of_a_dead_waiter_is_not_lost_with_its_seat() {
    const SEATS: usize = 1020;
    let _test = Test::begin();
    let shared = Shared::new();
    let mut waiters = Vec::new();
    shared.notify_one_that_dies(|| {
        waiters.extend((1..SEATS).map(|_| shared.waiter("waiter")));
        shared.waited_for_by(SEATS);
    });
    // It gets the dead one's seat.
    waiters.push(shared.waiter("later"));
    eventually("one is woken", || shared.woken() > 0);
    shared.waited_for_by(SEATS - 1);
    assert_eq!(shared.woken(), 1, "one notification has woken several");
    shared.notify(SEATS);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}

#[test]
fn a_dead_holder_is_noticed_though_those_who_checked_for_the_others_die_with_it() {
    let _test = Test::begin();
    let (lock, taken) = (Lock::new().unwrap(), carrick::sync::Semaphore::new(0).unwrap());
    let holder = Child::start(|| {
        lock.acquire(NEVER).unwrap();
        taken.release().unwrap();
        // SAFETY: it has no arguments.
        unsafe { libc::pause() };
    });
    taken.acquire(soon()).unwrap();
    let waiter = || {
        Child::start(|| {
            lock.acquire(NEVER).unwrap();
            taken.release().unwrap();
            // SAFETY: it has no arguments.
            unsafe { libc::pause() };
        })
    };
    let mut waiters: Vec<_> = (0..40).map(|_| waiter()).collect();
    // Those who do not check have found that others do.
    assert_eq!(kind(taken.acquire(Deadline::after(Duration::from_millis(500)))), Kind::Timeout);
    let last = waiters.split_off(35);
    for dead in std::iter::once(&holder).chain(&waiters) {
        dead.signal(libc::SIGKILL);
    }
    taken.acquire(soon()).unwrap();
    assert!(last.iter().any(|one| lock.holder().unwrap().process == one.0.cast_unsigned()));
    [holder].into_iter().chain(waiters).chain(last).for_each(Child::kill);
}

#[test]
fn the_notification_of_a_dead_waiter_goes_to_one_that_waited_when_it_came() {
    let _test = Test::begin();
    let shared = Shared::new();
    let mut waiter = None;
    shared.notify_one_that_dies(|| {
        waiter = Some(shared.waiter("waiter"));
        shared.waited_for_by(2);
    });
    waiter.unwrap().join().unwrap();
    assert_eq!(shared.woken(), 1);
}

#[test]
fn the_notification_of_a_dead_waiter_is_not_for_those_who_come_later() {
    let _test = Test::begin();
    let shared = Shared::new();
    shared.notify_one_that_dies(|| ());
    // It looks at the dead one's seat after half a second.
    let waited = shared.wait(Deadline::after(Duration::from_millis(700)));
    assert_eq!(kind(waited), Kind::Timeout);
}

/// Has this process, which has one thread, get a signal every 20 ms from now on.
fn storm() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: sigaction is plain data for which all zeros is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: action is live for the call, and its handler does nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) }, 0);
    let span = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
    let timer = libc::itimerval { it_interval: span, it_value: span };
    // SAFETY: timer is live for the call.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) }, 0);
}

#[test]
fn signals_do_not_keep_a_party_from_seeing_that_another_one_died() {
    let _test = Test::begin();
    let barrier = Barrier::new(3).unwrap();
    let dead = Child::start(|| drop(barrier.wait(NEVER)));
    eventually("it waits", || barrier.waiting() == 1);
    let party = Child::start(|| {
        storm();
        assert_eq!(kind(barrier.wait(NEVER)), Kind::Broken);
    });
    eventually("both wait", || barrier.waiting() == 2);
    dead.kill();
    assert_eq!(party.status(0), 0);
}

#[test]
fn signals_do_not_keep_a_waiter_from_the_notification_of_a_dead_one() {
    let _test = Test::begin();
    let shared = Shared::new();
    let mut waiter = None;
    shared.notify_one_that_dies(|| {
        waiter = Some(Child::start(|| {
            storm();
            shared.wait(NEVER).unwrap();
        }));
        shared.waited_for_by(2);
    });
    assert_eq!(waiter.unwrap().status(0), 0);
}

#[test]
fn an_action_that_panics_breaks_the_barrier() {
    let _test = Test::begin();
    let barrier = Barrier::new(2).unwrap();
    std::thread::scope(|scope| {
        let party = scope.spawn(|| kind(barrier.wait(soon())));
        eventually("it waits", || barrier.waiting() == 1);
        let action = || barrier.wait_with(NEVER, || panic!("the action's"));
        let panicked = catch_unwind(AssertUnwindSafe(action)).unwrap_err();
        assert_eq!(panicked.downcast_ref::<&str>(), Some(&"the action's"));
        assert_eq!(party.join().unwrap(), Kind::Broken);
    });
    assert!(barrier.is_broken());
    barrier.reset().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| barrier.wait(soon()).unwrap());
        barrier.wait(soon()).unwrap();
    });
}

#[test]
fn those_who_have_arrived_wait_for_the_action_past_their_deadlines() {
    let _test = Test::begin();
    let barrier = Arc::new(Barrier::new(2).unwrap());
    let deadline = Deadline::after(Duration::from_secs(2));
    let first = Arc::clone(&barrier);
    let first = named("first", move || first.wait(deadline));
    eventually("one waits", || barrier.waiting() == 1);
    let action = || {
        while !deadline.expired() {
            std::thread::yield_now();
        }
        Ok(())
    };
    assert_eq!(barrier.wait_with(NEVER, action).unwrap(), 1);
    assert_eq!(first.join().unwrap().unwrap(), 0);
    assert!(!barrier.is_broken());
}

#[test]
fn a_barrier_can_be_aborted_and_reset_though_the_action_does_not_end() {
    let _test = Test::begin();
    let barrier = Arc::new(Barrier::new(2).unwrap());
    let (acting, go) = (Arc::new(Barrier::new(2).unwrap()), Arc::new(Barrier::new(2).unwrap()));
    let first = Arc::clone(&barrier);
    let first = named("first", move || kind(first.wait(soon())));
    let last = {
        let (barrier, acting, go) = (Arc::clone(&barrier), Arc::clone(&acting), Arc::clone(&go));
        named("last", move || {
            eventually("one waits", || barrier.waiting() == 1);
            let action = || acting.wait(soon()).and_then(|_| go.wait(soon())).map(drop);
            barrier.wait_with(NEVER, action)
        })
    };
    acting.wait(soon()).unwrap();
    // All have arrived; this one is for the next meeting.
    assert_eq!(kind(barrier.wait(Deadline::NOW)), Kind::Timeout);
    assert!(!barrier.is_broken());
    barrier.abort().unwrap();
    assert_eq!(first.join().unwrap(), Kind::Broken);
    // It can be used again before the action has ended, which does no harm to the next meeting.
    barrier.reset().unwrap();
    let next = Arc::clone(&barrier);
    let next = named("next", move || next.wait(soon()));
    eventually("it waits", || barrier.waiting() == 1);
    go.wait(soon()).unwrap();
    assert_eq!(kind(last.join().unwrap()), Kind::Broken);
    assert_eq!(barrier.waiting(), 1);
    barrier.wait(soon()).unwrap();
    next.join().unwrap().unwrap();
}

#[test]
fn who_comes_during_the_action_is_for_the_next_meeting() {
    let _test = Test::begin();
    let barrier = Arc::new(Barrier::new(1).unwrap());
    let next = Arc::clone(&barrier);
    let mut waiter = None;
    let action = || {
        waiter = Some(named("next", move || next.wait(soon())));
        asleep("next");
        assert_eq!(barrier.waiting(), 1);
        Ok(())
    };
    assert_eq!(barrier.wait_with(NEVER, action).unwrap(), 0);
    assert_eq!(waiter.unwrap().join().unwrap().unwrap(), 0);
}

#[test]
fn a_party_killed_in_its_action_breaks_the_barrier_for_the_others() {
    let _test = Test::begin();
    let barrier = Arc::new(Barrier::new(2).unwrap());
    let first = Arc::clone(&barrier);
    let first = named("first", move || kind(first.wait(soon())));
    eventually("it waits", || barrier.waiting() == 1);
    let last = Child::start(|| {
        let die = || {
            // SAFETY: it has no arguments of ours.
            unsafe { libc::raise(libc::SIGKILL) };
            Ok(())
        };
        drop(barrier.wait_with(NEVER, die));
    });
    assert!(libc::WIFSIGNALED(last.status(0)));
    assert_eq!(first.join().unwrap(), Kind::Broken);
    assert!(barrier.is_broken());
}

/// A segment, where the word of a barrier's lock is in it, and what that word is to be.
static SPOILED: Mutex<Option<(File, u64, [u8; 8])>> = Mutex::new(None);

/// Ends every wait, as a signal handler that raises does; the first time the lock comes to be somebody's who died.
struct Interrupt;

impl Hook for Interrupt {
    fn signalled(&self) -> Verdict {
        if let Some((segment, place, word)) = SPOILED.lock().unwrap().take() {
            segment.write_all_at(&word, place).unwrap();
        }
        Verdict::Stop
    }
}

#[test]
fn a_party_that_is_interrupted_leaves_though_the_lock_of_the_barrier_is_a_dead_ones() {
    // Words of slots are behind the segment's head and the slot's tag.
    fn file_and_word(place: &carrick::sync::Place<'_>, size: u64) -> (File, u64) {
        (place.fd.as_fd().try_clone_to_owned().unwrap().into(), 1024 + u64::from(place.slot) * size + 8)
    }
    if !in_child("a_party_that_is_interrupted_leaves_though_the_lock_of_the_barrier_is_a_dead_ones") {
        return;
    }
    let _test = Test::begin();
    let (lock, barrier) = (Lock::new().unwrap(), Barrier::new(2).unwrap());
    let holder = Child::start(|| drop(lock.acquire(NEVER)));
    assert_eq!(holder.status(0), 0);
    let mut dead = [0; 8];
    let (small, place) = file_and_word(&lock.place(), 64);
    small.read_exact_at(&mut dead, place).unwrap();
    drop(small);
    assert_eq!(u32::from_le_bytes(dead[..4].try_into().unwrap()), holder.0.unsigned_abs());
    let (segment, place) = file_and_word(&barrier.place(), 1024);
    *SPOILED.lock().unwrap() = Some((segment, place, dead));
    set_hook(&Interrupt);
    assert_eq!(kind(barrier.wait(soon())), Kind::Interrupted);
    assert!(barrier.is_broken());
}
