// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three servers: limits, overload, statistics, failing handlers, and the ways they stop.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::AuthOptions;
use carrick::server::{
    DatagramOptions, DatagramServer, MessageOptions, MessageServer, Mode, Overload, Request, ServerHandle,
    Session, StreamOptions, StreamServer,
};
use carrick::{Address, Connection, Datagram, Deadline, Error, Format, Kind, Shutdown, Stream, channel};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;
use support::serving::{KEY, Served, Sort, anywhere, echo, echo_session};
use support::{Test, eventually, moment, soon};

const THREADS: [Mode; 2] = [Mode::Threads(4), Mode::InTurn];

fn stream_options(mode: Mode) -> StreamOptions {
    StreamOptions { mode, drain: Duration::from_secs(60), ..StreamOptions::default() }
}

/// Ends a connection so that also children of this process see its end, which have copies of it.
fn hang_up(client: &Connection) {
    client.transport().shutdown(Shutdown::Both).unwrap();
    client.close();
}

fn ask(client: &Connection, question: &[u8]) -> Vec<u8> {
    client.send(question, soon()).unwrap();
    client.recv(soon()).unwrap()
}

#[test]
fn every_server_counts_what_it_does() {
    let _test = Test::begin();
    for sort in [Sort::Message, Sort::Threads, Sort::InTurn] {
        let served = Served::echo(sort, None);
        for _ in 0..3 {
            let client = served.client();
            assert_eq!(ask(&client, b"12345"), b"12345");
            assert_eq!(ask(&client, b""), b"");
            hang_up(&client);
        }
        served.is_quiet();
        eventually("all is counted", || served.handle.stats().bytes_received == 3 * 13);
        let stats = served.handle.stats();
        assert_eq!((stats.connections, stats.active, stats.rejected), (3, 0, 0), "{sort:?}");
        assert_eq!(stats.requests, if sort == Sort::Message { 6 } else { 3 }, "{sort:?}");
        assert_eq!((stats.bytes_received, stats.bytes_sent), (3 * 13, 3 * 13), "{sort:?}");
        assert_eq!((stats.failures, stats.auth_failures, stats.limit_failures), (0, 0, 0), "{sort:?}");
        assert!(stats.handler_nanos > 0);
        let names: Vec<&str> = stats.items().iter().map(|(name, _)| *name).collect();
        assert_eq!(names[..3], ["connections", "active", "rejected"]);
        served.end();
    }
}

#[test]
fn processes_serve_side_by_side_and_are_collected() {
    let _test = Test::begin();
    let parent = std::process::id();
    let served = Served::stream(stream_options(Mode::Processes(4)), move |session: &Session<'_>| {
        if std::process::id() == parent {
            return Err(Error::new(Kind::State, "this is no child"));
        }
        echo_session(session)
    });
    let clients: Vec<Connection> = (0..4).map(|_| served.client()).collect();
    for client in clients.iter().rev() {
        assert_eq!(ask(client, b"hello"), b"hello");
    }
    eventually("four children run", || served.handle.stats().active == 4);
    clients.iter().for_each(hang_up);
    served.is_quiet();
    assert_eq!(served.handle.stats().failures, 0);
    served.end();
}

#[test]
fn a_child_that_exits_panics_or_is_killed_is_counted_and_the_server_goes_on() {
    let _test = Test::begin();
    let served = Served::stream(stream_options(Mode::Processes(4)), |session: &Session<'_>| {
        let connection = session.framed(Format::default());
        match connection.recv(soon())?.as_slice() {
            b"exit" => std::process::exit(3),
            b"panic" => std::panic::resume_unwind(Box::new("on purpose")),
            b"kill" => {
                // SAFETY: raise may be called at any time.
                unsafe { libc::raise(libc::SIGKILL) };
            }
            _ => connection.send(b"fine", soon())?,
        }
        Ok(())
    });
    for (count, word) in (1..).zip([&b"exit"[..], b"panic", b"kill"]) {
        let client = served.client();
        client.send(word, soon()).unwrap();
        assert!(matches!(client.recv(soon()).unwrap_err().kind(), Kind::Eof | Kind::Os));
        eventually("the failure is counted", || served.handle.stats().failures == count);
        assert_eq!(ask(&served.client(), b"and you?"), b"fine");
    }
    served.end();
}

