// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks, semaphores, conditions, events and barriers between threads, and what bad input and dead owners get.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::sync::{Barrier, Condition, Event, Lock, LockError, OnOwnerDeath, RLock, Semaphore, Taken};
use carrick::{Deadline, Kind, Result};
use std::fmt::Debug;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use support::{Test, asleep, eventually, in_child, moment, named, soon};

const NEVER: Deadline = Deadline::NEVER;

fn kind<T: Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

/// Runs `body` in a child made by fork, which ends by SIGKILL right after it; waits for that.
fn in_killed_child(body: impl FnOnce()) {
    // SAFETY: the child runs `body`, which only works on shared memory, and is killed.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        body();
        // SAFETY: it has no arguments of ours.
        unsafe { libc::raise(libc::SIGKILL) };
        loop {
            std::thread::park();
        }
    }
    let mut status = 0;
    // SAFETY: status is live for the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL, "status {status}");
}

#[test]
fn a_lock_has_one_holder_and_anybody_may_release_it() {
    let _test = Test::begin();
    let lock = Arc::new(Lock::new().unwrap());
    assert!(!lock.is_locked());
    assert_eq!(lock.acquire(NEVER).unwrap(), Taken::Free);
    assert!(lock.is_locked() && lock.is_mine());
    let holder = lock.holder().unwrap();
    assert_eq!(holder.process, std::process::id());
    assert!(holder.is_this_thread && holder.is_this_process);
    assert_eq!(kind(lock.acquire(Deadline::NOW)), Kind::WouldBlock);
    assert_eq!(kind(lock.acquire(moment())), Kind::Timeout);
    let other = Arc::clone(&lock);
    std::thread::spawn(move || {
        assert!(!other.is_mine());
        other.release().unwrap();
    })
    .join()
    .unwrap();
    let error = lock.release().unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.to_string(), "release lock: invalid argument: it is not locked");
}

#[test]
fn a_guard_releases_its_lock() {
    let _test = Test::begin();
    let lock = Lock::new().unwrap();
    let guard = lock.lock(NEVER).unwrap();
    assert!(matches!(lock.lock(Deadline::NOW), Err(LockError::Failed(_))));
    drop(guard);
    assert!(!lock.is_locked());
}

#[test]
fn no_increment_is_lost_under_a_lock() {
    let _test = Test::begin();
    let lock = Lock::new().unwrap();
    let counter = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let _guard = lock.lock(NEVER).unwrap();
                    // Not one operation: only the lock keeps the others away between the two.
                    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(counter.into_inner(), 80_000);
}

#[test]
fn a_recursive_lock_is_free_after_as_many_releases() {
    let _test = Test::begin();
    let lock = Arc::new(RLock::new().unwrap());
    for _ in 0..3 {
        lock.acquire(NEVER).unwrap();
    }
    assert_eq!(lock.holder().unwrap().depth, 3);
    let other = Arc::clone(&lock);
    let others = std::thread::spawn(move || {
        assert_eq!(kind(other.release()), Kind::State);
        kind(other.acquire(Deadline::NOW))
    });
    assert_eq!(others.join().unwrap(), Kind::WouldBlock);
    for _ in 0..3 {
        assert!(lock.is_locked());
        lock.release().unwrap();
    }
    assert!(!lock.is_locked());
    assert_eq!(kind(lock.release()), Kind::State);
}

#[test]
fn a_lock_of_a_dead_holder_is_taken_over_and_the_taker_is_told() {
    let _test = Test::begin();
    let lock = Lock::new().unwrap();
    in_killed_child(|| drop(lock.acquire(NEVER)));
    assert!(lock.is_locked(), "nobody has asked for it yet");
    let Err(LockError::OwnerDied(guard)) = lock.lock(soon()) else { unreachable!("the owner is dead") };
    assert!(lock.is_mine());
    drop(guard);
    assert_eq!(lock.acquire(NEVER).unwrap(), Taken::Free);
}

