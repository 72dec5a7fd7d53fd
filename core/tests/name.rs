// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queues and primitives with names: who finds them, who does not, and what killed or hostile programs leave.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::queue::{Queue, QueueOptions};
use carrick::sync::{Barrier, Condition, Event, Lock, RLock, Semaphore, Taken};
use carrick::{Deadline, Error, Kind, Result, name};
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Test, in_child, moment, soon};

const NEVER: Deadline = Deadline::NEVER;
const LIMITS: QueueOptions = QueueOptions { max_items: 0, max_bytes: 0, soft: false };

/// A name that no other test has, and nobody after this one.
struct Name(String);

impl Name {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    fn path(&self) -> String {
        // SAFETY: it has no arguments and cannot fail.
        format!("/dev/shm/carrick.{}.{}", unsafe { libc::geteuid() }, self.0)
    }

    /// The number of files in the directory whose name contains this one.
    fn files(&self) -> usize {
        let names = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().contains(&self.0)).count()
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let path = self.path();
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
}

#[track_caller]
fn refused<T: Debug>(result: Result<T>, errno: i32, words: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.os_code()), (Kind::Os, Some(errno)), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[track_caller]
fn invalid<T: Debug>(result: Result<T>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

/// Runs the test again in a program of its own, with an argument; that one finds it here.
fn elsewhere(test: &str, argument: &str) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env("CARRICK_TEST_NAME", argument);
    command.stdout(std::process::Stdio::null()).status().unwrap()
}

fn argument() -> Option<String> {
    std::env::var("CARRICK_TEST_NAME").ok()
}

fn visit(name: &str) {
    let part = |part: &str| format!("{name}-{part}");
    let lock = Lock::open(&part("lock")).unwrap();
    assert_eq!(lock.acquire(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    let rlock = RLock::open(&part("rlock")).unwrap();
    rlock.acquire(soon()).unwrap();
    rlock.acquire(soon()).unwrap();
    let semaphore = Semaphore::open(&part("semaphore")).unwrap();
    assert_eq!((semaphore.value(), semaphore.limit()), (3, 5));
    semaphore.acquire(soon()).unwrap();
    let barrier = Barrier::open(&part("barrier")).unwrap();
    assert_eq!(barrier.parties(), 2);
    barrier.wait(soon()).unwrap();
    let queue = Queue::open(&part("queue")).unwrap();
    assert_eq!(queue.options().unwrap().max_items, 7);
    let body = queue.get(soon()).unwrap();
    queue.put(&[&body[..], b" and back"].concat(), soon()).unwrap();
    let condition = Condition::open(&part("condition")).unwrap();
    Event::open(&part("event")).unwrap().set();
    condition.wait(&rlock, soon()).unwrap();
    // The recursive lock is held when this process ends, in good order: it stays taken.
}

#[test]
fn another_program_finds_all_kinds_by_their_names() {
    const TEST: &str = "another_program_finds_all_kinds_by_their_names";
    if let Some(name) = argument() {
        return visit(&name);
    }
    let _test = Test::begin();
    let name = Name::new();
    let parts = ["lock", "rlock", "semaphore", "barrier", "queue", "condition", "event"];
    let names = parts.map(|part| Name(format!("{}-{part}", name.0)));
    let [lock, rlock, semaphore, barrier, queue, condition, event] = &names;
    let lock = Lock::create(lock).unwrap();
    let rlock = RLock::create(rlock).unwrap();
    let semaphore = Semaphore::create(semaphore, 3, 5).unwrap();
    let barrier = Barrier::create(barrier, 2).unwrap();
    let queue = Queue::create(queue, QueueOptions { max_items: 7, ..LIMITS }).unwrap();
    let condition = Condition::create(condition).unwrap();
    let event = Event::create(event).unwrap();
    lock.acquire(NEVER).unwrap();
    queue.put(b"there", NEVER).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| elsewhere(TEST, &name));
        barrier.wait(soon()).unwrap();
        event.wait(soon()).unwrap();
        // It holds the lock until it waits for the condition.
        rlock.acquire(soon()).unwrap();
        condition.notify(1);
        rlock.release().unwrap();
        assert!(other.join().unwrap().success());
    });
    assert_eq!(queue.get(soon()).unwrap(), b"there and back");
    assert_eq!(semaphore.value(), 2);
    assert_eq!(rlock.acquire(moment()).unwrap_err().kind(), Kind::Timeout);
    assert_eq!(name.files(), parts.len());
    for one in &names {
        name::remove(one).unwrap();
    }
    assert_eq!(name.files(), 0);
}

