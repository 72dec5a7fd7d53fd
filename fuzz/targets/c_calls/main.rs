// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C calls: arbitrary sequences of them with arbitrary arguments, as far as C allows them. Pointers are
//! NULL or point to what they say; handles are live or NULL; descriptors given away are the caller's own.
//!
//! Any panic ends the run, also one that the library turns into E_PANIC; so does a status that is no code, an
//! output written by a call that failed, and a descriptor left open at the end.
#![no_main]
// The calls are unsafe because of what the sentences above promise.
#![allow(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

mod call;
mod handler;

use call::{Auth, Call, Format, Place};
use carrick_c::{auth::*, connection::*, datagram::*, gate::*, listener::*, poller::*};
use carrick_c::{server::*, server_options::*, session::*, status::*, stream::*};
use handler::{on_datagram, on_request, on_session};
use libfuzzer_sys::fuzz_target;
use std::ffi::c_char;
use std::os::fd::IntoRawFd;
use std::ptr::{null, null_mut};

/// Timeouts: not at all, or too short to slow the fuzzer down.
const WAITS: [i64; 3] = [0, 50_000, 1_000_000];

/// The live handles, to be freed at the end.
#[derive(Default)]
struct World {
    streams: Vec<*mut carrick_stream>,
    connections: Vec<*mut carrick_connection>,
    listeners: Vec<*mut carrick_listener>,
    datagrams: Vec<*mut carrick_datagram>,
    pollers: Vec<*mut carrick_poller>,
    macs: Vec<*mut carrick_mac>,
    servers: Vec<*mut carrick_server>,
}

/// One of the live handles, or NULL.
fn pick<T>(from: &[*mut T], at: u8) -> *mut T {
    if at == u8::MAX || from.is_empty() { null_mut() } else { from[usize::from(at) % from.len()] }
}

fn take<T>(from: &mut Vec<*mut T>, at: u8) -> *mut T {
    if at == u8::MAX || from.is_empty() { null_mut() } else { from.swap_remove(usize::from(at) % from.len()) }
}

/// Checks what a call returned; whether it succeeded.
fn ok(status: carrick_status) -> bool {
    if status == 0 {
        return true;
    }
    let kind = carrick::Kind::from_code(status).unwrap_or_else(|| panic!("{status} is no code"));
    assert_ne!(kind, carrick::Kind::Panic);
    let mut text = [0; 512];
    let mut length = 0;
    assert_eq!(unsafe { carrick_last_error(text.as_mut_ptr(), text.len(), &raw mut length) }, 0);
    assert!(length > 0, "a failure without a word");
    false
}

/// Runs a call with a handle as its output, and keeps that.
fn made<T>(into: &mut Vec<*mut T>, call: impl FnOnce(*mut *mut T) -> carrick_status) {
    let mut out = null_mut();
    if ok(call(&raw mut out)) {
        assert!(!out.is_null());
        into.push(out);
    } else {
        assert!(out.is_null(), "an output written by a call that failed");
    }
}

fn wait(number: u8) -> i64 {
    WAITS[usize::from(number) % WAITS.len()]
}

fn is_asked_about(text: &[u8]) -> bool {
    // Anything but abstract names and nonsense: no name server, no file system, no network.
    !text.starts_with(b"unix:@") && text.contains(&b':')
}

impl World {
    fn place(&self, place: &Place<'_>) -> Vec<u8> {
        let mut text = [0; 128];
        let mut length = 0;
        let (out, room) = (text.as_mut_ptr(), text.len());
        let len = &raw mut length;
        let status = unsafe {
            match place {
                Place::Loopback => return b"127.0.0.1:0".to_vec(),
                Place::Loopback6 => return b"[::1]:0".to_vec(),
                Place::Abstract(n) => return format!("unix:@carrick-fuzz-{}-{n}", std::process::id()).into(),
                Place::Text(text) if is_asked_about(text) => return b"nowhere".to_vec(),
                Place::Text(text) => return text.to_vec(),
                Place::Null(_) => return Vec::new(),
                Place::Listener(n) => {
                    carrick_listener_local_address(pick(&self.listeners, *n), out, room, len)
                }
                Place::Server(n) => carrick_server_address(pick(&self.servers, *n), out, room, len),
                Place::Datagram(n) => {
                    carrick_datagram_local_address(pick(&self.datagrams, *n), out, room, len)
                }
            }
        };
        if ok(status) { text[..length].iter().map(|c| c.cast_unsigned()).collect() } else { Vec::new() }
    }

