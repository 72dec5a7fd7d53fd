// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes: programs, forks and fork servers, how they end, and what is left of them. Tests run in processes of their
//! own, since they count children and fork.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::process::{
    CHANNEL_VARIABLE, Child, Command, Exit, ForkServer, StartOptions, Task, channel_from_parent, fork,
    lifeline,
};
use carrick::{Deadline, Kind};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use support::{Test, eventually, in_child, moment, open_fds, soon};

/// A readable end that ends when all who have the other one have ended.
fn thread_of_life() -> (UnixStream, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours, theirs.into())
}

fn reads_to_the_end(stream: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

fn sleeps() -> Command {
    Command::new("sleep").arg("1000")
}

const DAEMON: StartOptions = StartOptions { daemon: true, channel: false };
const CHANNEL: StartOptions = StartOptions { daemon: false, channel: true };
const PLAIN: StartOptions = StartOptions { daemon: false, channel: false };

fn pause() -> i32 {
    loop {
        std::thread::park();
    }
}

#[test]
fn a_program_ends_with_its_exit_code_or_signal() {
    if !in_child("a_program_ends_with_its_exit_code_or_signal") {
        return;
    }
    let _test = Test::begin();
    let shell = |code: &str| Command::new("sh").args(["-c", code]).spawn().unwrap().join(soon()).unwrap();
    assert_eq!(shell("exit 0"), Exit::Code(0));
    assert_eq!(shell("exit 7"), Exit::Code(7));
    assert_eq!(shell("kill -9 $$"), Exit::Signal(libc::SIGKILL));
    assert_eq!(shell("kill -9 $$").code(), -libc::SIGKILL);
}

#[test]
fn a_program_that_cannot_be_started_is_named_and_so_is_its_directory() {
    if !in_child("a_program_that_cannot_be_started_is_named_and_so_is_its_directory") {
        return;
    }
    let _test = Test::begin();
    let (ours, theirs) = thread_of_life();
    // With and without what only a fork can give it.
    for fork in [false, true] {
        let refused = |command: Command, errno: i32, words: [&str; 2]| {
            let command = if fork { command.new_session() } else { command };
            let error = command.spawn().unwrap_err();
            assert_eq!((error.kind(), error.os_code()), (Kind::Os, Some(errno)), "{error}");
            let text = error.to_string();
            let reason = std::io::Error::from_raw_os_error(errno).to_string();
            assert!(
                text.starts_with(&format!("start a program: operating system error: {reason}: ")),
                "{text}"
            );
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        };
        let plain = ["the program \"no-such-program\"", "PATH"];
        refused(Command::new("no-such-program"), libc::ENOENT, plain);
        refused(Command::new("no-such-program").directory("/usr"), libc::ENOENT, plain);
        refused(Command::new("/no/such"), libc::ENOENT, ["the program \"/no/such\"", "first line"]);
        refused(Command::new("/etc/passwd"), libc::EACCES, ["the program \"/etc/passwd\"", "may run"]);
        refused(Command::new("/etc/passwd/x"), libc::ENOTDIR, ["the program \"/etc/passwd/x\"", "its path"]);
        refused(
            Command::new("true").arg("x".repeat(1 << 20)),
            libc::E2BIG,
            ["the program \"true\"", "too long"],
        );
        let elsewhere = |path: &str| Command::new("true").directory(path);
        refused(elsewhere("/no/such"), libc::ENOENT, ["the directory \"/no/such\"", "create it"]);
        refused(elsewhere("/etc/passwd"), libc::ENOTDIR, ["the directory \"/etc/passwd\"", "give another"]);
        // That of init is none of this session.
        refused(Command::new("true").process_group(1), libc::EPERM, ["process group 1", "give 0"]);
    }
    let invalid = |command: Command, words: &str| {
        let error = command.spawn().unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(words), "{error}");
    };
    invalid(Command::new("true").process_group(-5), "process group -5; give 0");
    invalid(Command::new("true").descriptor(theirs, -1), "the number -1; give 0 or more");
    drop(ours);
}

