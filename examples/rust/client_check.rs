// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is the client one of ours? The course's check: 32 random bytes there, their digest under the key back.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::auth::{AuthOptions, Role, Scheme, authenticate};
use carrick::{Address, Connection, Deadline, Format, Kind, ListenOptions, Listener, Result, Stream};
use std::thread;

fn check(key: &str) -> AuthOptions {
    AuthOptions { scheme: Scheme::Course, ..AuthOptions::new(key.as_bytes()) }
}

fn serve(listener: &Listener) -> Result<()> {
    for _ in 0..2 {
        let (stream, _) = listener.accept(Deadline::NEVER)?;
        let client = Connection::new(stream, Format::default());
        match authenticate(&client, Role::Server, &check("bowline")) {
            Ok(()) => println!("server: a client of ours"),
            Err(e) if e.kind() == Kind::AuthFailed => {
                println!("server: not a client of ours");
                continue;
            }
            Err(e) => return Err(e),
        }
        let text = client.recv(Deadline::NEVER)?;
        client.send(&text.to_ascii_uppercase(), Deadline::NEVER)?;
    }
    Ok(())
}

fn ask(address: &Address, key: &str) -> Result<()> {
    let server = Connection::new(Stream::connect(address, Deadline::NEVER)?, Format::default());
    authenticate(&server, Role::Client, &check(key))?;
    // The scheme is one-sided: a client that was refused learns it when it uses the connection.
    let answer = server.send(b"starboard", Deadline::NEVER).and_then(|()| server.recv(Deadline::NEVER));
    match answer {
        Ok(text) => println!("client: {}", String::from_utf8_lossy(&text)),
        Err(_) => println!("client: no answer"),
    }
    Ok(())
}

fn main() -> Result<()> {
    let listener = Listener::bind(&"127.0.0.1:0".parse()?, &ListenOptions::default())?;
    let address = listener.local_address()?;
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener));
        ask(&address, "granny")?;
        ask(&address, "bowline")?;
        server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
