// SPDX-License-Identifier: MIT OR Apache-2.0
//! The blocking model, a TCP echo: each call waits, and the server serves one client after the other.
#![expect(clippy::print_stdout, reason = "an example prints")]

mod clients;

use carrick::{Deadline, ListenOptions, Listener, Result};
use std::thread;

fn serve(listener: &Listener) -> Result<()> {
    for _ in 0..3 {
        let (client, _) = listener.accept(Deadline::NEVER)?;
        let mut text = [0; 64];
        loop {
            let n = client.recv(&mut text, Deadline::NEVER)?;
            if n == 0 {
                break; // the client has closed
            }
            client.send_all(&text[..n].to_ascii_uppercase(), Deadline::NEVER)?;
        }
    }
    println!("server: 3 clients served");
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