#[test]
fn a_name_is_given_once_and_can_be_given_again_when_it_was_removed() {
    let _test = Test::begin();
    let name = Name::new();
    refused(Lock::open(&name), libc::ENOENT, "create it first");
    refused(name::remove(&name), libc::ENOENT, &name.path());
    refused(name::remove(&name), libc::ENOENT, "it may have been removed already");
    let first = Lock::create(&name).unwrap();
    refused(Lock::create(&name), libc::EEXIST, "open it, or remove it first");
    refused(Queue::create(&name, LIMITS), libc::EEXIST, &name);
    let same = Lock::open(&name).unwrap();
    first.acquire(NEVER).unwrap();
    assert!(same.is_locked());
    name::remove(&name).unwrap();
    refused(Lock::open(&name), libc::ENOENT, &name);
    let second = Lock::create(&name).unwrap();
    assert!(!second.is_locked() && same.is_locked(), "the old one goes on, for those who have it");
    same.release().unwrap();
    drop((first, same, second));
    assert!(!Lock::open(&name).unwrap().is_locked(), "a name stays when all who had it are gone");
}

#[test]
fn what_is_no_name_is_refused_with_the_rule() {
    let _test = Test::begin();
    let long = "n".repeat(201);
    for bad in ["", ".", "..", ".hidden", "a/b", "/dev/shm/a", "a b", "a\0b", "ä", "a\n", &long] {
        let value = format!("{bad:?}");
        invalid(Queue::create(bad, LIMITS), &value);
        invalid(Event::create(bad), "give 1 to 200 letters, digits");
        invalid(Barrier::open(bad), &value);
        invalid(name::remove(bad), &value);
    }
    for good in ["A", "0", "-", "_", &"n".repeat(200), "a.b-c_D9"] {
        refused(Lock::open(good), libc::ENOENT, good);
    }
    let name = Name(format!("{}{}", Name::new().0, "-".repeat(200)).chars().take(200).collect());
    drop(Lock::create(&name).unwrap());
    Lock::open(&name).unwrap();
    invalid(Semaphore::create("never", 6, 5), "6 units");
    invalid(Barrier::create("never", 0), "0 parties");
    refused(name::open("never"), libc::ENOENT, "never");
}

#[test]
fn only_the_user_may_open_it_whatever_the_umask_is() {
    if !in_child("only_the_user_may_open_it_whatever_the_umask_is") {
        return;
    }
    let _test = Test::begin();
    for mask in [0, 0o777] {
        // SAFETY: it has no pointers; the process is this test's.
        unsafe { libc::umask(mask) };
        let (lock, queue) = (Name::new(), Name::new());
        drop((Lock::create(&lock).unwrap(), Queue::create(&queue, LIMITS).unwrap()));
        for name in [lock, queue] {
            let file = fs::symlink_metadata(name.path()).unwrap();
            assert_eq!(file.mode(), libc::S_IFREG | 0o600, "{:o}", file.mode());
        }
    }
}