#[test]
fn a_full_server_blocks_the_next_until_there_is_room() {
    let _test = Test::begin();
    for mode in [Mode::Threads(2), Mode::Processes(2)] {
        let served = Served::stream(stream_options(mode), echo_session);
        let (first, second) = (served.client(), served.client());
        assert_eq!(ask(&first, b"1"), b"1");
        assert_eq!(ask(&second, b"2"), b"2");
        let third = served.client();
        third.send(b"3", soon()).unwrap();
        assert_eq!(third.recv(moment()).unwrap_err().kind(), Kind::Timeout, "{mode:?}");
        assert_eq!(served.handle.stats().connections, 2, "{mode:?}");
        hang_up(&first);
        assert_eq!(third.recv(soon()).unwrap(), b"3", "{mode:?}");
        hang_up(&second);
        hang_up(&third);
        served.end();
    }
}

#[test]
fn a_full_server_that_rejects_says_so_at_once() {
    let _test = Test::begin();
    for mode in [Mode::Threads(2), Mode::Processes(2)] {
        let options = StreamOptions { overload: Overload::Reject, ..stream_options(mode) };
        let served = Served::stream(options, echo_session);
        let (first, second) = (served.client(), served.client());
        assert_eq!(ask(&first, b"1"), b"1");
        assert_eq!(ask(&second, b"2"), b"2");
        let third = served.client();
        assert!(matches!(third.recv(soon()).unwrap_err().kind(), Kind::Eof | Kind::Os), "{mode:?}");
        eventually("it is counted", || served.handle.stats().rejected == 1);
        hang_up(&first);
        // One that comes too early is turned away as well.
        eventually("there is room again", || {
            let next = served.client();
            let fits = next.send(b"next", soon()).and_then(|()| next.recv(soon())).is_ok();
            hang_up_quietly(&next);
            fits
        });
        hang_up(&second);
        served.end();
    }
}

fn hang_up_quietly(client: &Connection) {
    let _ = client.transport().shutdown(Shutdown::Both);
    client.close();
}

#[test]
fn a_message_server_keeps_to_its_limit_of_connections() {
    let _test = Test::begin();
    for overload in [Overload::Block, Overload::Reject] {
        let options = MessageOptions { max_connections: 2, overload, ..MessageOptions::default() };
        let served = Served::message(options, echo);
        let (first, second) = (served.client(), served.client());
        assert_eq!(ask(&first, b"1"), b"1");
        assert_eq!(ask(&second, b"2"), b"2");
        let third = served.client();
        if overload == Overload::Block {
            third.send(b"3", soon()).unwrap();
            assert_eq!(third.recv(moment()).unwrap_err().kind(), Kind::Timeout);
            first.close();
            assert_eq!(third.recv(soon()).unwrap(), b"3");
        } else {
            assert!(matches!(third.recv(soon()).unwrap_err().kind(), Kind::Eof | Kind::Os));
            assert_eq!(served.handle.stats().rejected, 1);
            first.close();
        }
        second.close();
        third.close();
        served.is_quiet();
        served.finish();
    }
}

#[test]
fn room_that_comes_and_goes_never_leaves_the_listener_unwatched() {
    let _test = Test::begin();
    let options = MessageOptions { max_connections: 1, ..MessageOptions::default() };
    let served = Served::message(options, echo);
    for _ in 0..500 {
        served.serves();
    }
    served.finish();
}

#[test]
fn a_handler_that_fails_or_panics_ends_its_connection_only() {
    let _test = Test::begin();
    let trouble = |body: &[u8]| match body {
        b"fail" => Err(Error::new(Kind::Handler, "on purpose")),
        // No message: the hook that prints one is not what is tested.
        b"panic" => std::panic::resume_unwind(Box::new("on purpose")),
        _ => Ok(()),
    };
    let message = Served::message(MessageOptions::default(), move |request: &mut Request<'_>| {
        trouble(request.body())?;
        echo(request)
    });
    let session = move |session: &Session<'_>| {
        let connection = session.framed(Format::default());
        while let Ok(body) = connection.recv(soon()) {
            trouble(&body)?;
            connection.send(&body, soon())?;
        }
        Ok(())
    };
    let [threads, in_turn] = THREADS.map(|mode| Served::stream(stream_options(mode), session));
    for served in [message, threads, in_turn] {
        for word in [b"fail".as_slice(), b"panic"] {
            let client = served.client();
            assert_eq!(ask(&client, b"good"), b"good");
            client.send(word, soon()).unwrap();
            assert!(matches!(client.recv(soon()).unwrap_err().kind(), Kind::Eof | Kind::Os));
            served.serves();
        }
        served.is_quiet();
        assert_eq!(served.handle.stats().failures, 2);
        served.finish();
    }
}