    fn at<T>(&self, place: &Place<'_>, call: impl FnOnce(*const c_char, usize) -> T) -> T {
        let text = self.place(place);
        match place {
            Place::Null(n) => call(null(), usize::from(*n)),
            _ => call(text.as_ptr().cast(), text.len()),
        }
    }

    fn fd(&self, stream: u8) -> i32 {
        let mut fd = -1;
        ok(unsafe { carrick_stream_fd(pick(&self.streams, stream), &raw mut fd) });
        fd
    }
}

fn format_of(format: &Format) -> Option<carrick_format> {
    let mut f = std::mem::MaybeUninit::<carrick_format>::uninit();
    assert!(ok(unsafe { carrick_format_init(f.as_mut_ptr()) }));
    let mut f = unsafe { f.assume_init() };
    match format {
        Format::Null => return None,
        Format::Built(kind, cap) => {
            f.kind = (*kind).into();
            f.cap = cap.map_or(f.cap, u64::from);
        }
        Format::Custom { width, big_endian, is_signed, cap, size } => {
            f.kind = CARRICK_FORMAT_CUSTOM;
            (f.width, f.big_endian, f.is_signed) =
                ((*width).into(), (*big_endian).into(), (*is_signed).into());
            f.cap = *cap;
            f.struct_size = f.struct_size.min((*size).into());
        }
    }
    Some(f)
}

fn auth_of(auth: &Auth<'_>) -> carrick_auth_options {
    let mut a = std::mem::MaybeUninit::<carrick_auth_options>::uninit();
    assert!(ok(unsafe { carrick_auth_options_init(a.as_mut_ptr()) }));
    let mut a = unsafe { a.assume_init() };
    (a.key, a.key_len) = (auth.key.as_ptr(), auth.key.len());
    (a.scheme, a.digest, a.min_digest) = (auth.scheme.into(), auth.digest.into(), auth.min_digest.into());
    a.handshake_timeout_ns = WAITS[2];
    if auth.size > 0 {
        a.struct_size = size_of::<carrick_auth_options>();
    }
    a
}

fn pointer<T>(of: &Option<T>) -> *const T {
    of.as_ref().map_or(null(), std::ptr::from_ref)
}

impl World {
    fn serve(
        &mut self,
        kind: u8,
        limits: [u32; 3],
        threads: bool,
        overload: i32,
        auth: *const carrick_auth_options,
        format: *const carrick_format,
    ) {
        const HERE: &[u8] = b"127.0.0.1:0";
        let at: *const c_char = HERE.as_ptr().cast();
        if self.servers.len() >= 2 {
            return;
        }
        let [first, second, third] = limits.map(|n| usize::try_from(n).expect("32 bits"));
        made(&mut self.servers, |out| unsafe {
            match kind % 3 {
                0 => {
                    let mut o = std::mem::MaybeUninit::uninit();
                    assert!(ok(carrick_message_server_options_init(o.as_mut_ptr())));
                    let mut o: carrick_message_server_options = o.assume_init();
                    (o.auth, o.format, o.overload) = (auth, format, overload);
                    (o.max_connections, o.max_unsent, o.max_threads) = (first, second, third % 4);
                    (o.request_timeout_ns, o.drain_ns) = (1_000_000, 0);
                    carrick_message_server_bind(
                        at,
                        HERE.len(),
                        &raw const o,
                        Some(on_request),
                        null_mut(),
                        None,
                        out,
                    )
                }
                1 => {
                    let mut o = std::mem::MaybeUninit::uninit();
                    assert!(ok(carrick_stream_server_options_init(o.as_mut_ptr())));
                    let mut o: carrick_stream_server_options = o.assume_init();
                    (o.auth, o.overload, o.max_handlers, o.drain_ns) = (auth, overload, first % 4, 0);
                    // A child process of a fuzzer would be a fuzzer.
                    o.mode = if threads { CARRICK_MODE_THREADS } else { CARRICK_MODE_IN_TURN };
                    carrick_stream_server_bind(
                        at,
                        HERE.len(),
                        &raw const o,
                        Some(on_session),
                        null_mut(),
                        None,
                        out,
                    )
                }
                _ => {
                    let most = first << (second % 32);
                    carrick_datagram_server_bind(
                        at,
                        HERE.len(),
                        most,
                        Some(on_datagram),
                        null_mut(),
                        None,
                        out,
                    )
                }
            }
        });
        if let Some(server) = self.servers.last() {
            ok(unsafe { carrick_server_start(*server) });
        }
    }

