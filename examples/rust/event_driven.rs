// SPDX-License-Identifier: MIT OR Apache-2.0
//! The event-driven model: the server calls the handler whenever a message has arrived, from any of its clients.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::server::{MessageOptions, MessageServer, Request};
use carrick::{Connection, Deadline, Format, Result, Stream};
use std::thread;

fn main() -> Result<()> {
    let server = MessageServer::bind(&"127.0.0.1:0".parse()?, MessageOptions::default())?;
    let handle = server.handle();
    let serving = thread::spawn(move || {
        server.serve(|request: &mut Request<'_>| request.reply(&request.body().to_ascii_uppercase()))
    });
    let mut clients = Vec::new();
    for name in ["anchor", "bow", "capstan"] {
        let stream = Stream::connect(handle.address(), Deadline::NEVER)?;
        clients.push((name, Connection::new(stream, Format::default())));
    }
    for (name, client) in clients {
        client.send(name.as_bytes(), Deadline::NEVER)?;
        println!("{name}: {}", String::from_utf8_lossy(&client.recv(Deadline::NEVER)?));
    }
    handle.shutdown(Deadline::NEVER)?;
    println!("server: {} clients served", handle.stats().connections);
    serving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
