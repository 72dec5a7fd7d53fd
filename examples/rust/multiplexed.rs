// SPDX-License-Identifier: MIT OR Apache-2.0
//! The multiplexed model: one thread waits for whichever of many sockets is ready, with a poller.
#![expect(clippy::print_stdout, reason = "an example prints")]

mod clients;

use carrick::{Deadline, ListenOptions, Listener, Poller, Readiness, Result, Stream};
use std::collections::HashMap;
use std::thread;

const LISTENER: u64 = 0;
const READABLE: Readiness = Readiness { readable: true, writable: false };

fn serve(listener: &Listener) -> Result<()> {
    let poller = Poller::new()?;
    poller.add(listener.fd()?, LISTENER, READABLE)?;
    let mut clients: HashMap<u64, Stream> = HashMap::new();
    let mut next = LISTENER + 1;
    let mut served = 0;
    while served < 3 {
        for ready in poller.wait(16, Deadline::NEVER)? {
            if ready.token == LISTENER {
                let (client, _) = listener.accept(Deadline::NEVER)?;
                poller.add(client.fd()?, next, READABLE)?;
                clients.insert(next, client);
                next += 1;
            } else if let Some(client) = clients.get(&ready.token) {
                let mut text = [0; 64];
                let n = client.recv(&mut text, Deadline::NEVER)?;
                client.send_all(&text[..n].to_ascii_uppercase(), Deadline::NEVER)?;
                if n == 0 {
                    // The client has closed: stop watching before the descriptor goes.
                    poller.remove(client.fd()?)?;
                    clients.remove(&ready.token);
                    served += 1;
                }
            }
        }
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
