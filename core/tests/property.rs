// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties of frames that hold for all inputs: what is written is read, in whatever pieces it travels.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::{Digest, Mac, mac};
use carrick::frame::{ByteOrder, Halves, HeadProgress};
use carrick::{Address, Connection, Deadline, Format, Kind};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex};

fn formats() -> impl Strategy<Value = Format> {
    let order = prop_oneof![Just(ByteOrder::Big), Just(ByteOrder::Little)];
    let custom = (prop_oneof![Just(1_u8), Just(2), Just(4), Just(8)], order, any::<bool>())
        .prop_map(|(width, order, signed)| Format::custom(width, order, signed).unwrap());
    prop_oneof![Just(Format::MULTIPROCESSING), Just(Format::COURSE), custom]
}

/// Reads and writes in pieces of these lengths, in turn.
#[derive(Clone)]
struct Pieces {
    bytes: Arc<Mutex<Vec<u8>>>,
    lengths: Vec<usize>,
    next: usize,
}

impl Pieces {
    fn new(bytes: Vec<u8>, lengths: &[usize]) -> Self {
        Self { bytes: Arc::new(Mutex::new(bytes)), lengths: lengths.to_vec(), next: 0 }
    }

    fn length(&mut self) -> usize {
        self.next += 1;
        self.lengths[self.next % self.lengths.len()]
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.length().min(buf.len());
        let mut bytes = self.bytes.lock().unwrap();
        let n = n.min(bytes.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        bytes.drain(..n);
        Ok(n)
    }
}

impl Write for Pieces {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.length().min(buf.len());
        self.bytes.lock().unwrap().extend_from_slice(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_length_that_can_be_written_reads_back(format in formats(), length: u64, cap: u64) {
        let format = format.with_cap(cap);
        match format.encode(length) {
            Ok(head) => {
                prop_assert!(length <= cap && length <= format.longest());
                let complete = HeadProgress::Complete { head: head.bytes().len(), body: length };
                prop_assert_eq!(format.decode(head.bytes()).unwrap(), complete);
                let followed = [head.bytes(), b"body"].concat();
                prop_assert_eq!(format.decode(&followed).unwrap(), complete);
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), Kind::FrameTooLarge);
                prop_assert!(length > cap || length > format.longest());
                prop_assert!(error.to_string().contains(&length.to_string()));
            }
        }
    }

    #[test]
    fn small_lengths_read_back_in_every_format(format in formats(), length in 0_u64..128) {
        let head = format.encode(length).unwrap();
        let complete = HeadProgress::Complete { head: head.bytes().len(), body: length };
        prop_assert_eq!(format.decode(head.bytes()).unwrap(), complete);
    }

    #[test]
    fn any_head_is_a_length_within_the_cap_or_refused(format in formats(), bytes in vec(any::<u8>(), 0..16), cap: u64) {
        let format = format.with_cap(cap);
        match format.decode(&bytes) {
            Ok(HeadProgress::Complete { head, body }) => {
                prop_assert!(head <= bytes.len() && head <= Format::HEAD_MAX);
                prop_assert!(body <= cap);
            }
            Ok(HeadProgress::Needs(n)) => prop_assert!(n > bytes.len() && n <= Format::HEAD_MAX),
            Err(error) => prop_assert!(matches!(error.kind(), Kind::BadFrame | Kind::FrameTooLarge)),
        }
    }

    #[test]
    fn frames_in_any_pieces_are_read_as_they_were_written(
        format in formats(),
        bodies in vec(vec(any::<u8>(), 0..127), 0..8),
        cuts in vec(1_usize..40, 1..5),
        writes in vec(1_usize..40, 1..5),
        reads in vec(1_usize..40, 1..5),
    ) {
        let written = Pieces::new(Vec::new(), &writes);
        let sender = Connection::new(Halves::new(io::empty(), written.clone()), format);
        for body in &bodies {
            let parts: Vec<IoSlice<'_>> = body.chunks(cuts[0]).map(IoSlice::new).collect();
            sender.send_vectored(&parts, Deadline::NEVER).unwrap();
        }
        let bytes = written.bytes.lock().unwrap().clone();
        let receiver = Connection::new(Halves::new(Pieces::new(bytes, &reads), io::sink()), format);
        for (i, body) in bodies.iter().enumerate() {
            if i % 2 == 0 {
                prop_assert_eq!(&receiver.recv(Deadline::NEVER).unwrap(), body);
            } else {
                prop_assert_eq!(receiver.next_length(Deadline::NEVER).unwrap(), body.len() as u64);
                let mut room = [0; 127];
                let n = receiver.recv_into(&mut room, Deadline::NEVER).unwrap();
                prop_assert_eq!(&room[..n], body.as_slice());
            }
        }
        prop_assert_eq!(receiver.recv(Deadline::NEVER).unwrap_err().kind(), Kind::Eof);
    }

    #[test]
    fn a_cut_stream_ends_in_an_error_after_the_whole_frames(
        bodies in vec(vec(any::<u8>(), 0..50), 1..5),
        cut: proptest::sample::Index,
        reads in vec(1_usize..40, 1..5),
    ) {
        let format = Format::MULTIPROCESSING;
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for body in &bodies {
            bytes.extend_from_slice(format.encode(body.len() as u64).unwrap().bytes());
            bytes.extend_from_slice(body);
            ends.push(bytes.len());
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let whole = ends.iter().filter(|end| **end <= bytes.len()).count() - 1;
        let between = ends.contains(&bytes.len());
        let receiver = Connection::new(Halves::new(Pieces::new(bytes, &reads), io::sink()), format);
        for body in &bodies[..whole] {
            prop_assert_eq!(&receiver.recv(Deadline::NEVER).unwrap(), body);
        }
        let kind = receiver.recv(Deadline::NEVER).unwrap_err().kind();
        prop_assert_eq!(kind, if between { Kind::Eof } else { Kind::BadFrame });
    }

    #[test]
    fn a_mac_does_not_depend_on_how_its_message_came(
        which in 0..Digest::ALL.len(),
        key in vec(any::<u8>(), 0..300),
        message in vec(any::<u8>(), 0..600),
        step in 1_usize..200,
    ) {
        let digest = Digest::ALL[which];
        let mut pieces = Mac::new(digest, &key).unwrap();
        message.chunks(step).for_each(|piece| pieces.update(piece));
        prop_assert!(pieces.finish().verify(mac(digest, &key, &message).unwrap().bytes()));
    }

    #[test]
    fn an_address_reads_back_as_it_is_written(octets: [u8; 4], segments: [u16; 8], port: u16, name in "[a-z/.@]{1,40}") {
        let addresses = [
            Address::from(std::net::SocketAddr::from((octets, port))),
            Address::from(std::net::SocketAddr::from((segments, port))),
            Address::Abstract(name.clone().into_bytes()),
            Address::Unix(format!("/{name}").into()),
        ];
        for address in addresses {
            prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    }
}
