// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets: families, options, closing, adoption, readiness, and the errors of the operating system.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::net::UNIX_PATH_MAX;
use carrick::{
    Address, Datagram, Deadline, Error, Kind, ListenOptions, Listener, Poller, Readiness, Shutdown,
    SocketOptions, Stream,
};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;
use support::{Test, moment, soon};

const READ: Readiness = Readiness { readable: true, writable: false };

fn listen(address: &str) -> Listener {
    Listener::bind(&address.parse().unwrap(), &ListenOptions::default()).unwrap()
}

/// A name that no other run of this test has.
fn unique(what: &str) -> String {
    format!("carrick-test-{}-{what}", std::process::id())
}

fn os(error: &Error) -> i32 {
    assert_eq!(error.kind(), Kind::Os, "{error}");
    error.os_code().unwrap()
}

fn talk(listener: &Listener) -> (Stream, Stream, Address) {
    let client = Stream::connect(&listener.local_address().unwrap(), soon()).unwrap();
    let (server, from) = listener.accept(soon()).unwrap();
    client.send_all(b"ping", soon()).unwrap();
    let mut buf = [0; 8];
    assert_eq!(server.recv(&mut buf, soon()).unwrap(), 4);
    assert_eq!(&buf[..4], b"ping");
    server.send_all(b"pong", soon()).unwrap();
    assert_eq!(client.recv(&mut buf, soon()).unwrap(), 4);
    assert_eq!(client.traffic(), (4, 4));
    (client, server, from)
}

#[test]
fn every_family_of_streams_connects_and_tells_its_names() {
    let _test = Test::begin();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = listen(address);
        assert_ne!(listener.local_address().unwrap().port(), Some(0));
        let (client, server, from) = talk(&listener);
        assert_eq!(client.local_address().unwrap(), from);
        assert_eq!(server.peer_address().unwrap(), from);
        assert_eq!(client.peer_address().unwrap(), listener.local_address().unwrap());
        assert_eq!(client.peer_address().unwrap(), server.local_address().unwrap());
        assert!(client.tcp_nodelay().unwrap() && server.tcp_nodelay().unwrap());
    }
    let path = std::env::temp_dir().join(unique("path"));
    for address in [Address::Unix(path.clone()), Address::Abstract(unique("name").into_bytes())] {
        let listener = Listener::bind(&address, &ListenOptions::default()).unwrap();
        assert_eq!(listener.local_address().unwrap(), address);
        let (client, _server, from) = talk(&listener);
        assert_eq!(from, Address::Unnamed);
        assert_eq!(client.peer_address().unwrap(), address);
    }
    assert!(!path.exists(), "the path goes with its listener");
}

