// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that echo frames, for tests of servers and of their clients.

use super::{eventually, soon};
use carrick::auth::{AuthOptions, Role, authenticate};
use carrick::server::{
    MessageHandler, MessageOptions, MessageServer, Mode, Request, ServerHandle, Session, StreamHandler,
    StreamOptions, StreamServer,
};
use carrick::{Address, Connection, Format, Kind, ListenOptions, Result, Stream};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const KEY: &[u8] = b"the key of these tests";

pub(crate) fn anywhere() -> Address {
    "127.0.0.1:0".parse().expect("an address")
}

/// A server on a thread of its own.
pub(crate) struct Served {
    pub(crate) handle: ServerHandle,
    thread: JoinHandle<Result<()>>,
    key: Option<AuthOptions>,
}

/// Echoes one request.
pub(crate) fn echo(request: &mut Request<'_>) -> Result<()> {
    let body = request.body().to_vec();
    request.reply(&body)
}

/// Echoes frames until the peer closes; whatever else ends it is a failure.
pub(crate) fn echo_session(session: &Session<'_>) -> Result<()> {
    let connection = session.framed(Format::default());
    loop {
        let body = match connection.recv(soon()) {
            Ok(body) => body,
            Err(e) if e.kind() == Kind::Eof => return Ok(()),
            Err(e) => return Err(e),
        };
        connection.send(&body, soon())?;
    }
}

/// The server that a test does not say more of: its kind, and whether it authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Message,
    Threads,
    InTurn,
    Processes,
}

impl Served {
    pub(crate) fn message(options: MessageOptions, handler: impl MessageHandler) -> Self {
        let key = options.auth.clone();
        let server = MessageServer::bind(&anywhere(), options).expect("a server");
        let handle = server.handle();
        Self { handle, thread: std::thread::spawn(move || server.serve(handler)), key }
    }

    pub(crate) fn stream(options: StreamOptions, handler: impl StreamHandler) -> Self {
        let key = options.auth.clone();
        let server = StreamServer::bind(&anywhere(), options).expect("a server");
        let handle = server.handle();
        Self { handle, thread: std::thread::spawn(move || server.serve(handler)), key }
    }

    /// An echo server of this sort.
    pub(crate) fn echo(sort: Sort, auth: Option<AuthOptions>) -> Self {
        let listen = ListenOptions { backlog: 4096, ..ListenOptions::default() };
        let mode = match sort {
            Sort::Message => {
                let options = MessageOptions {
                    listen,
                    auth,
                    drain: Duration::from_secs(60),
                    ..MessageOptions::default()
                };
                return Self::message(options, echo);
            }
            Sort::Threads => Mode::Threads(64),
            Sort::InTurn => Mode::InTurn,
            Sort::Processes => Mode::Processes(16),
        };
        let options =
            StreamOptions { listen, mode, auth, drain: Duration::from_secs(60), ..StreamOptions::default() };
        Self::stream(options, echo_session)
    }

    pub(crate) fn connect(&self) -> Stream {
        Stream::connect(self.handle.address(), soon()).expect("the server accepts")
    }

    /// A client that has authenticated where the server asks for it.
    pub(crate) fn client(&self) -> Connection {
        let connection = Connection::new(self.connect(), Format::default());
        if let Some(auth) = &self.key {
            authenticate(&connection, Role::Client, auth).expect("the right key");
        }
        connection
    }

    /// A good client is served.
    #[track_caller]
    pub(crate) fn serves(&self) {
        let client = self.client();
        client.send(b"are you there?", soon()).expect("the server takes a request");
        assert_eq!(client.recv(soon()).expect("the server answers"), b"are you there?");
        client.close();
    }

    /// Shuts down gracefully; everything that runs must have an end.
    #[track_caller]
    pub(crate) fn finish(self) {
        self.serves();
        self.end();
    }

    #[track_caller]
    pub(crate) fn end(self) {
        self.handle.shutdown(soon()).expect("the server ends");
        self.thread.join().expect("serving does not panic").expect("serving ends well");
    }

    /// The result of `serve`, for servers that do not end well.
    pub(crate) fn join(self) -> Result<()> {
        self.thread.join().expect("serving does not panic")
    }

    /// Waits until no connection is open.
    #[track_caller]
    pub(crate) fn is_quiet(&self) {
        eventually("no connection is open", || self.handle.stats().active == 0);
    }
}
