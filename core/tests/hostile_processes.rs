// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bad peers of a server with a process per connection.
//!
//! The server is a process of its own, this program run again: a child of a server in this process would
//! have copies of the clients' sockets, and no client could hang up.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::{AuthOptions, Role, authenticate};
use carrick::server::{Mode, StreamOptions, StreamServer};
use carrick::{Address, Connection, Deadline, Format, Kind, Shutdown, Stream};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use support::serving::{KEY, anywhere, echo_session};
use support::{Test, eventually, open_fds, reset, set_fd_limit, soon};

/// Set in the process that is the server, to how it serves.
const MARK: &str = "CARRICK_TEST_SERVER";

/// Lines of the server begin with this; the test harness prints others.
const WORD: &str = "\ncarrick ";

fn say(text: &str) {
    std::io::stdout().write_all(format!("{WORD}{text}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// Not a test but the server: it does as the lines of its input say, and ends with them.
#[test]
fn serve_in_processes() {
    let Ok(how) = std::env::var(MARK) else { return };
    let _test = Test::begin();
    let mut options = StreamOptions { mode: Mode::Processes(64), ..StreamOptions::default() };
    options.listen.backlog = 256;
    if how == "auth" {
        options.auth =
            Some(AuthOptions { handshake_timeout: Duration::from_secs(2), ..AuthOptions::new(KEY) });
    }
    let server = StreamServer::bind(&anywhere(), options).unwrap();
    let handle = server.handle();
    let mut server = Some(server);
    let mut serving = None;
    say(&handle.address().to_string());
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "serve" => {
                let server = server.take().unwrap();
                serving = Some(std::thread::spawn(move || server.serve(echo_session)));
            }
            "few descriptors" => {
                let open = open_fds();
                let limit = (0..).filter(|fd| !open.contains_key(fd)).nth(6).unwrap();
                set_fd_limit(limit.try_into().unwrap());
            }
            "stats" => {
                let stats = handle.stats();
                say(&format!("{} {} {}", stats.active, stats.failures, stats.accept_failures));
            }
            other => panic!("no such order: {other}"),
        }
    }
    handle.shutdown(soon()).unwrap();
    serving.unwrap().join().unwrap().unwrap();
}

struct Remote {
    process: Child,
    output: BufReader<ChildStdout>,
    address: Address,
    auth: Option<AuthOptions>,
}

impl Remote {
    fn start(auth: bool) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["serve_in_processes", "--exact", "--nocapture", "--test-threads=1"])
            .env(MARK, if auth { "auth" } else { "plain" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let auth = auth.then(|| AuthOptions::new(KEY));
        let mut remote = Self { process, output, address: Address::Unnamed, auth };
        remote.address = remote.line().parse().unwrap();
        remote
    }

    fn order(&mut self, order: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{order}").unwrap();
    }

    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server is gone");
            if let Some(words) = line.strip_prefix(WORD.trim_start()) {
                return words.trim().to_owned();
            }
        }
    }

    /// How many connections are open, and how many handlers and accepts have failed.
    fn stats(&mut self) -> [u64; 3] {
        self.order("stats");
        let numbers: Vec<u64> = self.line().split(' ').map(|n| n.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    }

    fn connect(&self) -> Stream {
        Stream::connect(&self.address, soon()).unwrap()
    }

    fn client(&self) -> Connection {
        let connection = Connection::new(self.connect(), Format::default());
        if let Some(auth) = &self.auth {
            authenticate(&connection, Role::Client, auth).unwrap();
        }
        connection
    }

    fn serves(&self) {
        let client = self.client();
        client.send(b"are you there?", soon()).unwrap();
        assert_eq!(client.recv(soon()).unwrap(), b"are you there?");
    }

    /// The server ends well, with no child and no descriptor left: it checks that itself.
    fn finish(mut self) {
        self.serves();
        eventually("no child runs", || self.stats()[0] == 0);
        drop(self.process.stdin.take());
        let mut rest = String::new();
        while self.output.read_line(&mut rest).unwrap() > 0 {}
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
    }
}

fn ends(stream: &Stream) {
    let mut buf = [0; 512];
    loop {
        match stream.recv(&mut buf, soon()) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.os_code() == Some(libc::ECONNRESET) => return,
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn bad_lengths_and_half_frames_end_their_child_only() {
    let _test = Test::begin();
    let mut server = Remote::start(false);
    server.order("serve");
    let bad: [&[u8]; 6] = [
        &[0xff, 0xff, 0xff, 0xfe],
        &[0x80, 0, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff; 12],
        b"\0\0",
        b"\0\0\0\x05hell",
    ];
    for bytes in bad {
        let stream = server.connect();
        stream.send_all(bytes, soon()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        ends(&stream);
        server.serves();
    }
    eventually("all failures are counted", || server.stats()[1] == 6);
    server.finish();
}

#[test]
fn bad_handshakes_end_their_child_only() {
    let _test = Test::begin();
    let mut server = Remote::start(true);
    server.order("serve");
    let silent = server.connect();
    for bytes in
        [&b"garbage in plenty"[..], &[0xff; 12], b"\0\0\0\x09#WELCOME#", b"\0\0\x01\x01", b"\0\0\0\x05hell"]
    {
        let stream = server.connect();
        stream.send_all(bytes, soon()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        ends(&stream);
        server.serves();
    }
    // The deadline of the handshake.
    ends(&silent);
    let wrong = Connection::new(server.connect(), Format::default());
    let error = authenticate(&wrong, Role::Client, &AuthOptions::new(b"wrong")).unwrap_err();
    assert_eq!(error.kind(), Kind::AuthFailed);
    server.finish();
}

#[test]
fn resets_end_their_child_only() {
    let _test = Test::begin();
    let mut server = Remote::start(true);
    server.order("serve");
    for bytes in
        [&b""[..], b"\0\0", b"\0\0\0\x28{sha256}", b"\0\0\0\x28{sha256}0123456789abcdef0123456789abcdef"]
    {
        let stream = server.connect();
        stream.recv(&mut [0; 128], soon()).unwrap();
        stream.send_all(bytes, soon()).unwrap();
        reset(&stream);
    }
    for bytes in [&b""[..], b"\0\0", b"\0\0\0\x05hell", b"\0\0\0\x05hello"] {
        let client = server.client();
        client.transport().send_all(bytes, soon()).unwrap();
        let stream = client.transport().clone();
        drop(client);
        reset(&stream);
    }
    server.finish();
}

#[test]
fn without_descriptors_nobody_is_lost_and_no_child_is_left() {
    let _test = Test::begin();
    let mut server = Remote::start(false);
    // They wait in the kernel's queue, for more than there will be descriptors.
    let clients: Vec<Connection> = (0..20).map(|_| server.client()).collect();
    server.order("few descriptors");
    server.order("serve");
    eventually("accept has failed", || server.stats()[2] > 0);
    for client in clients {
        client.send(b"my turn", soon()).unwrap();
        match client.recv(Deadline::after(Duration::from_secs(20))) {
            Ok(body) => assert_eq!(body, b"my turn"),
            // The one for whose child there was no descriptor.
            Err(e) => assert!(matches!(e.kind(), Kind::Eof | Kind::Os), "{e}"),
        }
    }
    server.finish();
}
