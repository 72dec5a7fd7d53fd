// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames over sockets and pipes: deadlines, partial frames, buffers, and who may use a connection when.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::{Connection, Deadline, Format, Kind, Shutdown, SocketOptions, Stream};
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use support::{Test, eventually, moment, soon};

fn pair() -> (Connection, Connection) {
    let (left, right) = Stream::pair().unwrap();
    (Connection::new(left, Format::default()), Connection::new(right, Format::default()))
}

#[test]
fn frames_that_arrive_as_one_piece_come_out_one_by_one() {
    let _test = Test::begin();
    let (left, right) = pair();
    left.transport().send_all(b"\0\0\0\x01a\0\0\0\0\0\0\0\x03bcd\0\0\0\x02e", soon()).unwrap();
    assert_eq!(right.recv(soon()).unwrap(), b"a");
    assert_eq!(right.recv(soon()).unwrap(), b"");
    assert_eq!(right.recv(soon()).unwrap(), b"bcd");
    assert_eq!(right.recv(moment()).unwrap_err().kind(), Kind::Timeout);
    left.transport().send_all(b"f", soon()).unwrap();
    assert_eq!(right.recv(soon()).unwrap(), b"ef");
}

#[test]
fn what_arrived_before_the_deadline_is_kept_for_the_next_call() {
    let _test = Test::begin();
    let (left, right) = pair();
    let frame = b"\0\0\0\x05hello";
    let mut room = [0; 5];
    for (i, byte) in frame.iter().enumerate() {
        let error = match i % 3 {
            0 => right.recv(Deadline::NOW).unwrap_err(),
            1 => right.recv_into(&mut room, Deadline::NOW).unwrap_err(),
            _ => right.recv(Deadline::after(std::time::Duration::from_millis(1))).unwrap_err(),
        };
        assert!(matches!(error.kind(), Kind::WouldBlock | Kind::Timeout), "{error}");
        left.transport().send_all(&[*byte], soon()).unwrap();
    }
    assert_eq!(right.recv_into(&mut room, soon()).unwrap(), 5);
    assert_eq!(&room, b"hello");
}

#[test]
fn a_frame_that_the_kernel_takes_in_part_leaves_with_the_next_calls() {
    let _test = Test::begin();
    let (left, right) = pair();
    left.transport().set_send_buffer_size(4096).unwrap();
    let large: Vec<u8> = (0..1 << 20).map(|i: u32| i.to_le_bytes()[1]).collect();
    // Taken whole although the kernel takes a part, then no more.
    left.send(&large, Deadline::NOW).unwrap();
    assert!(left.pending() > 0);
    assert_eq!(left.send(b"second", Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    assert_eq!(left.flush(Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (right.recv(soon()).unwrap(), right.recv(soon()).unwrap()));
        left.flush(soon()).unwrap();
        assert_eq!(left.pending(), 0);
        left.send(b"second", soon()).unwrap();
        let (first, second) = reader.join().unwrap();
        assert!(first == large && second == b"second");
    });
}

#[test]
fn a_send_whose_deadline_passes_in_the_middle_is_finished_not_repeated() {
    let _test = Test::begin();
    let (left, right) = pair();
    let large = vec![7; 1 << 20];
    assert_eq!(left.send(&large, moment()).unwrap_err().kind(), Kind::Timeout);
    assert!(left.pending() > 0, "it was begun");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (right.recv(soon()).unwrap(), right.recv(soon()).unwrap()));
        left.send(b"next", soon()).unwrap();
        let (first, next) = reader.join().unwrap();
        assert!(first == large && next == b"next");
    });
}

#[test]
fn a_buffer_too_small_is_told_the_length_and_the_frame_stays() {
    let _test = Test::begin();
    let (left, right) = pair();
    left.send(b"eleven char", soon()).unwrap();
    let error = right.recv_into(&mut [0; 4], soon()).unwrap_err();
    assert_eq!((error.kind(), error.needed()), (Kind::Buffer, Some(11)));
    assert_eq!(right.next_length(soon()).unwrap(), 11);
    assert_eq!(right.recv_at_most(10, soon()).unwrap_err().kind(), Kind::FrameTooLarge);
    assert_eq!(right.recv(soon()).unwrap(), b"eleven char");
}

