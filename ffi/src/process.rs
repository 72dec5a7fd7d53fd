// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes: functions and programs.

use crate::boundary::{ask, boundary, fill, make, on};
use crate::connection::carrick_connection;
use crate::fork_server::{Body, carrick_fork_server};
use crate::handle::{Handle, free, give, handle, null, opaque};
use crate::memory::{bytes, flag, items, options, output, text, write};
use crate::status::carrick_status;
use crate::stream::lend;
use carrick::process::{Child, Command, StartOptions, channel_from_parent, fork_only};
use carrick::{Connection, Deadline, Error, Kind, Result, Stream};
use std::ffi::{CStr, OsStr, c_char};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};

/// A process and, until it is taken, the channel to it.
pub struct Process {
    child: Child,
    channel: Mutex<Option<Connection<Stream>>>,
}

impl Process {
    pub(crate) fn new(mut child: Child) -> Self {
        let channel = Mutex::new(child.take_channel());
        Self { child, channel }
    }
}

/// A process that was started. Freeing it leaves the process running. Thread word: ANY. In a child of fork it is the
/// parent's still: only free it there.
pub struct carrick_process {
    _opaque: [u8; 0],
}
opaque!(carrick_process => Process, b"ck-proce");

/// The function that a process runs; returns its exit code, of which the lower eight bits count. Which thread: the only
/// one of a process of its own. Concurrent: no. May it block: yes. Forbidden: where the program has threads, whatever
/// needs a lock that another thread may have held when the process was started (carrick_process_start). Lifetime:
/// argument and channel until it returns; channel is NULL unless the options asked for one. Calling exit in it runs the
/// parent's exit handlers.
pub type carrick_process_fn = Option<
    unsafe extern "C" fn(argument: *const u8, argument_len: usize, channel: *const carrick_connection) -> i32,
>;

/// A descriptor for a process, and the number that it is to have there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_descriptor {
    /// The caller's: BORROWED for the call.
    pub fd: i32,
    /// Its number in the process.
    pub number: i32,
}

/// How a process is started. Fill it with carrick_process_options_init.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_process_options {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// The kernel kills it when this process ends, however it does: 0 or 1 (0). A descriptor holds it: a process
    /// that closes all descriptors it finds is held no longer.
    pub daemon: i32,
    /// A channel of frames between the two: 0 or 1 (0). A function has it as an argument, a program by
    /// carrick_process_parent_channel.
    pub channel: i32,
    /// It leads a session of its own, without a terminal, for carrick_process_spawn: 0 or 1 (0).
    pub new_session: i32,
    /// Its process group, for carrick_process_spawn: 0 is one of its own, -1 this process's, nothing less (-1).
    pub process_group: i32,
    /// Its standard streams, for carrick_process_spawn: BORROWED for the call; -1 is this process's (-1).
    pub stdin_fd: i32,
    /// As stdin_fd.
    pub stdout_fd: i32,
    /// As stdin_fd.
    pub stderr_fd: i32,
    /// Descriptors that it gets besides, for carrick_process_spawn and with a fork server: BORROWED for the call, may be
    /// NULL if descriptors_len is 0.
    pub descriptors: *const carrick_descriptor,
    /// How many (0).
    pub descriptors_len: usize,
    /// The directory that it starts in, for carrick_process_spawn: BORROWED for the call, may be NULL (this process's).
    pub directory: *const c_char,
    /// The length of directory (0).
    pub directory_len: usize,
    /// Its environment, for carrick_process_spawn: texts "NAME=value" and NULL behind the last; BORROWED for the call,
    /// may be NULL (this process's).
    pub environment: *const *const c_char,
    /// The server that forks, for carrick_process_start: BORROWED for the call, may be NULL (this process).
    pub server: *const carrick_fork_server,
}

impl carrick_process_options {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            daemon: 0,
            channel: 0,
            new_session: 0,
            process_group: -1,
            stdin_fd: -1,
            stdout_fd: -1,
            stderr_fd: -1,
            descriptors: std::ptr::null(),
            descriptors_len: 0,
            directory: std::ptr::null(),
            directory_len: 0,
            environment: std::ptr::null(),
            server: std::ptr::null(),
        }
    }
}

/// Fills process options with the defaults.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_options_init(
    out_options: *mut carrick_process_options,
) -> carrick_status {
    fill(out_options, "out_options", "init process options", || Ok(carrick_process_options::defaults()))
}