#[test]
fn what_others_may_open_or_own_and_what_is_no_plain_file_is_refused() {
    let _test = Test::begin();
    let (name, target) = (Name::new(), Name::new());
    drop(Lock::create(&name).unwrap());
    for mode in [0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(name.path(), Permissions::from_mode(mode)).unwrap();
        refused(Lock::open(&name), libc::EACCES, "nobody else may open");
        // By its descriptor it is refused, too.
        let file = OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
        invalid(Lock::attach(file.as_fd(), 0), "no segment");
    }
    fs::set_permissions(name.path(), Permissions::from_mode(0o600)).unwrap();
    Lock::open(&name).unwrap();
    // SAFETY: it has no arguments and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        chown(name.path(), Some(12345), None).unwrap();
        refused(Lock::open(&name), libc::EACCES, "of this user");
    }
    fs::remove_file(name.path()).unwrap();
    drop(Lock::create(&target).unwrap());
    symlink(target.path(), name.path()).unwrap();
    refused(Lock::open(&name), libc::ELOOP, &name);
    fs::remove_file(name.path()).unwrap();
    fs::create_dir(name.path()).unwrap();
    refused(name::remove(&name), libc::EISDIR, "it is a directory, which carrick does not make");
    refused(Queue::open(&name), libc::EISDIR, &name);
    fs::remove_dir(name.path()).unwrap();
    let path = std::ffi::CString::new(name.path()).unwrap();
    // SAFETY: the path is live for the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    refused(Queue::open(&name), libc::EACCES, "no plain file");
    fs::remove_file(name.path()).unwrap();
    drop(Lock::open(&target).unwrap());
}

#[test]
fn a_file_of_another_kind_or_cut_short_is_refused() {
    let _test = Test::begin();
    let (lock, queue, condition) = (Name::new(), Name::new(), Name::new());
    drop((Lock::create(&lock).unwrap(), Queue::create(&queue, LIMITS).unwrap()));
    drop(Condition::create(&condition).unwrap());
    invalid(Queue::open(&lock), &format!("the name '{}' is of something of another kind", lock.0));
    invalid(Lock::open(&queue), "no slots");
    invalid(RLock::open(&lock), "slot 0 holds no recursive lock");
    invalid(Semaphore::open(&lock), "slot 0 holds no semaphore");
    invalid(Condition::open(&lock), "slot 0 holds no condition");
    invalid(Barrier::open(&condition), "slot 0 holds no barrier");
    invalid(Lock::attach(&name::open(&lock).unwrap(), 1), "slot 1");
    invalid(
        Event::open(&lock),
        &format!("the name '{}' is of something of another kind or version: ", lock.0),
    );
    invalid(Event::open(&queue), &format!("the name '{}' is of something of another kind", queue.0));
    invalid(Event::open(&lock), "; open it as what it was created as, or choose another name");
    // An object without a name is not said to have one.
    let event = Event::new().unwrap();
    let error = Lock::attach(event.place().fd, event.place().slot).unwrap_err();
    assert!(!error.to_string().contains("name"), "{error}");
    for (name, length) in [(&lock, 1023), (&lock, 0), (&queue, 69631), (&queue, 4096), (&queue, 0)] {
        File::options().write(true).open(name.path()).unwrap().set_len(length).unwrap();
        invalid(Lock::open(name).map(drop).and_then(|()| Queue::open(name).map(drop)), "");
        if name.0 == queue.0 {
            invalid(Queue::open(name), "too short");
            invalid(Queue::open(name), &format!("the name '{}'", name.0));
        }
    }
    let (zeros, noise) = (Name::new(), Name::new());
    for (name, byte) in [(&zeros, 0), (&noise, 0xa5)] {
        fs::write(name.path(), vec![byte; 1 << 20]).unwrap();
        fs::set_permissions(name.path(), Permissions::from_mode(0o600)).unwrap();
        invalid(Queue::open(name), "no queue");
        invalid(Lock::open(name), "no slots");
    }
    drop(Condition::open(&condition).unwrap());
}

#[test]
fn nonsense_in_a_file_with_a_name_is_an_error_and_nothing_worse() {
    let _test = Test::begin();
    let name = Name::new();
    let queue = Queue::create(&name, LIMITS).unwrap();
    queue.put(&[7; 1000], NEVER).unwrap();
    let file = File::options().read(true).write(true).open(name.path()).unwrap();
    let mut whole = vec![0; 4096 + 1024];
    file.read_exact_at(&mut whole, 0).unwrap();
    let mut corrupt = 0;
    for word in 1..whole.len() / 8 {
        for nonsense in [[0xff; 8], [0x01; 8]] {
            file.write_all_at(&nonsense, word as u64 * 8).unwrap();
            let found = Queue::open(&name).and_then(|queue| {
                queue.len()?;
                queue.get(Deadline::NOW)?;
                queue.put(b"again", moment())
            });
            corrupt += u32::from(found.is_err_and(|error| error.kind() == Kind::Corrupt));
            file.write_all_at(&whole, 0).unwrap();
        }
    }
    assert!(corrupt > 0, "none of it was noticed");
    assert_eq!(queue.get(NEVER).unwrap(), [7; 1000]);
}