    fn close_or_free(&mut self, kind: u8, at: u8, free: bool) {
        unsafe {
            match (kind % 7, free) {
                (0, false) => ok(carrick_stream_close(pick(&self.streams, at))),
                (1, false) => ok(carrick_connection_close(pick(&self.connections, at))),
                (2, false) => ok(carrick_listener_close(pick(&self.listeners, at))),
                (3, false) => ok(carrick_datagram_close(pick(&self.datagrams, at))),
                (4, false) => ok(carrick_poller_wake(pick(&self.pollers, at))),
                (5, false) => ok(carrick_server_request_shutdown(pick(&self.servers, at))) || true,
                (_, false) => ok(carrick_server_abort(pick(&self.servers, at))),
                (0, true) => {
                    carrick_stream_free(take(&mut self.streams, at));
                    true
                }
                (1, true) => {
                    carrick_connection_free(take(&mut self.connections, at));
                    true
                }
                (2, true) => {
                    carrick_listener_free(take(&mut self.listeners, at));
                    true
                }
                (3, true) => {
                    carrick_datagram_free(take(&mut self.datagrams, at));
                    true
                }
                (4, true) => {
                    carrick_poller_free(take(&mut self.pollers, at));
                    true
                }
                (5, true) => {
                    carrick_mac_free(take(&mut self.macs, at));
                    true
                }
                (_, true) => {
                    carrick_server_free(take(&mut self.servers, at));
                    true
                }
            };
        }
    }
}

/// A buffer of `room` bytes for a call that writes to one, and what it says it wrote.
fn with_room(room: u8, call: impl FnOnce(*mut u8, usize, *mut usize) -> carrick_status) {
    let mut buffer = vec![0_u8; room.into()];
    let mut length = usize::MAX;
    let data = if room == 0 { null_mut() } else { buffer.as_mut_ptr() };
    if ok(call(data, buffer.len(), &raw mut length)) {
        assert!(length <= buffer.len());
    }
}