#[test]
fn a_handler_may_close_or_take_its_own_socket() {
    let _test = Test::begin();
    for mode in THREADS {
        let (sender, taken) = channel::bounded(1);
        let served = Served::stream(stream_options(mode), move |session: &Session<'_>| {
            let connection = session.framed(Format::default());
            let body = connection.recv(soon())?;
            match body.as_slice() {
                b"close" => {
                    session.stream.close();
                    assert_eq!(connection.send(b"too late", soon()).unwrap_err().kind(), Kind::Closed);
                }
                b"take" => sender.send(session.take()?).unwrap(),
                _ => connection.send(&body, soon())?,
            }
            Ok(())
        });
        let closed = served.client();
        closed.send(b"close", soon()).unwrap();
        assert_eq!(closed.recv(soon()).unwrap_err().kind(), Kind::Eof);
        let kept = served.client();
        kept.send(b"take", soon()).unwrap();
        let other_end = Connection::new(Stream::from_fd(taken.recv().unwrap()).unwrap(), Format::default());
        served.serves();
        other_end.send(b"still here", soon()).unwrap();
        assert_eq!(kept.recv(soon()).unwrap(), b"still here");
        assert_eq!(served.handle.stats().failures, 0);
        served.end();
        assert_eq!(ask_back(&other_end, &kept), b"after the server");
    }
}

fn ask_back(from: &Connection, to: &Connection) -> Vec<u8> {
    from.send(b"after the server", soon()).unwrap();
    to.recv(soon()).unwrap()
}

#[test]
fn a_request_may_be_answered_often_or_not_at_all_and_end_its_connection() {
    let _test = Test::begin();
    let served = Served::message(MessageOptions::default(), |request: &mut Request<'_>| {
        match request.body() {
            b"silence" => {}
            b"twice" => {
                request.reply(b"one")?;
                request.reply_vectored(&[std::io::IoSlice::new(b"t"), std::io::IoSlice::new(b"wo")])?;
            }
            b"too much" => {
                let body = vec![0; usize::try_from(Format::default().cap()).unwrap() + 1];
                let error = request.reply(&body).unwrap_err();
                request.reply(error.kind().name().as_bytes())?;
            }
            _ => {
                request.reply(b"bye")?;
                request.close();
            }
        }
        Ok(())
    });
    let client = served.client();
    client.send(b"silence", soon()).unwrap();
    assert_eq!(ask(&client, b"twice"), b"one");
    assert_eq!(client.recv(soon()).unwrap(), b"two");
    assert_eq!(ask(&client, b"too much"), b"E_FRAME_TOO_LARGE");
    assert_eq!(ask(&client, b"end"), b"bye");
    assert_eq!(client.recv(soon()).unwrap_err().kind(), Kind::Eof);
    served.end();
}

#[test]
fn a_half_closed_client_gets_the_whole_of_a_large_reply() {
    let _test = Test::begin();
    let served = Served::message(MessageOptions::default(), |request: &mut Request<'_>| {
        request.reply(&vec![b'x'; 32 << 20])
    });
    let client = served.client();
    client.send(b"all of it", soon()).unwrap();
    client.transport().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.recv(soon()).unwrap().len(), 32 << 20);
    assert_eq!(client.recv(soon()).unwrap_err().kind(), Kind::Eof);
    served.is_quiet();
    served.end();
}

#[test]
fn slow_handlers_run_side_by_side() {
    let _test = Test::begin();
    // Each handler waits until all four are there: in turn they would wait for ever.
    fn meet(count: &AtomicUsize) {
        count.fetch_add(1, Ordering::SeqCst);
        eventually("four are here", || count.load(Ordering::SeqCst) >= 4);
    }
    static MESSAGES: AtomicUsize = AtomicUsize::new(0);
    static STREAMS: AtomicUsize = AtomicUsize::new(0);
    let message = Served::message(MessageOptions::default(), |request: &mut Request<'_>| {
        meet(&MESSAGES);
        echo(request)
    });
    let stream = Served::stream(stream_options(Mode::Threads(4)), |session: &Session<'_>| {
        meet(&STREAMS);
        echo_session(session)
    });
    for served in [message, stream] {
        let clients: Vec<Connection> = (0..4).map(|_| served.client()).collect();
        clients.iter().for_each(|c| c.send(b"hello", soon()).unwrap());
        for client in &clients {
            assert_eq!(client.recv(soon()).unwrap(), b"hello");
            client.close();
        }
        served.end();
    }
}

