// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that a program of another version has made: whatever else it holds, it is refused.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Barrier, Condition, Event, Lock, Memory, Place, RLock, Semaphore};
use carrick::{Kind, Result};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use support::Test;

/// Where a version is: the last byte of the word that a file, and each slot, begins with.
const VERSION: u64 = 7;
const HEAD_OF_A_SEGMENT: u64 = 1024;

/// A copy of memory that is shared, sealed as the original is.
fn copy(fd: BorrowedFd<'_>) -> File {
    let original = File::from(fd.try_clone_to_owned().unwrap());
    // All that is written of it is at its beginning; the file of a queue has the length of all that it may ever hold.
    let length = original.metadata().unwrap().len().min(1 << 20);
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    original.read_exact_at(&mut bytes, 0).unwrap();
    // SAFETY: the name ends with a zero.
    let number = unsafe { libc::memfd_create(c"copy".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    assert!(number >= 0);
    // SAFETY: it has just been made, and nobody else has it.
    let copy = File::from(unsafe { OwnedFd::from_raw_fd(number) });
    copy.write_all_at(&bytes, 0).unwrap();
    // SAFETY: the descriptor is open.
    let sealed = unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) };
    assert_eq!(sealed, 0);
    copy
}

/// Writes every version but the present one at `at`, and the present one again.
fn with_others(file: &File, at: u64, mut check: impl FnMut(bool)) {
    let mut present = [0];
    file.read_exact_at(&mut present, at + VERSION).unwrap();
    assert_ne!(present, [0], "there is no version there");
    for version in 0..=255 {
        file.write_all_at(&[version], at + VERSION).unwrap();
        check([version] == present);
    }
    file.write_all_at(&present, at + VERSION).unwrap();
    check(true);
}

#[track_caller]
fn is_refused(result: Result<()>, present: bool, words: &str) {
    match result {
        Ok(()) => assert!(present, "another version is accepted"),
        Err(error) => {
            assert!(!present, "{error}");
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

#[test]
fn a_queue_of_another_version_is_refused() {
    let _test = Test::begin();
    let queue = Queue::new(QueueOptions::default()).unwrap().selectable().unwrap();
    let file = copy(queue.as_fd());
    let bell = queue.bell_fd().unwrap();
    with_others(&file, 0, |present| {
        let again = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().unwrap();
        let attached = Queue::attach_selectable(again(file.as_fd()), again(bell));
        is_refused(attached.map(drop), present, "no queue of this version");
    });
}

/// Attaches to a copy of the segment of `place` with other versions of it, and of what lives in the slot.
fn slot(place: Place<'_>, bytes: u64, attach: fn(&File, u32) -> Result<()>) {
    let file = copy(place.fd);
    with_others(&file, 0, |present| {
        is_refused(attach(&file, place.slot), present, "the memory holds no slots of this version");
    });
    with_others(&file, HEAD_OF_A_SEGMENT + u64::from(place.slot) * bytes, |present| {
        is_refused(attach(&file, place.slot), present, "holds no");
    });
}

#[test]
fn slots_of_another_version_are_refused() {
    let _test = Test::begin();
    slot(Lock::new().unwrap().place(), 64, |f, n| Lock::attach(Memory::File(f.as_fd()), n).map(drop));
    slot(RLock::new().unwrap().place(), 64, |f, n| RLock::attach(Memory::File(f.as_fd()), n).map(drop));
    slot(Semaphore::new(1).unwrap().place(), 64, |f, n| {
        Semaphore::attach(Memory::File(f.as_fd()), n).map(drop)
    });
    slot(Event::new().unwrap().place(), 64, |f, n| Event::attach(Memory::File(f.as_fd()), n).map(drop));
    slot(Condition::new().unwrap().place(), 16 << 10, |f, n| {
        Condition::attach(Memory::File(f.as_fd()), n).map(drop)
    });
    slot(Barrier::new(2).unwrap().place(), 1024, |f, n| {
        Barrier::attach(Memory::File(f.as_fd()), n).map(drop)
    });
}

/// Removes a file with a name whatever becomes of the test.
struct Removed<'a>(&'a str);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = carrick::name::remove(self.0);
    }
}

#[test]
fn a_file_with_a_name_and_of_another_version_is_refused() {
    let _test = Test::begin();
    let (name, other) =
        (format!("version-{}", std::process::id()), format!("other-version-{}", std::process::id()));
    // SAFETY: it has no arguments and cannot fail.
    let path = |name: &str| format!("/dev/shm/carrick.{}.{name}", unsafe { libc::geteuid() });
    let words = format!("the name '{other}'");
    let versions = |places: &[u64], open: &dyn Fn(&str) -> Result<()>| {
        // This process knows the original's memory, and would not look at its head again.
        fs::copy(path(&name), path(&other)).unwrap();
        let _removed = Removed(&other);
        carrick::name::remove(&name).unwrap();
        let file = File::options().read(true).write(true).open(path(&other)).unwrap();
        for place in places {
            with_others(&file, *place, |present| is_refused(open(&other), present, &words));
        }
    };
    let queue = Queue::create(&name, QueueOptions::default()).unwrap();
    versions(&[0], &|name| Queue::open(name).map(drop));
    let lock = Lock::create(&name).unwrap();
    versions(&[0, HEAD_OF_A_SEGMENT], &|name| Lock::open(name).map(drop));
    let barrier = Barrier::create(&name, 2).unwrap();
    versions(&[0, HEAD_OF_A_SEGMENT], &|name| Barrier::open(name).map(drop));
    drop((queue, lock, barrier));
}