impl World {
    fn run(&mut self, call: &Call<'_>) {
        unsafe {
            match call {
                Call::Pair => {
                    let (mut left, mut right) = (null_mut(), null_mut());
                    if ok(carrick_stream_pair(&raw mut left, &raw mut right)) {
                        self.streams.extend([left, right]);
                    }
                }
                Call::Connect { to, framed, auth, format } => {
                    let (auth, format) = (auth.as_ref().map(auth_of), format_of(format));
                    let text = self.place(to);
                    let (at, len) = (text.as_ptr().cast(), text.len());
                    if *framed {
                        made(&mut self.connections, |out| {
                            carrick_connection_connect(
                                at,
                                len,
                                pointer(&format),
                                pointer(&auth),
                                WAITS[2],
                                out,
                            )
                        });
                    } else {
                        made(&mut self.streams, |out| carrick_stream_connect(at, len, WAITS[2], out));
                    }
                }
                Call::Wrap { stream, format } => {
                    let (stream, format) = (pick(&self.streams, *stream), format_of(format));
                    made(&mut self.connections, |out| carrick_connection_new(stream, pointer(&format), out));
                }
                Call::Unwrap { connection } => {
                    let connection = pick(&self.connections, *connection);
                    made(&mut self.streams, |out| carrick_connection_stream(connection, out));
                }
                Call::Bytes { stream, data, all, .. } => {
                    let stream = pick(&self.streams, *stream);
                    if *all {
                        ok(carrick_stream_send_all(stream, data.as_ptr(), data.len(), WAITS[1]));
                    } else {
                        let mut sent = 0;
                        if ok(carrick_stream_send(stream, data.as_ptr(), data.len(), 0, &raw mut sent)) {
                            assert!(sent <= data.len());
                        }
                    }
                }
                Call::Receive { stream, room } => {
                    let stream = pick(&self.streams, *stream);
                    let mut ready = 7;
                    if ok(carrick_stream_wait_readable(stream, 0, &raw mut ready)) {
                        assert!(ready == 0 || ready == 1);
                    }
                    with_room(*room, |data, cap, length| {
                        carrick_stream_recv(stream, data, cap, WAITS[1], length)
                    });
                }
                Call::Shutdown { stream, how } => {
                    ok(carrick_stream_shutdown(pick(&self.streams, *stream), *how));
                }
                Call::Send { connection, data, cut, wait } => {
                    self.send(*connection, data, *cut, self::wait(*wait))
                }
                Call::Raw { connection, data } => {
                    let mut stream = null_mut();
                    if ok(carrick_connection_stream(pick(&self.connections, *connection), &raw mut stream)) {
                        ok(carrick_stream_send_all(stream, data.as_ptr(), data.len(), 0));
                        carrick_stream_free(stream);
                    }
                }
                Call::Take { connection, into, wait } => {
                    self.take_frame(*connection, *into, self::wait(*wait))
                }
                Call::Look { connection, wait } => {
                    let mut length = 0;
                    let connection = pick(&self.connections, *connection);
                    ok(carrick_connection_next_length(connection, self::wait(*wait), &raw mut length));
                }
                Call::Authenticate { connection, role, auth } => {
                    let auth = auth_of(auth);
                    ok(carrick_connection_authenticate(
                        pick(&self.connections, *connection),
                        *role,
                        &raw const auth,
                    ));
                }
                Call::Listen { at, backlog, flags } => {
                    let mut o = std::mem::MaybeUninit::uninit();
                    assert!(ok(carrick_listen_options_init(o.as_mut_ptr())));
                    let mut o: carrick_listen_options = o.assume_init();
                    o.backlog = *backlog;
                    [o.reuse_address, o.reuse_port, o.only_v6] = *flags;
                    let text = self.place(at);
                    made(&mut self.listeners, |out| {
                        carrick_listener_bind(text.as_ptr().cast(), text.len(), &raw const o, out)
                    });
                }
                Call::Accept { listener, gate } => {
                    let listener = pick(&self.listeners, *listener);
                    if let Some(auth) = gate {
                        let (auth, mut gate) = (auth_of(auth), null_mut());
                        if ok(carrick_gate_new(&raw const auth, &raw mut gate)) {
                            made(&mut self.streams, |out| carrick_gate_accept(gate, listener, WAITS[1], out));
                            carrick_gate_free(gate);
                        }
                        return;
                    }
                    made(&mut self.streams, |out| carrick_listener_accept(listener, 0, out));
                }
                Call::Bind { at, unbound } => {
                    let text = self.place(at);
                    let (at, len) = (text.as_ptr().cast(), text.len());
                    made(&mut self.datagrams, |out| {
                        if *unbound {
                            carrick_datagram_unbound(at, len, out)
                        } else {
                            carrick_datagram_bind(at, len, out)
                        }
                    });
                }
                Call::SendTo { datagram, to, data } => {
                    let datagram = pick(&self.datagrams, *datagram);
                    self.at(to, |to, len| {
                        ok(carrick_datagram_send_to(datagram, data.as_ptr(), data.len(), to, len, 0))
                    });
                }
                Call::ReceiveFrom { datagram, room, address_room } => {
                    let datagram = pick(&self.datagrams, *datagram);
                    let mut text = vec![0; (*address_room).into()];
                    let mut address = 0;
                    with_room(*room, |data, cap, length| {
                        carrick_datagram_recv_from(
                            datagram,
                            data,
                            cap,
                            0,
                            length,
                            text.as_mut_ptr(),
                            text.len(),
                            &raw mut address,
                        )
                    });
                }
                Call::Option { kind, at, option, value } => self.option(*kind, *at, *option, *value),
                Call::Release { stream } => {
                    let mut fd = -1;
                    if ok(carrick_stream_release_fd(pick(&self.streams, *stream), &raw mut fd)) {
                        made(&mut self.streams, |out| carrick_stream_from_fd(fd, out));
                    }
                }
                Call::Adopt { kind, plain } => self.adopt(*kind, *plain),
                Call::Poller => made(&mut self.pollers, |out| carrick_poller_new(out)),
                Call::Watch { poller, stream, token, readiness, how } => {
                    let (poller, fd) = (pick(&self.pollers, *poller), self.fd(*stream));
                    ok(match how % 3 {
                        0 => carrick_poller_add(poller, fd, *token, *readiness),
                        1 => carrick_poller_modify(poller, fd, *readiness),
                        _ => carrick_poller_remove(poller, fd),
                    });
                }
                Call::Poll { poller, room, wake } => {
                    let poller = pick(&self.pollers, *poller);
                    if *wake {
                        ok(carrick_poller_wake(poller));
                    }
                    let mut ready = vec![carrick_ready { token: 0, readiness: 0 }; (*room).into()];
                    let mut count = 0;
                    if ok(carrick_poller_wait(poller, ready.as_mut_ptr(), ready.len(), 0, &raw mut count)) {
                        assert!(count <= ready.len());
                    }
                }
                Call::Mac { digest, key, data, room } => {
                    made(&mut self.macs, |out| carrick_mac_new(*digest, key.as_ptr(), key.len(), out));
                    with_room(*room, |to, cap, length| {
                        carrick_hmac(
                            *digest,
                            key.as_ptr(),
                            key.len(),
                            data.as_ptr(),
                            data.len(),
                            to,
                            cap,
                            length,
                        )
                    });
                }
                Call::Feed { mac, data, copy, room } => {
                    let mac = pick(&self.macs, *mac);
                    ok(carrick_mac_update(mac, data.as_ptr(), data.len()));
                    if *copy {
                        made(&mut self.macs, |out| carrick_mac_copy(mac, out));
                    }
                    with_room(*room, |to, cap, length| carrick_mac_finish(mac, to, cap, length));
                }
                Call::Digest { name, number, left, right } => {
                    let (mut digest, mut size, mut equal) = (*number, 0, 7);
                    ok(carrick_digest_from_name(name.as_ptr().cast(), name.len(), &raw mut digest));
                    ok(carrick_digest_size(digest, &raw mut size));
                    let (l, r) = (left.as_ptr(), right.as_ptr());
                    assert!(ok(carrick_compare_digest(l, left.len(), r, right.len(), &raw mut equal)));
                    assert_eq!(equal, i32::from(left == right));
                }
                Call::Serve { kind, limits, mode, overload, auth, format } => {
                    let (auth, format) = (auth.as_ref().map(auth_of), format_of(format));
                    self.serve(*kind, *limits, *mode, *overload, pointer(&auth), pointer(&format));
                }
                Call::Server { server, what, wait, room } => {
                    self.server(*server, *what, self::wait(*wait), *room)
                }
                Call::Names { number, index, room } => {
                    assert!(
                        !carrick_status_name(*number).is_null() && !carrick_status_text(*number).is_null()
                    );
                    with_room(*room, |to, cap, length| {
                        carrick_stats_name((*index).into(), to.cast(), cap, length)
                    });
                    carrick_about_to_block();
                    carrick_last_os_error();
                }
                Call::Close { kind, at } => self.close_or_free(*kind, *at, false),
                Call::Free { kind, at } => self.close_or_free(*kind, *at, true),
            }
        }
    }

