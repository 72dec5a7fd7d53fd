// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ways to start a process: a program, or a function in a fork of this process.
#![forbid(unsafe_code)]

use super::channel;
use super::child::Child;
use crate::error::{Error, Kind, Result};
use crate::frame::{Connection, Format};
use crate::net::Stream;
use crate::sys::{self, Extras, ForkOutcome, ProcessHandle};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Stdio;

/// The exit code of a function that panicked.
pub(super) const PANICKED: i32 = 101;

/// A program to start. Built on [`std::process::Command`], whose fast way to start is taken where nothing is asked for
/// that it lacks.
///
/// # Example
/// ```
/// use carrick::{Deadline, process::{Command, Exit}};
/// let child = Command::new("true").spawn()?;
/// assert_eq!(child.join(Deadline::NEVER)?, Exit::Code(0));
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Command {
    inner: std::process::Command,
    descriptors: Vec<(OwnedFd, RawFd)>,
    group: Option<i32>,
    new_session: bool,
    daemon: bool,
    channel: bool,
}

const STARTING: &str = "start a program";

fn invalid(detail: String) -> Error {
    Error::with_detail(Kind::Invalid, STARTING, detail)
}

impl Command {
    /// The program, found as a shell finds it.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            inner: std::process::Command::new(program),
            descriptors: Vec::new(),
            group: None,
            new_session: false,
            daemon: false,
            channel: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.inner.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.inner.args(arguments);
        self
    }

    /// Sets a variable of the environment, which is this process's otherwise.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Leaves out all of this process's environment.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.inner.env_clear();
        self
    }

    /// Sets the directory that it starts in.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<Path>) -> Self {
        self.inner.current_dir(path);
        self
    }

    /// Sets standard input; as with the other two it is this process's otherwise.
    #[must_use]
    pub fn stdin(mut self, stream: impl Into<Stdio>) -> Self {
        self.inner.stdin(stream);
        self
    }

    /// Sets standard output.
    #[must_use]
    pub fn stdout(mut self, stream: impl Into<Stdio>) -> Self {
        self.inner.stdout(stream);
        self
    }

    /// Sets standard error.
    #[must_use]
    pub fn stderr(mut self, stream: impl Into<Stdio>) -> Self {
        self.inner.stderr(stream);
        self
    }

    /// Gives it a descriptor under a number of one's choice, such as those of a queue, to attach to it by.
    #[must_use]
    pub fn descriptor(mut self, fd: OwnedFd, number: RawFd) -> Self {
        self.descriptors.push((fd, number));
        self
    }

    /// Puts it into a process group: 0 is one of its own.
    #[must_use]
    pub fn process_group(mut self, group: i32) -> Self {
        self.group = Some(group);
        self
    }

    /// Makes it the leader of a session of its own, without a terminal.
    #[must_use]
    pub fn new_session(mut self) -> Self {
        self.new_session = true;
        self
    }

    /// Has the kernel kill it when this process ends, however it does. A descriptor holds it: a program that closes
    /// all descriptors it finds is held no longer.
    #[must_use]
    pub fn daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    /// Gives it a channel of frames to this process: [`Child::channel`], and in the program
    /// [`channel_from_parent`](super::channel_from_parent).
    ///
    /// The program has it as one more descriptor, whose number is in its environment, `CARRICK_CHANNEL`. In Python that is
    /// `multiprocessing.connection.Connection(int(os.environ["CARRICK_CHANNEL"]))`.
    ///
    /// # Example
    /// ```
    /// use carrick::{Deadline, process::Command};
    /// let child = Command::new("bash").args(["-c", r"eval 'printf \\000\\000\\000\\005hello >&'$CARRICK_CHANNEL"]);
    /// let child = child.channel().spawn()?;
    /// let channel = child.channel().expect("it was asked for");
    /// assert_eq!(channel.recv(Deadline::NEVER)?, b"hello");
    /// child.join(Deadline::NEVER)?;
    /// # Ok::<(), carrick::Error>(())
    /// ```
    #[must_use]
    pub fn channel(mut self) -> Self {
        self.channel = true;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// `Os`: ENOENT and EACCES are about the program or the directory, EAGAIN about the number of processes, EMFILE
    /// about descriptors, EPERM about the process group. `Invalid`: the number of a descriptor or of the process group
    /// is negative.
    pub fn spawn(mut self) -> Result<Child> {
        let failed = |e: io::Error| Error::from_io(&e, STARTING);
        if let Some((_, number)) = self.descriptors.iter().find(|(_, number)| *number < 0) {
            return Err(invalid(format!("a descriptor is to have the number {number}; give 0 or more")));
        }
        if let Some(group) = self.group {
            if group < 0 {
                return Err(invalid(format!(
                    "process group {group}; give 0 for one of its own, or a number"
                )));
            }
            self.inner.process_group(group);
        }
        let channel = self.add_channel()?;
        let _occupied = sys::occupy(&self.descriptors);
        let lifeline = super::lifeline_if(self.daemon)?;
        if lifeline.is_some() || self.new_session || !self.descriptors.is_empty() {
            let Self { descriptors, new_session, .. } = self;
            sys::add_extras(&mut self.inner, Extras { descriptors, new_session, lifeline });
        }
        let mut started = self.inner.spawn().map_err(|e| match blame(&self.inner, self.group, &e) {
            Some(blame) => Error::from_io(&e, STARTING).detailed(format!("{e}: {blame}")),
            None => failed(e),
        })?;
        let pid = i32::try_from(started.id()).unwrap_or(0);
        match ProcessHandle::of(pid) {
            Ok(Some(handle)) => Ok(Child::own(handle, channel)),
            Ok(None) => Child::ended(pid, channel).map_err(failed),
            Err(error) => {
                // Without a descriptor nobody could wait for it with a deadline.
                let _ = started.kill().and_then(|()| started.wait());
                Err(failed(error))
            }
        }
    }

    /// Adds the other end of a channel to what the program gets, where one is asked for. Where none is, the program is not
    /// to take that of this process for its own.
    fn add_channel(&mut self) -> Result<Option<Connection<Stream>>> {
        let variable = channel::CHANNEL_VARIABLE;
        if !self.channel {
            let is_given = self.inner.get_envs().any(|(name, _)| name == variable);
            if !is_given && std::env::var_os(variable).is_some() {
                self.inner.env_remove(variable);
            }
            return Ok(None);
        }
        let numbers: Vec<RawFd> = self.descriptors.iter().map(|(_, number)| *number).collect();
        let (ours, theirs) = channel::pair(&numbers, |e| Error::from_io(&e, STARTING))?;
        let number = theirs.as_raw_fd();
        self.inner.env(variable, number.to_string());
        self.descriptors.push((theirs, number));
        Ok(Some(Connection::new(ours, Format::MULTIPROCESSING)))
    }
}

