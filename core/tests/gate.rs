// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gate: handshakes side by side.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::{AuthOptions, Digest, Gate, Policy, Role, Scheme, authenticate};
use carrick::net::Waker;
use carrick::{Address, Connection, Deadline, Format, Kind, ListenOptions, Listener, Stream};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::Duration;
use support::{Test, moment, reset, soon};

const KEY: &[u8] = b"the key";

fn listening() -> (Listener, Address) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
    let address = listener.local_address().unwrap();
    (listener, address)
}

fn gate(handshake_timeout: Duration) -> Gate {
    Gate::new(AuthOptions { handshake_timeout, ..AuthOptions::new(KEY) }).unwrap()
}

/// A client in a thread of its own that authenticates and then receives one frame.
fn client(address: &Address, options: AuthOptions) -> JoinHandle<carrick::Result<Vec<u8>>> {
    let address = address.clone();
    std::thread::spawn(move || {
        let connection = Connection::new(Stream::connect(&address, soon())?, Format::default());
        authenticate(&connection, Role::Client, &options)?;
        connection.send(b"early", soon())?;
        connection.recv(soon())
    })
}

fn serve(stream: Stream) {
    let connection = Connection::new(stream, Format::default());
    assert_eq!(connection.recv(soon()).unwrap(), b"early");
    connection.send(b"welcome", soon()).unwrap();
}

#[test]
fn who_has_the_key_comes_through_past_those_who_say_nothing() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let silent: Vec<_> = (0..20).map(|_| Stream::connect(&address, soon()).unwrap()).collect();
    let slow = Stream::connect(&address, soon()).unwrap();
    slow.send_all(&[0, 0, 0], soon()).unwrap();
    let gate = gate(Duration::from_secs(600));
    for _ in 0..3 {
        let good = client(&address, AuthOptions::new(KEY));
        let (stream, from) = gate.accept(&listener, soon()).unwrap();
        assert_eq!(from, stream.peer_address().unwrap());
        serve(stream);
        assert_eq!(good.join().unwrap().unwrap(), b"welcome");
    }
    drop((silent, slow));
}

#[test]
fn a_wrong_key_is_told_to_the_caller_and_the_next_call_goes_on() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let gate = gate(Duration::from_secs(600));
    let bad = client(&address, AuthOptions::new(b"another key"));
    assert_eq!(gate.accept(&listener, soon()).unwrap_err().kind(), Kind::AuthFailed);
    assert_eq!(bad.join().unwrap().unwrap_err().kind(), Kind::AuthFailed);
    let good = client(&address, AuthOptions::new(KEY));
    serve(gate.accept(&listener, soon()).unwrap().0);
    assert!(good.join().unwrap().is_ok());
}

#[test]
fn a_client_that_hangs_up_in_the_middle_resets_or_talks_nonsense_is_refused() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let gate = gate(Duration::from_secs(600));
    let refused = |what: &str| {
        assert_eq!(gate.accept(&listener, soon()).unwrap_err().kind(), Kind::AuthFailed, "{what}");
    };
    let begun = || {
        let stream = Stream::connect(&address, soon()).unwrap();
        stream.send_all(&[0, 0, 0, 20, b'{'], soon()).unwrap();
        // It has to be let in before it hangs up.
        assert_eq!(gate.accept(&listener, moment()).unwrap_err().kind(), Kind::Timeout);
        stream
    };
    begun().close();
    refused("hangs up");
    reset(&begun());
    refused("resets");
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff, 0xff, 0xff, 0xfe], &[0, 0, 1, 1], &[0, 0, 0, 0]]
    {
        let stream = Stream::connect(&address, soon()).unwrap();
        stream.send_all(nonsense, soon()).unwrap();
        refused("nonsense");
    }
}

#[test]
fn a_client_that_hangs_up_before_it_has_said_anything_is_passed_over() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let gate = gate(Duration::from_secs(600));
    let silent = || {
        let stream = Stream::connect(&address, soon()).unwrap();
        assert_eq!(gate.accept(&listener, moment()).unwrap_err().kind(), Kind::Timeout);
        stream
    };
    // As a probe of the port does.
    silent().close();
    reset(&silent());
    drop(Stream::connect(&address, soon()).unwrap());
    let good = client(&address, AuthOptions::new(KEY));
    serve(gate.accept(&listener, soon()).unwrap().0);
    assert!(good.join().unwrap().is_ok());
}