#[test]
fn every_family_of_datagrams_carries_them_with_their_bounds() {
    let _test = Test::begin();
    let names = ["127.0.0.1:0".to_owned(), "[::1]:0".to_owned(), format!("unix:@{}", unique("datagram"))];
    for address in names {
        let server = Datagram::bind(&address.parse().unwrap()).unwrap();
        let to = server.local_address().unwrap();
        let client = Datagram::unbound(&to).unwrap();
        for data in [&b"one"[..], b"", b"three"] {
            client.send_to(data, &to, soon()).unwrap();
        }
        let mut buf = [0; 4];
        assert_eq!(server.recv_from(&mut buf, soon()).unwrap().0, 3);
        assert_eq!(server.recv_from(&mut buf, soon()).unwrap().0, 0);
        let error = server.recv_from(&mut buf, soon()).unwrap_err();
        assert_eq!((error.kind(), error.needed()), (Kind::Buffer, Some(5)));
        assert_eq!(server.recv_from(&mut buf, Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
        assert_eq!(server.recv_from(&mut buf, moment()).unwrap_err().kind(), Kind::Timeout);
    }
}

#[test]
fn a_datagram_over_65507_bytes_is_emsgsize_and_says_why() {
    let _test = Test::begin();
    let server = Datagram::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let to = server.local_address().unwrap();
    let error = server.send_to(&[0; 65_508], &to, soon()).unwrap_err();
    assert_eq!(os(&error), libc::EMSGSIZE);
    for word in ["65508", "65507"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    server.send_to(&[0; 65_507], &to, soon()).unwrap();
    assert_eq!(server.recv_from(&mut vec![0; 65_507], soon()).unwrap().0, 65_507);
}

#[test]
fn options_are_read_back_as_they_were_set() {
    let _test = Test::begin();
    let listener = listen("127.0.0.1:0");
    let (client, _server, _) = talk(&listener);
    for on in [false, true] {
        client.set_tcp_nodelay(on).unwrap();
        assert_eq!(client.tcp_nodelay().unwrap(), on);
        client.set_keep_alive(on.then_some(Duration::from_secs(30))).unwrap();
        assert_eq!(client.keep_alive().unwrap(), on);
        client.set_reuse_address(on).unwrap();
        assert_eq!(client.reuse_address().unwrap(), on);
        let linger = on.then_some(Duration::from_secs(5));
        client.set_linger(linger).unwrap();
        assert_eq!(client.linger().unwrap(), linger);
    }
    client.set_linger(None).unwrap();
    for size in [8 << 10, 64 << 10] {
        client.set_send_buffer_size(size).unwrap();
        client.set_recv_buffer_size(size).unwrap();
        assert!(client.send_buffer_size().unwrap() >= size);
        assert!(client.recv_buffer_size().unwrap() >= size);
    }
    let datagram = Datagram::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    datagram.set_broadcast(true).unwrap();
    assert!(datagram.broadcast().unwrap());
    let refused = os(&datagram.set_tcp_nodelay(true).unwrap_err());
    assert!(matches!(refused, libc::ENOPROTOOPT | libc::EOPNOTSUPP));
    client.close();
    assert_eq!(client.set_tcp_nodelay(true).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn a_port_in_use_is_refused_by_name_unless_both_share_it() {
    let _test = Test::begin();
    let first = listen("127.0.0.1:0");
    let address = first.local_address().unwrap();
    let error = Listener::bind(&address, &ListenOptions::default()).unwrap_err();
    assert_eq!(os(&error), libc::EADDRINUSE);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let one = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &shared).unwrap();
    Listener::bind(&one.local_address().unwrap(), &shared).unwrap();
    let name = Address::Abstract(unique("in use").into_bytes());
    let _kept = Listener::bind(&name, &ListenOptions::default()).unwrap();
    assert_eq!(os(&Listener::bind(&name, &ListenOptions::default()).unwrap_err()), libc::EADDRINUSE);
}

#[test]
fn a_port_out_of_range_and_an_over_long_path_name_the_limit() {
    let _test = Test::begin();
    for port in ["65536", "-1", "http-ish"] {
        let error = format!("127.0.0.1:{port}").parse::<Address>().unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(port) && error.to_string().contains("0 to 65535"), "{error}");
    }
    let long = Address::Unix(PathBuf::from(format!("/tmp/{}", "x".repeat(UNIX_PATH_MAX))));
    for error in [
        Listener::bind(&long, &ListenOptions::default()).map(drop).unwrap_err(),
        Stream::connect(&long, soon()).map(drop).unwrap_err(),
        Datagram::bind(&long).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Invalid);
        for word in ["112 bytes", "107", "shorter path"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn a_path_of_the_longest_length_can_be_listened_on() {
    let _test = Test::begin();
    let mut path = std::env::temp_dir().join(unique("longest")).into_os_string().into_string().unwrap();
    path.push_str(&"x".repeat(UNIX_PATH_MAX - path.len()));
    let address = Address::Unix(PathBuf::from(&path));
    let listener = Listener::bind(&address, &ListenOptions::default()).unwrap();
    assert_eq!(listener.local_address().unwrap(), address);
    talk(&listener);
    listener.close();
    assert!(!PathBuf::from(path).exists());
}

#[test]
fn a_path_with_a_zero_byte_is_refused_not_cut_short() {
    let _test = Test::begin();
    for path in ["/tmp/a\0b", "\0a"] {
        let error = Listener::bind(&Address::Unix(path.into()), &ListenOptions::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert!(error.to_string().contains("zero byte"), "{error}");
    }
}

#[test]
fn connecting_to_nobody_is_refused_by_name() {
    let _test = Test::begin();
    let listener = listen("127.0.0.1:0");
    let address = listener.local_address().unwrap();
    listener.close();
    let error = Stream::connect(&address, soon()).unwrap_err();
    assert_eq!(os(&error), libc::ECONNREFUSED);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let nowhere = Address::Abstract(unique("nobody").into_bytes());
    assert_eq!(os(&Stream::connect(&nowhere, soon()).unwrap_err()), libc::ECONNREFUSED);
    assert_eq!(Stream::connect(&Address::Unnamed, soon()).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_full_backlog_makes_connect_time_out() {
    let _test = Test::begin();
    let name = Address::Abstract(unique("full").into_bytes());
    let options = ListenOptions { backlog: 1, ..ListenOptions::default() };
    let _listener = Listener::bind(&name, &options).unwrap();
    let waiting: Vec<Stream> =
        std::iter::from_fn(|| Stream::connect(&name, moment()).ok()).take(10).collect();
    assert!((1..10).contains(&waiting.len()));
    assert_eq!(Stream::connect(&name, moment()).unwrap_err().kind(), Kind::Timeout);
}

#[test]
fn sending_to_a_closed_peer_is_epipe_and_on_a_closed_socket_closed() {
    let _test = Test::begin();
    let (client, server) = Stream::pair().unwrap();
    server.close();
    assert_eq!(os(&client.send(b"x", soon()).unwrap_err()), libc::EPIPE);
    assert_eq!(client.recv(&mut [0; 4], soon()).unwrap(), 0);
    let error = server.send(b"x", soon()).unwrap_err();
    assert_eq!((error.kind(), error.os_code()), (Kind::Closed, Some(libc::EBADF)));
    assert_eq!(server.recv(&mut [0; 4], soon()).unwrap_err().kind(), Kind::Closed);
    assert_eq!(server.local_address().unwrap_err().kind(), Kind::Closed);
    assert_eq!(server.fd().unwrap_err().kind(), Kind::Closed);
    assert!(server.is_closed());
    server.close();
}

#[test]
fn closing_wakes_whoever_waits() {
    let _test = Test::begin();
    let listener = listen("127.0.0.1:0");
    let (tcp, _other, _) = talk(&listener);
    let (unix, _peer) = Stream::pair().unwrap();
    let datagram = Datagram::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    std::thread::scope(|scope| {
        let waits = [
            scope.spawn(|| tcp.recv(&mut [0; 1], Deadline::NEVER).unwrap_err().kind()),
            scope.spawn(|| tcp.send_all(&vec![0; 64 << 20], Deadline::NEVER).unwrap_err().kind()),
            scope.spawn(|| unix.recv(&mut [0; 1], Deadline::NEVER).unwrap_err().kind()),
            scope.spawn(|| unix.wait_readable(Deadline::NEVER).unwrap_err().kind()),
            scope.spawn(|| datagram.recv_from(&mut [0; 1], Deadline::NEVER).unwrap_err().kind()),
            scope.spawn(|| listener.accept(Deadline::NEVER).unwrap_err().kind()),
        ];
        // They may close before or while the others wait: either way those end.
        tcp.close();
        unix.close();
        datagram.close();
        listener.close();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Kind::Closed);
        }
    });
}

#[test]
fn close_does_not_cut_off_others_who_share_an_adopted_descriptor() {
    let _test = Test::begin();
    let (ours, theirs) = Stream::pair().unwrap();
    let fd = ours.into_fd().unwrap();
    let copy = Stream::from_fd(fd.try_clone().unwrap()).unwrap();
    let adopted = Stream::from_fd(fd).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| adopted.recv(&mut [0; 1], Deadline::NEVER).unwrap_err().kind());
        adopted.close();
        assert_eq!(waiting.join().unwrap(), Kind::Closed);
    });
    copy.send_all(b"still open", soon()).unwrap();
    assert_eq!(theirs.recv(&mut [0; 16], soon()).unwrap(), 10);
}

#[test]
fn adoption_takes_what_is_open_and_of_the_right_kind() {
    let _test = Test::begin();
    let listener = listen("127.0.0.1:0");
    let again = OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let adopted = Listener::from_fd(again).unwrap();
    talk(&adopted);
    let (client, _server, _) = talk(&listener);
    let client = Stream::from_fd(client.into_fd().unwrap()).unwrap();
    assert!(client.peer_address().unwrap().port().is_some());
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    assert_eq!(os(&Datagram::from_fd(file.try_clone().unwrap()).unwrap_err()), libc::ENOTSOCK);
    assert_eq!(os(&Listener::from_fd(file.try_clone().unwrap()).unwrap_err()), libc::ENOTSOCK);
    let plain = Stream::from_fd(file).unwrap();
    assert_eq!(plain.recv(&mut [0; 1], soon()).unwrap(), 0);
    assert_eq!(os(&plain.local_address().unwrap_err()), libc::ENOTSOCK);
}

#[test]
fn a_poller_reports_what_is_ready_for_as_long_as_it_is() {
    let _test = Test::begin();
    let poller = Poller::new().unwrap();
    let pairs: Vec<(Stream, Stream)> = (0..100).map(|_| Stream::pair().unwrap()).collect();
    for (token, (left, _)) in (0..).zip(&pairs) {
        poller.add(left.fd().unwrap(), token, READ).unwrap();
    }
    assert_eq!(poller.len(), 100);
    assert!(poller.wait(16, Deadline::NOW).unwrap().is_empty());
    assert!(poller.wait(16, moment()).unwrap().is_empty());
    for i in [3, 50, 97] {
        pairs[i].1.send_all(b"x", soon()).unwrap();
    }
    for _ in 0..2 {
        let mut tokens: Vec<u64> = poller.wait(16, soon()).unwrap().iter().map(|r| r.token).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, [3, 50, 97]);
    }
    assert_eq!(poller.wait(1, soon()).unwrap().len(), 1);
    for i in [3, 50, 97] {
        poller.remove(pairs[i].0.fd().unwrap()).unwrap();
    }
    let (left, right) = &pairs[0];
    poller.modify(left.fd().unwrap(), Readiness { readable: true, writable: true }).unwrap();
    let ready = poller.wait(16, soon()).unwrap();
    assert_eq!((ready.len(), ready[0].token, ready[0].readable, ready[0].writable), (1, 0, false, true));
    right.close();
    let ready = poller.wait(16, soon()).unwrap();
    assert!(ready[0].readable && ready[0].hung_up);
    for (left, _) in &pairs {
        let _ = poller.remove(left.fd().unwrap());
    }
    assert!(poller.is_empty());
}

#[test]
fn a_poller_is_woken_from_another_thread() {
    let _test = Test::begin();
    let poller = Poller::new().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poller.wait(16, Deadline::NEVER).unwrap());
        poller.wake();
        assert!(waiting.join().unwrap().is_empty());
    });
}