    fn send(&self, connection: u8, data: &[u8], cut: u8, wait: i64) {
        let connection = pick(&self.connections, connection);
        let mut pending = 0;
        unsafe {
            if cut == 0 {
                ok(carrick_connection_send(connection, data.as_ptr(), data.len(), wait));
            } else {
                let parts: Vec<carrick_slice> = data
                    .chunks(cut.into())
                    .map(|part| carrick_slice { data: part.as_ptr(), len: part.len() })
                    .collect();
                ok(carrick_connection_send_vectored(connection, parts.as_ptr(), parts.len(), wait));
            }
            if ok(carrick_connection_pending(connection, &raw mut pending)) && pending > 0 {
                ok(carrick_connection_flush(connection, 0));
            }
        }
    }

    fn take_frame(&self, connection: u8, into: Option<u8>, wait: i64) {
        let connection = pick(&self.connections, connection);
        unsafe {
            if let Some(room) = into {
                // E_BUFFER tells the length that is needed, so the output may be larger than the room.
                let mut buffer = vec![0; room.into()];
                let mut length = 0;
                let data = buffer.as_mut_ptr();
                if ok(carrick_connection_recv_into(connection, data, buffer.len(), wait, &raw mut length)) {
                    assert!(length <= buffer.len());
                }
                return;
            }
            let (mut data, mut length) = (null_mut(), 0);
            if ok(carrick_connection_recv(connection, wait, &raw mut data, &raw mut length)) {
                // All of it is there to be read.
                std::hint::black_box(std::slice::from_raw_parts(data, length).iter().fold(0, |a, b| a ^ b));
                carrick_bytes_free(data, length);
            } else {
                assert!(data.is_null());
            }
        }
    }

