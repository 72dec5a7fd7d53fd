// SPDX-License-Identifier: MIT OR Apache-2.0
//! Authentication over connections: both schemes, both dialects, and what goes wrong.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::{
    Answer, AuthOptions, Challenge, Digest, Key, Policy, Role, Scheme, Step, authenticate, mac,
};
use carrick::{Connection, Error, Format, Kind, Stream};
use std::time::Duration;
use support::{Test, soon};

const IN_HANDSHAKES: [Digest; 5] =
    [Digest::Md5, Digest::Sha256, Digest::Sha384, Digest::Sha3_256, Digest::Sha3_384];

fn pair() -> (Connection, Connection) {
    let (left, right) = Stream::pair().unwrap();
    (Connection::new(left, Format::default()), Connection::new(right, Format::default()))
}

/// Both ends of a handshake: what the server says of it, and the client.
fn handshake(server: &AuthOptions, client: &AuthOptions) -> (Result<(), Error>, Result<(), Error>) {
    let (left, right) = pair();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let result = authenticate(&right, Role::Client, client);
            if result.is_err() {
                right.close();
            }
            result
        });
        let result = authenticate(&left, Role::Server, server);
        if result.is_err() {
            left.close();
        }
        let other = other.join().unwrap();
        if result.is_ok() && other.is_ok() {
            // Nothing of the handshake is left in the stream.
            left.send(b"after it", soon()).unwrap();
            assert_eq!(right.recv(soon()).unwrap(), b"after it");
        }
        (result, other)
    })
}

fn options(key: &[u8], scheme: Scheme, digest: Digest, min_digest: Digest) -> AuthOptions {
    let mut options = AuthOptions::new(key);
    options.scheme = scheme;
    options.policy = Policy { digest, min_digest };
    options
}

fn failed(result: Result<(), Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::AuthFailed, "{error}");
    error.to_string()
}

#[test]
fn both_ends_with_one_key_get_on_whatever_digest_they_ask_for() {
    let _test = Test::begin();
    for server in IN_HANDSHAKES {
        for client in IN_HANDSHAKES {
            let scheme = Scheme::Multiprocessing;
            let server = options(b"key", scheme, server, Digest::Md5);
            let client = options(b"key", scheme, client, Digest::Md5);
            let (left, right) = handshake(&server, &client);
            left.unwrap();
            right.unwrap();
        }
    }
    for digest in Digest::ALL {
        let course = options(b"key", Scheme::Course, *digest, Digest::Md5);
        let (left, right) = handshake(&course, &course);
        left.unwrap();
        right.unwrap();
    }
    let empty = AuthOptions::new(b"");
    handshake(&empty, &empty).0.unwrap();
}

#[test]
fn the_wrong_key_is_refused_on_both_ends() {
    let _test = Test::begin();
    let (server, client) =
        handshake(&AuthOptions::new(b"the right key"), &AuthOptions::new(b"the wrong key"));
    let (server, client) = (failed(server), failed(client));
    assert!(server.contains("digest received was wrong"), "{server}");
    assert!(client.contains("digest sent was rejected"), "{client}");
    for text in [server, client] {
        assert!(!text.contains("right key") && !text.contains("wrong key"), "{text}");
    }
    let course = |key: &[u8]| options(key, Scheme::Course, Digest::Sha256, Digest::Md5);
    let (server, _) = handshake(&course(b"right"), &course(b"wrong"));
    assert!(failed(server).contains("wrong"));
}

#[test]
fn a_digest_below_min_digest_is_refused_by_whoever_asks_for_more() {
    let _test = Test::begin();
    let strict = |digest| options(b"key", Scheme::Multiprocessing, digest, Digest::Sha384);
    let lax = AuthOptions::new(b"key");
    let (server, client) = handshake(&strict(Digest::Sha384), &lax);
    // The client answers with sha384, then asks with sha256 itself.
    assert!(failed(server).contains("weaker than min_digest"));
    failed(client);
    let (server, client) = handshake(&lax, &strict(Digest::Sha3_384));
    failed(server);
    assert!(failed(client).contains("weaker than min_digest"));
    let (server, client) = handshake(&strict(Digest::Sha384), &strict(Digest::Sha3_384));
    server.unwrap();
    client.unwrap();
}

