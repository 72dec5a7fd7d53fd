// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ends of children where others have a hand in it: copies of a `Child` in forks, somebody who waits for every child,
//! SIGCHLD that is ignored, and a fork server without descriptors. Each test runs in a process of its own.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::process::{Child, Command, Exit, ForkServer, StartOptions, Task, fork, lifeline};
use carrick::{Deadline, Error};
use std::io::{Error as Failure, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Test, eventually, in_child, open_fds, raise_fd_limit, set_fd_limit, soon};

const PLAIN: StartOptions = StartOptions { daemon: false, channel: false };
/// One that hangs ends with the test.
const DAEMON: StartOptions = StartOptions { daemon: true, channel: false };

/// Far more than anything here takes that does not hang.
fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// A child that ends, with 7, when the other end of its stream is closed.
fn stays(stream: &OwnedFd) -> i32 {
    let mut stream = UnixStream::from(stream.try_clone().unwrap());
    stream.read_to_end(&mut Vec::new()).unwrap();
    7
}

fn limit_of_descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is live for the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur
}

fn ignore_sigchld() {
    // SAFETY: to ignore a signal takes no handler.
    assert_ne!(unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) }, libc::SIG_ERR);
}

fn ignores_sigchld() -> bool {
    // SAFETY: sigaction is plain data for which all zeros is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: action is live for the call.
    assert_eq!(unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action) }, 0);
    action.sa_sigaction == libc::SIG_IGN
}

fn task(task: Task) -> i32 {
    match task.body.as_slice() {
        b"stay" => stays(&task.descriptors[0]),
        b"limit" => i32::try_from(limit_of_descriptors()).unwrap_or(255),
        b"sigchld" => i32::from(ignores_sigchld()),
        _ => 9,
    }
}

#[test]
fn a_child_of_fork_drops_a_child_that_another_thread_looked_at() {
    if !in_child("a_child_of_fork_drops_a_child_that_another_thread_looked_at") {
        return;
    }
    drop(lifeline().unwrap());
    let _test = Test::begin();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let ours_fd = OwnedFd::from(ours);
    let child = fork(PLAIN, |_| {
        // SAFETY: the parent's end is closed here once, in a process that ends without destructors.
        unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&ours_fd)) };
        stays(&theirs)
    })
    .unwrap();
    let done = AtomicBool::new(false);
    let ends: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(child.is_alive());
            }
        });
        let copies = (0..100).map(|_| {
            let look_and_drop = |_| {
                // SAFETY: this process ends without destructors, so that nobody else drops the copy.
                let copy = unsafe { std::ptr::read(&raw const child) };
                let _ = copy.try_join();
                drop(copy);
                3
            };
            fork(DAEMON, look_and_drop).unwrap().join(patience())
        });
        let ends = copies.take_while(Result::is_ok).collect();
        done.store(true, Ordering::Relaxed);
        ends
    });
    assert_eq!(ends.len(), 100, "a copy hangs");
    assert!(ends.iter().all(|end| *end.as_ref().unwrap() == Exit::Code(3)));
    drop(ours_fd);
    assert_eq!(child.join(soon()).unwrap(), Exit::Code(7));
}

#[test]
fn a_child_of_fork_drops_its_own_child_while_a_thread_of_its_parent_drops_others() {
    if !in_child("a_child_of_fork_drops_its_own_child_while_a_thread_of_its_parent_drops_others") {
        return;
    }
    drop(lifeline().unwrap());
    let _test = Test::begin();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (ours, theirs) = (OwnedFd::from(ours), OwnedFd::from(theirs));
    let stay = || {
        // SAFETY: the parent's end is closed here once, in a process that ends without destructors.
        unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&ours)) };
        stays(&theirs)
    };
    // As many as it takes for a look at all of them to take a while.
    for _ in 0..300 {
        drop(fork(PLAIN, |_| stay()).unwrap());
    }
    let done = AtomicBool::new(false);
    let ends: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                drop(Command::new("true").spawn().unwrap());
            }
        });
        let children = (0..50).map(|_| {
            let has_a_child = |_| {
                drop(fork(PLAIN, |_| stay()).unwrap());
                3
            };
            fork(DAEMON, has_a_child).unwrap().join(patience())
        });
        let ends = children.take_while(Result::is_ok).collect();
        done.store(true, Ordering::Relaxed);
        ends
    });
    assert_eq!(ends.len(), 50, "a child hangs");
    drop(ours);
    eventually("those that were dropped are gone", || {
        fork(PLAIN, |_| 0).unwrap().join(soon()).unwrap();
        !open_fds().values().any(|what| what.contains("pidfd"))
    });
}

/// Makes a child with this number, which ends with 99. EPERM: this process may not choose.
fn fork_as(number: i32) -> std::io::Result<i32> {
    // SAFETY: clone_args is plain data for which all zeros is a value.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.exit_signal = u64::try_from(libc::SIGCHLD).unwrap();
    how.set_tid = std::ptr::from_ref(&number).addr() as u64;
    how.set_tid_size = 1;
    // SAFETY: the structure and what it points to are live for the call; the child only ends.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const how, size_of_val(&how)) } {
        // SAFETY: _exit may be called at any time.
        0 => unsafe { libc::_exit(99) },
        -1 => Err(Failure::last_os_error()),
        pid => Ok(i32::try_from(pid).unwrap()),
    }
}

fn wait_status(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: status is live for the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    libc::WEXITSTATUS(status)
}