#[test]
fn a_drain_lets_what_runs_finish_and_takes_nothing_new() {
    let _test = Test::begin();
    let (entered, inside) = channel::bounded(8);
    let (go, gate) = channel::bounded::<()>(8);
    let wait = move || {
        entered.send(()).unwrap();
        gate.recv().unwrap();
    };
    let for_stream = wait.clone();
    let message = Served::message(MessageOptions::default(), move |request: &mut Request<'_>| {
        wait();
        echo(request)
    });
    let stream = Served::stream(stream_options(Mode::Threads(4)), move |session: &Session<'_>| {
        for_stream();
        echo_session(session)
    });
    for served in [message, stream] {
        let client = served.client();
        client.send(b"slow", soon()).unwrap();
        inside.recv().unwrap();
        let idle = served.client();
        served.handle.request_shutdown();
        assert!(served.handle.is_stopping());
        assert_eq!(served.handle.wait(moment()).unwrap_err().kind(), Kind::Timeout);
        go.send(()).unwrap();
        assert_eq!(client.recv(soon()).unwrap(), b"slow");
        client.close();
        assert!(idle.recv(soon()).is_err(), "nothing new is begun");
        served.end();
    }
}

#[test]
fn the_end_of_a_drain_cuts_off_what_still_runs() {
    let _test = Test::begin();
    for mode in [Mode::Threads(4), Mode::InTurn, Mode::Processes(2)] {
        let options = StreamOptions { drain: Duration::from_millis(50), ..stream_options(mode) };
        let served = Served::stream(options, echo_session);
        let client = served.client();
        assert_eq!(ask(&client, b"hello"), b"hello");
        served.handle.request_shutdown();
        served.handle.wait(soon()).unwrap();
        assert!(matches!(client.recv(soon()).unwrap_err().kind(), Kind::Eof | Kind::Os), "{mode:?}");
        served.join().unwrap();
    }
}

#[test]
fn an_abort_waits_for_nobody() {
    let _test = Test::begin();
    for sort in [Sort::Message, Sort::Threads, Sort::InTurn, Sort::Processes] {
        let served = Served::echo(sort, None);
        let client = served.client();
        assert_eq!(ask(&client, b"hello"), b"hello");
        served.handle.abort();
        assert!(matches!(client.recv(soon()).unwrap_err().kind(), Kind::Eof | Kind::Os), "{sort:?}");
        served.handle.wait(soon()).unwrap();
        served.join().unwrap();
    }
}

#[test]
fn an_abort_of_an_idle_server_is_a_good_end() {
    let _test = Test::begin();
    for round in 0..600 {
        let sort = [Sort::Threads, Sort::InTurn, Sort::Message][round % 3];
        let served = Served::echo(sort, None);
        // At whatever point of its beginning it may be.
        for _ in 0..round {
            std::hint::spin_loop();
        }
        served.handle.abort();
        served.join().unwrap();
    }
}

#[test]
fn a_handler_that_never_returns_is_left_behind_and_told_of() {
    let _test = Test::begin();
    // It returns in the end, so that nothing is left of the test.
    let (free, stuck) = channel::bounded::<()>(0);
    let (entered, inside) = channel::bounded(1);
    let (again, entered_too) = (stuck.clone(), entered.clone());
    let message = MessageOptions { drain: Duration::from_millis(20), ..MessageOptions::default() };
    let message = Served::message(message, move |_: &mut Request<'_>| {
        entered.send(()).unwrap();
        let _ = stuck.recv();
        Ok(())
    });
    let stream = StreamOptions { drain: Duration::from_millis(20), ..stream_options(Mode::Threads(2)) };
    let stream = Served::stream(stream, move |_: &Session<'_>| {
        entered_too.send(()).unwrap();
        let _ = again.recv();
        Ok(())
    });
    for served in [message, stream] {
        let client = served.client();
        client.send(b"for ever", soon()).unwrap();
        inside.recv().unwrap();
        served.handle.request_shutdown();
        let error = served.join().unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout, "{error}");
        assert!(client.recv(soon()).is_err());
    }
    drop(free);
}

