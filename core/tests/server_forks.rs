// SPDX-License-Identifier: MIT OR Apache-2.0
//! A child of fork does nothing to the listeners and servers of its parent.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::server::{
    DatagramOptions, DatagramServer, MessageOptions, MessageServer, Request, ServerHandle, Session,
    StreamOptions, StreamServer,
};
use carrick::{
    Address, Connection, Datagram, Deadline, Format, Kind, ListenOptions, Listener, Poller, Stream,
};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;
use support::{Test, soon};

fn any() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

/// Forks; the child runs `body`, which makes plain system calls only, and ends with what it returns.
fn in_child(body: impl FnOnce() -> bool) {
    // SAFETY: the child calls nothing that needs its parent's other threads, and ends at once.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let good = body();
        // SAFETY: it may be called at any time.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    assert_eq!(ended(pid), 0, "the child says that something is wrong");
}

/// Waits for a child and returns its status.
fn ended(pid: i32) -> i32 {
    let mut status = -1;
    // SAFETY: the status is written to memory that lives.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

type Serving = JoinHandle<carrick::Result<()>>;

fn streams() -> (ServerHandle, Serving) {
    let server = StreamServer::bind(&any(), StreamOptions::default()).unwrap();
    let handle = server.handle();
    let serving = std::thread::spawn(move || {
        server.serve(|session: &Session<'_>| {
            let connection = session.framed(Format::MULTIPROCESSING);
            let word = connection.recv(soon())?;
            connection.send(&word, soon())
        })
    });
    (handle, serving)
}

fn messages() -> (ServerHandle, Serving) {
    let server = MessageServer::bind(&any(), MessageOptions::default()).unwrap();
    let handle = server.handle();
    let serving = std::thread::spawn(move || {
        server.serve(|request: &mut Request<'_>| {
            let word = request.body().to_vec();
            request.reply(&word)
        })
    });
    (handle, serving)
}

fn ask(address: &Address, word: &[u8]) -> Vec<u8> {
    let connection = Connection::new(Stream::connect(address, soon()).unwrap(), Format::MULTIPROCESSING);
    connection.send(word, soon()).unwrap();
    connection.recv(soon()).unwrap()
}

#[test]
fn a_listener_that_a_child_closes_goes_on_accepting_in_the_parent() {
    let _test = Test::begin();
    let listener = Listener::bind(&any(), &ListenOptions::default()).unwrap();
    let address = listener.local_address().unwrap();
    let accepting = {
        let listener = listener.clone();
        std::thread::spawn(move || (0..2).map(|_| listener.accept(soon()).map(drop)).collect::<Vec<_>>())
    };
    drop(Stream::connect(&address, soon()).unwrap());
    in_child(|| {
        listener.close();
        listener.fd().is_err()
    });
    drop(Stream::connect(&address, soon()).unwrap());
    assert!(accepting.join().unwrap().iter().all(Result::is_ok));
}

#[test]
fn a_server_that_a_child_shuts_down_goes_on_in_the_parent() {
    let _test = Test::begin();
    for (handle, serving) in [streams(), messages()] {
        assert_eq!(ask(handle.address(), b"before"), b"before");
        in_child(|| {
            handle.request_shutdown();
            // It serves nothing, so there is nothing to wait for.
            let stopped = handle.shutdown(Deadline::NEVER).is_ok() && handle.wait(Deadline::NEVER).is_ok();
            handle.abort();
            stopped && handle.is_stopping()
        });
        assert!(!handle.is_stopping());
        assert_eq!(ask(handle.address(), b"after"), b"after");
        handle.shutdown(soon()).unwrap();
        serving.join().unwrap().unwrap();
        in_child(|| handle.wait(Deadline::NEVER).is_ok());
    }
}

#[test]
fn a_server_of_datagrams_that_a_child_shuts_down_goes_on_in_the_parent() {
    let _test = Test::begin();
    let server = DatagramServer::bind(&any(), DatagramOptions::default()).unwrap();
    let handle = server.handle();
    let serving =
        std::thread::spawn(move || server.serve(|data: &[u8], _: &Address| Ok(Some(data.to_vec()))));
    let client = Datagram::bind(&any()).unwrap();
    let ask = || {
        client.send_to(b"word", handle.address(), soon()).unwrap();
        client.recv_from(&mut [0; 16], soon()).unwrap().0
    };
    assert_eq!(ask(), 4);
    in_child(|| handle.shutdown(Deadline::NEVER).is_ok());
    assert_eq!(ask(), 4);
    handle.shutdown(soon()).unwrap();
    serving.join().unwrap().unwrap();
}

static FORKED: AtomicI32 = AtomicI32::new(0);

#[test]
fn a_child_that_comes_back_from_a_handler_answers_nobody_and_ends() {
    let _test = Test::begin();
    let server = MessageServer::bind(&any(), MessageOptions::default()).unwrap();
    let handle = server.handle();
    let serving = std::thread::spawn(move || {
        server.serve(|request: &mut Request<'_>| {
            if request.body() == b"fork" {
                // SAFETY: the child returns to the server, which touches nothing and ends its only thread.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    return request.reply(b"child");
                }
                FORKED.store(pid, Ordering::SeqCst);
            }
            request.reply(b"parent")
        })
    });
    for word in [&b"fork"[..], b"again"] {
        assert_eq!(ask(handle.address(), word), b"parent");
    }
    assert_eq!(ended(FORKED.load(Ordering::SeqCst)), 0);
    assert_eq!(ask(handle.address(), b"later"), b"parent");
    handle.shutdown(soon()).unwrap();
    serving.join().unwrap().unwrap();
}

#[test]
fn a_poller_is_refused_in_a_child_which_wakes_nobody() {
    let _test = Test::begin();
    let poller = Poller::new().unwrap();
    in_child(|| {
        poller.wake();
        poller.wait(1, Deadline::NOW).is_err_and(|e| e.kind() == Kind::Forked)
    });
    let (left, _right) = Stream::pair().unwrap();
    let readiness = carrick::Readiness { readable: false, writable: true };
    poller.add(left.fd().unwrap(), 1, readiness).unwrap();
    assert_eq!(poller.wait(1, soon()).unwrap().len(), 1, "the parent was not woken");
}