#[test]
fn even_trying_takes_over_from_a_dead_holder() {
    let _test = Test::begin();
    let lock = RLock::new().unwrap();
    in_killed_child(|| {
        for _ in 0..5 {
            lock.acquire(NEVER).unwrap();
        }
    });
    assert_eq!(lock.acquire(Deadline::NOW).unwrap(), Taken::FromDead);
    assert_eq!(lock.holder().unwrap().depth, 1);
    lock.release().unwrap();
    assert!(!lock.is_locked());
}

#[test]
fn who_does_not_want_to_take_over_waits_on() {
    let _test = Test::begin();
    let lock = Lock::new().unwrap().on_owner_death(OnOwnerDeath::Wait);
    in_killed_child(|| drop(lock.acquire(NEVER)));
    assert_eq!(kind(lock.acquire(Deadline::NOW)), Kind::WouldBlock);
    assert_eq!(kind(lock.acquire(Deadline::after(Duration::from_millis(150)))), Kind::Timeout);
    lock.release().unwrap();
    assert_eq!(lock.acquire(NEVER).unwrap(), Taken::Free);
}

#[test]
fn a_waiter_asleep_is_woken_by_the_release() {
    let _test = Test::begin();
    let lock = Arc::new(Lock::new().unwrap());
    lock.acquire(NEVER).unwrap();
    let other = Arc::clone(&lock);
    let waiter = named("lock-waiter", move || other.acquire(NEVER).unwrap());
    asleep("lock-waiter");
    lock.release().unwrap();
    assert_eq!(waiter.join().unwrap(), Taken::Free);
}

#[test]
fn a_semaphore_counts() {
    let _test = Test::begin();
    let semaphore = Semaphore::bounded(2, 3).unwrap();
    semaphore.acquire(NEVER).unwrap();
    semaphore.acquire(NEVER).unwrap();
    assert_eq!(kind(semaphore.acquire(Deadline::NOW)), Kind::WouldBlock);
    assert_eq!(kind(semaphore.acquire(moment())), Kind::Timeout);
    semaphore.release_many(3).unwrap();
    assert_eq!(semaphore.value(), 3);
    let error = semaphore.release().unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("1 more than 3 are over the limit of 3"), "{error}");
    assert_eq!(kind(semaphore.release_many(u32::MAX)), Kind::Invalid);
    assert_eq!(semaphore.value(), 3);
    assert_eq!(kind(Semaphore::bounded(4, 3)), Kind::Invalid);
    assert_eq!(kind(Semaphore::new(Semaphore::MAX + 1)), Kind::Invalid);
}

#[test]
fn units_given_at_once_wake_as_many_sleepers() {
    let _test = Test::begin();
    let semaphore = Arc::new(Semaphore::new(0).unwrap());
    let waiters = ["sem-a", "sem-b", "sem-c"].map(|name| {
        let semaphore = Arc::clone(&semaphore);
        let waiter = named(name, move || semaphore.acquire(NEVER));
        asleep(name);
        waiter
    });
    semaphore.release_many(3).unwrap();
    for waiter in waiters {
        waiter.join().unwrap().unwrap();
    }
    assert_eq!(semaphore.value(), 0);
}

#[test]
fn no_unit_is_lost_among_threads() {
    let _test = Test::begin();
    let (full, empty) = (Semaphore::new(0).unwrap(), Semaphore::new(3).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    empty.acquire(NEVER).unwrap();
                    full.release().unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..5000 {
                    full.acquire(NEVER).unwrap();
                    empty.release().unwrap();
                }
            });
        }
    });
    assert_eq!((full.value(), empty.value()), (0, 3));
}

