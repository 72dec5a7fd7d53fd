// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server over a listening socket that somebody else has too.

mod support;

use carrick::server::{Mode, Session, StreamOptions, StreamServer};
use carrick::{Listener, Stream};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;
use support::{Test, eventually, soon};

#[test]
fn nobody_accepts_from_a_lent_listener_once_serve_has_returned() {
    let _test = Test::begin();
    for _ in 0..200 {
        let lender = TcpListener::bind("127.0.0.1:0").unwrap();
        let lent = Listener::from_fd(OwnedFd::from(lender.try_clone().unwrap())).unwrap();
        let address = lent.local_address().unwrap();
        let options =
            StreamOptions { mode: Mode::Threads(8), drain: Duration::ZERO, ..StreamOptions::default() };
        let server = StreamServer::over(lent, options).unwrap();
        let handle = server.handle();
        let serving = std::thread::spawn(move || {
            server.serve(|session: &Session<'_>| {
                let mut buf = [0; 8];
                while session.stream.recv(&mut buf, soon())? > 0 {}
                Ok(())
            })
        });
        let clients: Vec<_> = (0..3).map(|_| Stream::connect(&address, soon()).unwrap()).collect();
        for client in &clients {
            client.send_all(b"word", soon()).unwrap();
            client.close();
        }
        eventually("every client was served", || handle.stats().requests == 3 && handle.stats().active == 0);
        handle.request_shutdown();
        // With no time to drain, threads may still be on their way out: that is a timeout.
        let _ = serving.join().unwrap();
        // A thread that tried to accept now would do so for ever; the end of the test waits for it.
        lender.set_nonblocking(false).unwrap();
    }
}
