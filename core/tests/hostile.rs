// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bad input and bad peers get the documented answer, for themselves only. After each attack the server
//! serves a good client, and at the end of each test nothing is left open.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::{Answer, AuthOptions, Challenge, Digest, Key, Policy, Role, authenticate};
use carrick::server::{MessageOptions, MessageServer, Mode, Request, Session, StreamOptions, StreamServer};
use carrick::{Connection, Deadline, Format, Kind, ListenOptions, Shutdown, Stream};
use std::time::Duration;
use support::serving::{KEY, Served, Sort, anywhere, echo, echo_session};
use support::{Test, eventually, in_child, open_fds, raise_fd_limit, reset, resident, set_fd_limit, soon};

const ALL: [Sort; 3] = [Sort::Message, Sort::Threads, Sort::InTurn];
const SIDE_BY_SIDE: [Sort; 2] = [Sort::Message, Sort::Threads];
/// Longer than anything here takes that is to happen, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

/// Waits for the server to end this connection, and wants it to send nothing before.
#[track_caller]
fn is_cut_off(stream: &Stream) {
    let received = drained(stream);
    assert!(received.is_empty(), "the server sent {received:?}");
}

/// The bytes that come until the server ends this connection.
#[track_caller]
fn drained(stream: &Stream) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match stream.recv(&mut buf, soon()) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(&buf[..n]),
            Err(e) if e.os_code() == Some(libc::ECONNRESET) => return all,
            Err(e) => panic!("the connection was to end: {e}"),
        }
    }
}

/// Sends each of `attacks` on a connection of its own, to servers of all sorts.
fn each_is_cut_off(sorts: &[Sort], attacks: &[&[u8]]) {
    let _test = Test::begin();
    for sort in sorts {
        let served = Served::echo(*sort, None);
        for attack in attacks {
            let bad = served.connect();
            bad.send_all(attack, soon()).unwrap();
            is_cut_off(&bad);
            served.serves();
        }
        served.is_quiet();
        let stats = served.handle.stats();
        let counted = if *sort == Sort::Message { stats.limit_failures } else { stats.failures };
        assert_eq!(counted, attacks.len() as u64, "{sort:?}: {stats:?}");
        served.finish();
    }
}

#[test]
fn a_negative_length_ends_its_connection_only() {
    each_is_cut_off(&ALL, &[&(-2_i32).to_be_bytes(), &i32::MIN.to_be_bytes()]);
}

#[test]
fn a_length_over_the_cap_ends_its_connection_only() {
    let over = u32::try_from(Format::default().cap() + 1).unwrap();
    let long = [&[0xff; 4][..], &(1_u64 << 40).to_be_bytes()].concat();
    each_is_cut_off(&ALL, &[&over.to_be_bytes(), &i32::MAX.to_be_bytes(), &long]);
}

#[test]
fn a_length_of_2_to_the_64_less_1_ends_its_connection_only() {
    each_is_cut_off(&ALL, &[&[0xff; 12]]);
}

#[test]
fn a_bad_length_after_good_requests_loses_none_of_their_replies() {
    let _test = Test::begin();
    for sort in ALL {
        let served = Served::echo(sort, None);
        let bad = served.connect();
        bad.send_all(b"\0\0\0\x03one\0\0\0\x03two\xff\xff\xff\xfe", soon()).unwrap();
        assert_eq!(drained(&bad), b"\0\0\0\x03one\0\0\0\x03two", "{sort:?}");
        served.finish();
    }
}

#[test]
fn a_length_without_a_body_takes_no_memory_and_nobody_waits() {
    let _test = Test::begin();
    for sort in [Sort::Message, Sort::Threads] {
        let served = Served::echo(sort, None);
        served.serves();
        let before = resident();
        let announced = u32::try_from(Format::default().cap()).unwrap();
        let bad: Vec<Stream> = (0..40)
            .map(|_| {
                let stream = served.connect();
                stream.send_all(&[&announced.to_be_bytes()[..], b"a little"].concat(), soon()).unwrap();
                stream
            })
            .collect();
        eventually("all have arrived", || served.handle.stats().active == 40);
        served.serves();
        // 40 times 64 MiB were announced.
        let taken = resident().saturating_sub(before);
        assert!(taken < 64 << 20, "{sort:?} took {taken} bytes");
        drop(bad);
        served.is_quiet();
        served.finish();
    }
}

