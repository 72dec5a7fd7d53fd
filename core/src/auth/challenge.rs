// SPDX-License-Identifier: MIT OR Apache-2.0
//! The halves of the `multiprocessing` handshake, without input or output.
//!
//! [`Challenge`] is the side that asks, [`Answer`] the side that proves. A full handshake is one after
//! the other: the listener asks first, then answers; the client the other way round. Each half is fed the
//! messages that arrive and says which message to send ([`Step`]).
//!
//! Source: `multiprocessing.connection` of CPython 3.8 to 3.14, docs/wire.md "Authentication".
#![forbid(unsafe_code)]

use super::issued;
use super::mac::{Digest, Key, Tag, mac};
use crate::error::{Error, Kind, Result};

pub(super) const CHALLENGE: &[u8] = b"#CHALLENGE#";
pub(super) const WELCOME: &[u8] = b"#WELCOME#";
pub(super) const FAILURE: &[u8] = b"#FAILURE#";
/// The longest message of a handshake.
pub(crate) const MESSAGE_MAX: u64 = 256;
/// Bytes that no other challenge has, as many as with Python 3.12 and later. The last 8 are a mark ([`issued`]), the others
/// random.
const NONCE: usize = 40;
/// The payload length that marks a challenge of Python 3.11 and earlier. No challenge has less behind its
/// prefix: CPython's source names 16 as well, but refuses it as too short before it gets there.
const LEGACY_PAYLOAD: usize = 20;

/// How two ends authenticate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Mutual, as CPython's `multiprocessing.connection`.
    #[default]
    Multiprocessing,
    /// The client proves itself: 32 random bytes raw, the raw digest back, nothing framed.
    Course,
}

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that accepted.
    Server,
    /// The end that connected.
    Client,
    /// Not known: reflection is not looked for.
    Unknown,
}

/// Which digests are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The digest that our challenges ask for.
    pub digest: Digest,
    /// The weakest digest that is accepted or used. `Md5` lets peers up to Python 3.11 in.
    pub min_digest: Digest,
}

impl Default for Policy {
    fn default() -> Self {
        Self { digest: Digest::Sha256, min_digest: Digest::Md5 }
    }
}

impl Policy {
    fn allows(&self, digest: Digest) -> bool {
        digest.in_multiprocessing() && digest.strength() >= self.min_digest.strength()
    }

    pub(super) fn check(&self, operation: &'static str) -> Result<()> {
        if !self.digest.in_multiprocessing() {
            return Err(Error::with_detail(
                Kind::Invalid,
                operation,
                format!("digest {}; a handshake uses md5, sha256, sha384, sha3_256 or sha3_384", self.digest),
            ));
        }
        if !self.allows(self.digest) {
            return Err(Error::with_detail(
                Kind::Invalid,
                operation,
                format!("digest {} is weaker than min_digest {}", self.digest, self.min_digest),
            ));
        }
        Ok(())
    }
}

/// The next step of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this message, then wait for the next one.
    Send(Vec<u8>),
    /// Send this message; the exchange has succeeded.
    Finish(Vec<u8>),
    /// Send this message; the exchange has failed, for the reason given.
    Refuse(Vec<u8>, &'static str),
    /// Nothing is to be sent; the exchange has succeeded.
    Done,
}

pub(super) fn failed(operation: &'static str, why: &str) -> Error {
    Error::with_detail(Kind::AuthFailed, operation, why)
}

/// Splits `{name}rest`; `None` where there is no such prefix or the name is unknown.
fn split_digest(message: &[u8]) -> Option<(Digest, &[u8])> {
    let inner = message.strip_prefix(b"{")?;
    let end = inner.iter().take(20).position(|b| *b == b'}')?;
    let name = std::str::from_utf8(inner.get(..end)?).ok()?;
    let digest = Digest::ALL.iter().copied().find(|d| d.name() == name && d.in_multiprocessing())?;
    Some((digest, inner.get(end + 1..)?))
}

fn with_prefix(digest: Digest, tag: &Tag) -> Vec<u8> {
    [b"{", digest.name().as_bytes(), b"}", tag.bytes()].concat()
}

/// The side that asks the peer to prove itself.
#[derive(Debug)]
pub struct Challenge {
    key: Key,
    policy: Policy,
    /// The bytes that the peer is to authenticate: everything behind the prefix.
    payload: Vec<u8>,
}

impl Challenge {
    /// A new random challenge, and the message that asks it.
    ///
    /// # Errors
    /// `Os` when the system has no random bytes, `Invalid` for a digest outside the policy.
    pub fn new(key: &Key, policy: Policy, role: Role) -> Result<(Self, Vec<u8>)> {
        const OPERATION: &str = "deliver challenge";
        policy.check(OPERATION)?;
        let mut nonce = [0; NONCE];
        fill_random(&mut nonce)?;
        let mut payload = [b"{", policy.digest.name().as_bytes(), b"}", &nonce].concat();
        issued::sign(role, &mut payload)?;
        let message = [CHALLENGE, &payload].concat();
        Ok((Self { key: key.clone(), policy, payload }, message))
    }

