// SPDX-License-Identifier: MIT OR Apache-2.0
//! The non-blocking model: no call waits (`Deadline::NOW`), and one thread asks its clients over and over again.
#![expect(clippy::print_stdout, reason = "an example prints")]

mod clients;

use carrick::{Deadline, Kind, ListenOptions, Listener, Result};
use std::thread;

/// The result of the call, or None where it would have had to wait.
fn if_ready<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == Kind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}

fn serve(listener: &Listener) -> Result<()> {
    let mut clients = Vec::new();
    let mut served = 0;
    while served < 3 {
        if let Some((client, _)) = if_ready(listener.accept(Deadline::NOW))? {
            clients.push(client);
        }
        let mut still_there = Vec::new();
        for client in clients {
            let mut text = [0; 64];
            match if_ready(client.recv(&mut text, Deadline::NOW))? {
                Some(0) => {
                    served += 1; // the client has closed
                    continue;
                }
                Some(n) => client.send_all(&text[..n].to_ascii_uppercase(), Deadline::NEVER)?,
                None => {} // nothing from this one yet
            }
            still_there.push(client);
        }
        clients = still_there;
    }
    println!("server: {served} clients served");
    Ok(())
}

fn main() -> Result<()> {
    let listener = Listener::bind(&"127.0.0.1:0".parse()?, &ListenOptions::default())?;
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener));
        clients::three_clients(&listener.local_address()?)?;
        server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
