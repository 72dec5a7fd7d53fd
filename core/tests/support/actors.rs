// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes to be killed: this test program again, as its ignored test `role`, which finds what is shared under
//! /proc.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

/// A process that plays a role.
pub(crate) struct Actor {
    child: Child,
    /// Its role.
    pub(crate) role: &'static str,
}

impl Actor {
    /// Starts one; `variables` tell it what is shared.
    pub(crate) fn start(role: &'static str, variables: &[(&str, String)]) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role", "--ignored", "--quiet"])
            .env("CARRICK_ROLE", role)
            .envs(variables.iter().map(|(name, value)| (name, value)))
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
