// SPDX-License-Identifier: MIT OR Apache-2.0
//! The extension module behind the Python package `carrick`. It translates and holds no logic of its own.
//!
//! A call that may wait detaches from the interpreter and takes no lock of ours while attached. Most calls
//! try once without waiting while still attached: giving the interpreter away costs more than a system call
//! that has something to do.

mod argument;
mod auth;
mod buffer;
mod connection;
mod errors;
mod hmac;
mod message;
mod name;
mod once;
mod process;
mod queue;
mod quick;
mod request;
mod signals;
mod socket;
mod stream;
mod sync;
mod thread_queue;
mod waker;

use pyo3::prelude::*;

/// Small blocks are available when memory has run out: for an error, first of all.
#[global_allocator]
static ALLOCATOR: carrick::Reserve = carrick::Reserve;

/// The parts of carrick that are written in Rust. Private: use the package `carrick`.
#[pymodule(gil_used = false)]
mod _carrick {
    #[pymodule_export]
    use super::auth::{Answer, Challenge, Gate, course_answer, handshake};
    #[pymodule_export]
    use super::connection::{is_socket, poll, recv_bytes, recv_bytes_into, send_bytes};
    #[pymodule_export]
    use super::errors::error_table;
    #[pymodule_export]
    use super::hmac::{Hmac, hmac_digest, new};
    #[pymodule_export]
    use super::message::MessageServer;
    #[pymodule_export]
    use super::name::{open_name, remove_name};
    #[pymodule_export]
    use super::process::{
        Supply, ask, hold_on, last_words, lifeline, reap, reap_served, request_pair, resign,
    };
    #[pymodule_export]
    use super::queue::SharedQueue;
    #[pymodule_export]
    use super::request::Request;
    #[pymodule_export]
    use super::socket::{recv_frame, send_frame, sock_recv, sock_send, sock_sendall};
    #[pymodule_export]
    use super::stream::{Job, StreamServer, about_to_block, thread_dict};
    #[pymodule_export]
    use super::sync::{SemLock, SharedBarrier, SharedCondition, SharedEvent, leave_locks};
    #[pymodule_export]
    use super::thread_queue::{QueueMutex, ThreadQueue};
    #[pymodule_export]
    use super::waker::Waker;

    #[pymodule_init]
    fn init(module: &super::Bound<'_, super::PyModule>) -> super::PyResult<()> {
        super::signals::install(module.py())?;
        super::quick::install(module.py())?;
        super::quick::watch_finalization();
        super::PyModuleMethods::add(module, "__version__", env!("CARGO_PKG_VERSION"))
    }
}
