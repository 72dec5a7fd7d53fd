// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server that asks for a key the way Python's multiprocessing.connection does, so that Listener's clients in
//! Python, C and Rust can all talk to it.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::auth::{AuthOptions, Role, authenticate};
use carrick::server::{MessageOptions, MessageServer, Request};
use carrick::{Address, Connection, Deadline, Format, Kind, Result, Stream};
use std::thread;

fn ask(address: &Address, name: &str, key: &str) -> Result<()> {
    let server = Connection::new(Stream::connect(address, Deadline::NEVER)?, Format::default());
    match authenticate(&server, Role::Client, &AuthOptions::new(key.as_bytes())) {
        Ok(()) => {
            server.send(b"hello", Deadline::NEVER)?;
            println!("{name}: {}", String::from_utf8_lossy(&server.recv(Deadline::NEVER)?));
            Ok(())
        }
        Err(e) if e.kind() == Kind::AuthFailed => {
            println!("{name}: refused");
            Ok(())
        }
        Err(e) => Err(e),
    }
}

fn main() -> Result<()> {
    let options = MessageOptions { auth: Some(AuthOptions::new(b"secret")), ..MessageOptions::default() };
    let server = MessageServer::bind(&"127.0.0.1:0".parse()?, options)?;
    let handle = server.handle();
    let serving = thread::spawn(move || {
        server.serve(|request: &mut Request<'_>| request.reply(&request.body().to_ascii_uppercase()))
    });
    ask(handle.address(), "wrong key", "sacred")?;
    ask(handle.address(), "right key", "secret")?;
    handle.shutdown(Deadline::NEVER)?;
    let stats = handle.stats();
    println!("server: {} request, {} refused", stats.requests, stats.auth_failures);
    serving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