#[test]
fn an_event_wakes_all_and_stays_set() {
    let _test = Test::begin();
    let event = Arc::new(Event::new().unwrap());
    assert_eq!(kind(event.wait(Deadline::NOW)), Kind::WouldBlock);
    assert_eq!(kind(event.wait(moment())), Kind::Timeout);
    let waiters = ["event-a", "event-b"].map(|name| {
        let event = Arc::clone(&event);
        let waiter = named(name, move || event.wait(NEVER));
        asleep(name);
        waiter
    });
    event.set();
    // Each waiter has seen it, though it is cleared before the waiter gets to look.
    event.clear();
    for waiter in waiters {
        waiter.join().unwrap().unwrap();
    }
    assert!(!event.is_set());
    event.set();
    event.set();
    event.wait(Deadline::NOW).unwrap();
}

struct Stage {
    lock: Lock,
    condition: Condition,
    order: std::sync::Mutex<Vec<usize>>,
}

#[test]
fn notifications_go_to_those_who_have_waited_longest() {
    let _test = Test::begin();
    let stage = Arc::new(Stage {
        lock: Lock::new().unwrap(),
        condition: Condition::new().unwrap(),
        order: std::sync::Mutex::default(),
    });
    let names = ["cond-0", "cond-1", "cond-2", "cond-3"];
    let mut waiters: Vec<_> = names.into_iter().enumerate().collect();
    let mut waiters: Vec<_> = waiters
        .drain(..)
        .map(|(number, name)| {
            let stage = Arc::clone(&stage);
            let waiter = named(name, move || {
                stage.lock.acquire(NEVER).unwrap();
                stage.condition.wait(&stage.lock, NEVER).unwrap();
                assert!(stage.lock.is_mine());
                stage.order.lock().unwrap().push(number);
                stage.lock.release().unwrap();
            });
            asleep(name);
            waiter
        })
        .collect();
    let notify = |count: usize, expected: &[usize]| {
        let guard = stage.lock.lock(NEVER).unwrap();
        stage.condition.notify(count);
        drop(guard);
        let seen = || {
            let mut seen = stage.order.lock().unwrap().clone();
            seen.sort_unstable();
            seen
        };
        eventually("they have gone on", || seen().len() >= expected.len());
        assert_eq!(seen(), expected);
    };
    assert_eq!(stage.condition.waiting(), 4);
    notify(1, &[0]);
    notify(2, &[0, 1, 2]);
    notify(usize::MAX, &[0, 1, 2, 3]);
    stage.condition.notify_all();
    waiters.drain(..).for_each(|waiter| waiter.join().unwrap());
    assert_eq!(stage.condition.waiting(), 0);
}

#[test]
fn waiting_needs_the_lock_and_gives_it_back() {
    let _test = Test::begin();
    let condition = Condition::new().unwrap();
    let (plain, recursive) = (Lock::new().unwrap(), RLock::new().unwrap());
    assert_eq!(kind(condition.wait(&plain, NEVER)), Kind::Invalid);
    assert_eq!(kind(condition.wait(&recursive, NEVER)), Kind::State);
    assert_eq!(condition.waiting(), 0);
    recursive.acquire(NEVER).unwrap();
    recursive.acquire(NEVER).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It can only have it during the wait.
            recursive.acquire(NEVER).unwrap();
            condition.notify(1);
            recursive.release().unwrap();
        });
        condition.wait(&recursive, NEVER).unwrap();
    });
    assert_eq!(recursive.holder().unwrap().depth, 2);
    assert_eq!(kind(condition.wait(&recursive, moment())), Kind::Timeout);
    assert_eq!(kind(condition.wait(&recursive, Deadline::NOW)), Kind::Timeout);
    assert_eq!(recursive.holder().unwrap().depth, 2);
}