/// Which of the program, its directory and its group could not be had, and the remedy; the kernel gives a number only.
fn blame(command: &std::process::Command, group: Option<i32>, error: &io::Error) -> Option<String> {
    let number = error.raw_os_error()?;
    // As to enter it fails, so does this.
    let entered = command.get_current_dir().map(|path| (path, std::fs::metadata(path.join("."))));
    if let Some((path, Err(refused))) = &entered
        && refused.raw_os_error() == Some(number)
    {
        return Some(format!("the directory {path:?} that it is to start in; create it or give another"));
    }
    let program = command.get_program();
    let is_path = program.as_encoded_bytes().contains(&b'/');
    let remedy = match number {
        libc::ENOENT if is_path => "it is missing, or what its first line names is",
        libc::ENOENT => "it is in no directory of PATH: install it or give its path",
        libc::EACCES => "it is to be a file that this user may run",
        libc::ENOEXEC => "it is for another machine, or a script whose first line does not name what runs it",
        libc::E2BIG => "its arguments and environment are too long",
        libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG | libc::EISDIR => "correct its path",
        libc::ETXTBSY => "somebody writes to it",
        libc::EPERM => {
            let group = group?;
            return Some(format!("process group {group}; give 0, or one of this session and no new session"));
        }
        _ => return None,
    };
    Some(format!("the program {program:?}; {remedy}"))
}

