// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fuzzer's choice: a call and its arguments.

use libfuzzer_sys::arbitrary;

#[derive(Debug, arbitrary::Arbitrary)]
pub enum Call<'a> {
    Pair,
    Connect { to: Place<'a>, framed: bool, auth: Option<Auth<'a>>, format: Format },
    Wrap { stream: u8, format: Format },
    Unwrap { connection: u8 },
    Bytes { stream: u8, data: &'a [u8], all: bool },
    Receive { stream: u8, room: u8 },
    Shutdown { stream: u8, how: i32 },
    Send { connection: u8, data: &'a [u8], cut: u8, wait: u8 },
    Raw { connection: u8, data: &'a [u8] },
    Take { connection: u8, into: Option<u8>, wait: u8 },
    Look { connection: u8, wait: u8 },
    Authenticate { connection: u8, role: i32, auth: Auth<'a> },
    Listen { at: Place<'a>, backlog: u32, flags: [i32; 3] },
    Accept { listener: u8, gate: Option<Auth<'a>> },
    Bind { at: Place<'a>, unbound: bool },
    SendTo { datagram: u8, to: Place<'a>, data: &'a [u8] },
    ReceiveFrom { datagram: u8, room: u8, address_room: u8 },
    Option { kind: u8, at: u8, option: i32, value: i64 },
    Release { stream: u8 },
    Adopt { kind: u8, plain: bool },
    Poller,
    Watch { poller: u8, stream: u8, token: u64, readiness: i32, how: u8 },
    Poll { poller: u8, room: u8, wake: bool },
    Mac { digest: i32, key: &'a [u8], data: &'a [u8], room: u8 },
    Feed { mac: u8, data: &'a [u8], copy: bool, room: u8 },
    Digest { name: &'a str, number: i32, left: &'a [u8], right: &'a [u8] },
    Serve { kind: u8, limits: [u32; 3], mode: bool, overload: i32, auth: Option<Auth<'a>>, format: Format },
    Server { server: u8, what: u8, wait: u8, room: u8 },
    Names { number: i32, index: u8, room: u8 },
    Close { kind: u8, at: u8 },
    Free { kind: u8, at: u8 },
}

#[derive(Debug, arbitrary::Arbitrary)]
pub enum Place<'a> {
    Loopback,
    Loopback6,
    Abstract(u8),
    Listener(u8),
    Server(u8),
    Datagram(u8),
    /// Text that nobody is asked about.
    Text(&'a [u8]),
    Null(u8),
}

#[derive(Debug, arbitrary::Arbitrary)]
pub struct Auth<'a> {
    pub key: &'a [u8],
    pub scheme: i8,
    pub digest: i8,
    pub min_digest: i8,
    pub size: u8,
}

#[derive(Debug, arbitrary::Arbitrary)]
pub enum Format {
    Null,
    Built(i8, Option<u32>),
    Custom { width: i8, big_endian: i8, is_signed: i8, cap: u64, size: u8 },
}
