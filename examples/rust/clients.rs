// SPDX-License-Identifier: MIT OR Apache-2.0
//! Three clients, connected at the same time, for the servers of the examples.

use carrick::{Address, Deadline, Result, Stream};

/// Each says its name and prints the answer.
#[expect(clippy::print_stdout, reason = "an example prints")]
pub(crate) fn three_clients(address: &Address) -> Result<()> {
    let names = ["anchor", "bow", "capstan"];
    let clients: Vec<Stream> =
        names.iter().map(|_| Stream::connect(address, Deadline::NEVER)).collect::<Result<_>>()?;
    for (name, client) in names.iter().zip(clients) {
        let mut answer = [0; 64];
        client.send_all(name.as_bytes(), Deadline::NEVER)?;
        let n = client.recv(&mut answer, Deadline::NEVER)?;
        println!("{name}: {}", String::from_utf8_lossy(&answer[..n]));
    }
    Ok(())
}
