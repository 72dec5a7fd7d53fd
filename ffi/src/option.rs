// SPDX-License-Identifier: MIT OR Apache-2.0
//! Socket options by number, the same for every kind of socket.

use carrick::{Error, Kind, Result, SocketOptions};
use std::time::Duration;

/// SO_REUSEADDR: 0 or 1.
pub const CARRICK_OPTION_REUSE_ADDRESS: i32 = 1;
/// SO_REUSEPORT: 0 or 1.
pub const CARRICK_OPTION_REUSE_PORT: i32 = 2;
/// TCP_NODELAY: 0 or 1. TCP connections of carrick have it set.
pub const CARRICK_OPTION_TCP_NODELAY: i32 = 3;
/// Keep-alive probes after so many nanoseconds without traffic, negative for none; reads as 0 or 1.
pub const CARRICK_OPTION_KEEP_ALIVE: i32 = 4;
/// SO_SNDBUF in bytes; Linux reports twice what was asked for.
pub const CARRICK_OPTION_SEND_BUFFER: i32 = 5;
/// SO_RCVBUF in bytes; Linux reports twice what was asked for.
pub const CARRICK_OPTION_RECV_BUFFER: i32 = 6;
/// SO_LINGER in nanoseconds (whole seconds count), negative for none.
pub const CARRICK_OPTION_LINGER: i32 = 7;
/// SO_BROADCAST: 0 or 1.
pub const CARRICK_OPTION_BROADCAST: i32 = 8;

fn unknown(option: i32, operation: &'static str) -> Error {
    Error::with_detail(
        Kind::Invalid,
        operation,
        format!("option {option}; the CARRICK_OPTION_ numbers are 1 to 8"),
    )
}

fn span(value: i64) -> Option<Duration> {
    u64::try_from(value).ok().map(Duration::from_nanos)
}

pub(crate) fn set(socket: &impl SocketOptions, option: i32, value: i64) -> Result<()> {
    const OPERATION: &str = "set option";
    let flag = || match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::with_detail(
            Kind::Invalid,
            OPERATION,
            format!("value {value}; option {option} is 0 or 1"),
        )),
    };
    let size = || {
        usize::try_from(value)
            .map_err(|_| Error::with_detail(Kind::Invalid, OPERATION, format!("a buffer of {value} bytes")))
    };
    match option {
        CARRICK_OPTION_REUSE_ADDRESS => socket.set_reuse_address(flag()?),
        CARRICK_OPTION_REUSE_PORT => socket.set_reuse_port(flag()?),
        CARRICK_OPTION_TCP_NODELAY => socket.set_tcp_nodelay(flag()?),
        CARRICK_OPTION_KEEP_ALIVE => socket.set_keep_alive(span(value)),
        CARRICK_OPTION_SEND_BUFFER => socket.set_send_buffer_size(size()?),
        CARRICK_OPTION_RECV_BUFFER => socket.set_recv_buffer_size(size()?),
        CARRICK_OPTION_LINGER => socket.set_linger(span(value)),
        CARRICK_OPTION_BROADCAST => socket.set_broadcast(flag()?),
        _ => Err(unknown(option, OPERATION)),
    }
}

pub(crate) fn get(socket: &impl SocketOptions, option: i32) -> Result<i64> {
    let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    match option {
        CARRICK_OPTION_REUSE_ADDRESS => socket.reuse_address().map(i64::from),
        CARRICK_OPTION_REUSE_PORT => socket.reuse_port().map(i64::from),
        CARRICK_OPTION_TCP_NODELAY => socket.tcp_nodelay().map(i64::from),
        CARRICK_OPTION_KEEP_ALIVE => socket.keep_alive().map(i64::from),
        CARRICK_OPTION_SEND_BUFFER => socket.send_buffer_size().map(size),
        CARRICK_OPTION_RECV_BUFFER => socket.recv_buffer_size().map(size),
        CARRICK_OPTION_LINGER => {
            let linger = socket.linger()?;
            Ok(linger.map_or(-1, |l| i64::try_from(l.as_nanos()).unwrap_or(i64::MAX)))
        }
        CARRICK_OPTION_BROADCAST => socket.broadcast().map(i64::from),
        _ => Err(unknown(option, "get option")),
    }
}