/// Runs a function in a process of its own: a fork of this one, or, with a fork server in the options, of that one. The
/// function gets a copy of the argument. A fork has a copy of this process's memory and descriptors, but of its
/// threads only the caller's; a lock that another thread held, such as that of malloc'd memory of other libraries or of
/// stdio, may be held for ever there, so a program with threads takes a fork server. The process ends without exit
/// handlers; stdio is flushed. options may be NULL. out_process is OWNED.
/// Codes: E_INVALID, E_VERSION, E_STATE (a daemon, and no /proc), E_CLOSED (the fork server was killed), E_WORKER_DIED (its children die first), E_NOMEMORY, E_OS (EAGAIN,
/// EMFILE, ...), E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_start(
    function: carrick_process_fn,
    argument: *const u8,
    argument_len: usize,
    options: *const carrick_process_options,
    out_process: *mut *mut carrick_process,
) -> carrick_status {
    const OPERATION: &str = "start process";
    boundary(OPERATION, || {
        output(out_process, "out_process", OPERATION)?;
        let function = function.ok_or_else(|| null(OPERATION, "function"))?;
        let argument = bytes(argument, argument_len, OPERATION)?;
        let o = self::options(options, carrick_process_options::defaults(), OPERATION)?;
        let how = StartOptions {
            daemon: flag(o.daemon, "daemon", OPERATION)?,
            channel: flag(o.channel, "channel", OPERATION)?,
        };
        let descriptors = items(o.descriptors, o.descriptors_len, OPERATION)?;
        let child = if o.server.is_null() {
            if !descriptors.is_empty() {
                let detail = "descriptors are for a fork server: a fork has those of this process";
                return Err(Error::with_detail(Kind::Invalid, OPERATION, detail));
            }
            flush();
            fork_only(how, |channel| call(function, argument, channel))?
        } else {
            let server = handle(o.server, OPERATION)?;
            let body = Body { function, argument, numbers: descriptors.iter().map(|d| d.number).collect() };
            let fds = descriptors.iter().map(|d| lend(d.fd, OPERATION)).collect::<Result<Vec<_>>>()?;
            server.value.start(&body.pack(), &fds, how)?
        };
        write(out_process, give(Process::new(child)));
        Ok(())
    })
}

pub(crate) type Function = unsafe extern "C" fn(*const u8, usize, *const carrick_connection) -> i32;

/// Runs the function of a process and returns the exit code.
pub(crate) fn call(function: Function, argument: &[u8], channel: Option<Connection<Stream>>) -> i32 {
    let channel = channel.map(Handle::borrowed::<carrick_connection>);
    let pointer = channel.as_ref().map_or(std::ptr::null(), Handle::as_c);
    // SAFETY: the header says what the function may rely on: the argument and the channel live until it returns.
    let code = unsafe { function(argument.as_ptr(), argument.len(), pointer) };
    flush();
    code
}

/// Writes out what is in C's streams, which a fork would otherwise have a copy of.
pub(crate) fn flush() {
    // SAFETY: NULL stands for all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// The texts of an array that NULL ends.
fn texts<'a>(array: *const *const c_char) -> Vec<&'a CStr> {
    let mut found = Vec::new();
    loop {
        // SAFETY: by the contract of the header the array has a NULL behind its last text, which ends this.
        let at = unsafe { array.add(found.len()) };
        // SAFETY: as above; it can be read.
        let text = unsafe { at.read() };
        if text.is_null() {
            return found;
        }
        // SAFETY: by the contract of the header each is a text that ends with a zero, and lives for the call.
        found.push(unsafe { CStr::from_ptr(text) });
    }
}

/// Starts a program: arguments[0], found as a shell finds it, with the arguments, of which NULL is behind the last one.
/// options may be NULL. out_process is OWNED.
/// Codes: E_INVALID, E_VERSION, E_NOMEMORY, E_OS (ENOENT or EACCES: the program or the directory, the message says which;
/// EPERM: the process group; EAGAIN, EMFILE, EBADF, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_spawn(
    arguments: *const *const c_char,
    options: *const carrick_process_options,
    out_process: *mut *mut carrick_process,
) -> carrick_status {
    const OPERATION: &str = "spawn process";
    boundary(OPERATION, || {
        output(out_process, "out_process", OPERATION)?;
        if arguments.is_null() {
            return Err(null(OPERATION, "arguments"));
        }
        let o = self::options(options, carrick_process_options::defaults(), OPERATION)?;
        let invalid = |detail: &str| Error::with_detail(Kind::Invalid, OPERATION, detail);
        if !o.server.is_null() {
            return Err(invalid("server is for carrick_process_start"));
        }
        let mut arguments = texts(arguments).into_iter().map(|text| OsStr::from_bytes(text.to_bytes()));
        let program = arguments.next().ok_or_else(|| invalid("there is no program"))?;
        let mut command = Command::new(program).args(arguments);
        if !o.environment.is_null() {
            command = command.env_clear();
            for variable in texts(o.environment) {
                let (name, value) =
                    split(variable.to_bytes()).ok_or_else(|| invalid("a variable without ="))?;
                command = command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
            }
        }
        if !o.directory.is_null() {
            command = command.directory(text(o.directory, o.directory_len, OPERATION)?);
        }
        if o.process_group != -1 {
            command = command.process_group(o.process_group);
        }
        if flag(o.new_session, "new_session", OPERATION)? {
            command = command.new_session();
        }
        if flag(o.daemon, "daemon", OPERATION)? {
            command = command.daemon();
        }
        if flag(o.channel, "channel", OPERATION)? {
            command = command.channel();
        }
        if o.stdin_fd != -1 {
            command = command.stdin(copy(o.stdin_fd, OPERATION)?);
        }
        if o.stdout_fd != -1 {
            command = command.stdout(copy(o.stdout_fd, OPERATION)?);
        }
        if o.stderr_fd != -1 {
            command = command.stderr(copy(o.stderr_fd, OPERATION)?);
        }
        for descriptor in items(o.descriptors, o.descriptors_len, OPERATION)? {
            command = command.descriptor(copy(descriptor.fd, OPERATION)?, descriptor.number);
        }
        write(out_process, give(Process::new(command.spawn()?)));
        Ok(())
    })
}

