// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server over a listening socket that somebody else has too.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::server::{Mode, Session, StreamOptions, StreamServer};
use carrick::{Listener, Stream};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;
use support::{Test, eventually, soon};

fn lent_flags(lender: &TcpListener) -> i32 {
    let number = std::os::fd::AsRawFd::as_raw_fd(lender);
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    i32::from_str_radix(flags.trim(), 8).unwrap()
}

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
        // A thread that tried to accept now would do so for ever, for the socket blocks; the end of the test waits for it.
        assert_eq!(lent_flags(&lender) & libc::O_NONBLOCK, 0);
    }
}

#[test]
fn a_listener_that_was_lent_keeps_its_flags_and_a_close_ends_its_accepts() {
    let _test = Test::begin();
    let lender = TcpListener::bind("127.0.0.1:0").unwrap();
    let lent = Listener::from_fd(OwnedFd::from(lender.try_clone().unwrap())).unwrap();
    let address = lent.local_address().unwrap();
    let accepting: Vec<_> = (0..3)
        .map(|_| {
            let lent = lent.clone();
            std::thread::spawn(move || while lent.accept(soon()).is_ok() {})
        })
        .collect();
    let clients: Vec<_> = (0..50).map(|_| Stream::connect(&address, soon()).unwrap()).collect();
    lent.close();
    for thread in accepting {
        thread.join().unwrap();
    }
    drop(clients);
    assert_eq!(lent_flags(&lender) & libc::O_NONBLOCK, 0);
    let _client = Stream::connect(&address, soon()).unwrap();
    lender.accept().unwrap();
}
