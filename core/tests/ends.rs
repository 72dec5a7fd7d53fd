// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks whose holder has ended: one that ended in good order leaves them taken, one that was killed loses them. Each test
//! runs in a process of its own, since it forks.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::process::{ForkServer, StartOptions, Task, fork};
use carrick::sync::{Condition, Lock, RLock, Taken, leave_locks};
use carrick::{Deadline, Kind, name};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::panic_any;
use std::process::Command;
use support::{Test, in_child, soon};

const NOW: Deadline = Deadline::NOW;
const PLAIN: StartOptions = StartOptions { daemon: false, channel: false };

/// How a process ends, and whether that is in good order.
const ENDS: [(&str, bool); 7] = [
    ("return", true),
    ("exit", true),
    ("panic", true),
    ("leave", true),
    ("_exit", false),
    ("abort", false),
    ("kill", false),
];

fn end(how: &str) -> i32 {
    match how {
        "exit" => std::process::exit(0),
        "panic" => panic_any(()),
        "leave" | "_exit" => {
            if how == "leave" {
                leave_locks();
            }
            // SAFETY: it has no pointers.
            unsafe { libc::_exit(0) }
        }
        "abort" | "kill" => {
            let signal = if how == "abort" { libc::SIGABRT } else { libc::SIGKILL };
            // SAFETY: it has no pointers.
            unsafe { libc::raise(signal) };
        }
        _ => {}
    }
    0
}

/// A lock is held by a process that has ended.
fn check(how: &str, well: bool, lock: &Lock, rlock: &RLock) {
    assert!(lock.is_locked() && rlock.is_locked(), "{how}");
    let (holder, deep) = (lock.holder().unwrap(), rlock.holder().unwrap());
    assert_eq!((holder.process, deep.depth), (deep.process, 2), "{how}");
    if well {
        assert_eq!(lock.acquire(NOW).unwrap_err().kind(), Kind::WouldBlock, "{how}");
        assert_eq!(rlock.acquire(NOW).unwrap_err().kind(), Kind::WouldBlock, "{how}");
        assert_eq!(lock.acquire(support::moment()).unwrap_err().kind(), Kind::Timeout, "{how}");
        // Anybody may open what the holder has shut.
        lock.release().unwrap();
        assert_eq!(lock.acquire(NOW).unwrap(), Taken::Free, "{how}");
    } else {
        assert_eq!(lock.acquire(soon()).unwrap(), Taken::FromDead, "{how}");
        assert_eq!(rlock.acquire(soon()).unwrap(), Taken::FromDead, "{how}");
    }
}

#[test]
fn a_program_that_ends_in_good_order_leaves_its_locks_taken_and_one_that_is_killed_loses_them() {
    const TEST: &str =
        "a_program_that_ends_in_good_order_leaves_its_locks_taken_and_one_that_is_killed_loses_them";
    if let Ok(argument) = std::env::var("CARRICK_TEST_END") {
        let (how, name) = argument.split_once(' ').unwrap();
        let lock = Lock::open(name).unwrap();
        let rlock = RLock::open(&format!("{name}-r")).unwrap();
        lock.acquire(soon()).unwrap();
        rlock.acquire(soon()).unwrap();
        rlock.acquire(soon()).unwrap();
        if name.ends_with("dropped") {
            drop((lock, rlock));
        } else {
            std::mem::forget((lock, rlock));
        }
        end(how);
        return;
    }
    if !in_child(TEST) {
        return;
    }
    let _test = Test::begin();
    for (how, well) in ENDS {
        for handle in ["kept", "dropped"] {
            let name = format!("test-end-{}-{how}-{handle}", std::process::id());
            let rname = format!("{name}-r");
            let (lock, rlock) = (Lock::create(&name).unwrap(), RLock::create(&rname).unwrap());
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args([TEST, "--exact", "--test-threads=1"])
                .env("CARRICK_TEST_END", format!("{how} {name}"));
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let status = command.status().unwrap();
            name::remove(&name).unwrap();
            name::remove(&rname).unwrap();
            assert_eq!(status.success(), matches!(how, "return" | "exit" | "leave" | "_exit"), "{how}");
            check(how, well, &lock, &rlock);
        }
    }
}

fn hold(lock: &Lock, rlock: &RLock, how: &str) -> i32 {
    lock.acquire(soon()).unwrap();
    rlock.acquire(soon()).unwrap();
    rlock.acquire(soon()).unwrap();
    end(how)
}

fn task(task: Task) -> i32 {
    let words = String::from_utf8(task.body).unwrap();
    let mut words = words.split(' ');
    let mut slot = || words.next().unwrap().parse::<u32>().unwrap();
    let (slot, rslot) = (slot(), slot());
    let lock = Lock::attach(&task.descriptors[0], slot).unwrap();
    let rlock = RLock::attach(&task.descriptors[0], rslot).unwrap();
    hold(&lock, &rlock, words.next().unwrap())
}

#[test]
fn a_child_that_ends_in_good_order_leaves_its_locks_taken_and_one_that_is_killed_loses_them() {
    if !in_child("a_child_that_ends_in_good_order_leaves_its_locks_taken_and_one_that_is_killed_loses_them") {
        return;
    }
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    for (how, well) in ENDS {
        let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
        fork(PLAIN, |_| hold(&lock, &rlock, how)).unwrap().join(soon()).unwrap();
        check(how, well, &lock, &rlock);

        let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
        let (place, rplace) = (lock.place(), rlock.place());
        assert_eq!(place.fd.as_raw_fd(), rplace.fd.as_raw_fd());
        let body = format!("{} {} {how}", place.slot, rplace.slot);
        server.start(body.as_bytes(), &[place.fd.as_fd()], PLAIN).unwrap().join(soon()).unwrap();
        check(how, well, &lock, &rlock);
    }
}

#[test]
fn only_the_locks_that_the_process_itself_holds_are_left() {
    if !in_child("only_the_locks_that_the_process_itself_holds_are_left") {
        return;
    }
    let _test = Test::begin();
    let (mine, released, childs) = (Lock::new().unwrap(), Lock::new().unwrap(), Lock::new().unwrap());
    mine.acquire(NOW).unwrap();
    let child = fork(PLAIN, |_| {
        released.acquire(NOW).unwrap();
        released.release().unwrap();
        childs.acquire(NOW).unwrap();
        0
    });
    child.unwrap().join(soon()).unwrap();
    assert!(mine.is_mine() && !released.is_locked() && childs.is_locked());
    mine.release().unwrap();
    assert_eq!(released.acquire(NOW).unwrap(), Taken::Free);
    assert_eq!(childs.acquire(NOW).unwrap_err().kind(), Kind::WouldBlock);
}

#[test]
fn the_lock_of_a_condition_that_is_left_taken_keeps_its_waiter_waiting() {
    if !in_child("the_lock_of_a_condition_that_is_left_taken_keeps_its_waiter_waiting") {
        return;
    }
    let _test = Test::begin();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let child = fork(PLAIN, |_| {
        lock.acquire(soon()).unwrap();
        condition.wait(&lock, soon()).unwrap();
        0
    })
    .unwrap();
    support::eventually("the child waits", || condition.waiting() == 1);
    lock.acquire(soon()).unwrap();
    condition.notify(1);
    lock.release().unwrap();
    child.join(soon()).unwrap();
    assert_eq!(lock.acquire(support::moment()).unwrap_err().kind(), Kind::Timeout);
}
