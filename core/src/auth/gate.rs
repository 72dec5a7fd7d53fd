// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accepting authenticated connections: the handshakes of all who have come run side by side.
//!
//! An accept loop that makes each handshake before it takes the next connection is stopped by the first
//! client that says nothing. A [`Gate`] keeps the unfinished ones between calls of `accept`, and whoever has
//! proved itself first gets through first. So a silent client costs a descriptor and some hundred bytes
//! until its deadline, and nobody waits for it.
#![forbid(unsafe_code)]

use super::challenge::failed;
use super::exchange::AuthOptions;
use super::greeting::{Fed, Greeting};
use crate::error::{Error, Kind, Result};
use crate::fork::ForkMutex;
use crate::net::{Address, Listener, Spin, Stream, Waker};
use crate::sys::{Epoll, Event, Interest};
use crate::time::Deadline;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

/// The most unfinished handshakes; one more and the oldest is given up.
const GUESTS_MAX: usize = 1024;

/// An authenticating doorkeeper for a listener: it lets through who has proved that it has the key.
///
/// Any number of threads may call it at once. In a child of fork the unfinished handshakes stay the
/// parent's.
///
/// # Example
/// ```
/// use carrick::auth::{AuthOptions, Gate, Role, authenticate};
/// use carrick::{Connection, Deadline, Format, ListenOptions, Listener, Stream};
/// let listener = Listener::bind(&"127.0.0.1:0".parse()?, &ListenOptions::default())?;
/// let address = listener.local_address()?;
/// let silent = Stream::connect(&address, Deadline::NEVER)?;
/// let client = std::thread::spawn(move || {
///     let connection = Connection::new(Stream::connect(&address, Deadline::NEVER)?, Format::default());
///     authenticate(&connection, Role::Client, &AuthOptions::new(b"secret"))
/// });
/// let gate = Gate::new(AuthOptions::new(b"secret"))?;
/// let (stream, _) = gate.accept(&listener, Deadline::NEVER)?;
/// assert!(client.join().is_ok_and(|r| r.is_ok()));
/// # drop((stream, silent));
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct Gate {
    options: AuthOptions,
    /// Of waits for somebody to come, which are long more often than not.
    arrivals: Spin,
    /// Of waits for the next message of a handshake, which are short unless a client is silent.
    steps: Spin,
    lobby: ForkMutex<Option<Arc<Lobby>>>,
}

/// Those whose handshakes are not finished.
#[derive(Debug)]
struct Lobby {
    /// The process whose guests these are.
    pid: u32,
    /// Watches the connections in `guests`, by their numbers.
    epoll: Epoll,
    /// In the order of their coming, which is that of their deadlines.
    guests: ForkMutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    waiting: BTreeMap<u64, Guest>,
}

#[derive(Debug)]
struct Guest {
    stream: Stream,
    address: Address,
    greeting: Greeting,
    /// The start of a message that is not complete.
    have: Vec<u8>,
    /// Whether it has said anything at all: a probe of the port, or of a load balancer, does not.
    heard: bool,
    expires: Option<Instant>,
}

/// The result of a look at the guests and the listener.
enum Turn {
    Through(Stream, Address),
    Refused(Error),
    /// New guests have come: the next deadline may be another one.
    Admitted,
}

impl Gate {
    /// A gate with these options. Their deadline is that of each handshake.
    ///
    /// # Errors
    /// `Invalid` for a digest outside the policy, `Os` when no descriptors are left.
    pub fn new(options: AuthOptions) -> Result<Self> {
        options.check()?;
        let lobby = ForkMutex::inherited(Some(Arc::new(Lobby::new()?)), || None);
        Ok(Self { options, arrivals: Spin::default(), steps: Spin::default(), lobby })
    }

