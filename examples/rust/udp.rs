// SPDX-License-Identifier: MIT OR Apache-2.0
//! UDP: no connection, every datagram keeps its borders, and an empty one is a message too.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::{Datagram, Deadline, Result};

fn main() -> Result<()> {
    let server = Datagram::bind(&"127.0.0.1:0".parse()?)?;
    let address = server.local_address()?;
    let client = Datagram::unbound(&address)?;
    for word in ["ahoy", ""] {
        let mut buf = [0; 64];
        client.send_to(word.as_bytes(), &address, Deadline::NEVER)?;
        let (n, sender) = server.recv_from(&mut buf, Deadline::NEVER)?;
        let text = String::from_utf8_lossy(&buf[..n]).into_owned();
        println!("server: {text:?}");
        server.send_to(format!("got {text}").as_bytes(), &sender, Deadline::NEVER)?;
        let (n, _) = client.recv_from(&mut buf, Deadline::NEVER)?;
        println!("client: {:?}", String::from_utf8_lossy(&buf[..n]));
    }
    Ok(())
}
