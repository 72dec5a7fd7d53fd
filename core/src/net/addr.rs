// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses of sockets, and their written form.
//!
//! | written | means |
//! |---|---|
//! | `127.0.0.1:9000`, `[::1]:9000` | IPv4, IPv6 |
//! | `name:9000` | the first address of the name, asked for when the text is read |
//! | `unix:/path` | a Unix socket in the file system |
//! | `unix:@name` | a Unix socket in Linux's abstract name space |
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use socket2::SockAddr;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

/// The longest path of a Unix socket, in bytes, its closing zero not counted.
pub const UNIX_PATH_MAX: usize = 107;

/// Where a socket is, or whom it talks to.
///
/// Reading one (`parse`) asks the system's resolver where the text has a host's name. That may take seconds, and no
/// deadline and no signal's hook ends it; `Os` without an errno says that the name has no address.
///
/// # Example
/// ```
/// use carrick::Address;
/// let address: Address = "[::1]:9000".parse()?;
/// assert_eq!(address.to_string(), "[::1]:9000");
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IPv4 or IPv6 address with its port.
    Ip(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
    /// A name in the abstract name space, without the leading zero byte.
    Abstract(Vec<u8>),
    /// A Unix socket that has no name: the client's end, or one of a pair.
    Unnamed,
}

impl Address {
    /// The port, for an IP address.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => Some(address.port()),
            _ => None,
        }
    }

    pub(crate) fn is_ip(&self) -> bool {
        matches!(self, Self::Ip(_))
    }

    pub(crate) fn to_sock_addr(&self, operation: &'static str) -> Result<SockAddr> {
        let unix = |bytes: &[u8]| {
            if bytes.len() > UNIX_PATH_MAX {
                return Err(Error::with_detail(
                    Kind::Invalid,
                    operation,
                    format!(
                        "a Unix socket address of {} bytes; the limit is {UNIX_PATH_MAX}: use a shorter path or an abstract name",
                        bytes.len()
                    ),
                ));
            }
            SockAddr::unix(std::ffi::OsStr::from_bytes(bytes)).map_err(|e| Error::from_io(&e, operation))
        };
        match self {
            Self::Ip(address) => Ok(SockAddr::from(*address)),
            // The kernel would end the path there; in front it would make it an abstract name.
            Self::Unix(path) if path.as_os_str().as_bytes().contains(&0) => {
                Err(Error::with_detail(Kind::Invalid, operation, "a path with a zero byte in it"))
            }
            Self::Unix(path) => unix(path.as_os_str().as_bytes()),
            Self::Abstract(name) => unix(&[&[0], name.as_slice()].concat()),
            Self::Unnamed => {
                Err(Error::with_detail(Kind::Invalid, operation, "the address has no name to go to"))
            }
        }
    }

    pub(crate) fn from_sock_addr(address: &SockAddr) -> Self {
        if let Some(ip) = address.as_socket() {
            return Self::Ip(ip);
        }
        if let Some(path) = address.as_pathname() {
            return Self::Unix(path.to_path_buf());
        }
        match address.as_abstract_namespace() {
            Some(name) => Self::Abstract(name.to_vec()),
            None => Self::Unnamed,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const OPERATION: &str = "parse address";
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.strip_prefix('@') {
                Some(name) => Ok(Self::Abstract(name.as_bytes().to_vec())),
                None if path.is_empty() => Err(Error::with_detail(
                    Kind::Invalid,
                    OPERATION,
                    "'unix:' lacks a path: write unix:/path or unix:@name",
                )),
                None => Ok(Self::Unix(PathBuf::from(std::ffi::OsString::from_vec(path.as_bytes().to_vec())))),
            };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Ip(address));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(Error::with_detail(
                Kind::Invalid,
                OPERATION,
                format!("'{text}' has no port: write host:port, [v6]:port or unix:/path"),
            ));
        };
        let Ok(number) = port.parse::<u16>() else {
            return Err(Error::with_detail(
                Kind::Invalid,
                OPERATION,
                format!("port '{port}' is not a number from 0 to 65535"),
            ));
        };
        let found = (host, number).to_socket_addrs();
        let failed = |e| Error::from_io(&e, "resolve address").detailed(format!("'{host}': {e}"));
        let first = found.map_err(failed)?.next();
        first.map(Self::Ip).ok_or_else(|| {
            Error::with_detail(Kind::Invalid, "resolve address", format!("'{host}' has no address"))
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{}", String::from_utf8_lossy(name)),
            Self::Unnamed => f.write_str("unix:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_written_form_reads_back() {
        for text in ["127.0.0.1:80", "[::1]:9", "unix:/tmp/a", "unix:@name"] {
            let address: Address = text.parse().unwrap_or(Address::Unnamed);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_bad_address_says_what_is_wrong() {
        for (text, word) in [("localhost", "port"), ("1.2.3.4:70000", "70000"), ("unix:", "path")] {
            let error = text.parse::<Address>().map(|a| a.to_string()).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{text}");
            assert!(error.to_string().contains(word), "{error}");
        }
        let unknown = "no host:80".parse::<Address>().map(|a| a.to_string()).unwrap_err();
        assert!(unknown.to_string().contains("'no host'"), "{unknown}");
    }

    #[test]
    fn an_over_long_unix_path_names_the_limit() {
        let error =
            Address::Unix(PathBuf::from("x".repeat(200))).to_sock_addr("bind").map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("107"));
    }
}