#[test]
fn a_peer_that_closes_inside_the_header_or_the_body_is_let_go() {
    let _test = Test::begin();
    for sort in ALL {
        let served = Served::echo(sort, None);
        for part in [
            &b""[..],
            b"\0",
            b"\0\0\0",
            b"\xff\xff\xff\xff",
            b"\xff\xff\xff\xff\0\0",
            b"\0\0\0\x05",
            b"\0\0\0\x05hell",
        ] {
            let bad = served.connect();
            bad.send_all(part, soon()).unwrap();
            bad.shutdown(Shutdown::Write).unwrap();
            is_cut_off(&bad);
        }
        served.is_quiet();
        served.finish();
    }
}

/// Sends one byte after the other until the server has had enough.
#[track_caller]
fn trickle(stream: &Stream, bytes: impl IntoIterator<Item = u8>) {
    for byte in bytes {
        match stream.send_all(&[byte], soon()) {
            Ok(()) => {}
            Err(e) if matches!(e.os_code(), Some(libc::EPIPE | libc::ECONNRESET)) => return,
            Err(e) => panic!("{e}"),
        }
        match stream.recv(&mut [0; 64], Deadline::after(SHORT / 20)) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == Kind::Timeout => {}
            Err(e) if e.os_code() == Some(libc::ECONNRESET) => return,
            Err(e) => panic!("{e}"),
        }
    }
    panic!("the server took every byte");
}

#[test]
fn a_slow_loris_in_the_header_or_the_body_is_cut_off_by_the_request_timeout() {
    let _test = Test::begin();
    let options = MessageOptions { request_timeout: Some(SHORT), ..MessageOptions::default() };
    let served = Served::message(options, echo);
    let header = served.connect();
    let body = served.connect();
    header.send_all(b"\0\0", soon()).unwrap();
    is_cut_off(&header);
    body.send_all(b"\0\0\x10\0", soon()).unwrap();
    trickle(&body, [b'x'; 4096]);
    served.serves();
    served.is_quiet();
    assert_eq!(served.handle.stats().limit_failures, 2);
    served.finish();
}

#[test]
fn a_slow_loris_does_not_stretch_the_deadline_of_a_blocking_handler() {
    let _test = Test::begin();
    for mode in [Mode::Threads(8), Mode::InTurn, Mode::Processes(4)] {
        let options = StreamOptions { mode, ..StreamOptions::default() };
        let served = Served::stream(options, |session: &Session<'_>| {
            let connection = session.framed(Format::default());
            let body = connection.recv(Deadline::after(SHORT))?;
            connection.send(&body, soon())
        });
        let slow = served.connect();
        slow.send_all(b"\0\0\x10\0", soon()).unwrap();
        trickle(&slow, [b'x'; 4096]);
        served.serves();
        eventually("the failure is counted", || served.handle.stats().failures == 1);
        served.finish();
    }
}

#[test]
fn a_connection_without_a_request_is_cut_off_by_the_idle_timeout() {
    let _test = Test::begin();
    let options = MessageOptions { idle_timeout: Some(SHORT), ..MessageOptions::default() };
    let served = Served::message(options, echo);
    let fresh = served.connect();
    let used = served.client();
    used.send(b"once", soon()).unwrap();
    assert_eq!(used.recv(soon()).unwrap(), b"once");
    is_cut_off(&fresh);
    assert_eq!(used.recv(soon()).unwrap_err().kind(), Kind::Eof);
    served.finish();
}

fn with_key(handshake_timeout: Duration) -> AuthOptions {
    AuthOptions { handshake_timeout, ..AuthOptions::new(KEY) }
}

#[test]
fn a_slow_loris_in_the_handshake_is_cut_off_and_holds_up_nobody() {
    let _test = Test::begin();
    for sort in SIDE_BY_SIDE {
        // Long enough for an honest client on a busy machine.
        let served = Served::echo(sort, Some(with_key(Duration::from_secs(2))));
        let silent: Vec<Stream> = (0..10).map(|_| served.connect()).collect();
        let slow = served.connect();
        slow.send_all(b"\0\0\0\xff", soon()).unwrap();
        served.serves();
        trickle(&slow, [b'x'; 255]);
        for stream in silent {
            assert!(drained(&stream).starts_with(b"\0\0\0\x3b#CHALLENGE#{sha256}"), "{sort:?}");
        }
        served.is_quiet();
        served.finish();
    }
}

/// The behaviour of a fake client after it has received the challenge.
type Fake<'a> = &'a dyn Fn(&Connection, &[u8]);