/// Waits until the child has ended, and leaves it for who waits for it.
fn has_ended(pid: i32) {
    // SAFETY: siginfo_t is plain data for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let pid = libc::id_t::try_from(pid).unwrap();
    // SAFETY: info is live for the call.
    let found = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
    assert_eq!(found, 0);
}

#[test]
fn a_child_that_somebody_else_waited_for_is_not_taken_for_another_of_its_number() {
    if !in_child("a_child_that_somebody_else_waited_for_is_not_taken_for_another_of_its_number") {
        return;
    }
    let _test = Test::begin();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (ours, theirs) = (OwnedFd::from(ours), OwnedFd::from(theirs));
    let held = fork(PLAIN, |_| 3).unwrap();
    let dropped = fork(PLAIN, |_| {
        // SAFETY: the parent's end is closed here once, in a process that ends without destructors.
        unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&ours)) };
        stays(&theirs)
    })
    .unwrap();
    let (first, second) = (held.pid(), dropped.pid());
    drop(dropped);
    drop(ours);
    assert_eq!(wait_status(first), 3);
    assert_eq!(wait_status(second), 7);
    for (number, reap) in [(first, true), (second, false)] {
        match fork_as(number) {
            Ok(_) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::ENOSYS | libc::EEXIST)) => {
                eprintln!("left out: no child can be made with the number {number}: {e}");
                continue;
            }
            Err(e) => panic!("{e}"),
        }
        has_ended(number);
        if reap {
            assert_eq!(held.join(soon()).unwrap(), Exit::Unknown);
        } else {
            // Children that were dropped are looked for.
            fork(PLAIN, |_| 0).unwrap().join(soon()).unwrap();
        }
        assert_eq!(wait_status(number), 99);
    }
}

#[test]
fn children_of_a_fork_server_are_waited_for_where_sigchld_is_ignored() {
    if !in_child("children_of_a_fork_server_are_waited_for_where_sigchld_is_ignored") {
        return;
    }
    ignore_sigchld();
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    for _ in 0..10 {
        assert_eq!(server.start(b"?", &[], PLAIN).unwrap().join(patience()).unwrap(), Exit::Code(9));
    }
    // It has what this process has.
    assert_eq!(server.start(b"sigchld", &[], PLAIN).unwrap().join(patience()).unwrap(), Exit::Code(1));
}

/// In the parent of a fork: waits until there are no children, where SIGCHLD is ignored.
extern "C" fn outlive_all() {
    // SAFETY: no status is asked for.
    assert_eq!(unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) }, -1);
}

#[test]
fn a_fork_that_has_ended_before_anybody_looked_is_one_where_sigchld_is_ignored() {
    if !in_child("a_fork_that_has_ended_before_anybody_looked_is_one_where_sigchld_is_ignored") {
        return;
    }
    ignore_sigchld();
    let _test = Test::begin();
    // SAFETY: the handler lives as long as the program, and does what is allowed in a parent.
    assert_eq!(unsafe { libc::pthread_atfork(None, Some(outlive_all), None) }, 0);
    let child = fork(PLAIN, |_| 3).unwrap();
    assert_eq!(child.join(soon()).unwrap(), Exit::Unknown);
    assert!(!child.is_alive());
    child.kill().unwrap();
}

#[test]
fn a_fork_server_has_as_many_descriptors_as_it_may_and_its_children_as_before() {
    if !in_child("a_fork_server_has_as_many_descriptors_as_it_may_and_its_children_as_before") {
        return;
    }
    let _test = Test::begin();
    let whole = raise_fd_limit();
    set_fd_limit(40);
    let server = ForkServer::new(task).unwrap();
    set_fd_limit(whole);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let start = || server.start(b"stay", &[theirs.as_fd()], PLAIN).unwrap();
    let children: Vec<Child> = (0..60).map(|_| start()).collect();
    assert_eq!(server.start(b"limit", &[], PLAIN).unwrap().join(soon()).unwrap(), Exit::Code(40));
    assert!(children.iter().all(Child::is_alive));
    drop(ours);
    for child in children {
        assert_eq!(child.join(soon()).unwrap(), Exit::Code(7));
    }
}

#[test]
fn a_fork_server_without_descriptors_refuses_requests_and_loses_no_child() {
    if !in_child("a_fork_server_without_descriptors_refuses_requests_and_loses_no_child") {
        return;
    }
    let _test = Test::begin();
    raise_fd_limit();
    let server = ForkServer::new(task).unwrap();
    assert_eq!(server.start(b"?", &[], PLAIN).unwrap().join(soon()).unwrap(), Exit::Code(9));
    let few = libc::rlimit { rlim_cur: 40, rlim_max: 40 };
    let pid = server.process().pid();
    // SAFETY: few is live for the call, and nothing is asked for.
    let set = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const few, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let mut children = Vec::new();
    let refusal: Error = loop {
        match server.start(b"stay", &[theirs.as_fd()], PLAIN) {
            Ok(child) => children.push(child),
            Err(refusal) => break refusal,
        }
        assert!(children.len() < 100, "the server has descriptors without end");
    };
    assert_eq!(refusal.os_code(), Some(libc::EMFILE), "{refusal}");
    for _ in 0..3 {
        assert!(server.start(b"?", &[], PLAIN).is_err());
    }
    assert!(children.iter().all(Child::is_alive));
    assert!(children.len() > 10);
    drop(ours);
    for child in children {
        assert_eq!(child.join(soon()).unwrap(), Exit::Code(7));
    }
    assert_eq!(server.start(b"?", &[], PLAIN).unwrap().join(soon()).unwrap(), Exit::Code(9));
}
