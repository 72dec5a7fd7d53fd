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
    start(commands, &report, &handed_on);
}

/// Their names, by the beginning of all.
fn names(beginning: &str) -> [String; 4] {
    ["items", "report", "lock", "held"].map(|what| format!("{beginning}-{what}"))
}

fn name(commands: &[String]) {
    let beginning = format!("actor-{}", std::process::id());
    let names = names(&beginning);
    let queue = |name: &String| Queue::create(name, QueueOptions::default()).unwrap();
    let (_items, report) = (queue(&names[0]), queue(&names[1]));
    let _made = (Lock::create(&names[2]).unwrap(), Event::create(&names[3]).unwrap());
    start(commands, &report, &[beginning]);
    for name in &names {
        carrick::name::remove(name).unwrap();
    }
}

fn start(commands: &[String], report: &Queue, handed_on: &[String]) {
    let start = |(role, command): (&str, &String)| {
        let mut words = command.split('\x1f');
        Command::new(words.next().unwrap()).args(words).arg(role).args(handed_on).spawn().unwrap()
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
    match role.as_str() {
        "create" => create(rest),
        "name" => name(rest),
        _ => play(role, rest)?,
    }
    Ok(())
}

fn play(role: &str, rest: &[String]) -> Result<(), Error> {
    if let [beginning] = rest {
        let [items, report, lock, held] = names(beginning);
        let (items, report) = (Queue::open(&items)?, Queue::open(&report)?);
        act(role, &items, &report, &Lock::open(&lock)?, &Event::open(&held)?);
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
    act(role, &items, &report, &lock, &held);
    Ok(())
}

fn act(role: &str, items: &Queue, report: &Queue, lock: &Lock, held: &Event) {
    match role {
        "produce" => produce(items, lock, held),
        "consume" => consume(items, report),
        _ => hold(lock, held),
    }
}