#[test]
fn more_waiters_than_seats_are_all_woken() {
    let _test = Test::begin();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let (go, waiting, woken) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..80 {
            scope.spawn(|| {
                let _guard = lock.lock(NEVER).unwrap();
                waiting.fetch_add(1, Ordering::SeqCst);
                while go.load(Ordering::SeqCst) == 0 {
                    condition.wait(&lock, NEVER).unwrap();
                }
                woken.fetch_add(1, Ordering::SeqCst);
            });
        }
        eventually("all wait", || waiting.load(Ordering::SeqCst) == 80);
        let _guard = lock.lock(NEVER).unwrap();
        go.store(1, Ordering::SeqCst);
        condition.notify_all();
    });
    assert_eq!(woken.into_inner(), 80);
}

#[test]
fn each_notification_wakes_one_of_hundreds() {
    const MANY: usize = 300;
    let _test = Test::begin();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let woken = AtomicUsize::new(0);
    let wait = |deadline| {
        let _guard = lock.lock(NEVER).unwrap();
        condition.wait(&lock, deadline)
    };
    let notify = |count| {
        let _guard = lock.lock(NEVER).unwrap();
        condition.notify(count);
    };
    std::thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                wait(NEVER).unwrap();
                woken.fetch_add(1, Ordering::SeqCst);
            });
        }
        eventually("all wait", || condition.waiting() == MANY);
        notify(5);
        eventually("five are woken", || woken.load(Ordering::SeqCst) == 5);
        // Longer than any of them sleeps in one go before it looks around for the first time.
        assert_eq!(kind(wait(Deadline::after(Duration::from_millis(700)))), Kind::Timeout);
        assert_eq!((woken.load(Ordering::SeqCst), condition.waiting()), (5, MANY - 5));
        notify(MANY);
    });
    assert_eq!((woken.into_inner(), condition.waiting()), (MANY, 0));
}

#[test]
fn killed_waiters_take_no_notification() {
    let _test = Test::begin();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    for _ in 0..3 {
        let before = condition.waiting();
        // SAFETY: the child only works on shared memory until it is killed.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let _ = lock.acquire(NEVER);
            let _ = condition.wait(&lock, NEVER);
            // SAFETY: it ends the child without the parent's destructors.
            unsafe { libc::_exit(1) };
        }
        eventually("it waits", || condition.waiting() > before);
        eventually("it waits", || !lock.is_locked());
        // SAFETY: it is our child, which nobody has waited for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        // SAFETY: there is no status to write.
        assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
    }
    assert_eq!(condition.waiting(), 3, "their seats are theirs still");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _guard = lock.lock(NEVER).unwrap();
            condition.wait(&lock, NEVER)
        });
        eventually("it waits", || condition.waiting() == 4);
        let guard = lock.lock(NEVER).unwrap();
        condition.notify(1);
        drop(guard);
        waiter.join().unwrap().unwrap();
    });
    assert_eq!(condition.waiting(), 0);
}

#[test]
fn a_barrier_meets_again_and_again() {
    let _test = Test::begin();
    let barrier = Barrier::new(4).unwrap();
    let (arrived, actions) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 1..=500_u64 {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let action = || {
                        actions.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    assert!(barrier.wait_with(NEVER, action).unwrap() < 4);
                    assert!(arrived.load(Ordering::SeqCst) >= round * 4, "it let somebody through too early");
                    assert!(actions.load(Ordering::SeqCst) >= round);
                }
            });
        }
    });
    assert_eq!(actions.into_inner(), 500);
    assert_eq!((barrier.waiting(), barrier.parties()), (0, 4));
    assert_eq!(kind(Barrier::new(0)), Kind::Invalid);
}