    /// Takes the next connection that has proved itself, and the address it comes from.
    ///
    /// A client that says nothing until its handshake's deadline, or that hangs up before it has said anything, is
    /// closed, and nobody hears of it.
    ///
    /// # Errors
    /// `AuthFailed`: a client has another key, broke the exchange or hung up in the middle of it; the next call
    /// goes on with the others. `Timeout`, `WouldBlock`, `Closed`, `Interrupted`, `Os` as [`Listener::accept`].
    pub fn accept(&self, listener: &Listener, deadline: Deadline) -> Result<(Stream, Address)> {
        self.run(deadline, |lobby, spin, until| {
            listener.drive(lobby.epoll.as_raw_fd(), spin, until, |fd| {
                lobby.turn(|| listener.accept_waiting(fd), &self.options)
            })
        })
    }

    /// Like [`accept`](Self::accept), from a listening socket that somebody else owns, until `waker` is set.
    ///
    /// # Errors
    /// As [`accept`](Self::accept); `Closed` is that the waker is set.
    pub fn accept_from(
        &self,
        listener: BorrowedFd<'_>,
        waker: &Waker,
        deadline: Deadline,
    ) -> Result<(Stream, Address)> {
        self.run(deadline, |lobby, spin, until| {
            waker.drive(listener, Some(lobby.epoll.as_raw_fd()), spin, until, |fd| {
                lobby.turn(|| waker.accept_waiting(fd), &self.options)
            })
        })
    }