#[test]
fn a_policy_that_contradicts_itself_is_refused_before_anything_is_sent() {
    let _test = Test::begin();
    for (digest, min_digest) in [(Digest::Sha256, Digest::Sha384), (Digest::Sha1, Digest::Md5)] {
        let (left, right) = pair();
        let options = options(b"key", Scheme::Multiprocessing, digest, min_digest);
        let error = authenticate(&left, Role::Server, &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(digest.name()), "{error}");
        left.close();
        assert_eq!(right.recv(soon()).unwrap_err().kind(), Kind::Eof);
    }
}

/// Python up to 3.11, as the server: 20 raw bytes, MD5 of whatever is asked.
fn old_server(c: &Connection, key: &[u8]) {
    let nonce: Vec<u8> = (0..20).collect();
    c.send(&[b"#CHALLENGE#", nonce.as_slice()].concat(), soon()).unwrap();
    let response = c.recv(soon()).unwrap();
    assert_eq!(response, mac(Digest::Md5, key, &nonce).unwrap().bytes());
    c.send(b"#WELCOME#", soon()).unwrap();
    let challenge = c.recv(soon()).unwrap();
    let payload = challenge.strip_prefix(b"#CHALLENGE#").unwrap();
    c.send(mac(Digest::Md5, key, payload).unwrap().bytes(), soon()).unwrap();
    assert_eq!(c.recv(soon()).unwrap(), b"#WELCOME#");
}

/// The same as the client.
fn old_client(c: &Connection, key: &[u8]) {
    let challenge = c.recv(soon()).unwrap();
    let payload = challenge.strip_prefix(b"#CHALLENGE#").unwrap();
    c.send(mac(Digest::Md5, key, payload).unwrap().bytes(), soon()).unwrap();
    assert_eq!(c.recv(soon()).unwrap(), b"#WELCOME#");
    let nonce: Vec<u8> = (20..40).collect();
    c.send(&[b"#CHALLENGE#", nonce.as_slice()].concat(), soon()).unwrap();
    assert_eq!(c.recv(soon()).unwrap(), mac(Digest::Md5, key, &nonce).unwrap().bytes());
    c.send(b"#WELCOME#", soon()).unwrap();
}

#[test]
fn peers_up_to_python_3_11_get_on_unless_min_digest_forbids_md5() {
    let _test = Test::begin();
    for (ours, theirs) in [(Role::Client, old_server as fn(&Connection, &[u8])), (Role::Server, old_client)] {
        let (left, right) = pair();
        std::thread::scope(|scope| {
            let old = scope.spawn(|| theirs(&right, b"key"));
            authenticate(&left, ours, &AuthOptions::new(b"key")).unwrap();
            old.join().unwrap();
        });
    }
    let strict = options(b"key", Scheme::Multiprocessing, Digest::Sha256, Digest::Sha256);
    let (left, right) = pair();
    right.send(&[&b"#CHALLENGE#"[..], &[7; 20]].concat(), soon()).unwrap();
    assert!(failed(authenticate(&left, Role::Client, &strict)).contains("md5, which min_digest forbids"));
}

#[test]
fn the_deadline_ends_a_handshake_with_a_silent_peer() {
    let _test = Test::begin();
    for scheme in [Scheme::Multiprocessing, Scheme::Course] {
        for role in [Role::Server, Role::Client] {
            let (left, _silent) = pair();
            let mut options = options(b"key", scheme, Digest::Sha256, Digest::Md5);
            options.handshake_timeout = Duration::from_millis(20);
            assert_eq!(authenticate(&left, role, &options).unwrap_err().kind(), Kind::Timeout);
        }
    }
}