#[test]
fn a_body_is_appended_to_what_the_receiver_has_already() {
    let _test = Test::begin();
    let (left, right) = pair();
    let mut body = b"before ".to_vec();
    left.transport().send_all(b"\0\0\0\x05af", soon()).unwrap();
    assert_eq!(right.recv_body(99, |_| Ok(&mut body), moment()).unwrap_err().kind(), Kind::Timeout);
    left.transport().send_all(b"ter", soon()).unwrap();
    let mut again = b"before ".to_vec();
    right.recv_body(99, |_| Ok(&mut again), soon()).unwrap();
    assert_eq!(again, b"before after");
}

#[test]
fn a_frame_over_the_cap_is_refused_before_a_byte_leaves() {
    let _test = Test::begin();
    let (left, right) = Stream::pair().unwrap();
    let small = Connection::new(left, Format::default().with_cap(4));
    let error = small.send(b"hello", soon()).unwrap_err();
    assert_eq!(error.kind(), Kind::FrameTooLarge);
    for word in ["5 bytes", "cap is 4", "raise it"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(right.recv(&mut [0; 1], Deadline::NOW).unwrap_err().kind(), Kind::WouldBlock);
}

#[test]
fn a_frame_of_a_thousand_and_more_buffers_arrives_whole() {
    let _test = Test::begin();
    let (left, right) = pair();
    // More than one system call takes.
    let parts: Vec<[u8; 3]> = (0..5000_u16).map(|i| [i.to_le_bytes()[0], i.to_le_bytes()[1], 9]).collect();
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
    left.send_vectored(&slices, soon()).unwrap();
    assert_eq!(right.recv(soon()).unwrap(), parts.concat());
    left.send_vectored(&[], soon()).unwrap();
    assert_eq!(right.recv(soon()).unwrap(), b"");
}

#[test]
fn threads_share_a_connection_frame_by_frame() {
    let _test = Test::begin();
    let (left, right) = pair();
    let (left, right) = (&left, &right);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u8)
            .map(|byte| {
                scope.spawn(move || {
                    for length in 0..200 {
                        left.send(&vec![byte; length * 20], soon()).unwrap();
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let mut count = 0;
                    loop {
                        match right.recv(soon()) {
                            Ok(body) => assert!(body.windows(2).all(|w| w[0] == w[1]), "frames are mixed up"),
                            Err(e) if e.kind() == Kind::Eof => return count,
                            Err(e) => panic!("{e}"),
                        }
                        count += 1;
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|w| w.join().unwrap());
        left.transport().shutdown(Shutdown::Write).unwrap();
        assert_eq!(readers.into_iter().map(|r| r.join().unwrap()).sum::<usize>(), 800);
    });
}

#[test]
fn closing_wakes_a_receiver_and_a_sender_that_wait() {
    let _test = Test::begin();
    let (left, _right) = pair();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| left.recv(soon()).unwrap_err().kind());
        let writer = scope.spawn(|| left.send(&vec![0; 8 << 20], soon()).unwrap_err().kind());
        eventually("the kernel's buffer is full", || left.send(b"", Deadline::NOW).is_err());
        left.close();
        assert_eq!(reader.join().unwrap(), Kind::Closed);
        assert_eq!(writer.join().unwrap(), Kind::Closed);
    });
    assert_eq!(left.send(b"x", soon()).unwrap_err().kind(), Kind::Closed);
    assert_eq!(left.recv(soon()).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn a_pipe_carries_frames_and_a_gone_reader_is_epipe() {
    let _test = Test::begin();
    let (reader, writer) = std::io::pipe().unwrap();
    let over = |fd: OwnedFd| Connection::new(Stream::from_fd(fd).unwrap(), Format::COURSE);
    let (reader, writer) = (over(reader.into()), over(writer.into()));
    let large: Vec<u8> = vec![b'p'; 300_000];
    std::thread::scope(|scope| {
        let received = scope.spawn(|| reader.recv(soon()).unwrap());
        writer.send(&large, soon()).unwrap();
        assert!(received.join().unwrap() == large);
    });
    drop(reader);
    assert_eq!(writer.send(b"x", soon()).unwrap_err().os_code(), Some(libc::EPIPE));
}

#[test]
fn a_peer_that_only_ended_its_direction_can_still_be_sent_to() {
    let _test = Test::begin();
    let (left, right) = pair();
    left.transport().shutdown(Shutdown::Write).unwrap();
    assert_eq!(right.recv(soon()).unwrap_err().kind(), Kind::Eof);
    right.send(b"last words", soon()).unwrap();
    assert_eq!(left.recv(soon()).unwrap(), b"last words");
}