fn split(variable: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = variable.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((variable.get(..at)?, variable.get(at + 1..)?))
}

fn copy(fd: i32, operation: &'static str) -> Result<OwnedFd> {
    lend(fd, operation)?
        .try_clone_to_owned()
        .map_err(|e| Error::from_os(e.raw_os_error().unwrap_or(libc::EBADF), operation))
}

/// Waits for the end of the process. out_exit_code is its exit code, the negative number of the signal that killed it, or
/// 255 when nobody can tell: its fork server died first, or somebody else waited for it. May be called again.
/// Codes: E_TIMEOUT, E_WOULD_BLOCK (timeout_ns is 0 and it runs), E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_join(
    process: *const carrick_process,
    timeout_ns: i64,
    out_exit_code: *mut i32,
) -> carrick_status {
    ask(process, out_exit_code, "out_exit_code", "join process", |process| {
        Ok(process.child.join(Deadline::from_nanos(timeout_ns))?.code())
    })
}

/// Whether the process runs: out_alive is 1 or 0.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_is_alive(
    process: *const carrick_process,
    out_alive: *mut i32,
) -> carrick_status {
    ask(process, out_alive, "out_alive", "ask process", |process| Ok(i32::from(process.child.is_alive())))
}

/// Asks the process to end (SIGTERM). One that has ended is left in peace.
/// Codes: E_OS (EPERM), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_terminate(process: *const carrick_process) -> carrick_status {
    on(process, "terminate process", |process| process.child.terminate())
}

/// Ends the process (SIGKILL). One that has ended is left in peace.
/// Codes: E_OS (EPERM), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_kill(process: *const carrick_process) -> carrick_status {
    on(process, "kill process", |process| process.child.kill())
}

/// Sends a signal, by its number in signal.h. One that has ended is left in peace.
/// Codes: E_OS (EINVAL: no such signal; EPERM), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_signal(
    process: *const carrick_process,
    signal: i32,
) -> carrick_status {
    on(process, "signal process", |process| process.child.signal(signal))
}

/// The number of the process.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_pid(
    process: *const carrick_process,
    out_pid: *mut i32,
) -> carrick_status {
    ask(process, out_pid, "out_pid", "get number", |process| Ok(process.child.pid()))
}

/// A descriptor that is readable when the process has ended, for poll, epoll or a carrick_poller: BORROWED until the
/// process is freed. Do not read from it.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_fd(
    process: *const carrick_process,
    out_fd: *mut i32,
) -> carrick_status {
    ask(process, out_fd, "out_fd", "get descriptor", |process| Ok(process.child.as_fd().as_raw_fd()))
}

/// Takes the channel to the process, which can be done once: out_connection is OWNED, and has the format
/// multiprocessing.
/// Codes: E_STATE (none was asked for, or it was taken), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_take_channel(
    process: *const carrick_process,
    out_connection: *mut *mut carrick_connection,
) -> carrick_status {
    on(process, "take channel", |process| {
        output(out_connection, "out_connection", "take channel")?;
        let channel = process.channel.lock().unwrap_or_else(PoisonError::into_inner).take();
        let channel = channel.ok_or_else(|| {
            let detail = "it was taken, or none was asked for (options.channel)";
            Error::with_detail(Kind::State, "take channel", detail)
        })?;
        write(out_connection, give(channel));
        Ok(())
    })
}

/// The channel to the program that started this one with options.channel, which can be had once: out_connection is OWNED,
/// and has the format multiprocessing. The variable of the environment CARRICK_CHANNEL has the number of its descriptor,
/// which from here on is closed on exec.
/// Codes: E_STATE (the parent gave none, or it was taken), E_INVALID (the variable holds no number, or that of something
/// else), E_OS (EBADF: no descriptor of that number is open), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_parent_channel(
    out_connection: *mut *mut carrick_connection,
) -> carrick_status {
    make(out_connection, "out_connection", "take the channel from the parent", channel_from_parent)
}

/// Frees the handle; the process goes on, and leaves no zombie behind if this one starts or frees others later. NULL
/// does nothing. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_process_free(process: *mut carrick_process) {
    let _ = boundary("free", || {
        free(process);
        Ok(())
    });
}
