// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts that the tests share: a watchdog, leak checks, hex, and waiting for a condition.
//!
//! [`Test`] is taken first thing in each test. Tests of one program take turns, so that what a test leaves
//! behind can be told from what another one has open.
#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what fails here is a failed test")]

use carrick::{Deadline, Stream};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) mod actors;
pub(crate) mod serving;

/// How long a test may take. It is far more than any needs: it only ends what hangs.
const LIMIT: Duration = Duration::from_secs(60);

static TURN: Mutex<()> = Mutex::new(());

/// A running test: under a watchdog, and checked for leaks at its end.
pub(crate) struct Test {
    before: BTreeMap<i32, String>,
    stop: Option<(Sender<()>, JoinHandle<()>)>,
    _turn: MutexGuard<'static, ()>,
}

impl Test {
    pub(crate) fn begin() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let name = std::thread::current().name().unwrap_or("test").to_owned();
        let (sender, receiver) = channel();
        let dog = std::thread::spawn(move || {
            let limit = std::env::var("CARRICK_WATCHDOG").ok().and_then(|text| text.parse().ok());
            let limit = limit.map_or(LIMIT, Duration::from_secs);
            if receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // The captured output of a hanging test would never be seen.
                let text =
                    format!("watchdog: {name} has not ended within {limit:?}; open: {:?}\n", open_fds());
                let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
                std::process::abort();
            }
        });
        Self { before: open_fds(), stop: Some((sender, dog)), _turn: turn }
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            eventually("descriptors, server threads and children are gone", || {
                open_fds().keys().eq(self.before.keys()) && server_threads() == 0 && no_children()
            });
        }
        if let Some((stop, dog)) = self.stop.take() {
            drop(stop);
            let _ = dog.join();
        }
    }
}

/// Waits until `condition` holds; the watchdog ends a test in which it never does.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    // Nothing tells of these conditions, so they are asked for again and again, for as long as it takes.
    let started = std::time::Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < LIMIT / 2,
            "still not so: {what}; open: {:?}, server threads: {}, no children: {}",
            open_fds(),
            server_threads(),
            no_children()
        );
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The descriptors of this process and what is behind them.
pub(crate) fn open_fds() -> BTreeMap<i32, String> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let target = fs::read_link(entry.path()).map(|t| t.display().to_string()).unwrap_or_default();
        let number = entry.file_name().to_string_lossy().parse().unwrap_or(-1);
        // The directory that is being read.
        if !target.ends_with("/fd") {
            open.insert(number, target);
        }
    }
    open
}

/// How many threads of servers this process has.
pub(crate) fn server_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter(|t| {
            fs::read_to_string(t.path().join("comm")).is_ok_and(|name| name.trim() == "carrick-server")
        })
        .count()
}

/// Starts a thread that [`asleep`] can be asked about; the name is of at most 15 bytes.
pub(crate) fn named<T: Send + 'static>(
    name: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    std::thread::Builder::new().name(name.into()).spawn(body).unwrap()
}

/// Waits until the thread of this name sleeps in the kernel.
pub(crate) fn asleep(name: &str) {
    let sleeps = |task: &fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        text.contains(&format!("({name})")) && text.contains(") S ")
    };
    eventually("the thread sleeps", || {
        fs::read_dir("/proc/self/task").into_iter().flatten().flatten().any(|task| sleeps(&task))
    });
}

fn no_children() -> bool {
    // SAFETY: siginfo_t is plain data for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // WNOWAIT: a child that is there is left to its owner.
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: info is live for the call.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD)
}

/// This process's resident memory in bytes.
pub(crate) fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|p| p.parse::<u64>().ok()).unwrap_or(0);
    pages * 4096
}

/// Raises the limit on descriptors as far as it goes, and tells it.
pub(crate) fn raise_fd_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is live for the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: limit is live for the call.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    limit.rlim_cur
}

/// Sets the limit on descriptors of this process.
pub(crate) fn set_fd_limit(most: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is live for the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = most;
    // SAFETY: limit is live for the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// Ends a connection with a reset instead of an orderly close.
pub(crate) fn reset(stream: &Stream) {
    let fd: OwnedFd = stream.clone().into_fd().expect("nobody else uses the stream");
    socket2::SockRef::from(&fd.as_fd()).set_linger(Some(Duration::ZERO)).expect("linger can be set");
}

/// Runs this very test again in a child process with `name` set in its environment, for what would disturb
/// the other tests. Returns whether this is that child.
pub(crate) fn in_child(test: &str) -> bool {
    const MARK: &str = "CARRICK_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    // To start a program opens descriptors, which the test that has its turn would count.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let program = std::env::current_exe().expect("the program has a path");
    let status = std::process::Command::new(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .expect("the child can be started");
    assert!(status.success(), "{test} failed in its child: {status}");
    false
}

/// Decodes lower-case hex; `-` is no bytes.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    assert_eq!(text.len() % 2, 0, "odd hex: {text}");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

/// Long enough for anything that is to happen.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Too short for anything that is not to happen.
pub(crate) fn moment() -> Deadline {
    Deadline::after(Duration::from_millis(30))
}