#[test]
fn a_barrier_is_broken_by_a_deadline_an_abort_and_an_action_and_mended_by_a_reset() {
    let _test = Test::begin();
    let barrier = Barrier::new(2).unwrap();
    let wait_while = |act: &dyn Fn()| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| kind(barrier.wait(NEVER)));
            eventually("it waits", || barrier.waiting() == 1);
            act();
            waiter.join().unwrap()
        })
    };
    assert_eq!(kind(barrier.wait(moment())), Kind::Timeout);
    assert!(barrier.is_broken());
    assert_eq!(kind(barrier.wait(NEVER)), Kind::Broken);
    barrier.reset().unwrap();
    assert_eq!(wait_while(&|| barrier.abort().unwrap()), Kind::Broken);
    assert!(barrier.is_broken());
    barrier.reset().unwrap();
    assert_eq!(wait_while(&|| barrier.reset().unwrap()), Kind::Broken);
    assert!(!barrier.is_broken());
    let failing = || Err(carrick::Error::new(Kind::Handler, "test"));
    let broken = wait_while(&|| assert_eq!(kind(barrier.wait_with(NEVER, failing)), Kind::Handler));
    assert_eq!(broken, Kind::Broken);
    barrier.reset().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| barrier.wait(NEVER).unwrap());
        barrier.wait(NEVER).unwrap();
    });
}

#[test]
fn a_party_killed_at_a_barrier_breaks_it_for_the_others() {
    let _test = Test::begin();
    let barrier = Barrier::new(3).unwrap();
    // SAFETY: the child only works on shared memory until it is killed.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let _ = barrier.wait(NEVER);
        // SAFETY: it ends the child without the parent's destructors.
        unsafe { libc::_exit(1) };
    }
    eventually("it waits", || barrier.waiting() == 1);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| kind(barrier.wait(NEVER)));
        eventually("both wait", || barrier.waiting() == 2);
        // SAFETY: it is our child, which nobody has waited for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        assert_eq!(waiter.join().unwrap(), Kind::Broken);
    });
    // SAFETY: there is no status to write.
    assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
}

#[test]
fn a_party_killed_at_a_barrier_of_many_breaks_it_for_the_others() {
    const MANY: u32 = 150;
    let _test = Test::begin();
    let (barrier, go) = (Barrier::new(MANY + 2).unwrap(), Event::new().unwrap());
    let place = barrier.place();
    let same = Barrier::attach(carrick::sync::Memory::File(place.fd), place.slot).unwrap();
    // SAFETY: the child only works on shared memory until it is killed.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let _ = go.wait(NEVER).and_then(|()| barrier.wait(NEVER).map(drop));
        // SAFETY: it ends the child without the parent's destructors.
        unsafe { libc::_exit(1) };
    }
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..MANY).map(|_| scope.spawn(|| kind(same.wait(NEVER)))).collect();
        eventually("all but one wait", || barrier.waiting() == MANY);
        go.set();
        eventually("the last one waits", || barrier.waiting() == MANY + 1);
        // SAFETY: it is our child, which nobody has waited for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Kind::Broken);
        }
    });
    // SAFETY: there is no status to write.
    assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
    barrier.reset().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..=MANY {
            scope.spawn(|| same.wait(soon()).unwrap());
        }
        barrier.wait(soon()).unwrap();
    });
}

fn again(fd: impl AsFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().unwrap()
}

#[test]
fn another_handle_is_the_same_primitive() {
    let _test = Test::begin();
    let lock = Lock::new().unwrap();
    let place = lock.place();
    let other = Lock::attach(place.fd, place.slot).unwrap();
    let known = Lock::attach(carrick::sync::Memory::Known(place.segment), place.slot).unwrap();
    lock.acquire(NEVER).unwrap();
    assert!(other.is_mine() && known.is_locked());
    known.release().unwrap();
    assert!(!lock.is_locked());
    assert_eq!(kind(RLock::attach(place.fd, place.slot)), Kind::Invalid);
}

