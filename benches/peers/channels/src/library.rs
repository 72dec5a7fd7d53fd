// SPDX-License-Identifier: MIT OR Apache-2.0
//! The libraries, each behind the same two traits.

use crate::ring;
use carrick::Deadline;
use carrick::queue::{Queue, QueueOptions};
use iceoryx2::prelude::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// A channel before the fork.
pub trait Ends {
    /// The sender's end and the receiver's.
    fn split(self: Box<Self>) -> (Box<dyn Open>, Box<dyn Open>);
}

/// An end, to be made use of after the fork by the process that has it.
pub trait Open {
    fn connect(self: Box<Self>) -> Box<dyn End>;
}

pub trait End {
    fn send(&mut self, body: &[u8]);
    /// Takes a message and returns its length.
    fn recv(&mut self) -> usize;
    /// Waits until what was sent may no longer be lost by ending.
    fn drained(&mut self) {}
}

/// Reads all of a message, wherever it is, as each receiver does. Returns its length.
pub fn read(body: &[u8]) -> usize {
    let words = body.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    std::hint::black_box(words.fold(0, |all, word| all ^ word));
    body.len()
}

type Make = fn(usize, u32) -> Box<dyn Ends>;

/// Each library with what makes a channel of it, given the length of its messages and the channel's number.
pub const LIBRARIES: &[(&str, Make)] = &[
    ("carrick", |_, _| Box::new(Shared::new(false))),
    ("carrick in place", |_, _| Box::new(Shared::new(true))),
    ("ipc-channel", |_, _| Box::new(IpcChannel)),
    ("iceoryx2", |length, number| Box::new(Iceoryx { length, number, parent: std::process::id() })),
    ("socketpair", |_, _| Box::new(SocketPair)),
    ("ring", |length, _| Box::new(ring::Ring::new(length))),
];

// ---- carrick ----

#[derive(Clone)]
struct Shared {
    queue: Arc<Queue>,
    /// The receiver reads where the sender wrote, not a copy.
    in_place: bool,
}

impl Shared {
    fn new(in_place: bool) -> Self {
        Self { queue: Arc::new(Queue::new(QueueOptions::default()).expect("a queue")), in_place }
    }
}

impl Ends for Shared {
    fn split(self: Box<Self>) -> (Box<dyn Open>, Box<dyn Open>) {
        (self.clone(), self)
    }
}

impl Open for Shared {
    fn connect(self: Box<Self>) -> Box<dyn End> {
        self
    }
}

impl End for Shared {
    fn send(&mut self, body: &[u8]) {
        self.queue.put(body, Deadline::NEVER).expect("put");
    }

    fn recv(&mut self) -> usize {
        if self.in_place {
            // SAFETY: both processes use the queue by the library alone.
            return unsafe { self.queue.get_in_place(read, Deadline::NEVER) }.expect("get");
        }
        read(&self.queue.get(Deadline::NEVER).expect("get"))
    }
}

// ---- ipc-channel ----

struct IpcChannel;

impl Ends for IpcChannel {
    fn split(self: Box<Self>) -> (Box<dyn Open>, Box<dyn Open>) {
        let (sender, receiver) = ipc_channel::ipc::bytes_channel().expect("a channel");
        (Box::new(IpcSender(sender)), Box::new(IpcReceiver(receiver)))
    }
}

struct IpcSender(ipc_channel::ipc::IpcBytesSender);
struct IpcReceiver(ipc_channel::ipc::IpcBytesReceiver);

impl Open for IpcSender {
    fn connect(self: Box<Self>) -> Box<dyn End> {
        self
    }
}

impl Open for IpcReceiver {
    fn connect(self: Box<Self>) -> Box<dyn End> {
        self
    }
}

impl End for IpcSender {
    fn send(&mut self, body: &[u8]) {
        self.0.send(body).expect("send");
    }

    fn recv(&mut self) -> usize {
        unreachable!("the sender's end")
    }
}

impl End for IpcReceiver {
    fn send(&mut self, _body: &[u8]) {
        unreachable!("the receiver's end")
    }

    fn recv(&mut self) -> usize {
        read(&self.0.recv().expect("recv"))
    }
}

// ---- iceoryx2 ----

/// Publish and subscribe without loss. It has no blocking receive: the receiver looks again and again, which is its
/// quickest way, and reads where the sender wrote.
struct Iceoryx {
    length: usize,
    number: u32,
    parent: u32,
}

/// How many messages may be under way: as many as the ring has.
fn samples(length: usize) -> usize {
    usize::try_from(ring::slots(length)).expect("a small number")
}