#[test]
fn a_join_with_a_deadline_gives_up_and_goes_on() {
    if !in_child("a_join_with_a_deadline_gives_up_and_goes_on") {
        return;
    }
    let _test = Test::begin();
    let child = sleeps().spawn().unwrap();
    child.signal(libc::SIGSTOP).unwrap();
    assert_eq!(child.join(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    assert_eq!(child.join(moment()).unwrap_err().kind(), Kind::Timeout);
    assert!(child.is_alive());
    assert_eq!(child.try_join().unwrap(), None);
    child.kill().unwrap();
    assert_eq!(child.join(soon()).unwrap(), Exit::Signal(libc::SIGKILL));
    // Any number of times, and signals go nowhere.
    assert_eq!(child.join(Deadline::NOW).unwrap(), Exit::Signal(libc::SIGKILL));
    child.terminate().unwrap();
    assert!(!child.is_alive());
}

#[test]
fn a_program_that_is_not_there_is_an_error_whatever_numbers_its_descriptors_have() {
    let _test = Test::begin();
    let (given, _other) = UnixStream::pair().unwrap();
    // One of these is that of a pipe between the two.
    for number in 3..64 {
        let given = OwnedFd::from(given.try_clone().unwrap());
        let started = Command::new("/nonexistent/program").descriptor(given, number).spawn();
        assert_eq!(started.unwrap_err().os_code(), Some(libc::ENOENT), "number {number}");
    }
}

#[test]
fn a_program_has_what_it_was_given() {
    if !in_child("a_program_has_what_it_was_given") {
        return;
    }
    let _test = Test::begin();
    let (mut ours, theirs) = thread_of_life();
    // Two descriptors that are to have each other's numbers.
    let (mut left, a) = thread_of_life();
    let (mut right, b) = thread_of_life();
    let (for_a, for_b) = (b.as_raw_fd(), a.as_raw_fd());
    let script = format!(
        "printf '%s %s ' \"$VARIABLE\" \"$PWD\"; ps -o pgid=,sid= -p $$ | tr -d '\\n'; \
         printf a >&{for_a}; printf b >&{for_b}"
    );
    let child = Command::new("bash")
        .args(["-c", &script])
        .env("VARIABLE", "value")
        .directory("/usr")
        .stdout(std::process::Stdio::from(theirs))
        .descriptor(a, for_a)
        .descriptor(b, for_b)
        .new_session()
        .spawn()
        .unwrap();
    let said = String::from_utf8(reads_to_the_end(&mut ours)).unwrap();
    assert_eq!(child.join(soon()).unwrap(), Exit::Code(0));
    assert_eq!(
        said.split_whitespace().collect::<Vec<_>>(),
        ["value".to_owned(), "/usr".to_owned(), child.pid().to_string(), child.pid().to_string()]
    );
    assert_eq!(reads_to_the_end(&mut left), b"a");
    assert_eq!(reads_to_the_end(&mut right), b"b");
}

/// This program once more, running the test of this name in another role.
fn again(test: &str, role: &str) -> Command {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .stdout(std::process::Stdio::null())
        .env("CARRICK_TEST_ROLE", role)
}

fn role() -> Option<String> {
    std::env::var("CARRICK_TEST_ROLE").ok()
}

#[test]
fn a_program_has_a_channel_to_the_one_that_started_it() {
    const NAME: &str = "a_program_has_a_channel_to_the_one_that_started_it";
    if !in_child(NAME) {
        return;
    }
    let _test = Test::begin();
    if role().is_some() {
        let channel = channel_from_parent().unwrap();
        assert_eq!(channel_from_parent().unwrap_err().kind(), Kind::State);
        let number: i32 = std::env::var(CHANNEL_VARIABLE).unwrap().parse().unwrap();
        assert_eq!(channel.transport().fd().unwrap(), number);
        // Neither the variable nor the descriptor goes to its own children.
        let script = format!("[ -z \"${CHANNEL_VARIABLE}\" ] && [ ! -e /proc/self/fd/{number} ]");
        let child = Command::new("bash").args(["-c", &script]).spawn().unwrap();
        assert_eq!(child.join(soon()).unwrap(), Exit::Code(0));
        let word = channel.recv(soon()).unwrap();
        channel.send(&[&word[..], b" again"].concat(), soon()).unwrap();
        // The parent alone has the other end.
        assert_eq!(channel.recv(soon()).unwrap_err().kind(), Kind::Eof);
        std::process::exit(3);
    }
    for crowded in [false, true] {
        let mut command = again(NAME, "program").channel();
        // The lowest free numbers are those that the channel would have.
        let (ours, theirs) = thread_of_life();
        let free = (3..).filter(|number| !open_fds().contains_key(number));
        for number in free.take(if crowded { 6 } else { 0 }) {
            command = command.descriptor(theirs.try_clone().unwrap(), number);
        }
        drop((ours, theirs));
        let mut child = command.spawn().unwrap();
        child.channel().unwrap().send(b"word", soon()).unwrap();
        assert_eq!(child.channel().unwrap().recv(soon()).unwrap(), b"word again");
        drop(child.take_channel());
        assert!(child.channel().is_none());
        assert_eq!(child.join(soon()).unwrap(), Exit::Code(3));
    }
}

#[test]
fn a_channel_that_ends_with_its_program_says_so() {
    if !in_child("a_channel_that_ends_with_its_program_says_so") {
        return;
    }
    let _test = Test::begin();
    let child = sleeps().channel().spawn().unwrap();
    assert_eq!(child.channel().unwrap().recv(moment()).unwrap_err().kind(), Kind::Timeout);
    child.kill().unwrap();
    assert_eq!(child.channel().unwrap().recv(soon()).unwrap_err().kind(), Kind::Eof);
    assert_eq!(child.join(soon()).unwrap(), Exit::Signal(libc::SIGKILL));
    // One that cannot be started leaves no end of it.
    assert_eq!(Command::new("no-such-program").channel().spawn().unwrap_err().os_code(), Some(libc::ENOENT));
    assert!(
        sleeps()
            .spawn()
            .map(|child| (child.kill(), child.join(soon()), child.channel().is_none()))
            .unwrap()
            .2
    );
}

#[test]
fn what_is_no_channel_is_not_taken_for_one() {
    const NAME: &str = "what_is_no_channel_is_not_taken_for_one";
    if !in_child(NAME) {
        return;
    }
    let _test = Test::begin();
    if let Some(role) = role() {
        // Twice: what was not taken is not noted as taken.
        for _ in 0..2 {
            let error = channel_from_parent().unwrap_err();
            assert_eq!(format!("{:?}", error.kind()), role, "{error}");
            assert!(error.kind() != Kind::Os || error.os_code() == Some(libc::EBADF), "{error}");
        }
        return;
    }
    let ends = |value: Option<&str>, role: &str, fd: Option<OwnedFd>| {
        let mut command = again(NAME, role);
        if let Some(value) = value {
            command = command.env(CHANNEL_VARIABLE, value);
        }
        if let Some(fd) = fd {
            command = command.descriptor(fd, 50);
        }
        assert_eq!(command.spawn().unwrap().join(soon()).unwrap(), Exit::Code(0), "{value:?}");
    };
    ends(None, "State", None);
    for value in ["", "x", "-1", "3 ", "99999999999"] {
        ends(Some(value), "Invalid", None);
    }
    ends(Some("50"), "Os", None);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let datagrams = std::os::unix::net::UnixDatagram::pair().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    for fd in [listener.into(), tcp.into(), datagrams.0.into(), OwnedFd::from(file)] {
        ends(Some("50"), "Invalid", Some(fd));
    }
}

#[test]
fn a_function_runs_in_a_fork() {
    if !in_child("a_function_runs_in_a_fork") {
        return;
    }
    let _test = Test::begin();
    let value = 6;
    let child = fork(CHANNEL, |channel| {
        let channel = channel.unwrap();
        let factor = channel.recv(soon()).unwrap()[0];
        channel.send(&[factor * value], soon()).unwrap();
        3
    })
    .unwrap();
    child.channel().unwrap().send(&[7], soon()).unwrap();
    assert_eq!(child.channel().unwrap().recv(soon()).unwrap(), [42]);
    // It ends with the child, also where that is the end of the channel.
    assert_eq!(child.channel().unwrap().recv(soon()).unwrap_err().kind(), Kind::Eof);
    assert_eq!(child.join(soon()).unwrap(), Exit::Code(3));
    let quiet = |_| {
        std::panic::set_hook(Box::new(|_| {}));
        panic!("on purpose")
    };
    assert_eq!(fork(PLAIN, quiet).unwrap().join(soon()).unwrap(), Exit::Code(101));
}

#[test]
fn children_that_were_dropped_leave_no_zombies() {
    if !in_child("children_that_were_dropped_leave_no_zombies") {
        return;
    }
    let _test = Test::begin();
    let pids: Vec<i32> = (0..5).map(|n| fork(PLAIN, move |_| n).unwrap().pid()).collect();
    eventually("no zombie is left", || {
        drop(fork(PLAIN, |_| 0).unwrap());
        !pids.iter().any(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
    eventually("the last one has gone, too", || {
        let last = fork(PLAIN, |_| 0).unwrap();
        last.join(soon()).unwrap();
        std::fs::read_to_string("/proc/thread-self/children").unwrap().trim().is_empty()
    });
}

/// Starts one daemon of each kind, which have a copy of `life`, and waits to be killed.
fn parent_of_daemons(server: &ForkServer, life: &OwnedFd, from_thread: bool) -> i32 {
    let start = || {
        let program = sleeps().daemon().descriptor(life.try_clone().unwrap(), 100).spawn().unwrap();
        let forked = fork(DAEMON, |_| pause()).unwrap();
        let served = server.start(b"pause", &[life.as_fd()], DAEMON).unwrap();
        [program, forked, served]
    };
    let children =
        if from_thread { std::thread::scope(|scope| scope.spawn(start).join().unwrap()) } else { start() };
    assert!(children.iter().all(Child::is_alive));
    let mut life = std::fs::File::from(life.try_clone().unwrap());
    std::io::Write::write_all(&mut life, b"ready").unwrap();
    pause()
}

#[test]
fn daemons_end_with_a_parent_that_is_killed_whatever_became_of_its_threads() {
    if !in_child("daemons_end_with_a_parent_that_is_killed_whatever_became_of_its_threads") {
        return;
    }
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    for from_thread in [false, true] {
        let (mut ours, theirs) = thread_of_life();
        let parent = fork(PLAIN, |_| {
            // A fork of the parent that is no daemon holds nothing up. It has no copy of `theirs`.
            parent_of_daemons(&server, &theirs, from_thread)
        })
        .unwrap();
        drop(theirs);
        let mut word = [0; 5];
        ours.read_exact(&mut word).unwrap();
        parent.kill().unwrap();
        parent.join(soon()).unwrap();
        // All copies of it are closed.
        assert_eq!(reads_to_the_end(&mut ours), b"");
    }
    drop(server);
}

fn task(task: Task) -> i32 {
    match task.body.as_slice() {
        b"pause" => pause(),
        b"echo" => {
            let channel = task.channel.unwrap();
            let body = channel.recv(soon()).unwrap();
            channel.send(&body, soon()).unwrap();
            0
        }
        b"write" => {
            let mut file = std::fs::File::from(task.descriptors.into_iter().next().unwrap());
            std::io::Write::write_all(&mut file, b"hello").unwrap();
            0
        }
        b"count" => i32::try_from(task.descriptors.len() % 251).unwrap(),
        [b'l', rest @ ..] => i32::try_from(rest.len() % 251).unwrap(),
        _ => 9,
    }
}

#[test]
fn a_fork_server_runs_functions_in_its_children() {
    if !in_child("a_fork_server_runs_functions_in_its_children") {
        return;
    }
    drop(lifeline().unwrap());
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    let start = |body: &[u8]| server.start(body, &[], PLAIN).unwrap();
    assert_eq!(start(b"?").join(soon()).unwrap(), Exit::Code(9));
    for length in [0, 1, (32 << 10) - 1, 32 << 10, 1 << 20] {
        let mut body = vec![b'l'];
        body.resize(length + 1, 0);
        let code = i32::try_from(length % 251).unwrap();
        assert_eq!(start(&body).join(soon()).unwrap(), Exit::Code(code));
    }
    let child = server.start(b"echo", &[], CHANNEL).unwrap();
    child.channel().unwrap().send(b"word", soon()).unwrap();
    assert_eq!(child.channel().unwrap().recv(soon()).unwrap(), b"word");
    assert_eq!(child.join(soon()).unwrap(), Exit::Code(0));
    let (mut ours, theirs) = thread_of_life();
    let child = server.start(b"write", &[theirs.as_fd()], PLAIN).unwrap();
    drop(theirs);
    assert_eq!(reads_to_the_end(&mut ours), b"hello");
    assert_eq!(child.join(soon()).unwrap(), Exit::Code(0));
    let child = start(b"pause");
    assert_eq!(child.join(moment()).unwrap_err().kind(), Kind::Timeout);
    child.terminate().unwrap();
    assert_eq!(child.join(soon()).unwrap(), Exit::Signal(libc::SIGTERM));
    let many: Vec<_> = (0..30).map(|_| server.start(b"pause", &[], DAEMON).unwrap()).collect();
    for child in &many {
        child.kill().unwrap();
    }
    for child in many {
        assert_eq!(child.join(soon()).unwrap(), Exit::Signal(libc::SIGKILL));
    }
    // More than fit into one message of the kernel, and than into two.
    for count in [250, 251, 252, 253, 300, 600] {
        let fds: Vec<_> = (0..count).map(|_| ours.as_fd()).collect();
        let both = StartOptions { daemon: true, channel: true };
        for (body, how) in [(&b"count"[..], PLAIN), (&b"count"[..], both)] {
            let child = server.start(body, &fds, how).unwrap();
            assert_eq!(child.join(soon()).unwrap(), Exit::Code(count % 251));
        }
    }
}

#[test]
fn a_request_outlives_the_ready_children_and_not_the_server() {
    if !in_child("a_request_outlives_the_ready_children_and_not_the_server") {
        return;
    }
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    assert_eq!(server.start(b"?", &[], PLAIN).unwrap().join(soon()).unwrap(), Exit::Code(9));
    let pid = server.process().pid();
    let children = || std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for _ in 0..20 {
        for idle in children().split_whitespace() {
            Command::new("kill").args(["-9", idle]).spawn().unwrap().join(soon()).unwrap();
        }
        assert_eq!(server.start(b"?", &[], PLAIN).unwrap().join(soon()).unwrap(), Exit::Code(9));
    }
    for idle in children().split_whitespace() {
        Command::new("kill").args(["-STOP", idle]).spawn().unwrap().join(soon()).unwrap();
    }
    assert_eq!(server.start(b"?", &[], PLAIN).unwrap().join(soon()).unwrap(), Exit::Code(9));
    let (mut ours, theirs) = thread_of_life();
    let running = server.start(b"pause", &[theirs.as_fd()], PLAIN).unwrap();
    drop(theirs);
    server.process().kill().unwrap();
    server.process().join(soon()).unwrap();
    assert_eq!(running.join(soon()).unwrap(), Exit::Unknown);
    assert_eq!(server.start(b"?", &[], PLAIN).unwrap_err().kind(), Kind::Closed);
    // It lives on, and can be ended still.
    ours.set_nonblocking(true).unwrap();
    assert_eq!(ours.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    ours.set_nonblocking(false).unwrap();
    let pid = running.pid().to_string();
    Command::new("kill").args(["-9", &pid]).spawn().unwrap().join(soon()).unwrap();
    assert_eq!(reads_to_the_end(&mut ours), b"");
}

#[test]
fn without_descriptors_a_start_fails_and_leaves_nothing() {
    if !in_child("without_descriptors_a_start_fails_and_leaves_nothing") {
        return;
    }
    // A process keeps its lifeline.
    drop(lifeline().unwrap());
    let _test = Test::begin();
    let server = ForkServer::new(task).unwrap();
    let before = open_fds();
    let free = (0..).find(|number| !before.contains_key(number)).unwrap();
    let free = u64::try_from(free).unwrap();
    let whole = support::raise_fd_limit();
    let both = StartOptions { daemon: true, channel: true };
    let mut failures = 0;
    for more in 0..16 {
        support::set_fd_limit(free + more);
        let results = [
            sleeps().daemon().channel().spawn().map(|child| child.kill().and_then(|()| child.join(soon()))),
            fork(both, |_| pause()).map(|child| child.kill().and_then(|()| child.join(soon()))),
            server.start(b"pause", &[], both).map(|child| child.kill().and_then(|()| child.join(soon()))),
        ];
        support::set_fd_limit(whole);
        for result in results {
            match result {
                Ok(ended) => assert_eq!(ended.unwrap(), Exit::Signal(libc::SIGKILL)),
                Err(error) => {
                    assert_eq!(error.os_code(), Some(libc::EMFILE), "{error}");
                    failures += 1;
                }
            }
        }
        assert_eq!(open_fds(), before);
    }
    assert!(failures > 0);
}
