// SPDX-License-Identifier: MIT OR Apache-2.0
//! The server's side of a whole handshake as a state machine over bytes, for those who serve many
//! connections at once: it never waits, it says how many bytes it wants next.
#![forbid(unsafe_code)]

use super::challenge::{Answer, Challenge, MESSAGE_MAX, Role, Scheme, Step, failed};
use super::exchange::{AuthOptions, as_failure, course_challenge};
use super::mac::Tag;
use crate::error::Result;
use crate::frame::{Format, HeadProgress};

const FORMAT: Format = Format::MULTIPROCESSING.with_cap(MESSAGE_MAX);

/// A handshake under way: which message of the client is next.
#[derive(Debug)]
pub(crate) struct Greeting(Awaits);

#[derive(Debug)]
enum Awaits {
    Response(Challenge, Answer),
    Challenge(Answer),
    Verdict(Answer),
    Digest(Tag),
}

/// The result of feeding bytes in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// The message is not complete: it is so many bytes long, as far as can be told, never less than
    /// one more than there are.
    Needs(usize),
    /// So many bytes were a message; the next one is due.
    Took(usize),
    /// So many bytes were the last message; the client has proved itself.
    Done(usize),
}

impl Greeting {
    /// Begins: `output` gets what is to be sent first.
    pub(crate) fn begin(options: &AuthOptions, output: &mut Vec<u8>) -> Result<Self> {
        Ok(Self(match options.scheme {
            Scheme::Multiprocessing => {
                let (challenge, message) = Challenge::new(&options.key, options.policy, Role::Server)?;
                append(output, &message)?;
                Awaits::Response(challenge, Answer::new(&options.key, options.policy, Role::Server))
            }
            Scheme::Course => {
                let (nonce, tag) = course_challenge(&options.key, options.policy.digest)?;
                output.extend_from_slice(&nonce);
                Awaits::Digest(tag)
            }
        }))
    }

    /// Takes the message at the start of `bytes`; `output` gets what is to be sent next, also with an error.
    ///
    /// # Errors
    /// `AuthFailed`: the client has another key or broke the exchange.
    pub(crate) fn feed(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<Fed> {
        let (message, used) = if let Awaits::Digest(tag) = &self.0 {
            let length = tag.bytes().len();
            let Some(message) = bytes.get(..length) else { return Ok(Fed::Needs(length)) };
            (message, length)
        } else {
            let (head, body) = match FORMAT.decode(bytes).map_err(as_failure)? {
                HeadProgress::Needs(length) => return Ok(Fed::Needs(length)),
                // The cap has been looked at: it fits.
                HeadProgress::Complete { head, body } => (head, usize::try_from(body).unwrap_or(usize::MAX)),
            };
            let Some(message) = bytes.get(head..head + body) else { return Ok(Fed::Needs(head + body)) };
            (message, head + body)
        };
        Ok(match self.0.step(message, output)? {
            Some(next) => {
                self.0 = next;
                Fed::Took(used)
            }
            None => Fed::Done(used),
        })
    }
}

impl Awaits {
    /// The next message to await after this one; `None` when the handshake is over.
    fn step(&self, message: &[u8], output: &mut Vec<u8>) -> Result<Option<Self>> {
        match self {
            Self::Response(challenge, answer) => match challenge.response(message)? {
                Step::Finish(verdict) | Step::Send(verdict) => {
                    append(output, &verdict)?;
                    Ok(Some(Self::Challenge(answer.clone())))
                }
                Step::Refuse(verdict, why) => {
                    append(output, &verdict)?;
                    Err(failed("authenticate", why))
                }
                Step::Done => Ok(None),
            },
            Self::Challenge(answer) => {
                append(output, &answer.challenge(message)?)?;
                Ok(Some(Self::Verdict(answer.clone())))
            }
            Self::Verdict(answer) => answer.verdict(message).map(|()| None),
            Self::Digest(tag) => {
                if tag.verify(message) {
                    Ok(None)
                } else {
                    Err(failed("authenticate", "digest received was wrong"))
                }
            }
        }
    }
}

fn append(output: &mut Vec<u8>, message: &[u8]) -> Result<()> {
    output.extend_from_slice(Format::MULTIPROCESSING.encode(message.len() as u64)?.bytes());
    output.extend_from_slice(message);
    Ok(())
}
