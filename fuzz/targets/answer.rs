// SPDX-License-Identifier: MIT OR Apache-2.0
//! The side that proves itself: it answers challenges only, and no server without the key is taken for one.
#![no_main]

use carrick::auth::{Answer, AuthOptions, Digest, Key, Policy, Role, Scheme, authenticate, mac};
use carrick::frame::Halves;
use carrick::{Connection, Format, Kind};
use libfuzzer_sys::{arbitrary, fuzz_target};
use std::io;

const KEY: &[u8] = b"the key that the fuzzer does not have";

#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'a> {
    min_digest: u8,
    course: bool,
    prefix: bool,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let min_digest = Digest::ALL[usize::from(input.min_digest) % Digest::ALL.len()];
    let policy = Policy { min_digest, ..Policy::default() };
    let prefix: &[u8] = if input.prefix { b"#CHALLENGE#" } else { b"" };
    let message = [prefix, input.bytes].concat();
    let answer = Answer::new(&Key::new(KEY), policy, Role::Client);
    match answer.challenge(&message) {
        Ok(response) => {
            let payload = message.strip_prefix(b"#CHALLENGE#").expect("only a challenge is answered");
            assert!(payload.len() >= 20 && message.len() <= 256);
            let (digest, tag) = match response.strip_prefix(b"{") {
                // A raw digest of MD5 may begin with a brace: lengths tell.
                Some(_) if response.len() > 16 => {
                    let end = response.iter().position(|b| *b == b'}').expect("the name is closed");
                    let name = std::str::from_utf8(&response[1..end]).expect("names are ASCII");
                    assert!(payload.starts_with(&response[..=end]), "the peer's own choice");
                    (name.parse().expect("a digest"), &response[end + 1..])
                }
                _ => (Digest::Md5, &response[..]),
            };
            assert!(mac(digest, KEY, payload).expect("a digest").verify(tag));
        }
        Err(error) => assert_eq!(error.kind(), Kind::AuthFailed),
    }
    let _ = answer.verdict(input.bytes);
    let mut options = AuthOptions::new(KEY);
    options.policy = policy;
    options.scheme = if input.course { Scheme::Course } else { Scheme::Multiprocessing };
    let connection = Connection::new(Halves::new(input.bytes, io::sink()), Format::default());
    match authenticate(&connection, Role::Client, &options) {
        // The course's server proves nothing: its 32 bytes are all it says.
        Ok(()) => assert!(input.course && input.bytes.len() >= 32),
        Err(error) => {
            assert!(matches!(error.kind(), Kind::AuthFailed | Kind::Invalid), "{error}");
            assert!(!error.to_string().contains("fuzzer does not have"), "{error}");
        }
    }
});
