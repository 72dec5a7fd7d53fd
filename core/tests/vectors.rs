// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shared vectors of tests/vectors, which stock CPython wrote.
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod support;

use carrick::auth::{Answer, AuthOptions, Digest, Key, Policy, Role, Scheme, authenticate, mac};
use carrick::frame::{ByteOrder, HeadProgress};
use carrick::{Connection, Format, Kind, Stream};
use std::io::IoSlice;
use support::{Test, soon, unhex};

/// Calls `check` with the columns of every record of a file and wants each of `kinds` at least once.
fn each_record(file: &str, kinds: &[&str], mut check: impl FnMut(&str, &[&str])) {
    let path = format!("{}/../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut seen = vec![0; kinds.len()];
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let columns: Vec<&str> = line.split(' ').collect();
        let kind = kinds.iter().position(|k| *k == columns[0]);
        seen[kind.unwrap_or_else(|| panic!("{file}: unknown kind of record: {line}"))] += 1;
        check(columns[0], &columns[1..]);
    }
    for (kind, count) in kinds.iter().zip(seen) {
        assert!(count > 0, "{file} has no record of the kind {kind}");
    }
}

fn format_of(name: &str) -> Format {
    match name {
        "multiprocessing" => return Format::MULTIPROCESSING,
        "course-le" if ByteOrder::NATIVE == ByteOrder::Little => return Format::COURSE,
        "course-be" if ByteOrder::NATIVE == ByteOrder::Big => return Format::COURSE,
        "course-le" => return Format::custom(4, ByteOrder::Little, true).unwrap(),
        "course-be" => return Format::custom(4, ByteOrder::Big, true).unwrap(),
        _ => {}
    }
    let order = if name.ends_with("be") { ByteOrder::Big } else { ByteOrder::Little };
    let bits: String = name.chars().filter(char::is_ascii_digit).collect();
    let signed = match name.chars().next() {
        Some('i') => true,
        Some('u') => false,
        _ => panic!("unknown format {name}"),
    };
    Format::custom(bits.parse::<u8>().unwrap() / 8, order, signed).unwrap()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

/// A connection that receives these bytes, in pieces of `step`, and then the end of the stream.
fn receiving(format: Format, bytes: &[u8], step: usize, check: impl FnOnce(&Connection)) {
    let (left, right) = Stream::pair().unwrap();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for piece in bytes.chunks(step.max(1)) {
                left.send_all(piece, soon()).unwrap();
            }
            left.close();
        });
        check(&Connection::new(right, format));
        sender.join().unwrap();
    });
}

#[test]
fn frames_are_those_of_cpython() {
    let _test = Test::begin();
    let kinds = ["frame", "decode", "sticky", "header", "unencodable", "bad"];
    each_record("frames.txt", &kinds, |kind, columns| {
        let format = format_of(columns[1]);
        let name = columns[0];
        match (kind, columns) {
            ("frame", [_, _, body, encoded]) => frame(name, format, &unhex(body), &unhex(encoded), true),
            ("decode", [_, _, body, encoded]) => frame(name, format, &unhex(body), &unhex(encoded), false),
            ("sticky", [_, _, encoded, bodies @ ..]) => sticky(name, format, &unhex(encoded), bodies),
            ("header", [_, _, length, head]) => header(name, format, number(length), &unhex(head)),
            ("unencodable", [_, _, length]) => {
                let error = format.with_cap(u64::MAX).encode(number(length)).unwrap_err();
                assert_eq!(error.kind(), Kind::FrameTooLarge, "{name}");
                assert!(error.to_string().contains(length), "{name}: {error}");
            }
            ("bad", [_, _, cap, encoded, outcome]) => {
                bad(name, format.with_cap(number(cap)), &unhex(encoded), outcome);
            }
            _ => panic!("{name} has {} columns", columns.len()),
        }
    });
}

fn frame(name: &str, format: Format, body: &[u8], encoded: &[u8], writers: bool) {
    if writers {
        let head = format.encode(body.len() as u64).unwrap();
        assert_eq!([head.bytes(), body].concat(), encoded, "{name}");
        let (left, right) = Stream::pair().unwrap();
        let (a, b) = body.split_at(body.len() / 2);
        let sender = Connection::new(left, format);
        sender.send_vectored(&[IoSlice::new(a), IoSlice::new(b)], soon()).unwrap();
        sender.close();
        let mut sent = vec![0; encoded.len() + 1];
        let mut have = 0;
        while let n @ 1.. = right.recv(&mut sent[have..], soon()).unwrap() {
            have += n;
        }
        assert_eq!(&sent[..have], encoded, "{name}");
    }
    for step in [encoded.len(), 1, 3] {
        receiving(format, encoded, step, |c| {
            assert_eq!(c.recv(soon()).unwrap(), body, "{name}");
            assert_eq!(c.recv(soon()).unwrap_err().kind(), Kind::Eof, "{name}");
        });
    }
}