#[test]
fn what_is_something_else_is_refused() {
    let _test = Test::begin();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let place = lock.place();
    assert_eq!(kind(Event::attach(place.fd, place.slot)), Kind::Invalid);
    assert_eq!(kind(Condition::attach(place.fd, place.slot)), Kind::Invalid);
    assert_eq!(kind(Lock::attach(place.fd, u32::MAX)), Kind::Invalid);
    assert_eq!(kind(Lock::attach(condition.place().fd, 0)), Kind::Invalid);
    assert_eq!(kind(Lock::attach(carrick::sync::Memory::Known(1), 0)), Kind::Invalid);
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(kind(Lock::attach(&OwnedFd::from(file), 0)), Kind::Invalid);
    let queue = carrick::queue::Queue::new(carrick::queue::QueueOptions::default()).unwrap();
    let error = Lock::attach(queue.as_fd(), 0).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("no slots"), "{error}");
}

#[test]
fn thousands_of_locks_take_few_descriptors_and_their_memory_is_used_again() {
    if !in_child("thousands_of_locks_take_few_descriptors_and_their_memory_is_used_again") {
        return;
    }
    let _test = Test::begin();
    let before = support::open_fds().len();
    let locks: Vec<Lock> = (0..10_000).map(|_| Lock::new().unwrap()).collect();
    let now = support::open_fds().len();
    assert!(now - before <= 6, "{} descriptors for 10,000 locks", now - before);
    drop(locks);
    let rest = support::open_fds().len();
    assert_eq!(rest, before);
    for _ in 0..10_000 {
        drop(Lock::new().unwrap());
    }
    assert_eq!(support::open_fds().len(), rest);
}

#[test]
fn a_slot_that_somebody_else_may_use_is_not_used_again() {
    let _test = Test::begin();
    let slot_of = |lock: Lock| lock.place().slot;
    let keeper = Lock::new().unwrap();
    let quiet = Lock::new().unwrap();
    let handed_over = slot_of(Lock::new().unwrap());
    drop(quiet);
    in_killed_child(|| ());
    let seen = Lock::new().unwrap();
    in_killed_child(|| ());
    drop(seen);
    // The first one used again is that of the lock that nobody but this process has ever had.
    let first = slot_of(Lock::new().unwrap());
    assert_ne!(first, handed_over);
    let later: Vec<Lock> = (0..50).map(|_| Lock::new().unwrap()).collect();
    let slots: std::collections::HashSet<u32> = later.iter().map(|lock| lock.place().slot).collect();
    assert_eq!(slots.len(), 50);
    assert!(!slots.contains(&handed_over) && !slots.contains(&first));
    assert!(!slots.contains(&keeper.place().slot));
}

#[test]
fn nonsense_in_the_memory_is_an_error_or_a_wait_and_never_a_crash() {
    let _test = Test::begin();
    let condition = Condition::new().unwrap();
    let lock = Lock::new().unwrap();
    let barrier = Barrier::new(3).unwrap();
    let (place, small) = (condition.place(), lock.place());
    let segment: std::fs::File = again(place.fd).into();
    let meeting: std::fs::File = again(barrier.place().fd).into();
    let line: std::fs::File = again(small.fd).into();
    let mut seed = 7_u64;
    for round in 0..40_u32 {
        let mut bytes = [0; 1016];
        for byte in &mut bytes {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round.into());
            *byte = (seed >> 56) as u8;
        }
        let spoil = |file: &std::fs::File, start: u64, length: usize| {
            std::os::unix::fs::FileExt::write_all_at(file, &bytes[..length], start + 8).unwrap();
        };
        spoil(&segment, 1024 + u64::from(place.slot) * (16 << 10), 1016);
        spoil(&meeting, 1024 + u64::from(barrier.place().slot) * 1024, 1016);
        spoil(&line, 1024 + u64::from(small.slot) * 64, 56);
        let _ = lock.acquire(Deadline::NOW);
        let _ = condition.wait(&lock, Deadline::NOW);
        condition.notify(2);
        condition.notify_all();
        let _ = lock.release();
        let _ = barrier.wait(Deadline::NOW);
        let _ = (barrier.waiting(), barrier.is_broken(), barrier.reset());
    }
}