impl Ends for Iceoryx {
    fn split(self: Box<Self>) -> (Box<dyn Open>, Box<dyn Open>) {
        let name = format!("carrick-bench-{}-{}", self.parent, self.number);
        let (ready, wait) = UnixStream::pair().expect("a pair");
        let sender = IceoryxSender { name: name.clone(), length: self.length, wait };
        (Box::new(sender), Box::new(IceoryxReceiver { name, length: self.length, ready }))
    }
}

type Service = iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;

fn service(name: &str, length: usize) -> (Node<ipc::Service>, Service) {
    set_log_level(LogLevel::Error);
    let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
    let service = node
        .service_builder(&name.try_into().expect("a name"))
        .publish_subscribe::<[u8]>()
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(samples(length))
        .max_publishers(1)
        .max_subscribers(1)
        .open_or_create()
        .expect("a service");
    (node, service)
}

struct IceoryxSender {
    name: String,
    length: usize,
    wait: UnixStream,
}

struct IceoryxReceiver {
    name: String,
    length: usize,
    ready: UnixStream,
}

struct Publishing {
    publisher: iceoryx2::port::publisher::Publisher<ipc::Service, [u8], ()>,
    wait: UnixStream,
    _kept: (Node<ipc::Service>, Service),
}

struct Subscribed {
    subscriber: iceoryx2::port::subscriber::Subscriber<ipc::Service, [u8], ()>,
    ready: UnixStream,
    _kept: (Node<ipc::Service>, Service),
}

impl Open for IceoryxSender {
    fn connect(mut self: Box<Self>) -> Box<dyn End> {
        // A message sent before somebody has subscribed is for nobody.
        self.wait.read_exact(&mut [0]).expect("a subscriber");
        let kept = service(&self.name, self.length);
        let publisher = kept
            .1
            .publisher_builder()
            .initial_max_slice_len(self.length)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .expect("a publisher");
        Box::new(Publishing { publisher, wait: self.wait, _kept: kept })
    }
}

impl Open for IceoryxReceiver {
    fn connect(mut self: Box<Self>) -> Box<dyn End> {
        let kept = service(&self.name, self.length);
        let subscriber = kept.1.subscriber_builder().create().expect("a subscriber");
        self.ready.write_all(&[1]).expect("a publisher");
        Box::new(Subscribed { subscriber, ready: self.ready, _kept: kept })
    }
}

impl End for Publishing {
    fn send(&mut self, body: &[u8]) {
        let mut looks = 0;
        loop {
            let sample = self.publisher.loan_slice_uninit(body.len()).expect("a sample");
            // It retries while the receiver's buffer is full, but leaves a sample out where that of returned ones is.
            if sample.write_from_slice(body).send().expect("send") > 0 {
                return;
            }
            looks += 1;
            ring::pause(looks);
        }
    }

    fn recv(&mut self) -> usize {
        unreachable!("the sender's end")
    }

    fn drained(&mut self) {
        self.wait.read_exact(&mut [0]).expect("a subscriber");
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        // It has all.
        let _ = self.ready.write_all(&[1]);
    }
}

impl End for Subscribed {
    fn send(&mut self, _body: &[u8]) {
        unreachable!("the receiver's end")
    }

    fn recv(&mut self) -> usize {
        let mut looks = 0_u32;
        loop {
            if let Some(sample) = self.subscriber.receive().expect("receive") {
                return read(sample.payload());
            }
            looks += 1;
            ring::pause(looks);
        }
    }
}

// ---- a Unix socket ----

struct SocketPair;

impl Ends for SocketPair {
    fn split(self: Box<Self>) -> (Box<dyn Open>, Box<dyn Open>) {
        let (one, other) = UnixStream::pair().expect("a pair");
        (Box::new(Socket(one, Vec::new())), Box::new(Socket(other, Vec::new())))
    }
}

struct Socket(UnixStream, Vec<u8>);

impl Open for Socket {
    fn connect(self: Box<Self>) -> Box<dyn End> {
        self
    }
}

impl End for Socket {
    fn send(&mut self, body: &[u8]) {
        self.1.clear();
        self.1.extend_from_slice(&(body.len() as u64).to_le_bytes());
        self.1.extend_from_slice(body);
        self.0.write_all(&self.1).expect("write");
    }

    fn recv(&mut self) -> usize {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).expect("read");
        let length = usize::try_from(u64::from_le_bytes(head)).expect("a length");
        self.1.resize(length, 0);
        self.0.read_exact(&mut self.1).expect("read");
        read(&self.1)
    }
}
