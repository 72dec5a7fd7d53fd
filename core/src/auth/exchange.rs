// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running a handshake over a connection.
#![forbid(unsafe_code)]

use super::challenge::{Answer, Challenge, MESSAGE_MAX, Policy, Role, Scheme, Step, failed, fill_random};
use super::mac::{Digest, Key, Tag, mac};
use crate::error::{Error, Kind, Result};
use crate::frame::{Connection, Format, Transport};
use crate::net::{Address, Stream};
use crate::time::Deadline;
use std::time::Duration;

/// How long a handshake may take unless told otherwise.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Random bytes in a challenge of the course's scheme.
const COURSE_NONCE: usize = 32;

/// How to authenticate.
#[derive(Clone, Debug)]
pub struct AuthOptions {
    /// The key both ends have.
    pub key: Key,
    /// How it is proved.
    pub scheme: Scheme,
    /// Which digests are good enough. The course's scheme uses `policy.digest` as it is.
    pub policy: Policy,
    /// How long the whole handshake may take.
    pub handshake_timeout: Duration,
}

impl AuthOptions {
    /// The usual ones: `multiprocessing`, SHA-256, MD5 still accepted from old peers, 10 s.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self {
            key: Key::new(key),
            scheme: Scheme::default(),
            policy: Policy::default(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// Whether any handshake can succeed with these: servers look before they listen, not when the first
    /// client comes.
    ///
    /// # Errors
    /// `Invalid`: the scheme cannot use the digest, or it is weaker than the policy allows.
    pub fn check(&self) -> Result<()> {
        match self.scheme {
            Scheme::Multiprocessing => self.policy.check("check authentication"),
            Scheme::Course => Ok(()),
        }
    }
}

/// Connects to a server, authenticates as its client where there are options for that, and returns the
/// connection. The deadline is that of connecting; the handshake has its own, in the options.
///
/// # Errors
/// Those of [`Stream::connect`] and of [`authenticate`]; `Invalid` for options with which nobody can succeed.
///
/// # Example
/// ```
/// use carrick::auth::{AuthOptions, connect};
/// use carrick::server::{MessageOptions, MessageServer, Request};
/// use carrick::{Deadline, Format};
/// let auth = AuthOptions::new(b"secret");
/// let options = MessageOptions { auth: Some(auth.clone()), ..MessageOptions::default() };
/// let server = MessageServer::bind(&"127.0.0.1:0".parse()?, options)?;
/// let handle = server.handle();
/// let serving = std::thread::spawn(move || server.serve(|r: &mut Request<'_>| r.reply(r.body())));
/// let client = connect(handle.address(), Format::default(), Some(&auth), Deadline::NEVER)?;
/// client.send(b"hello", Deadline::NEVER)?;
/// assert_eq!(client.recv(Deadline::NEVER)?, b"hello");
/// handle.shutdown(Deadline::NEVER)?;
/// assert!(serving.join().is_ok_and(|served| served.is_ok()));
/// # Ok::<(), carrick::Error>(())
/// ```
pub fn connect(
    address: &Address,
    format: Format,
    options: Option<&AuthOptions>,
    deadline: Deadline,
) -> Result<Connection> {
    if let Some(options) = options {
        options.check()?;
    }
    let stream = Stream::connect(address, deadline)?;
    if let Some(options) = options {
        // The handshake has its own format, and reads not a byte beyond itself.
        let greeting = Connection::new(stream.clone(), Format::MULTIPROCESSING);
        authenticate(&greeting, Role::Client, options)?;
    }
    Ok(Connection::new(stream, format))
}

/// Authenticates a fresh connection; `role` says which end this is. The deadline of the options holds for
/// all of it. After an error the connection is of no more use: close it.
///
/// # Errors
/// `AuthFailed`: the peer has another key, broke the exchange, or closed it. `Timeout`: the handshake's
/// deadline passed. `Closed`, `Interrupted`, `Os`.
///
/// # Example
/// ```
/// use carrick::auth::{AuthOptions, Role, authenticate};
/// use carrick::{Connection, Format, Stream};
/// let (left, right) = Stream::pair()?;
/// let client = std::thread::spawn(move || {
///     let connection = Connection::new(left, Format::default());
///     authenticate(&connection, Role::Client, &AuthOptions::new(b"secret"))
/// });
/// let connection = Connection::new(right, Format::default());
/// authenticate(&connection, Role::Server, &AuthOptions::new(b"secret"))?;
/// assert!(client.join().is_ok_and(|r| r.is_ok()));
/// # Ok::<(), carrick::Error>(())
/// ```
pub fn authenticate<T: Transport>(
    connection: &Connection<T>,
    role: Role,
    options: &AuthOptions,
) -> Result<()> {
    options.check()?;
    let deadline = Deadline::after(options.handshake_timeout);
    let run = || match (options.scheme, role) {
        (Scheme::Multiprocessing, Role::Client | Role::Unknown) => {
            answer(connection, options, role, deadline)?;
            deliver(connection, options, role, deadline)
        }
        (Scheme::Multiprocessing, Role::Server) => {
            deliver(connection, options, role, deadline)?;
            answer(connection, options, role, deadline)
        }
        (Scheme::Course, Role::Server) => course_server(connection, options, deadline),
        (Scheme::Course, Role::Client | Role::Unknown) => course_client(connection, options, deadline),
    };
    run().map_err(as_failure)
}

/// A peer that hangs up or talks nonsense has failed to authenticate, whatever it looks like below.
pub(super) fn as_failure(error: Error) -> Error {
    match error.kind() {
        Kind::Eof => failed("authenticate", "the peer closed the connection"),
        Kind::BadFrame | Kind::FrameTooLarge => {
            failed("authenticate", "the peer does not speak the protocol")
        }
        _ => error,
    }
}

fn deliver<T: Transport>(
    c: &Connection<T>,
    options: &AuthOptions,
    role: Role,
    deadline: Deadline,
) -> Result<()> {
    let (challenge, message) = Challenge::new(&options.key, options.policy, role)?;
    c.send(&message, deadline)?;
    let response = receive(c, deadline)?;
    match challenge.response(&response)? {
        Step::Finish(verdict) | Step::Send(verdict) => c.send(&verdict, deadline),
        Step::Refuse(verdict, why) => {
            // That the peer no longer listens to the verdict changes nothing.
            let _ = c.send(&verdict, deadline);
            Err(failed("deliver challenge", why))
        }
        Step::Done => Ok(()),
    }
}

fn answer<T: Transport>(
    c: &Connection<T>,
    options: &AuthOptions,
    role: Role,
    deadline: Deadline,
) -> Result<()> {
    let answer = Answer::new(&options.key, options.policy, role);
    let response = answer.challenge(&receive(c, deadline)?)?;
    c.send(&response, deadline)?;
    answer.verdict(&receive(c, deadline)?)
}

fn receive<T: Transport>(c: &Connection<T>, deadline: Deadline) -> Result<Vec<u8>> {
    let message = c.recv_exactly(MESSAGE_MAX, deadline)?;
    // A stock peer leaves Nagle's algorithm on: its next message waits for this one's acknowledgement.
    c.transport().acknowledge();
    Ok(message)
}

/// A challenge of the course's scheme, and the answer that it wants.
pub(super) fn course_challenge(key: &Key, digest: Digest) -> Result<([u8; COURSE_NONCE], Tag)> {
    let mut nonce = [0; COURSE_NONCE];
    fill_random(&mut nonce)?;
    let tag = mac(digest, key.bytes(), &nonce)?;
    Ok((nonce, tag))
}

fn course_server<T: Transport>(c: &Connection<T>, options: &AuthOptions, deadline: Deadline) -> Result<()> {
    let (nonce, tag) = course_challenge(&options.key, options.policy.digest)?;
    c.send_raw(&nonce, deadline)?;
    let mut response = vec![0; tag.bytes().len()];
    c.recv_raw(&mut response, deadline)?;
    if tag.verify(&response) {
        return Ok(());
    }
    Err(failed("deliver challenge", "digest received was wrong"))
}

fn course_client<T: Transport>(c: &Connection<T>, options: &AuthOptions, deadline: Deadline) -> Result<()> {
    let mut nonce = [0; COURSE_NONCE];
    c.recv_raw(&mut nonce, deadline)?;
    let tag = mac(options.policy.digest, options.key.bytes(), &nonce)?;
    c.send_raw(tag.bytes(), deadline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{MessageOptions, MessageServer, StreamOptions, StreamServer};

    #[test]
    fn a_policy_that_no_handshake_can_meet_is_refused_before_anyone_connects() {
        let mut weak = AuthOptions::new(b"key");
        weak.policy = Policy { digest: Digest::Md5, min_digest: Digest::Sha256 };
        let mut strange = AuthOptions::new(b"key");
        strange.policy.digest = Digest::Sha1;
        for auth in [weak, strange] {
            let address = "127.0.0.1:0".parse().unwrap();
            let message = MessageOptions { auth: Some(auth.clone()), ..MessageOptions::default() };
            assert_eq!(MessageServer::bind(&address, message).unwrap_err().kind(), Kind::Invalid);
            let stream = StreamOptions { auth: Some(auth.clone()), ..StreamOptions::default() };
            assert_eq!(StreamServer::bind(&address, stream).unwrap_err().kind(), Kind::Invalid);
            let mut course = auth;
            course.scheme = Scheme::Course;
            assert!(course.check().is_ok());
        }
    }
}