/// How [`fork`] and a fork server start a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartOptions {
    /// The kernel kills it when this process ends, however it does. A descriptor holds it: a process that closes
    /// all descriptors it finds is held no longer.
    pub daemon: bool,
    /// There is a channel of frames between the two.
    pub channel: bool,
}

/// Runs a function in a fork of this process. Its return value is the exit code; after a panic that is 101.
///
/// # Rules
/// The child has a copy of this process's memory and descriptors, and of its threads only the one that called. A lock
/// that another thread held at that moment is held for ever there; so where this process has threads, the function
/// keeps to what it knows to be free. Queues and primitives of [`sync`](crate::sync) are shared with this process.
/// The child ends without running destructors of the caller's or exit handlers; it writes out Rust's standard output.
///
/// # Example
/// ```
/// use carrick::Deadline;
/// use carrick::process::{StartOptions, fork};
/// use carrick::queue::{Queue, QueueOptions};
///
/// let queue = Queue::new(QueueOptions::default())?;
/// let child = fork(StartOptions::default(), |_channel| match queue.put(b"from the child", Deadline::NEVER) {
///     Ok(()) => 0,
///     Err(_) => 1,
/// })?;
/// assert_eq!(queue.get(Deadline::NEVER)?, b"from the child");
/// assert_eq!(child.join(Deadline::NEVER)?.code(), 0);
/// # Ok::<(), carrick::Error>(())
/// ```
///
/// # Errors
/// `Os`: EAGAIN is about the number of processes, EMFILE about descriptors. `NoMemory`. `State`: a daemon takes /proc.
pub fn fork(
    options: StartOptions,
    function: impl FnOnce(Option<Connection<Stream>>) -> i32,
) -> Result<Child> {
    // The content of the buffers would be written twice.
    flush();
    fork_with(options, |channel| run(|| function(channel)))
}

/// [`fork`] for the faces of other languages, whose programs have other buffers: Rust's standard output, which would be
/// set up to be flushed, is left alone.
///
/// # Errors
/// As `fork`.
#[doc(hidden)]
pub fn fork_only(
    options: StartOptions,
    function: impl FnOnce(Option<Connection<Stream>>) -> i32,
) -> Result<Child> {
    fork_with(options, |channel| run_only(|| function(channel)))
}

fn fork_with(
    options: StartOptions,
    function: impl FnOnce(Option<Connection<Stream>>) -> i32,
) -> Result<Child> {
    let failed = |e: io::Error| Error::from_io(&e, "fork");
    let lifeline = super::lifeline_if(options.daemon)?;
    let (ours, theirs) = if options.channel {
        let (ours, theirs) = Stream::pair()?;
        (Some(Connection::new(ours, Format::MULTIPROCESSING)), Some(theirs))
    } else {
        (None, None)
    };
    match sys::fork_child().map_err(failed)? {
        ForkOutcome::Parent(handle) => {
            if let Some(theirs) = theirs {
                // The child has its own copy: this one must not end the connection for it.
                theirs.forget();
            }
            Ok(Child::own(handle, ours))
        }
        ForkOutcome::Ended(pid) => {
            if let Some(theirs) = theirs {
                theirs.forget();
            }
            Child::ended(pid, ours).map_err(failed)
        }
        ForkOutcome::Child => {
            if let Some(ours) = &ours {
                ours.transport().forget();
            }
            let channel = theirs.map(|stream| Connection::new(stream, Format::MULTIPROCESSING));
            if let Some(lifeline) = &lifeline
                && !matches!(sys::hold_on(lifeline.as_fd()), Ok(true))
            {
                sys::exit_now(PANICKED);
            }
            sys::exit_now(function(channel))
        }
    }
}

/// Runs what a child is for, and returns the exit code with which it is to end, in good order.
pub(super) fn run(function: impl FnOnce() -> i32) -> i32 {
    let code = caught(function);
    flush();
    crate::sync::leave_locks();
    code
}

fn run_only(function: impl FnOnce() -> i32) -> i32 {
    let code = caught(function);
    crate::sync::leave_locks();
    code
}

fn caught(function: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(function)).unwrap_or(PANICKED)
}

fn flush() {
    let _ = io::stdout().flush();
}