/// The server that the signal handler below stops.
static TO_STOP: AtomicPtr<ServerHandle> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn stop(_: libc::c_int) {
    // SAFETY: the test keeps the handle alive for as long as the pointer is not NULL.
    if let Some(handle) = unsafe { TO_STOP.load(Ordering::SeqCst).as_ref() } {
        handle.request_shutdown();
    }
}

#[test]
fn a_signal_handler_may_ask_for_the_shutdown() {
    let _test = Test::begin();
    let served = Served::echo(Sort::Message, None);
    served.serves();
    let mut handle = served.handle.clone();
    TO_STOP.store(&raw mut handle, Ordering::SeqCst);
    let handler: extern "C" fn(libc::c_int) = stop;
    // SAFETY: the handler only does what request_shutdown says it may.
    let before = unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    // SAFETY: raise may be called at any time.
    unsafe { libc::raise(libc::SIGUSR1) };
    served.handle.wait(soon()).unwrap();
    // SAFETY: what is put back was there before.
    unsafe { libc::signal(libc::SIGUSR1, before) };
    TO_STOP.store(std::ptr::null_mut(), Ordering::SeqCst);
    drop(handle);
    served.join().unwrap();
}

#[test]
fn a_server_serves_once_and_its_limits_are_at_least_one() {
    let _test = Test::begin();
    for options in [
        MessageOptions { max_connections: 0, ..MessageOptions::default() },
        MessageOptions { max_threads: 0, ..MessageOptions::default() },
    ] {
        let error = MessageServer::bind(&anywhere(), options).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("allow at least 1"), "{error}");
    }
    for mode in [Mode::Threads(0), Mode::Processes(0)] {
        assert_eq!(StreamServer::bind(&anywhere(), stream_options(mode)).unwrap_err().kind(), Kind::Invalid);
    }
    let options = DatagramOptions { max_length: usize::MAX, ..DatagramOptions::default() };
    let error = DatagramServer::bind(&anywhere(), options).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("67108864"), "{error}");
}

#[test]
fn a_shutdown_before_serving_ends_it_as_it_begins() {
    let _test = Test::begin();
    let server = MessageServer::bind(&anywhere(), MessageOptions::default()).unwrap();
    let handle = server.handle();
    assert_eq!(handle.shutdown(moment()).unwrap_err().kind(), Kind::Timeout);
    server.serve(echo).unwrap();
    handle.wait(soon()).unwrap();
}

#[test]
fn authentication_is_an_option_of_every_stream_server() {
    let _test = Test::begin();
    for sort in [Sort::Message, Sort::Threads, Sort::InTurn] {
        let mut auth = AuthOptions::new(KEY);
        for scheme in [carrick::auth::Scheme::Multiprocessing, carrick::auth::Scheme::Course] {
            auth.scheme = scheme;
            let served = Served::echo(sort, Some(auth.clone()));
            served.serves();
            served.finish();
        }
    }
}

#[test]
fn a_datagram_server_answers_counts_and_drops_what_is_too_long() {
    let _test = Test::begin();
    let options = DatagramOptions { max_length: 100, ..DatagramOptions::default() };
    let server = DatagramServer::bind(&anywhere(), options).unwrap();
    let handle = server.handle();
    let serving = std::thread::spawn(move || {
        server.serve(|data: &[u8], _: &Address| match data {
            b"fail" => Err(Error::new(Kind::Handler, "on purpose")),
            b"panic" => std::panic::resume_unwind(Box::new("on purpose")),
            b"silence" => Ok(None),
            b"too much" => Ok(Some(vec![0; 70_000])),
            _ => Ok(Some(data.to_ascii_uppercase())),
        })
    });
    let client = Datagram::bind(&anywhere()).unwrap();
    let send = |data: &[u8]| client.send_to(data, handle.address(), soon()).unwrap();
    for data in [&[b'x'; 101][..], b"fail", b"panic", b"silence", b"too much", b"", b"hello"] {
        send(data);
    }
    let mut buf = [0; 200];
    for expected in [&b""[..], b"HELLO"] {
        let (n, from) = client.recv_from(&mut buf, soon()).unwrap();
        assert_eq!(&buf[..n], expected);
        assert_eq!(&from, handle.address());
    }
    let stats = handle.stats();
    assert_eq!((stats.requests, stats.failures, stats.limit_failures), (6, 3, 1), "{stats:?}");
    handle.shutdown(soon()).unwrap();
    serving.join().unwrap().unwrap();
    assert_eq!(client.recv_from(&mut buf, Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
}
