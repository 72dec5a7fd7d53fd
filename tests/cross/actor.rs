// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Rust end of the matrix of shared memory; shared.py has the contract.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, missing_docs, reason = "a part of a test")]

use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Event, Lock, LockError};
use carrick::{Deadline, Error};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::time::Duration;

const ITEMS: usize = 500;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn item(number: usize) -> Vec<u8> {
    let mut item = format!("{number}:").into_bytes();
    item.resize(item.len() + number * 37 % 3000, (number % 251) as u8);
    item
}

/// Has a child inherit the descriptor; returns its number.
fn inherited(fd: BorrowedFd<'_>) -> i32 {
    // SAFETY: the descriptor is open; the call only changes a flag of it.
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    fd.as_raw_fd()
}

fn create(commands: &[String]) {
    let queue = || Queue::new(QueueOptions::default()).and_then(Queue::selectable).unwrap();
    let (items, report) = (queue(), queue());
    let (lock, held) = (Lock::new().unwrap(), Event::new().unwrap());
    let mut handed_on = Vec::new();
    for queue in [&items, &report] {
        handed_on.push(inherited(queue.as_fd()).to_string());
        handed_on.push(inherited(queue.bell_fd().unwrap()).to_string());
    }
    for place in [lock.place(), held.place()] {
        handed_on.push(inherited(place.fd).to_string());
        handed_on.push(place.slot.to_string());
    }
    let start = |(role, command): (&str, &String)| {
        let mut words = command.split('\x1f');
        Command::new(words.next().unwrap()).args(words).arg(role).args(&handed_on).spawn().unwrap()
    };
    let actors: Vec<Child> = ["produce", "consume", "hold"].into_iter().zip(commands).map(start).collect();
    println!("{}", String::from_utf8(report.get(soon()).unwrap()).unwrap());
    for (actor, killed) in actors.into_iter().zip([None, None, Some(libc::SIGKILL)]) {
        let status = { actor }.wait().unwrap();
        assert!(status.signal() == killed && (killed.is_some() || status.success()), "{status}");
    }
}

fn produce(items: &Queue, lock: &Lock, held: &Event) {
    held.wait(soon()).unwrap();
    let (first, guard) = match lock.lock(soon()) {
        Ok(guard) => ("free", guard),
        Err(LockError::OwnerDied(guard)) => ("died", guard),
        Err(LockError::Failed(error)) => panic!("{error}"),
    };
    items.put(first.as_bytes(), soon()).unwrap();
    for number in 0..ITEMS {
        items.put(&item(number), soon()).unwrap();
    }
    drop(guard);
}

fn consume(items: &Queue, report: &Queue) {
    let first = String::from_utf8(items.get(soon()).unwrap()).unwrap();
    for number in 0..ITEMS {
        assert!(items.get(soon()).unwrap() == item(number), "item {number}");
    }
    report.put(format!("{first}, then {ITEMS} items").as_bytes(), soon()).unwrap();
}

fn hold(lock: &Lock, held: &Event) {
    lock.acquire(soon()).unwrap();
    held.set();
    // SAFETY: it has no pointers.
    unsafe { libc::raise(libc::SIGKILL) };
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (role, rest) = arguments.split_first().unwrap();
    if role == "create" {
        create(rest);
        return Ok(());
    }
    let numbers: Vec<i32> = rest.iter().map(|text| text.parse().unwrap()).collect();
    // SAFETY: the descriptor was inherited, and nobody else here has it.
    let own = |index: usize| unsafe { OwnedFd::from_raw_fd(numbers[index]) };
    // SAFETY: the descriptor was inherited, and nobody here closes it.
    let lent = |index: usize| unsafe { BorrowedFd::borrow_raw(numbers[index]) };
    let slot = |index: usize| u32::try_from(numbers[index]).unwrap();
    let items = Queue::attach_selectable(own(0), own(1))?;
    let report = Queue::attach_selectable(own(2), own(3))?;
    let lock = Lock::attach(lent(4), slot(5))?;
    let held = Event::attach(lent(6), slot(7))?;
    match role.as_str() {
        "produce" => produce(&items, &lock, &held),
        "consume" => consume(&items, &report),
        _ => hold(&lock, &held),
    }
    Ok(())
}