    fn option(&self, kind: u8, at: u8, option: i32, value: i64) {
        // A lingering close waits for its peer, as it was asked to.
        let value = if option == 7 { value.min(999_999_999) } else { value };
        let mut read = 0;
        let (s, l, d) = (pick(&self.streams, at), pick(&self.listeners, at), pick(&self.datagrams, at));
        unsafe {
            match kind % 3 {
                0 => {
                    ok(carrick_stream_set_option(s, option, value))
                        | ok(carrick_stream_get_option(s, option, &raw mut read))
                }
                1 => {
                    ok(carrick_listener_set_option(l, option, value))
                        | ok(carrick_listener_get_option(l, option, &raw mut read))
                }
                _ => {
                    ok(carrick_datagram_set_option(d, option, value))
                        | ok(carrick_datagram_get_option(d, option, &raw mut read))
                }
            };
        }
    }

    /// Gives away a descriptor of our own; a call that fails leaves it ours.
    fn adopt(&mut self, kind: u8, plain: bool) {
        let fd = if plain {
            std::fs::File::open("/dev/null").map(IntoRawFd::into_raw_fd).unwrap_or(-1)
        } else {
            std::os::unix::net::UnixDatagram::unbound().map(IntoRawFd::into_raw_fd).unwrap_or(-1)
        };
        let before = (self.streams.len(), self.listeners.len(), self.datagrams.len());
        match kind % 3 {
            0 => made(&mut self.streams, |out| unsafe { carrick_stream_from_fd(fd, out) }),
            1 => made(&mut self.listeners, |out| unsafe { carrick_listener_from_fd(fd, out) }),
            _ => made(&mut self.datagrams, |out| unsafe { carrick_datagram_from_fd(fd, out) }),
        }
        if before == (self.streams.len(), self.listeners.len(), self.datagrams.len()) && fd >= 0 {
            assert_eq!(unsafe { libc::close(fd) }, 0, "a call that failed took the descriptor");
        }
    }

    fn server(&self, server: u8, what: u8, wait: i64, room: u8) {
        let server = pick(&self.servers, server);
        let (mut stats, mut count) = (vec![0; usize::from(room % 16)], 0);
        unsafe {
            match what % 5 {
                0 => ok(carrick_server_shutdown(server, wait)),
                1 => ok(carrick_server_wait(server, wait)),
                2 => ok(carrick_server_start(server)),
                3 => ok(carrick_server_stats(server, stats.as_mut_ptr(), stats.len(), &raw mut count)),
                _ => {
                    ok(carrick_server_address(server, stats.as_mut_ptr().cast(), stats.len(), &raw mut count))
                }
            };
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for kind in [6, 0, 1, 2, 3, 4, 5] {
            loop {
                let before = self.live();
                self.close_or_free(kind, 0, true);
                if self.live() == before {
                    break;
                }
            }
        }
    }
}

impl World {
    fn live(&self) -> usize {
        let handles =
            self.streams.len() + self.connections.len() + self.listeners.len() + self.datagrams.len();
        handles + self.pollers.len() + self.macs.len() + self.servers.len()
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fuzz_target!(|calls: Vec<Call<'_>>| {
    let before = open_descriptors();
    let mut world = World::default();
    for call in calls.iter().take(64) {
        world.run(call);
    }
    drop(world);
    assert_eq!(open_descriptors(), before, "descriptors are left open");
});
