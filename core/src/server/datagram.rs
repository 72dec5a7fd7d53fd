// SPDX-License-Identifier: MIT OR Apache-2.0
//! One datagram at a time.
#![forbid(unsafe_code)]

use super::control::{Control, ServerHandle, add, run_counted};
use crate::error::{Error, Kind, Result};
use crate::frame::DEFAULT_CAP;
use crate::net::{Address, Datagram};
use crate::time::Deadline;
use std::sync::Arc;
use std::time::Duration;

/// How a [`DatagramServer`] works.
#[derive(Clone, Debug)]
pub struct DatagramOptions {
    /// The longest datagram that reaches the handler, in bytes; longer ones are dropped and counted.
    pub max_length: usize,
    /// How long the handler that runs may go on after a shutdown was asked for.
    pub drain: Duration,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self { max_length: 65_535, drain: Duration::from_secs(30) }
    }
}

/// Handles datagrams. An error it returns is counted, like a panic.
pub trait DatagramHandler: Send + Sync + 'static {
    /// Handles one datagram; `Some` is sent back to where it came from.
    ///
    /// # Errors
    /// Any error; it is counted as a failure.
    fn handle(&self, data: &[u8], peer: &Address) -> Result<Option<Vec<u8>>>;
}

impl<F: Fn(&[u8], &Address) -> Result<Option<Vec<u8>>> + Send + Sync + 'static> DatagramHandler for F {
    fn handle(&self, data: &[u8], peer: &Address) -> Result<Option<Vec<u8>>> {
        self(data, peer)
    }
}

/// A server of datagrams, on one thread: a datagram cannot keep anybody waiting but by its handler.
///
/// # Example
/// ```
/// use carrick::server::{DatagramOptions, DatagramServer};
/// use carrick::{Address, Datagram, Deadline};
/// let server = DatagramServer::bind(&"127.0.0.1:0".parse()?, DatagramOptions::default())?;
/// let handle = server.handle();
/// let serving = std::thread::spawn(move || server.serve(|data: &[u8], _: &Address| Ok(Some(data.to_vec()))));
/// let client = Datagram::bind(&"127.0.0.1:0".parse()?)?;
/// client.send_to(b"hello", handle.address(), Deadline::NEVER)?;
/// let mut buf = [0; 16];
/// let (n, _) = client.recv_from(&mut buf, Deadline::NEVER)?;
/// assert_eq!(&buf[..n], b"hello");
/// handle.shutdown(Deadline::NEVER)?;
/// assert!(serving.join().is_ok_and(|served| served.is_ok()));
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Debug)]
pub struct DatagramServer {
    socket: Datagram,
    options: DatagramOptions,
    control: Arc<Control>,
}

impl DatagramServer {
    /// Binds; datagrams wait in the kernel's queue until [`serve`](Self::serve).
    ///
    /// # Errors
    /// Those of [`Datagram::bind`]; `Invalid` for a `max_length` over 64 MiB, which no datagram has.
    pub fn bind(address: &Address, options: DatagramOptions) -> Result<Self> {
        if options.max_length as u64 > DEFAULT_CAP {
            return Err(Error::with_detail(
                Kind::Invalid,
                "make server",
                format!("max_length {}; it is at most {DEFAULT_CAP}", options.max_length),
            ));
        }
        let socket = Datagram::bind(address)?;
        let control = Arc::new(Control::new(socket.local_address()?, Arc::default(), options.drain)?);
        Ok(Self { socket, options, control })
    }

    /// A handle to stop the server and to read its statistics.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { control: Arc::clone(&self.control) }
    }

    /// Serves on this thread until the server is shut down. The socket is closed at the end.
    ///
    /// # Errors
    /// `State`: it has served before. `Os` when the socket fails for good.
    pub fn serve(self, handler: impl DatagramHandler) -> Result<()> {
        let _serving = self.control.begin()?;
        let result = self.run(&handler);
        self.socket.close();
        result
    }

    fn run(&self, handler: &impl DatagramHandler) -> Result<()> {
        let (control, counters) = (&self.control, &self.control.counters);
        let mut buf = vec![0; self.options.max_length.max(1)];
        while !control.stopping() {
            let received =
                self.socket.recv_or_wake(&mut buf, control.wake_fd(), || control.stopping(), Deadline::NEVER);
            let (length, peer) = match received {
                Ok(received) => received,
                Err(e) if matches!(e.kind(), Kind::Closed | Kind::Interrupted) => break,
                Err(e) if e.kind() == Kind::Buffer => {
                    add(&counters.limit_failures, 1);
                    continue;
                }
                // The network's answer to an earlier reply, such as "port unreachable".
                Err(_) => {
                    add(&counters.accept_failures, 1);
                    continue;
                }
            };
            add(&counters.requests, 1);
            add(&counters.bytes_received, length as u64);
            let data = buf.get(..length).unwrap_or_default();
            let handled = run_counted(counters, || handler.handle(data, &peer));
            if control.is_forked() {
                break;
            }
            if let Some(Some(reply)) = handled {
                match self.socket.send_to(&reply, &peer, Deadline::after(Duration::from_secs(1))) {
                    Ok(()) => add(&counters.bytes_sent, reply.len() as u64),
                    Err(_) => add(&counters.failures, 1),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_max_length_that_no_datagram_has_is_refused() {
        let options = DatagramOptions { max_length: usize::MAX, ..DatagramOptions::default() };
        let error = DatagramServer::bind(&"127.0.0.1:0".parse().unwrap(), options).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
    }
}