    /// Takes the peer's response; the verdict is to be sent either way.
    ///
    /// # Errors
    /// None that depends on the peer: a wrong response is [`Step::Refuse`].
    pub fn response(&self, response: &[u8]) -> Result<Step> {
        let claimed = match split_digest(response) {
            Some((digest, tag)) => Some((digest, tag)),
            // Python up to 3.11 answers with the bare digest.
            None if response.len() == Digest::Md5.size() => Some((Digest::Md5, response)),
            None => None,
        };
        let Some((digest, tag)) = claimed else {
            return Ok(Step::Refuse(FAILURE.to_vec(), "the response is no digest"));
        };
        // The work is done before the policy is looked at: a refusal costs the same time as a wrong key.
        let right = mac(digest, self.key.bytes(), &self.payload)?.verify(tag);
        if !self.policy.allows(digest) {
            return Ok(Step::Refuse(
                FAILURE.to_vec(),
                "the response uses a digest weaker than min_digest allows",
            ));
        }
        // As in CPython, the peer may use another digest than was asked for, if it is good enough.
        if right {
            return Ok(Step::Finish(WELCOME.to_vec()));
        }
        Ok(Step::Refuse(FAILURE.to_vec(), "digest received was wrong"))
    }
}

/// The side that proves itself.
#[derive(Clone, Debug)]
pub struct Answer {
    key: Key,
    policy: Policy,
    role: Role,
}

impl Answer {
    /// Ready for the peer's challenge.
    #[must_use]
    pub fn new(key: &Key, policy: Policy, role: Role) -> Self {
        Self { key: key.clone(), policy, role }
    }

    /// Takes the peer's challenge and makes the response to it.
    ///
    /// # Errors
    /// `AuthFailed`: not a challenge, one with a digest outside the policy, or one of our own.
    pub fn challenge(&self, message: &[u8]) -> Result<Vec<u8>> {
        const OPERATION: &str = "answer challenge";
        let Some(payload) = message.strip_prefix(CHALLENGE) else {
            return Err(failed(OPERATION, "protocol error, expected challenge"));
        };
        if message.len() as u64 > MESSAGE_MAX {
            return Err(failed(OPERATION, "challenge over 256 bytes"));
        }
        if payload.len() < LEGACY_PAYLOAD {
            return Err(failed(OPERATION, "challenge too short: 20 bytes behind its prefix are the least"));
        }
        if self.role != Role::Unknown && issued::is_own(self.role, payload)? {
            return Err(failed(OPERATION, "the peer sent back a challenge of this process"));
        }
        if payload.len() == LEGACY_PAYLOAD {
            if !self.policy.allows(Digest::Md5) {
                return Err(failed(OPERATION, "the peer asks for md5, which min_digest forbids"));
            }
            return Ok(mac(Digest::Md5, self.key.bytes(), payload)?.bytes().to_vec());
        }
        let Some((digest, _)) = split_digest(payload) else {
            return Err(failed(OPERATION, "challenge names no digest known here"));
        };
        if !self.policy.allows(digest) {
            return Err(failed(OPERATION, "the peer asks for a digest weaker than min_digest allows"));
        }
        Ok(with_prefix(digest, &mac(digest, self.key.bytes(), payload)?))
    }

    /// Takes the peer's verdict.
    ///
    /// # Errors
    /// `AuthFailed`: it is not a welcome.
    pub fn verdict(&self, message: &[u8]) -> Result<()> {
        if message == WELCOME {
            return Ok(());
        }
        Err(failed("answer challenge", "digest sent was rejected"))
    }
}

pub(super) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| match e.raw_os_error() {
        Some(errno) => Error::from_os(errno, "get random bytes"),
        None => Error::new(Kind::Os, "get random bytes"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits = if text == "-" { "" } else { text };
        (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
    }

    /// A side that asks this very challenge, which a random one could not.
    fn asking(key: &[u8], challenge: &[u8]) -> Challenge {
        let payload = challenge.strip_prefix(CHALLENGE).unwrap().to_vec();
        Challenge { key: Key::new(key), policy: Policy::default(), payload }
    }

    #[test]
    fn responses_are_judged_as_cpython_judges_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/challenges.txt");
        let text = std::fs::read_to_string(path).unwrap();
        let mut seen = 0;
        for line in text.lines().filter(|l| l.starts_with("verify ")) {
            let columns: Vec<&str> = line.split(' ').collect();
            let [_, name, dialect, key, challenge, response, outcome] = columns[..] else { panic!("{line}") };
            if dialect == "legacy" {
                continue;
            }
            seen += 1;
            let step = asking(&unhex(key), &unhex(challenge)).response(&unhex(response)).unwrap();
            match outcome {
                "welcome" => assert_eq!(step, Step::Finish(WELCOME.to_vec()), "{name}"),
                "refused" | "too-long" => {
                    assert!(matches!(&step, Step::Refuse(word, _) if word == FAILURE), "{name}: {step:?}");
                }
                other => panic!("{name}: unknown outcome {other}"),
            }
        }
        assert!(seen > 0, "no records");
    }

    #[test]
    fn a_challenge_is_new_each_time_and_holds_what_it_must() {
        let make = || Challenge::new(&Key::new(b"k"), Policy::default(), Role::Client).unwrap().1;
        let (first, second) = (make(), make());
        assert_ne!(first, second);
        assert!(first.starts_with(b"#CHALLENGE#{sha256}"));
        assert_eq!(first.len(), 59);
    }

    #[test]
    fn a_key_is_in_no_message_and_no_debug_output() {
        let key = Key::new(b"opensesame");
        let (challenge, message) = Challenge::new(&key, Policy::default(), Role::Server).unwrap();
        let answer = Answer::new(&key, Policy::default(), Role::Client);
        let refused = answer.challenge(b"garbage").unwrap_err();
        let printed = format!("{challenge:?} {answer:?} {key:?} {refused:?} {refused}");
        assert!(!printed.contains("opensesame") && !printed.contains("111, 112"), "{printed}");
        assert!(!message.windows(10).any(|w| w == b"opensesame"));
    }
}