fn sticky(name: &str, format: Format, encoded: &[u8], bodies: &[&str]) {
    for step in [encoded.len(), 1] {
        receiving(format, encoded, step, |c| {
            for body in bodies {
                assert_eq!(c.recv(soon()).unwrap(), unhex(body), "{name}");
            }
            assert_eq!(c.recv(soon()).unwrap_err().kind(), Kind::Eof, "{name}");
        });
    }
}

fn header(name: &str, format: Format, length: u64, head: &[u8]) {
    let format = format.with_cap(u64::MAX);
    assert_eq!(format.encode(length).unwrap().bytes(), head, "{name}");
    let complete = HeadProgress::Complete { head: head.len(), body: length };
    assert_eq!(format.decode(head).unwrap(), complete, "{name}");
    for short in 0..head.len() {
        let progress = format.decode(&head[..short]).unwrap();
        assert!(matches!(progress, HeadProgress::Needs(n) if n > short && n <= head.len()), "{name}");
    }
}

fn bad(name: &str, format: Format, encoded: &[u8], outcome: &str) {
    let wanted = match outcome {
        "negative" | "eof-inside-header" | "eof-inside-body" => Kind::BadFrame,
        "over-cap" => Kind::FrameTooLarge,
        "eof" => Kind::Eof,
        other => panic!("{name}: unknown outcome {other}"),
    };
    for step in [encoded.len(), 1] {
        receiving(format, encoded, step, |c| {
            let error = c.recv(soon()).unwrap_err();
            assert_eq!(error.kind(), wanted, "{name}: {error}");
            // The error stays: nothing is skipped over.
            assert_eq!(c.recv(soon()).unwrap_err().kind(), wanted, "{name}");
        });
    }
    if matches!(outcome, "negative" | "over-cap") {
        assert_eq!(format.decode(encoded).unwrap_err().kind(), wanted, "{name}: the header alone decides");
    }
}

#[test]
fn macs_are_those_of_cpython() {
    // It opens a file.
    let _test = Test::begin();
    each_record("macs.txt", &["mac"], |_, columns| {
        let [name, algorithm, key, message, tag] = columns else { panic!("{columns:?}") };
        let digest: Digest = algorithm.parse().unwrap();
        let (key, message, tag) = (unhex(key), unhex(message), unhex(tag));
        let made = mac(digest, &key, &message).unwrap();
        assert_eq!(made.bytes(), tag, "{name} {algorithm}");
        assert_eq!(made.bytes().len(), digest.size());
        let mut piecewise = carrick::auth::Mac::new(digest, &key).unwrap();
        for piece in message.chunks(7) {
            piecewise.update(piece);
        }
        assert!(piecewise.finish().verify(&tag), "{name} {algorithm}");
    });
}

#[test]
fn challenges_are_answered_as_cpython_answers_them() {
    // It opens a file.
    let _test = Test::begin();
    each_record("challenges.txt", &["answer", "verify"], |kind, columns| match (kind, columns) {
        ("answer", [name, "modern", key, challenge, outcome, response]) => {
            let answer = Answer::new(&Key::new(&unhex(key)), Policy::default(), Role::Client);
            let answered = answer.challenge(&unhex(challenge));
            match *outcome {
                "ok" => assert_eq!(answered.unwrap(), unhex(response), "{name}"),
                "refused" | "too-long" => {
                    assert_eq!(answered.unwrap_err().kind(), Kind::AuthFailed, "{name}");
                }
                other => panic!("{name}: unknown outcome {other}"),
            }
        }
        // The answers of an old peer are for tests that play one.
        ("answer", [_, "legacy", _, _, "ok" | "refused" | "too-long", _]) => {}
        // The challenge cannot be chosen from outside: auth/challenge.rs tests these.
        ("verify", [_, "legacy" | "modern", _, _, _, "welcome" | "refused" | "too-long"]) => {}
        _ => panic!("a {kind} record of {columns:?}"),
    });
}

#[test]
fn the_course_check_is_the_one_of_the_course() {
    let _test = Test::begin();
    each_record("course_auth.txt", &["course", "course-refused"], |kind, columns| {
        let [name, algorithm, key, nonce, tag] = columns else { panic!("{columns:?}") };
        let digest: Digest = algorithm.parse().unwrap();
        let (key, nonce, tag) = (unhex(key), unhex(nonce), unhex(tag));
        let right = mac(digest, &key, &nonce).unwrap();
        assert_eq!(right.verify(&tag), kind == "course", "{name}");
        if kind == "course" {
            // The client answers a server that plays the record.
            let (left, right) = Stream::pair().unwrap();
            let mut options = AuthOptions::new(&key);
            options.scheme = Scheme::Course;
            options.policy.digest = digest;
            let client = std::thread::spawn(move || {
                authenticate(&Connection::new(left, Format::COURSE), Role::Client, &options).unwrap();
            });
            right.send_all(&nonce, soon()).unwrap();
            let mut answered = vec![0; tag.len()];
            let mut have = 0;
            while have < tag.len() {
                have += right.recv(&mut answered[have..], soon()).unwrap();
            }
            assert_eq!(answered, tag, "{name}");
            client.join().unwrap();
        }
    });
}