    fn run(
        &self,
        deadline: Deadline,
        drive: impl Fn(&Lobby, &Spin, Deadline) -> Result<Turn>,
    ) -> Result<(Stream, Address)> {
        let lobby = self.lobby()?;
        loop {
            let (waiting, until) = lobby.expire(Instant::now());
            let spin = if waiting == 0 { &self.arrivals } else { &self.steps };
            match drive(&lobby, spin, deadline.min(until)) {
                Ok(Turn::Through(stream, address)) => return Ok((stream, address)),
                Ok(Turn::Refused(error)) => return Err(error),
                Ok(Turn::Admitted) => {}
                // A guest's time was over, not the caller's.
                Err(error) if error.kind() == Kind::Timeout && !deadline.expired() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// This process's lobby. The one of the process that this one was forked from is left alone: a descriptor that it names
    /// may not be here, since the kernel copies the table of descriptors before the memory.
    fn lobby(&self) -> Result<Arc<Lobby>> {
        let mut lobby = self.lobby.lock();
        if let Some(known) = &*lobby
            && known.pid == std::process::id()
        {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(Lobby::new()?);
        std::mem::forget(lobby.replace(Arc::clone(&new)));
        Ok(new)
    }
}

impl Lobby {
    fn new() -> Result<Self> {
        let epoll = Epoll::new().map_err(|e| Error::from_io(&e, "make gate"))?;
        Ok(Self { pid: std::process::id(), epoll, guests: ForkMutex::default() })
    }

    /// Gives up those whose time is over; tells how many are left, and when the next one's is.
    fn expire(&self, now: Instant) -> (usize, Deadline) {
        let mut guests = self.guests.lock();
        while let Some(entry) = guests.waiting.first_entry() {
            match entry.get().expires {
                Some(expires) if expires <= now => self.dismiss(&entry.remove()),
                Some(expires) => return (guests.waiting.len(), Deadline::after(expires - now)),
                None => break,
            }
        }
        (guests.waiting.len(), Deadline::NEVER)
    }

    /// Looks after the guests, then lets new ones in; `WouldBlock` when nobody is through.
    fn turn(
        &self,
        accept: impl Fn() -> io::Result<(Stream, Address)>,
        options: &AuthOptions,
    ) -> io::Result<Turn> {
        let mut event = [Event::EMPTY];
        while self.epoll.wait(&mut event, Deadline::NOW)? > 0 {
            let [event] = event;
            // Another thread has it in its hands, or has given it up.
            let Some(mut guest) = self.guests.lock().waiting.remove(&event.token()) else { continue };
            match guest.advance() {
                Ok(true) => {
                    self.dismiss(&guest);
                    return Ok(Turn::Through(guest.stream, guest.address));
                }
                Ok(false) => {
                    self.guests.lock().waiting.insert(event.token(), guest);
                }
                Err(error) => {
                    self.dismiss(&guest);
                    if guest.heard {
                        return Ok(Turn::Refused(error));
                    }
                }
            }
        }
        let mut admitted = false;
        loop {
            match accept() {
                Ok((stream, address)) => self.admit(stream, address, options)?,
                Err(_) if admitted => return Ok(Turn::Admitted),
                Err(error) => return Err(error),
            }
            admitted = true;
        }
    }

    /// Watches a guest no more. Closing it is not enough where a child of fork has a copy of its descriptor.
    fn dismiss(&self, guest: &Guest) {
        if let Ok(fd) = guest.stream.fd() {
            // It fails only for a descriptor that is not watched.
            let _ = self.epoll.remove(fd);
        }
    }

    fn admit(&self, stream: Stream, address: Address, options: &AuthOptions) -> io::Result<()> {
        let mut output = Vec::new();
        let greeting = Greeting::begin(options, &mut output).map_err(io::Error::other)?;
        if stream.send_all(&output, Deadline::NOW).is_err() {
            // It has hung up without a word.
            return Ok(());
        }
        let fd: RawFd = stream.fd().map_err(io::Error::other)?;
        let expires = Instant::now().checked_add(options.handshake_timeout);
        let mut guests = self.guests.lock();
        let number = guests.next;
        guests.next += 1;
        self.epoll.add(fd, number, Interest::Read, false)?;
        if guests.waiting.len() >= GUESTS_MAX
            && let Some((_, oldest)) = guests.waiting.pop_first()
        {
            self.dismiss(&oldest);
        }
        guests
            .waiting
            .insert(number, Guest { stream, address, greeting, have: Vec::new(), heard: false, expires });
        Ok(())
    }
}

impl Guest {
    /// Goes on with the handshake; true when it is over.
    fn advance(&mut self) -> Result<bool> {
        loop {
            let mut output = Vec::new();
            let fed = self.greeting.feed(&self.have, &mut output);
            if !output.is_empty() {
                // Its room is empty but for this. If it cannot be sent the next read tells why.
                let _ = self.stream.send_all(&output, Deadline::NOW);
            }
            match fed? {
                Fed::Needs(length) => {
                    if !self.read(length)? {
                        return Ok(false);
                    }
                }
                Fed::Took(used) => {
                    self.have.drain(..used);
                    // A stock client leaves Nagle's algorithm on: its next message waits for our
                    // acknowledgement.
                    self.stream.quick_ack();
                }
                Fed::Done(_) => return Ok(true),
            }
        }
    }

    /// Reads up to a length in all, and no byte of what comes after the handshake; false when nothing is there.
    fn read(&mut self, length: usize) -> Result<bool> {
        let have = self.have.len();
        self.have.resize(length, 0);
        let room = self.have.get_mut(have..).unwrap_or_default();
        let read = self.stream.recv(room, Deadline::NOW);
        self.have.truncate(have + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(failed("authenticate", "the peer closed the connection")),
            Ok(_) => {
                self.heard = true;
                Ok(true)
            }
            Err(error) if error.kind() == Kind::WouldBlock => Ok(false),
            Err(error) => Err(failed("authenticate", &error.to_string())),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fork::tests::in_child_while;
    use crate::net::ListenOptions;

    #[test]
    fn a_child_has_a_lobby_of_its_own_whoever_had_the_parents() {
        let gate = Gate::new(AuthOptions::new(b"key")).unwrap();
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
        let silent = Stream::connect(&listener.local_address().unwrap(), Deadline::NEVER).unwrap();
        let nobody = || gate.accept(&listener, Deadline::NOW).is_err_and(|e| e.kind() == Kind::WouldBlock);
        while gate.lobby().unwrap().guests.lock().waiting.is_empty() {
            assert!(nobody());
        }
        let parents = gate.lobby().unwrap();
        let own = || nobody() && gate.lobby().unwrap().guests.lock().waiting.is_empty();
        assert!(in_child_while(|| (), own));
        assert!(in_child_while(|| gate.lobby.lock(), nobody));
        assert!(in_child_while(|| parents.guests.lock(), nobody));
        assert_eq!(parents.guests.lock().waiting.len(), 1);
        drop(silent);
    }
}
