// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server with a blocking handler for each connection, on up to four threads. The client that came last speaks
//! first: nobody waits for anybody else.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::server::{Mode, Session, StreamOptions, StreamServer};
use carrick::{Deadline, Result, Stream};
use std::thread;

fn converse(session: &Session<'_>) -> Result<()> {
    let mut text = [0; 64];
    loop {
        match session.stream.recv(&mut text, Deadline::NEVER)? {
            0 => return Ok(()), // the client has closed
            n => session.stream.send_all(&text[..n].to_ascii_uppercase(), Deadline::NEVER)?,
        }
    }
}

fn main() -> Result<()> {
    let options = StreamOptions { mode: Mode::Threads(4), ..StreamOptions::default() };
    let server = StreamServer::bind(&"127.0.0.1:0".parse()?, options)?;
    let handle = server.handle();
    let serving = thread::spawn(move || server.serve(converse));
    let mut clients = Vec::new();
    for name in ["first", "second", "third"] {
        clients.push((name, Stream::connect(handle.address(), Deadline::NEVER)?));
    }
    for (name, client) in clients.iter().rev() {
        let mut answer = [0; 64];
        client.send_all(name.as_bytes(), Deadline::NEVER)?;
        let n = client.recv(&mut answer, Deadline::NEVER)?;
        println!("{name}: {}", String::from_utf8_lossy(&answer[..n]));
    }
    drop(clients);
    handle.shutdown(Deadline::NEVER)?;
    println!("server: {} connections", handle.stats().connections);
    serving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