#[test]
fn a_program_killed_while_it_creates_leaves_all_or_nothing() {
    let _test = Test::begin();
    let name = Name::new();
    let (mut whole, mut nothing) = (0, 0);
    for round in 0..300 {
        // SAFETY: the child makes files and system calls only, and is killed.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            loop {
                let _ = Queue::create(&name, LIMITS).map(drop).and_then(|()| name::remove(&name));
            }
        }
        // At another moment of its work each time.
        for _ in 0..round * 100 {
            std::hint::spin_loop();
        }
        std::thread::yield_now();
        let mut status = 0;
        // SAFETY: it is this process's child, and has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
        // SAFETY: status is live for the call.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        match Queue::open(&name) {
            Ok(queue) => {
                whole += 1;
                queue.put(b"there", soon()).unwrap();
                assert_eq!(queue.get(soon()).unwrap(), b"there");
                name::remove(&name).unwrap();
            }
            Err(error) => {
                nothing += 1;
                assert_eq!(error.os_code(), Some(libc::ENOENT), "{error}");
            }
        }
        assert_eq!(name.files(), 0);
    }
    assert_eq!(whole + nothing, 300);
}

#[test]
fn a_lock_with_a_name_is_taken_over_from_another_program_that_was_killed() {
    const TEST: &str = "a_lock_with_a_name_is_taken_over_from_another_program_that_was_killed";
    if let Some(name) = argument() {
        Lock::open(&name).unwrap().acquire(soon()).unwrap();
        // SAFETY: it has no pointers.
        unsafe { libc::raise(libc::SIGKILL) };
    }
    let _test = Test::begin();
    let name = Name::new();
    let lock = Lock::create(&name).unwrap();
    assert!(!elsewhere(TEST, &name).success());
    assert!(lock.is_locked());
    assert_eq!(lock.acquire(soon()).unwrap(), Taken::FromDead);
}

#[test]
fn a_queue_with_a_name_grows_and_shrinks_and_its_descriptor_can_be_handed_on() {
    let _test = Test::begin();
    let name = Name::new();
    let queue = Queue::create(&name, LIMITS).unwrap();
    let by_name = Queue::open(&name).unwrap();
    let by_descriptor = Queue::attach(queue.as_fd().try_clone_to_owned().unwrap()).unwrap();
    let blocks = || fs::metadata(name.path()).unwrap().blocks() * 512;
    let empty = blocks();
    for round in 0..3 {
        for number in 0..40_u8 {
            queue.put(&vec![number; 1 << 20], NEVER).unwrap();
        }
        by_name.put(&[99; 100], NEVER).unwrap();
        assert!(blocks() > 40 << 20, "round {round}");
        for number in 0..40 {
            let body = if number % 2 == 0 { by_name.get(NEVER) } else { by_descriptor.get(NEVER) };
            assert_eq!(body.unwrap(), vec![number; 1 << 20]);
        }
        assert_eq!(by_descriptor.get(NEVER).unwrap(), [99; 100]);
        assert!(blocks() <= empty + (64 << 10), "round {round}: {} after {empty}", blocks());
    }
    name::remove(&name).unwrap();
    let lock_name = Name::new();
    let lock = Lock::create(&lock_name).unwrap();
    let other = Lock::attach(lock.place().fd, lock.place().slot).unwrap();
    lock.acquire(NEVER).unwrap();
    assert!(other.is_mine());
}

#[test]
fn a_queue_with_a_name_has_no_event_descriptor_and_says_so() {
    let _test = Test::begin();
    let name = Name::new();
    let state = |error: Error| {
        assert_eq!(error.kind(), Kind::State);
        assert!(error.to_string().contains("a queue with a name has no descriptor"), "{error}");
    };
    let queue = Queue::create(&name, LIMITS).unwrap();
    state(queue.event_fd().unwrap_err());
    state(queue.bell_fd().unwrap_err());
    state(Queue::open(&name).unwrap().event_fd().unwrap_err());
    state(queue.selectable().unwrap_err());
}

