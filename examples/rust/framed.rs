// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sticky packets and their cure. TCP keeps no borders between messages; frames do: a length before each.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::{Connection, Deadline, Format, ListenOptions, Listener, Result, Stream};

const LINES: [&str; 4] = ["haul in", "the main", "sheet", ""];

fn without_frames(client: &Stream, server: &Stream) -> Result<()> {
    for line in LINES {
        client.send_all(line.as_bytes(), Deadline::NEVER)?;
    }
    client.close();
    let mut all = Vec::new();
    let mut text = [0; 64];
    loop {
        match server.recv(&mut text, Deadline::NEVER)? {
            0 => break, // the end of the stream
            n => all.extend_from_slice(&text[..n]),
        }
    }
    println!("without frames: {:?}", String::from_utf8_lossy(&all));
    Ok(())
}

fn with_frames(client: Stream, server: Stream) -> Result<()> {
    // Format::COURSE is what Python's struct.pack('i', n) writes.
    let sender = Connection::new(client, Format::COURSE);
    let receiver = Connection::new(server, Format::COURSE);
    for line in LINES {
        sender.send(line.as_bytes(), Deadline::NEVER)?;
    }
    for _ in LINES {
        println!("with frames: {:?}", String::from_utf8_lossy(&receiver.recv(Deadline::NEVER)?));
    }
    Ok(())
}

fn main() -> Result<()> {
    let listener = Listener::bind(&"127.0.0.1:0".parse()?, &ListenOptions::default())?;
    let connect = || -> Result<(Stream, Stream)> {
        let client = Stream::connect(&listener.local_address()?, Deadline::NEVER)?;
        Ok((client, listener.accept(Deadline::NEVER)?.0))
    };
    let (client, server) = connect()?;
    without_frames(&client, &server)?;
    let (client, server) = connect()?;
    with_frames(client, server)
}