#[test]
fn a_poller_refuses_what_it_cannot_watch() {
    let _test = Test::begin();
    let poller = Poller::new().unwrap();
    let (left, _right) = Stream::pair().unwrap();
    let fd = left.fd().unwrap();
    assert_eq!(os(&poller.modify(fd, READ).unwrap_err()), libc::ENOENT);
    assert_eq!(os(&poller.remove(fd).unwrap_err()), libc::ENOENT);
    assert_eq!(poller.add(fd, u64::MAX, READ).unwrap_err().kind(), Kind::Invalid);
    poller.add(fd, 0, READ).unwrap();
    assert_eq!(os(&poller.add(fd, 1, READ).unwrap_err()), libc::EEXIST);
    assert_eq!(os(&poller.add(-1, 1, READ).unwrap_err()), libc::EBADF);
}

#[test]
fn a_deadline_of_now_never_waits_and_a_later_one_does() {
    let _test = Test::begin();
    let (left, right) = Stream::pair().unwrap();
    assert_eq!(left.recv(&mut [0; 1], Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    assert_eq!(left.recv(&mut [0; 1], moment()).unwrap_err().kind(), Kind::Timeout);
    assert!(!left.wait_readable(Deadline::NOW).unwrap());
    assert!(!left.wait_readable(moment()).unwrap());
    let listener = listen("127.0.0.1:0");
    assert_eq!(listener.accept(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    assert_eq!(listener.accept(moment()).unwrap_err().kind(), Kind::Timeout);
    let mut sent = 0;
    let full = loop {
        match left.send(&[0; 65_536], Deadline::NOW) {
            Ok(n) => sent += n,
            Err(e) => break e.kind(),
        }
    };
    assert_eq!(full, Kind::WouldBlock);
    right.recv(&mut vec![0; sent], soon()).unwrap();
    right.shutdown(Shutdown::Both).unwrap();
    assert_eq!(os(&left.send(b"x", soon()).unwrap_err()), libc::EPIPE);
}