/// Gives this process a view of its own of a `/dev/shm` with so much room; false where the system forbids that.
fn small_shm(size: &std::ffi::CStr) -> bool {
    // SAFETY: it has no arguments and cannot fail.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getegid() };
    // SAFETY: it has no pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let maps = [
        ("uid_map", format!("0 {user} 1")),
        ("setgroups", "deny".to_owned()),
        ("gid_map", format!("0 {group} 1")),
    ];
    if maps.iter().any(|(file, text)| fs::write(format!("/proc/self/{file}"), text).is_err()) {
        return false;
    }
    let (source, target, kind) = (c"carrick-test".as_ptr(), c"/dev/shm".as_ptr(), c"tmpfs".as_ptr());
    // SAFETY: the strings are live for the call.
    unsafe { libc::mount(source, target, kind, 0, size.as_ptr().cast()) == 0 }
}

/// Runs a scenario in a child with a small `/dev/shm`; it returns the number of the step that went wrong, or 0.
fn with_small_shm(size: &std::ffi::CStr, scenario: fn() -> i32) {
    const FORBIDDEN: i32 = 77;
    // SAFETY: the child works on files and shared memory only, and ends by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = if small_shm(size) { scenario() } else { FORBIDDEN };
        // SAFETY: it has no pointers.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: it is this process's child; status is live for the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "killed: {status:#x}");
    match libc::WEXITSTATUS(status) {
        FORBIDDEN => eprintln!("the system forbids a mount of one's own: not tested"),
        code => assert_eq!(code, 0, "the step that went wrong"),
    }
}

/// Takes what is left of a small `/dev/shm`.
fn fill_up(file: &str) -> bool {
    let Ok(file) = File::create(file) else { return false };
    let mut at = 0;
    while file.write_at(&[0; 4096], at).is_ok() {
        at += 4096;
    }
    true
}

/// Small items go through whatever ring the stream is in.
fn goes_on(queue: &Queue) -> bool {
    (0..1000).all(|_| queue.put(&[9; 1 << 10], NEVER).is_ok() && queue.get(NEVER).is_ok())
}

#[test]
fn where_there_is_no_room_putting_fails_and_nobody_is_killed() {
    let _test = Test::begin();
    with_small_shm(c"size=1m", || {
        let no_room = |result: Result<()>| result.is_err_and(|error| error.kind() == Kind::NoMemory);
        let Ok(queue) = Queue::create("full", LIMITS) else { return 1 };
        if !no_room(queue.put(&[1; 2 << 20], NEVER)) {
            return 2;
        }
        // Until there is no room for the next ring.
        let mut put = 0_u32;
        let refused = loop {
            match queue.put(&[put.to_le_bytes()[0]; 1 << 14], NEVER) {
                Ok(()) => put += 1,
                other => break other,
            }
        };
        if put < 8 || !no_room(refused) {
            return 3;
        }
        if !fill_up("/dev/shm/rest") || !no_room(Lock::create("other").map(drop)) {
            return 4;
        }
        for number in 0..put {
            if !queue.get(NEVER).is_ok_and(|body| body == [number.to_le_bytes()[0]; 1 << 14]) {
                return 5;
            }
        }
        if goes_on(&queue) { 0 } else { 6 }
    });
}

#[test]
fn the_stream_can_come_back_to_the_smallest_ring_where_there_is_no_room() {
    let _test = Test::begin();
    with_small_shm(c"size=20m", || {
        let Ok(queue) = Queue::create("large", LIMITS) else { return 1 };
        // Through a ring of 16 MiB, whose memory is given back when it is empty.
        if queue.put(&vec![1; 9 << 20], NEVER).is_err() || !fill_up("/dev/shm/rest") {
            return 2;
        }
        if queue.get(NEVER).is_err() || !fill_up("/dev/shm/more") {
            return 3;
        }
        if fs::metadata("/dev/shm/more").is_ok_and(|file| file.len() < 9 << 20) {
            return 4;
        }
        if goes_on(&queue) { 0 } else { 5 }
    });
}
