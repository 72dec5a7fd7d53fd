// SPDX-License-Identifier: MIT OR Apache-2.0
//! The side that asks: nobody gets in without the key, whatever it says.
#![no_main]

use carrick::auth::{Answer, AuthOptions, Challenge, Digest, Key, Policy, Role, Scheme, Step, authenticate};
use carrick::frame::Halves;
use carrick::{Connection, Format, Kind};
use libfuzzer_sys::{arbitrary, fuzz_target};
use std::io;

const KEY: &[u8] = b"the key that the fuzzer does not have";

#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'a> {
    digest: u8,
    min_digest: u8,
    course: bool,
    /// Starts from the right response, and changes it here.
    flips: Option<Vec<(u16, u8)>>,
    bytes: &'a [u8],
}

fn digest(number: u8) -> Digest {
    Digest::ALL[usize::from(number) % Digest::ALL.len()]
}

fuzz_target!(|input: Input<'_>| {
    let policy = Policy { digest: digest(input.digest), min_digest: digest(input.min_digest) };
    let key = Key::new(KEY);
    if let Ok((challenge, message)) = Challenge::new(&key, policy, Role::Server) {
        let right = Answer::new(&key, policy, Role::Client).challenge(&message).expect("it is our own");
        let mut response = input.bytes.to_vec();
        if let Some(flips) = &input.flips {
            response.clone_from(&right);
            for (at, change) in flips {
                let at = usize::from(*at) % response.len();
                response[at] ^= change;
            }
        }
        match challenge.response(&response).expect("no failure of ours") {
            Step::Finish(verdict) => {
                assert_eq!(verdict, b"#WELCOME#");
                assert_eq!(response, right, "only the right response is welcome");
            }
            Step::Refuse(verdict, _) => {
                assert_eq!(verdict, b"#FAILURE#");
                assert_ne!(response, right);
            }
            other => panic!("{other:?}"),
        }
    }
    let mut options = AuthOptions::new(KEY);
    options.policy = policy;
    options.scheme = if input.course { Scheme::Course } else { Scheme::Multiprocessing };
    let connection = Connection::new(Halves::new(input.bytes, io::sink()), Format::default());
    let error = authenticate(&connection, Role::Server, &options).expect_err("the fuzzer has no key");
    assert!(matches!(error.kind(), Kind::AuthFailed | Kind::Invalid), "{error}");
    assert!(!error.to_string().contains("fuzzer does not have"), "{error}");
});
