// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Rust end of the demo. demo/README.md says what its arguments mean and what it prints.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use carrick::auth::{AuthOptions, Role, Scheme, authenticate};
use carrick::server::{MessageOptions, MessageServer, Request};
use carrick::{Address, Connection, Deadline, Error, Format, Kind, Result, Stream};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

const WORDS: [&str; 3] = ["haul in", "the main", "sheet"];

fn set_up(scheme: &str, key: &str) -> (AuthOptions, Format) {
    let auth = AuthOptions::new(key.as_bytes());
    match scheme {
        "course" => (AuthOptions { scheme: Scheme::Course, ..auth }, Format::COURSE),
        _ => (auth, Format::MULTIPROCESSING),
    }
}

fn joined<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn serve(scheme: &str, listen: &str, key: &str) -> Result<()> {
    let (auth, format) = set_up(scheme, key);
    let options = MessageOptions { auth: Some(auth), format, ..MessageOptions::default() };
    let server = MessageServer::bind(&listen.parse()?, options)?;
    let handle = server.handle();
    println!("LISTENING {}", handle.address());
    let serving = thread::spawn(move || {
        server.serve(|request: &mut Request<'_>| request.reply(&request.body().to_ascii_uppercase()))
    });
    // The demo closes our input when all clients have been.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    handle.shutdown(Deadline::NEVER)?;
    let stats = handle.stats();
    println!("SERVED {} REFUSED {}", stats.requests, stats.auth_failures);
    joined(serving)
}

fn answers(scheme: &str, address: &Address, key: &str) -> Result<Vec<String>> {
    let (auth, format) = set_up(scheme, key);
    let server = Connection::new(Stream::connect(address, Deadline::NEVER)?, format);
    authenticate(&server, Role::Client, &auth)?;
    // All are sent before any answer is read: without frames they would stick together.
    for word in WORDS {
        server.send(word.as_bytes(), Deadline::NEVER)?;
    }
    WORDS.iter().map(|_| Ok(String::from_utf8_lossy(&server.recv(Deadline::NEVER)?).into_owned())).collect()
}

fn ask(scheme: &str, address: &str, key: &str) -> Result<()> {
    match answers(scheme, &address.parse()?, key) {
        Ok(answers) => println!("ANSWERED {}", answers.join("|")),
        // In the course's scheme a client that was refused learns it when the connection ends.
        Err(e) if matches!(e.kind(), Kind::AuthFailed | Kind::Eof | Kind::BadFrame | Kind::Os) => {
            println!("REFUSED");
        }
        Err(e) => return Err(e),
    }
    Ok(())
}

/// One client of the load: `connections` connections one after the other, `requests` on each. It uses the sockets of
/// Rust's own library, so that it is no part of what is compared.
fn converse(address: &str, connections: u32, requests: u32) -> std::io::Result<()> {
    let mut answer = [0; 64];
    for _ in 0..connections {
        let mut server = TcpStream::connect(address)?;
        server.set_nodelay(true)?;
        for _ in 0..requests {
            server.write_all(b"haul in the main sheet")?;
            if server.read(&mut answer)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(())
}

fn load(address: &str, clients: u32, connections: u32, requests: u32) -> Result<()> {
    let started = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let address = address.to_owned();
            thread::spawn(move || converse(&address, connections, requests))
        })
        .collect();
    for thread in threads {
        joined(thread).map_err(|e| Error::with_detail(Kind::Os, "load", e.to_string()))?;
    }
    println!("SECONDS {}", started.elapsed().as_secs_f64());
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| {
        text.parse::<u32>().map_err(|e| Error::with_detail(Kind::Invalid, "read arguments", e.to_string()))
    };
    match arguments[..] {
        ["server", scheme, listen, key] => serve(scheme, listen, key),
        ["client", scheme, address, key, wrong] => {
            ask(scheme, address, wrong)?;
            ask(scheme, address, key)
        }
        ["load", address, clients, connections, requests] => {
            load(address, number(clients)?, number(connections)?, number(requests)?)
        }
        _ => Err(Error::with_detail(Kind::Invalid, "read arguments", "see demo/README.md")),
    }
}
