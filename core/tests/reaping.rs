// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ends of children where others have a hand in it: copies of a `Child` in forks, somebody who waits for every child,
//! SIGCHLD that is ignored, pidfds that are refused, and a fork server without descriptors or whose children die. Each test
//! runs in a process of its own.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::process::{Child, Command, Exit, ForkServer, StartOptions, Task, fork, lifeline};
use carrick::{Deadline, Error, Kind};
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

/// Has the kernel refuse a system call from here on, in this process and its children, as sandboxes do.
fn refuse(call: libc::c_long, errno: i32) {
    let call = u32::try_from(call).unwrap();
    let line = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let filter = [
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
    // SAFETY: a number, for this process only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the filter is live for the call, which copies it.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0, "{}", Failure::last_os_error());
}

/// Whether the descriptor of a child is readable at once.
fn is_ready(child: &Child) -> bool {
    use std::os::fd::AsRawFd;
    let mut slot = libc::pollfd { fd: child.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: slot is live for the call.
    unsafe { libc::poll(&raw mut slot, 1, 0) == 1 }
}

fn children_are_waited_for_without(call: libc::c_long, errno: i32) {
    refuse(call, errno);
    // A process keeps its lifeline.
    drop(lifeline().unwrap());
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    let start: [&dyn Fn(&OwnedFd) -> Child; 3] = [
        &|theirs| fork(DAEMON, |_| stays(theirs)).unwrap(),
        &|theirs| server.start(b"stay", &[theirs.as_fd()], DAEMON).unwrap(),
        &|theirs| {
            // It leaves a child of its own, which has all its descriptors.
            let words = "sleep 1000 & echo $! >&7; read x <&7; kill $!; exit 7";
            Command::new("bash")
                .args(["-c", words])
                .descriptor(theirs.try_clone().unwrap(), 7)
                .spawn()
                .unwrap()
        },
    ];
    let shell = 2;
    for (number, start) in start.iter().enumerate() {
        for _ in 0..3 {
            let begin = || {
                let (ours, theirs) = UnixStream::pair().unwrap();
                let child = start(&OwnedFd::from(theirs));
                let mut byte = [0];
                while number == shell && byte != *b"\n" {
                    (&ours).read_exact(&mut byte).unwrap();
                }
                (ours, child)
            };
            let (ours, child) = begin();
            assert!(child.is_alive() && !is_ready(&child));
            let soon = Deadline::after(Duration::from_millis(1));
            assert_eq!(child.join(soon).unwrap_err().kind(), Kind::Timeout);
            // A fork has a copy of it, which to close would not do.
            ours.shutdown(std::net::Shutdown::Both).unwrap();
            assert_eq!(child.join(patience()).unwrap(), Exit::Code(7));
            // There is nobody left to send it to.
            child.kill().unwrap();
            let (ours, child) = begin();
            child.signal(0).unwrap();
            if number != shell {
                child.kill().unwrap();
                assert_eq!(child.join(patience()).unwrap(), Exit::Signal(libc::SIGKILL));
            }
            ours.shutdown(std::net::Shutdown::Both).unwrap();
            child.join(patience()).unwrap();
        }
    }
    assert!(server.process().is_alive());
}

#[test]
fn children_are_waited_for_and_signalled_where_pidfds_are_refused() {
    if in_child("children_are_waited_for_and_signalled_where_pidfds_are_refused") {
        children_are_waited_for_without(libc::SYS_pidfd_open, libc::EPERM);
    }
}

#[test]
fn children_are_waited_for_and_signalled_where_there_are_no_pidfds() {
    if in_child("children_are_waited_for_and_signalled_where_there_are_no_pidfds") {
        children_are_waited_for_without(libc::SYS_pidfd_open, libc::ENOSYS);
    }
}

#[test]
fn children_are_waited_for_and_signalled_where_signals_by_pidfd_are_refused() {
    if in_child("children_are_waited_for_and_signalled_where_signals_by_pidfd_are_refused") {
        children_are_waited_for_without(libc::SYS_pidfd_send_signal, libc::EPERM);
    }
}

static DYING: AtomicBool = AtomicBool::new(false);

extern "C" fn die_in_child() {
    if DYING.load(Ordering::Relaxed) {
        // SAFETY: _exit may be called at any time.
        unsafe { libc::_exit(7) };
    }
    DYING.store(true, Ordering::Relaxed);
}

#[test]
fn a_fork_server_whose_children_die_at_once_says_so_to_those_who_ask() {
    if !in_child("a_fork_server_whose_children_die_at_once_says_so_to_those_who_ask") {
        return;
    }
    let _test = Test::begin();
    // SAFETY: the handler lives as long as the program, and does what is allowed in a child.
    assert_eq!(unsafe { libc::pthread_atfork(None, None, Some(die_in_child)) }, 0);
    // The server itself lives, and all that it forks die.
    let server = ForkServer::new(task).unwrap();
    for _ in 0..5 {
        let refusal = server.start(b"?", &[], PLAIN).unwrap_err();
        assert_eq!(refusal.kind(), Kind::WorkerDied, "{refusal}");
        assert!(refusal.to_string().contains("exit code 7"), "{refusal}");
    }
    assert!(server.process().is_alive());
}
