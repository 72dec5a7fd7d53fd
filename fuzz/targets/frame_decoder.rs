// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frame decoder: arbitrary bytes in arbitrary pieces are read as a plain model reads them, and what was
//! read is written back as it was.
#![no_main]

use carrick::frame::{ByteOrder, Halves, HeadProgress};
use carrick::{Connection, Deadline, Format, Kind};
use libfuzzer_sys::{arbitrary, fuzz_target};
use std::io::{self, Read};

#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'a> {
    format: u8,
    cap: Option<u16>,
    /// Lengths of the pieces, in turn.
    pieces: [u8; 4],
    /// Room of the caller's buffer: 0 receives into a new one.
    room: u8,
    bytes: &'a [u8],
}

/// Gives its bytes in pieces.
struct Pieces<'a> {
    bytes: &'a [u8],
    pieces: [u8; 4],
    next: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let piece = usize::from(self.pieces[self.next % 4]).max(1);
        self.next += 1;
        let n = piece.min(buf.len()).min(self.bytes.len());
        buf[..n].copy_from_slice(&self.bytes[..n]);
        self.bytes = &self.bytes[n..];
        Ok(n)
    }
}

fn format(input: &Input<'_>) -> Format {
    let order = if input.format & 1 == 0 { ByteOrder::Big } else { ByteOrder::Little };
    let signed = input.format & 2 == 0;
    let format = match input.format >> 2 & 7 {
        0 | 1 => Format::MULTIPROCESSING,
        2 => Format::COURSE,
        n => Format::custom(1 << (n & 3), order, signed).expect("1, 2, 4 and 8 are widths"),
    };
    input.cap.map_or(format, |cap| format.with_cap(cap.into()))
}

/// The bodies at the start of `bytes`, and how reading them ends.
fn model(format: Format, mut bytes: &[u8]) -> (Vec<Vec<u8>>, Kind) {
    let mut bodies = Vec::new();
    loop {
        let (head, length) = match format.decode(bytes) {
            Ok(HeadProgress::Complete { head, body }) => (head, body),
            Ok(HeadProgress::Needs(n)) => {
                assert!(n > bytes.len() && n <= Format::HEAD_MAX);
                return (bodies, if bytes.is_empty() { Kind::Eof } else { Kind::BadFrame });
            }
            Err(e) => return (bodies, e.kind()),
        };
        assert!(length <= format.cap());
        let rest = &bytes[head..];
        let Some(body) = usize::try_from(length).ok().and_then(|n| rest.get(..n)) else {
            return (bodies, Kind::BadFrame);
        };
        bodies.push(body.to_vec());
        bytes = &rest[body.len()..];
    }
}

fuzz_target!(|input: Input<'_>| {
    let format = format(&input);
    let (bodies, end) = model(format, input.bytes);
    let reader = Pieces { bytes: input.bytes, pieces: input.pieces, next: 0 };
    let connection = Connection::new(Halves::new(reader, io::sink()), format);
    let mut written = Vec::new();
    for body in bodies {
        let mut room = vec![0; usize::from(input.room)];
        let received = match connection.recv_into(&mut room, Deadline::NEVER) {
            Ok(n) if input.room > 0 || n == 0 => room[..n].to_vec(),
            Ok(n) => panic!("{n} bytes for a buffer of none"),
            Err(e) => {
                assert_eq!(e.kind(), Kind::Buffer);
                assert_eq!(e.needed(), Some(body.len() as u64));
                connection.recv(Deadline::NEVER).expect("the frame is kept")
            }
        };
        assert_eq!(received, body);
        written.extend_from_slice(format.encode(body.len() as u64).expect("it was read").bytes());
        written.extend_from_slice(&body);
    }
    let error = connection.recv(Deadline::NEVER).expect_err("the model says that it ends here");
    assert_eq!(error.kind(), end, "{error}");
    // A short body may come with a long head, which no writer of ours makes; nothing else is ambiguous.
    if written.len() <= input.bytes.len() && !input.bytes.windows(4).any(|w| w == [0xff; 4]) {
        assert!(input.bytes.starts_with(&written));
    }
});