#[test]
fn a_peer_that_hangs_up_has_failed_to_authenticate() {
    let _test = Test::begin();
    for role in [Role::Server, Role::Client] {
        let (left, gone) = pair();
        if role == Role::Client {
            gone.send(b"#CHALLENGE#{sha256}0123456789012345678901234567890123456789", soon()).unwrap();
        }
        // The bytes sent to it must not come back as a reset.
        gone.transport().shutdown(carrick::Shutdown::Write).unwrap();
        let text = failed(authenticate(&left, role, &AuthOptions::new(b"key")));
        assert!(text.contains("closed"), "{text}");
    }
}

#[test]
fn a_challenge_is_answered_by_its_length() {
    let answer = Answer::new(&Key::new(b"key"), Policy::default(), Role::Client);
    let ask = |payload: &[u8]| answer.challenge(&[b"#CHALLENGE#", payload].concat());
    let refused = |payload: &[u8], why: &str| {
        let text = ask(payload).unwrap_err().to_string();
        assert!(text.contains(why), "{} bytes: {text}", payload.len());
    };
    refused(&[7; 16], "too short");
    refused(&[7; 19], "too short");
    assert_eq!(ask(&[7; 20]).unwrap(), mac(Digest::Md5, b"key", &[7; 20]).unwrap().bytes());
    refused(&[7; 21], "no digest known");
    let long = |whole: usize| [&b"{sha256}"[..], &vec![7; whole - 11 - 8]].concat();
    assert!(ask(&long(256)).unwrap().starts_with(b"{sha256}"));
    refused(&long(257), "over 256 bytes");
    refused(b"", "too short");
    assert!(answer.challenge(b"#CHALLENGE").unwrap_err().to_string().contains("expected challenge"));
}

#[test]
fn no_process_answers_a_challenge_that_it_issued_itself_in_the_same_role() {
    let key = Key::new(b"key");
    let answer = Answer::new(&key, Policy::default(), Role::Client);
    let (challenge, message) = Challenge::new(&key, Policy::default(), Role::Client).unwrap();
    let text = answer.challenge(&message).unwrap_err().to_string();
    assert!(text.contains("challenge of this process"), "{text}");
    // A process may well connect to itself: there the roles differ.
    let (own_server, question) = Challenge::new(&key, Policy::default(), Role::Server).unwrap();
    let response = answer.challenge(&question).unwrap();
    assert_eq!(own_server.response(&response).unwrap(), Step::Finish(b"#WELCOME#".to_vec()));
    // Also when its exchange is over.
    drop(challenge);
    answer.challenge(&message).unwrap_err();
}

#[test]
fn a_fake_server_cannot_use_one_client_to_answer_another() {
    let _test = Test::begin();
    let (first, fake_first) = pair();
    let (second, fake_second) = pair();
    std::thread::scope(|scope| {
        let client = |connection: Connection| {
            scope.spawn(move || authenticate(&connection, Role::Client, &AuthOptions::new(b"key")))
        };
        let (one, two) = (client(first), client(second));
        // The fake has no key. It lets the first client in, and gets a challenge.
        let bait = b"#CHALLENGE#{sha256}0123456789012345678901234567890123456789";
        fake_first.send(bait, soon()).unwrap();
        fake_first.recv(soon()).unwrap();
        fake_first.send(b"#WELCOME#", soon()).unwrap();
        let wanted = fake_first.recv(soon()).unwrap();
        // The second client is to answer it.
        fake_second.send(&wanted, soon()).unwrap();
        assert_eq!(fake_second.recv(soon()).unwrap_err().kind(), Kind::Eof);
        fake_first.send(b"{sha256}no idea", soon()).unwrap();
        failed(one.join().unwrap());
        assert!(failed(two.join().unwrap()).contains("challenge of this process"));
    });
}

#[test]
fn an_unknown_digest_is_told_the_known_ones() {
    let error = "sha255".parse::<Digest>().unwrap_err();
    assert_eq!(error.kind(), Kind::UnknownDigest);
    for word in ["sha255", "md5", "sha3_384"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}
