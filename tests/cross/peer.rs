// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of the scenario matrix over the Rust crate. README.md has the command line and the result lines.

use carrick::auth::{AuthOptions, Role, authenticate};
use carrick::{Address, Connection, Deadline, Error, Format, Kind, ListenOptions, Listener, Result, Stream};
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

const OK: u8 = 0;
const ERROR: u8 = 1;
const USAGE: u8 = 2;
const AUTH_FAILED: u8 = 3;

const DEFAULT_MESSAGES: &str = "0,1,64,16384,16385,1048576,pickle";
/// `pickle.dumps(stock_peer.PICKLED_OBJECT, 4)` in hex.
const PICKLED: &str = "80049540000000000000007d94288c04726f7065948c076361727269636b948c07737472616e6473\
                       945d94284b014b024b03658c05627974657394430300ff0a948c046e6f6e65944e752e";

struct Arguments {
    is_listener: bool,
    is_unix: bool,
    address: String,
    key: Option<Vec<u8>>,
    count: u64,
    connections: u64,
    messages: Vec<String>,
    timeout: f64,
}

/// A line of the contract, written at once. If nobody reads it there is nobody to tell.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The result line of an outcome, and its exit code.
fn report(outcome: Result<u64>) -> u8 {
    match outcome {
        Ok(count) => {
            say(&format!("OK {count}"));
            OK
        }
        Err(error) if error.kind() == Kind::AuthFailed => {
            say("AUTH-FAILED");
            AUTH_FAILED
        }
        Err(error) => {
            say(&format!("ERROR {error}"));
            ERROR
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

/// The message that a word of the list stands for.
fn message(word: &str) -> Option<Vec<u8>> {
    if word == "pickle" {
        return unhex(PICKLED);
    }
    let size: usize = word.parse().ok()?;
    Some((0..size).map(|i| u8::try_from((7 * i + size) % 251).unwrap_or(0)).collect())
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut args = Arguments {
        is_listener: match words.next()?.as_str() {
            "listener" => true,
            "client" => false,
            _ => return None,
        },
        is_unix: false,
        address: "127.0.0.1:0".into(),
        key: None,
        count: 7,
        connections: 1,
        messages: DEFAULT_MESSAGES.split(',').map(str::to_owned).collect(),
        timeout: 30.0,
    };
    while let Some(name) = words.next() {
        let value = words.next()?;
        match name.as_str() {
            "--family" if value == "tcp" || value == "unix" => args.is_unix = value == "unix",
            "--address" => args.address = value,
            "--key" => args.key = if value == "none" { None } else { Some(unhex(&value)?) },
            "--count" => args.count = value.parse().ok()?,
            "--connections" => args.connections = value.parse().ok()?,
            "--messages" => args.messages = value.split(',').map(str::to_owned).collect(),
            "--timeout" => args.timeout = value.parse().ok().filter(|t: &f64| t.is_finite() && *t > 0.0)?,
            _ => return None,
        }
    }
    Some(args)
}

/// The address in the form of the crate.
fn place(args: &Arguments) -> Result<Address> {
    if args.is_unix { format!("unix:{}", args.address).parse() } else { args.address.parse() }
}

fn let_in(connection: &Connection, args: &Arguments, role: Role) -> Result<()> {
    match &args.key {
        Some(key) => authenticate(connection, role, &AuthOptions::new(key)),
        None => Ok(()),
    }
}

/// Sends back up to `count` messages, then waits for the peer to close.
fn echo(connection: &Connection, count: u64) -> Result<u64> {
    for done in 0..count {
        match connection.recv(Deadline::NEVER) {
            Ok(body) => connection.send(&body, Deadline::NEVER)?,
            Err(error) if error.kind() == Kind::Eof => return Ok(done),
            Err(error) => return Err(error),
        }
    }
    match connection.recv(Deadline::NEVER) {
        Ok(_) => Err(Error::with_detail(Kind::Invalid, "echo", "a message more than announced")),
        Err(error) if error.kind() == Kind::Eof => Ok(count),
        // A peer may close with unread bytes behind it.
        Err(error) if error.os_code() == Some(libc::ECONNRESET) => Ok(count),
        Err(error) => Err(error),
    }
}

fn serve_one(listener: &Listener, args: &Arguments) -> Result<u64> {
    let (stream, _) = listener.accept(Deadline::NEVER)?;
    let connection = Connection::new(stream, Format::MULTIPROCESSING);
    let_in(&connection, args, Role::Server)?;
    echo(&connection, args.count)
}

fn listen(args: &Arguments) -> Result<u8> {
    let listener = Listener::bind(&place(args)?, &ListenOptions::default())?;
    let address = listener.local_address()?.to_string();
    let (family, place) = match address.strip_prefix("unix:") {
        Some(path) => ("unix", path),
        None => ("tcp", address.as_str()),
    };
    say(&format!("LISTENING {family} {place}"));
    let mut worst = OK;
    for _ in 0..args.connections {
        let result = report(serve_one(&listener, args));
        if result == ERROR || worst == OK {
            worst = result;
        }
    }
    Ok(worst)
}

fn call(args: &Arguments) -> Result<u64> {
    let stream = Stream::connect(&place(args)?, Deadline::NEVER)?;
    let connection = Connection::new(stream, Format::MULTIPROCESSING);
    let_in(&connection, args, Role::Client)?;
    let mut done = 0;
    for word in &args.messages {
        let sent = message(word).ok_or_else(|| {
            Error::with_detail(
                Kind::Invalid,
                "read messages",
                format!("{word:?} is neither a size nor pickle"),
            )
        })?;
        connection.send(&sent, Deadline::NEVER)?;
        if connection.recv(Deadline::NEVER)? != sent {
            return Err(Error::with_detail(
                Kind::Invalid,
                "compare",
                format!("message {word}: the echo differs"),
            ));
        }
        done += 1;
    }
    Ok(done)
}

/// Ends the process unless the sender is dropped in time.
fn watch(seconds: f64) -> mpsc::Sender<()> {
    let (alive, dog) = mpsc::channel();
    std::thread::spawn(move || {
        if dog.recv_timeout(Duration::from_secs_f64(seconds)) == Err(mpsc::RecvTimeoutError::Timeout) {
            say(&format!("ERROR no result within {seconds} s"));
            std::process::exit(i32::from(ERROR));
        }
    });
    alive
}

fn main() -> ExitCode {
    let Some(args) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(std::io::stderr(), "wrong command line: see tests/cross/README.md");
        return ExitCode::from(USAGE);
    };
    let _alive = watch(args.timeout);
    let code = if args.is_listener {
        listen(&args).unwrap_or_else(|error| report(Err(error)))
    } else {
        report(call(&args))
    };
    ExitCode::from(code)
}