/// Runs each of these against servers that ask for a key; none gets in.
fn none_gets_in(policy: Policy, fakes: &[(&str, Fake<'_>)]) {
    let _test = Test::begin();
    for sort in ALL {
        let auth = AuthOptions { policy, ..with_key(Duration::from_secs(60)) };
        let served = Served::echo(sort, Some(auth));
        for (name, fake) in fakes {
            let raw = served.connect();
            let bad = Connection::new(raw.clone(), Format::default());
            let challenge = bad.recv(soon()).unwrap();
            fake(&bad, &challenge);
            // The verdict is all it hears, and there is one word for every failure.
            match bad.recv(soon()) {
                Ok(verdict) => {
                    assert_eq!(verdict, b"#FAILURE#", "{sort:?} {name}");
                    assert!(bad.recv(soon()).is_err(), "{sort:?} {name}");
                }
                Err(e) => assert!(matches!(e.kind(), Kind::Eof | Kind::Os), "{sort:?} {name}: {e}"),
            }
            served.serves();
        }
        if sort != Sort::Processes {
            let refused = served.handle.stats().auth_failures;
            assert_eq!(refused, fakes.len() as u64, "{sort:?}");
        }
        served.finish();
    }
}

fn answered(key: &[u8], challenge: &[u8]) -> Vec<u8> {
    Answer::new(&Key::new(key), Policy::default(), Role::Client).challenge(challenge).unwrap()
}

fn tagged(name: &str, digest: Digest, challenge: &[u8]) -> Vec<u8> {
    let tag = carrick::auth::mac(digest, KEY, &challenge[11..]).unwrap();
    [name.as_bytes(), tag.bytes()].concat()
}

#[test]
fn a_client_without_the_key_does_not_get_in() {
    none_gets_in(
        Policy::default(),
        &[
            ("garbage", &|c, _| c.send(b"open, sesame", soon()).unwrap()),
            ("nothing at all", &|c, _| c.send(b"", soon()).unwrap()),
            ("the wrong key", &|c, challenge| c.send(&answered(b"wrong", challenge), soon()).unwrap()),
            ("the welcome", &|c, _| c.send(b"#WELCOME#", soon()).unwrap()),
            ("the challenge itself", &|c, challenge| c.send(challenge, soon()).unwrap()),
            ("256 bytes", &|c, _| c.send(&[b'x'; 256], soon()).unwrap()),
            ("257 bytes", &|c, _| c.send(&[b'x'; 257], soon()).unwrap()),
            ("a negative length", &|c, _| c.transport().send_all(&[0xff, 0, 0, 0], soon()).unwrap()),
            ("2^64 - 1 bytes", &|c, _| c.transport().send_all(&[0xff; 12], soon()).unwrap()),
            ("a hang-up", &|c, _| c.transport().shutdown(Shutdown::Write).unwrap()),
        ],
    );
}

#[test]
fn a_wrong_digest_name_does_not_get_in() {
    none_gets_in(
        Policy::default(),
        &[
            ("an unknown name", &|c, ch| c.send(&tagged("{sha255}", Digest::Sha256, ch), soon()).unwrap()),
            ("another's name", &|c, ch| c.send(&tagged("{sha3_256}", Digest::Sha256, ch), soon()).unwrap()),
            ("no name", &|c, ch| c.send(&tagged("", Digest::Sha256, ch), soon()).unwrap()),
            ("sha1", &|c, ch| c.send(&tagged("{sha1}", Digest::Sha1, ch), soon()).unwrap()),
        ],
    );
}

#[test]
fn a_digest_below_the_policy_does_not_get_in_with_the_right_key() {
    let policy = Policy { digest: Digest::Sha384, min_digest: Digest::Sha384 };
    none_gets_in(
        policy,
        &[
            ("md5", &|c, ch| c.send(&tagged("{md5}", Digest::Md5, ch), soon()).unwrap()),
            ("md5 as python 3.11", &|c, ch| c.send(&tagged("", Digest::Md5, ch), soon()).unwrap()),
            ("sha256", &|c, ch| c.send(&tagged("{sha256}", Digest::Sha256, ch), soon()).unwrap()),
        ],
    );
}

/// A fake server: sends `bytes` to our client, which must end with this kind of error.
fn client_gets(bytes: &[u8], kind: Kind, words: &[&str]) {
    let (left, right) = Stream::pair().unwrap();
    let client = Connection::new(left, Format::default());
    right.send_all(bytes, soon()).unwrap();
    right.shutdown(Shutdown::Write).unwrap();
    let error = client.recv(soon()).unwrap_err();
    assert_eq!(error.kind(), kind, "{bytes:?}: {error}");
    for word in words {
        assert!(error.to_string().contains(word), "'{error}' lacks '{word}'");
    }
}

#[test]
fn a_client_is_told_what_its_server_did_wrong() {
    let _test = Test::begin();
    client_gets(b"", Kind::Eof, &["receive frame"]);
    client_gets(&(-2_i32).to_be_bytes(), Kind::BadFrame, &["negative length -2"]);
    client_gets(&i32::MAX.to_be_bytes(), Kind::FrameTooLarge, &["2147483647", "67108864", "raise it"]);
    client_gets(&[0xff; 12], Kind::FrameTooLarge, &["18446744073709551615", "67108864", "raise it"]);
    client_gets(b"\0\0", Kind::BadFrame, &["closed after 2 bytes"]);
    client_gets(b"\0\0\0\x05hell", Kind::BadFrame, &["1 bytes before the end of a frame of 5"]);
    client_gets(b"\0\0\0\x05", Kind::BadFrame, &["5 bytes before"]);
}

#[test]
fn a_client_refuses_a_server_without_the_key() {
    let _test = Test::begin();
    let garbage: [&[u8]; 5] =
        [b"garbage", b"", b"#CHALLENGE#short", &[b'#'; 257], b"#CHALLENGE#{sha255}0123456789abcdef"];
    for message in garbage {
        let (left, right) = Stream::pair().unwrap();
        Connection::new(right.clone(), Format::default()).send(message, soon()).unwrap();
        let client = Connection::new(left, Format::default());
        let error = authenticate(&client, Role::Client, &AuthOptions::new(KEY)).unwrap_err();
        assert_eq!(error.kind(), Kind::AuthFailed, "{message:?}: {error}");
    }
}

/// Plays an honest client as far as `steps` says, then resets the connection.
fn reset_after(served: &Served, steps: usize) {
    let raw = served.connect();
    let send = |bytes: &[u8]| raw.send_all(bytes, soon()).unwrap();
    let framed = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let (challenge, question) = Challenge::new(&Key::new(KEY), Policy::default(), Role::Client).unwrap();
    let question = framed(&question);
    let c = Connection::new(raw.clone(), Format::default());
    let mut response = Vec::new();
    for step in 0..steps {
        match step {
            0 => response = framed(&answered(KEY, &c.recv(soon()).unwrap())),
            1 => send(&response[..2]),
            2 => send(&response[2..9]),
            3 => send(&response[9..]),
            4 => assert_eq!(c.recv(soon()).unwrap(), b"#WELCOME#"),
            5 => send(&question[..3]),
            6 => send(&question[3..]),
            7 => {
                let step = challenge.response(&c.recv(soon()).unwrap()).unwrap();
                assert_eq!(step, carrick::auth::Step::Finish(b"#WELCOME#".to_vec()));
            }
            8 => send(&framed(b"#WELCOME#")),
            9 => send(b"\0\0"),
            10 => send(b"\0\x05"),
            11 => send(b"he"),
            12 => send(b"llo"),
            13 => assert_eq!(c.recv(soon()).unwrap(), b"hello"),
            _ => panic!("there is no step {step}"),
        }
    }
    drop(c);
    reset(&raw);
}

/// Steps of a handshake, one request and its reply.
const RESET_STEPS: usize = 14;

#[test]
fn a_reset_at_any_step_of_the_handshake_and_of_a_frame_is_survived() {
    let _test = Test::begin();
    for sort in ALL {
        let served = Served::echo(sort, Some(with_key(Duration::from_secs(60))));
        for steps in 0..=RESET_STEPS {
            reset_after(&served, steps);
        }
        served.serves();
        served.is_quiet();
        served.finish();
    }
}

#[test]
fn five_thousand_connections_at_once_are_all_served() {
    let _test = Test::begin();
    // Each has two ends in this process.
    let count = usize::try_from((raise_fd_limit() - 200) / 2).unwrap().min(5000);
    let served = Served::echo(Sort::Message, None);
    let clients: Vec<Connection> = (0..count).map(|_| served.client()).collect();
    eventually("all are connected", || served.handle.stats().active == count as u64);
    for (i, client) in clients.iter().enumerate() {
        client.send(&i.to_le_bytes(), soon()).unwrap();
    }
    for (i, client) in clients.iter().enumerate() {
        assert_eq!(client.recv(soon()).unwrap(), i.to_le_bytes());
    }
    drop(clients);
    served.is_quiet();
    served.finish();
}

#[test]
fn thousands_of_connections_wait_for_a_few_threads() {
    let _test = Test::begin();
    let count = usize::try_from(raise_fd_limit() - 200).unwrap().min(3000);
    let served = Served::echo(Sort::Threads, None);
    let clients: Vec<Connection> = (0..count)
        .map(|_| {
            let client = served.client();
            client.send(b"my turn?", soon()).unwrap();
            client.transport().shutdown(Shutdown::Write).unwrap();
            client
        })
        .collect();
    for client in &clients {
        assert_eq!(client.recv(soon()).unwrap(), b"my turn?");
    }
    drop(clients);
    served.is_quiet();
    served.finish();
}

/// A request that costs the client nothing and the server a reply of this size.
const REPLY: usize = 16 << 10;

fn large_reply(request: &mut Request<'_>) -> carrick::Result<()> {
    let body = if request.body().is_empty() { vec![b'x'; REPLY] } else { request.body().to_vec() };
    request.reply(&body)
}

#[test]
fn a_client_that_never_reads_costs_bounded_memory_and_loses_nothing_when_it_does() {
    let _test = Test::begin();
    let options = MessageOptions { request_timeout: None, ..MessageOptions::default() };
    let served = Served::message(options, large_reply);
    served.serves();
    let before = resident();
    // 16,384 empty requests fit one read of the server; their replies are 256 MiB.
    let count = 16 << 10;
    let greedy = served.client();
    greedy.transport().send_all(&vec![0; 4 * count], soon()).unwrap();
    eventually("requests are handled", || served.handle.stats().requests > 1);
    // The greedy one's turn is over once another is served twice.
    served.serves();
    served.serves();
    let taken = resident().saturating_sub(before);
    assert!(taken < 32 << 20, "{taken} bytes for one client that does not read");
    for _ in 0..count {
        assert_eq!(greedy.recv(soon()).unwrap().len(), REPLY);
    }
    greedy.send(b"still in step?", soon()).unwrap();
    assert_eq!(greedy.recv(soon()).unwrap(), b"still in step?");
    drop(greedy);
    served.finish();
}

#[test]
fn a_client_that_never_reads_is_cut_off_by_the_request_timeout() {
    let _test = Test::begin();
    let options = MessageOptions { request_timeout: Some(SHORT), ..MessageOptions::default() };
    let served = Served::message(options, large_reply);
    let greedy = served.client();
    greedy.transport().send_all(&vec![0; 4 << 12], soon()).unwrap();
    eventually("it is cut off", || served.handle.stats().limit_failures == 1);
    served.is_quiet();
    served.finish();
}

/// The limit on descriptors that leaves this many free.
fn limit_that_leaves(free: usize) -> u64 {
    let open = open_fds();
    (0..).filter(|number| !open.contains_key(number)).nth(free).unwrap().try_into().unwrap()
}

#[test]
fn accept_without_descriptors_rests_and_goes_on_when_there_are_some() {
    const NAME: &str = "accept_without_descriptors_rests_and_goes_on_when_there_are_some";
    if !in_child(NAME) {
        return;
    }
    let _test = Test::begin();
    let most = raise_fd_limit();
    for sort in SIDE_BY_SIDE {
        let listen = ListenOptions { backlog: 256, ..ListenOptions::default() };
        let (handle, serving): (_, Box<dyn FnOnce() -> carrick::Result<()> + Send>) = match sort {
            Sort::Message => {
                let options = MessageOptions { listen, ..MessageOptions::default() };
                let server = MessageServer::bind(&anywhere(), options).unwrap();
                (server.handle(), Box::new(move || server.serve(echo)))
            }
            _ => {
                let mode = if sort == Sort::Threads { Mode::Threads(64) } else { Mode::Processes(64) };
                let options = StreamOptions { listen, mode, ..StreamOptions::default() };
                let server = StreamServer::bind(&anywhere(), options).unwrap();
                (server.handle(), Box::new(move || server.serve(echo_session)))
            }
        };
        // They wait in the kernel's queue, for more than there will be descriptors.
        let connect =
            || Connection::new(Stream::connect(handle.address(), soon()).unwrap(), Format::default());
        let clients: Vec<Connection> = (0..30).map(|_| connect()).collect();
        set_fd_limit(limit_that_leaves(8));
        let thread = std::thread::spawn(serving);
        eventually("accept has failed", || handle.stats().accept_failures > 0);
        // Those that got in are served.
        clients[0].send(b"first", soon()).unwrap();
        assert_eq!(clients[0].recv(soon()).unwrap(), b"first", "{sort:?}");
        // Each that leaves makes room for another.
        for client in clients {
            client.send(b"next", soon()).unwrap();
            assert_eq!(client.recv(soon()).unwrap(), b"next", "{sort:?}");
            client.close();
        }
        set_fd_limit(most);
        let late = connect();
        late.send(b"late", soon()).unwrap();
        assert_eq!(late.recv(soon()).unwrap(), b"late", "{sort:?}");
        drop(late);
        handle.shutdown(soon()).unwrap();
        thread.join().unwrap().unwrap();
    }
}