#[test]
fn a_waker_ends_an_accept_from_a_descriptor_that_blocks() {
    let _test = Test::begin();
    let blocking = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gate = std::sync::Arc::new(gate(Duration::from_secs(600)));
    let waker = std::sync::Arc::new(Waker::new().unwrap());
    let waiting = {
        let (gate, waker) = (gate.clone(), waker.clone());
        std::thread::spawn(move || gate.accept_from(blocking.as_fd(), &waker, soon()).map(|_| ()))
    };
    waker.set();
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::Closed);
    assert!(waker.is_set());
    waker.clear();
    assert!(!waker.is_set());
}

#[test]
fn a_silent_client_is_closed_at_its_deadline_and_nobody_hears_of_it() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let gate = gate(Duration::from_millis(20));
    let silent = Stream::connect(&address, soon()).unwrap();
    let waiting = {
        let listener = listener.clone();
        std::thread::spawn(move || gate.accept(&listener, soon()).map(|_| ()))
    };
    let mut challenge = [0; 256];
    assert!(silent.recv(&mut challenge, soon()).unwrap() > 0);
    assert_eq!(silent.recv(&mut challenge, soon()).unwrap_or(0), 0, "the connection must end");
    listener.close();
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::Closed);
}

#[test]
fn a_deadline_of_the_caller_keeps_the_guests() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let gate = gate(Duration::from_secs(600));
    let stream = Stream::connect(&address, soon()).unwrap();
    assert_eq!(gate.accept(&listener, Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    assert_eq!(gate.accept(&listener, moment()).unwrap_err().kind(), Kind::Timeout);
    let good = std::thread::spawn(move || {
        let connection = Connection::new(stream, Format::default());
        authenticate(&connection, Role::Client, &AuthOptions::new(KEY))
    });
    gate.accept_from(listener_fd(&listener).as_fd(), &Waker::new().unwrap(), soon()).unwrap();
    good.join().unwrap().unwrap();
}

fn listener_fd(listener: &Listener) -> std::os::fd::OwnedFd {
    // SAFETY: the listener is open for as long as this call.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(listener.fd().unwrap()) };
    fd.try_clone_to_owned().unwrap()
}

#[test]
fn an_adopted_listener_wakes_the_gate_when_it_is_closed() {
    let _test = Test::begin();
    let (listener, _) = listening();
    let adopted = Listener::from_fd(listener_fd(&listener)).unwrap();
    let waiting = {
        let adopted = adopted.clone();
        std::thread::spawn(move || gate(Duration::from_secs(600)).accept(&adopted, soon()).map(|_| ()))
    };
    adopted.close();
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::Closed);
}

#[test]
fn the_course_s_scheme_passes_the_gate_too() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let options = AuthOptions { scheme: Scheme::Course, ..AuthOptions::new(KEY) };
    let gate = Gate::new(options.clone()).unwrap();
    let good = client(&address, options);
    serve(gate.accept(&listener, soon()).unwrap().0);
    assert!(good.join().unwrap().is_ok());
}

#[test]
fn many_threads_share_one_gate() {
    let _test = Test::begin();
    let (listener, address) = listening();
    let gate = gate(Duration::from_secs(600));
    let clients: Vec<_> = (0..32).map(|_| client(&address, AuthOptions::new(KEY))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    serve(gate.accept(&listener, soon()).unwrap().0);
                }
            });
        }
    });
    for client in clients {
        assert_eq!(client.join().unwrap().unwrap(), b"welcome");
    }
}

#[test]
fn more_guests_than_there_is_room_for_push_out_the_oldest() {
    let _test = Test::begin();
    support::raise_fd_limit();
    let (listener, address) = listening();
    let gate = gate(Duration::from_secs(600));
    let silent: Vec<_> = (0..1100)
        .map(|_| {
            let stream = Stream::connect(&address, soon()).unwrap();
            assert_eq!(gate.accept(&listener, Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
            stream
        })
        .collect();
    let mut challenge = [0; 256];
    let oldest = silent.first().unwrap();
    assert!(oldest.recv(&mut challenge, soon()).unwrap() > 0);
    assert_eq!(oldest.recv(&mut challenge, soon()).unwrap_or(0), 0);
    let good = client(&address, AuthOptions::new(KEY));
    serve(gate.accept(&listener, soon()).unwrap().0);
    assert!(good.join().unwrap().is_ok());
}

#[test]
fn a_digest_outside_the_policy_makes_no_gate() {
    let _test = Test::begin();
    let policy = Policy { digest: Digest::Md5, min_digest: Digest::Sha256 };
    let refused = Gate::new(AuthOptions { policy, ..AuthOptions::new(KEY) });
    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
}
