// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes to be killed: this test program again, as its ignored test `role`, which finds what is shared under
//! /proc.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that plays a role.
pub(crate) struct Actor {
    child: Child,
    /// Its role.
    pub(crate) role: &'static str,
}

impl Actor {
    /// Starts one; `variables` tell it what is shared.
    pub(crate) fn start(role: &'static str, variables: &[(&str, String)]) -> Self {
        Self::start_with(role, variables, Stdio::null())
    }

    /// The same with a standard input, which its own children inherit, too.
    pub(crate) fn start_with(role: &'static str, variables: &[(&str, String)], input: Stdio) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role", "--ignored", "--quiet"])
            .env("CARRICK_ROLE", role)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(input)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, role }
    }

    /// Kills it. That it has ended before, by a panic, is a failure.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{} ended by itself: {status}", self.role);
    }
}

/// How long there may be no progress.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kills processes that play the roles at random instants, up to `most` apart, and has others play on in their place;
/// at the end all. `progress` is a number that changes as long as nobody hangs. Returns how many were killed before
/// the end, and the roles of all who were.
pub(crate) fn soak(
    roles: &[&'static str],
    seconds: u64,
    most: Duration,
    start: impl Fn(&'static str) -> Actor,
    progress: impl Fn() -> u64,
) -> (usize, Vec<&'static str>) {
    let mut playing: Vec<Actor> = roles.iter().map(|role| start(role)).collect();
    let mut killed = Vec::new();
    let mut seed = u64::from(std::process::id());
    let (started, mut moved, mut seen) = (Instant::now(), Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(seconds) {
        std::thread::park_timeout(Duration::from_micros(next(&mut seed) % most.as_micros() as u64));
        let victim = playing.swap_remove(next(&mut seed) as usize % playing.len());
        let role = victim.role;
        victim.kill();
        killed.push(role);
        playing.push(start(role));
        let now = progress();
        if now != seen {
            (seen, moved) = (now, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "hang: no progress for {PATIENCE:?}, {} kills", killed.len());
    }
    let before_the_end = killed.len();
    for actor in playing {
        killed.push(actor.role);
        actor.kill();
    }
    (before_the_end, killed)
}

/// The role that this process is to play, if it was started for that.
pub(crate) fn role() -> Option<String> {
    std::env::var("CARRICK_ROLE").ok()
}

/// A variable that the process was started with.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// Opens what another process has open and told by [`path_of`] in a variable.
pub(crate) fn open(name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(variable(name)).unwrap()
}

/// Where another process finds a descriptor of this one.
pub(crate) fn path_of(fd: &impl AsFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), fd.as_fd().as_raw_fd())
}

/// A file with no name.
pub(crate) fn nameless() -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE);
    options.open(std::env::temp_dir()).unwrap()
}

/// A generator of numbers that need not be good.
pub(crate) fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// How long a soak goes on, in seconds.
pub(crate) fn seconds() -> u64 {
    std::env::var("CARRICK_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}
