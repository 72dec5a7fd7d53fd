// SPDX-License-Identifier: MIT OR Apache-2.0
//! HMAC and the options of a handshake.

use crate::boundary::{boundary, fill, on};
use crate::handle::{free, give, opaque};
use crate::memory::{bytes, copy_out, options, output, text, write};
use crate::status::carrick_status;
use carrick::auth::{AuthOptions, Digest, Mac, Policy, Role, Scheme, constant_time_eq, mac};
use carrick::{Error, Kind, Result};
use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// MD5: broken, for peers up to Python 3.11 only.
pub const CARRICK_DIGEST_MD5: i32 = 1;
/// SHA-1: weak; no handshake uses it.
pub const CARRICK_DIGEST_SHA1: i32 = 2;
/// SHA-256.
pub const CARRICK_DIGEST_SHA256: i32 = 3;
/// SHA-384.
pub const CARRICK_DIGEST_SHA384: i32 = 4;
/// SHA-512.
pub const CARRICK_DIGEST_SHA512: i32 = 5;
/// SHA3-256.
pub const CARRICK_DIGEST_SHA3_256: i32 = 6;
/// SHA3-384.
pub const CARRICK_DIGEST_SHA3_384: i32 = 7;
/// The longest digest in bytes.
pub const CARRICK_DIGEST_MAX: usize = 64;

/// The mutual handshake of Python's multiprocessing.connection.
pub const CARRICK_SCHEME_MULTIPROCESSING: i32 = 0;
/// The course's: 32 random bytes raw to the client, its raw digest back.
pub const CARRICK_SCHEME_COURSE: i32 = 1;

/// The end that accepted.
pub const CARRICK_ROLE_SERVER: i32 = 0;
/// The end that connected.
pub const CARRICK_ROLE_CLIENT: i32 = 1;

/// An HMAC being computed. Thread word: ANY.
pub struct carrick_mac {
    _opaque: [u8; 0],
}
opaque!(carrick_mac => Mutex<Mac>, b"ck-hmacs");

fn digest(number: i32, operation: &'static str) -> Result<Digest> {
    let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
    index.and_then(|i| Digest::ALL.get(i)).copied().ok_or_else(|| {
        Error::with_detail(
            Kind::UnknownDigest,
            operation,
            format!("digest {number}; the CARRICK_DIGEST_ numbers are 1 to 7"),
        )
    })
}

/// The number of a digest by its name, such as "sha256".
/// Codes: E_UNKNOWN_DIGEST, E_INVALID, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_digest_from_name(
    name: *const c_char,
    name_len: usize,
    out_digest: *mut i32,
) -> carrick_status {
    boundary("choose digest", || {
        output(out_digest, "out_digest", "choose digest")?;
        let digest: Digest = text(name, name_len, "choose digest")?.parse()?;
        let index = Digest::ALL.iter().position(|d| *d == digest).unwrap_or(0);
        write(out_digest, i32::try_from(index + 1).unwrap_or(0));
        Ok(())
    })
}

/// The length of a digest in bytes.
/// Codes: E_UNKNOWN_DIGEST, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_digest_size(digest: i32, out_size: *mut usize) -> carrick_status {
    fill(out_size, "out_size", "get digest size", || Ok(self::digest(digest, "get digest size")?.size()))
}

/// The HMAC (RFC 2104) of one message. A buffer of CARRICK_DIGEST_MAX bytes is always enough.
/// Codes: E_UNKNOWN_DIGEST, E_BUFFER (out_len has the length needed), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_hmac(
    digest: i32,
    key: *const u8,
    key_len: usize,
    message: *const u8,
    message_len: usize,
    buffer: *mut u8,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    boundary("compute HMAC", || {
        let digest = self::digest(digest, "compute HMAC")?;
        let (key, message) =
            (bytes(key, key_len, "compute HMAC")?, bytes(message, message_len, "compute HMAC")?);
        copy_out(mac(digest, key, message)?.bytes(), buffer, buffer_cap, out_len, "compute HMAC")
    })
}

/// Starts an HMAC that is fed piece by piece; out_mac is OWNED.
/// Codes: E_UNKNOWN_DIGEST, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_mac_new(
    digest: i32,
    key: *const u8,
    key_len: usize,
    out_mac: *mut *mut carrick_mac,
) -> carrick_status {
    boundary("make HMAC", || {
        output(out_mac, "out_mac", "make HMAC")?;
        let mac = Mac::new(self::digest(digest, "make HMAC")?, bytes(key, key_len, "make HMAC")?)?;
        write(out_mac, give(Mutex::new(mac)));
        Ok(())
    })
}

/// Adds to the message.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_mac_update(
    mac: *const carrick_mac,
    data: *const u8,
    data_len: usize,
) -> carrick_status {
    on(mac, "update HMAC", |mac| {
        let data = bytes(data, data_len, "update HMAC")?;
        mac.lock().unwrap_or_else(PoisonError::into_inner).update(data);
        Ok(())
    })
}

/// Writes the tag of the message so far; more may be added after it.
/// Codes: E_BUFFER (out_len has the length needed), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_mac_finish(
    mac: *const carrick_mac,
    buffer: *mut u8,
    buffer_cap: usize,
    out_len: *mut usize,
) -> carrick_status {
    on(mac, "finish HMAC", |mac| {
        let tag = mac.lock().unwrap_or_else(PoisonError::into_inner).clone().finish();
        copy_out(tag.bytes(), buffer, buffer_cap, out_len, "finish HMAC")
    })
}

/// A copy that goes on by itself, OWNED.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_mac_copy(
    mac: *const carrick_mac,
    out_mac: *mut *mut carrick_mac,
) -> carrick_status {
    on(mac, "copy HMAC", |mac| {
        output(out_mac, "out_mac", "copy HMAC")?;
        let copy = mac.lock().unwrap_or_else(PoisonError::into_inner).clone();
        write(out_mac, give(Mutex::new(copy)));
        Ok(())
    })
}

/// Frees an HMAC. NULL does nothing. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_mac_free(mac: *mut carrick_mac) {
    let _ = boundary("free", || {
        free(mac);
        Ok(())
    });
}

/// Whether two byte strings are equal, 0 or 1, in a time that depends on their lengths only.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_compare_digest(
    left: *const u8,
    left_len: usize,
    right: *const u8,
    right_len: usize,
    out_equal: *mut i32,
) -> carrick_status {
    boundary("compare digests", || {
        output(out_equal, "out_equal", "compare digests")?;
        let (left, right) =
            (bytes(left, left_len, "compare digests")?, bytes(right, right_len, "compare digests")?);
        write(out_equal, i32::from(constant_time_eq(left, right)));
        Ok(())
    })
}

/// How to authenticate. Fill it with carrick_auth_options_init, then set the key.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_auth_options {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// The key both ends have: BORROWED for the call that gets the options.
    pub key: *const u8,
    /// The length of the key.
    pub key_len: usize,
    /// CARRICK_SCHEME_... (CARRICK_SCHEME_MULTIPROCESSING).
    pub scheme: i32,
    /// The digest that challenges ask for: CARRICK_DIGEST_... (SHA256).
    pub digest: i32,
    /// The weakest digest that is accepted (MD5: peers up to Python 3.11 may come).
    pub min_digest: i32,
    /// How long the whole handshake may take, in nanoseconds; negative is for ever (10 s).
    pub handshake_timeout_ns: i64,
}

impl carrick_auth_options {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            key: std::ptr::null(),
            key_len: 0,
            scheme: CARRICK_SCHEME_MULTIPROCESSING,
            digest: CARRICK_DIGEST_SHA256,
            min_digest: CARRICK_DIGEST_MD5,
            handshake_timeout_ns: 10_000_000_000,
        }
    }

    pub(crate) fn read(given: *const Self, operation: &'static str) -> Result<AuthOptions> {
        output(given.cast_mut(), "auth options", operation)?;
        let o = options(given, Self::defaults(), operation)?;
        let mut auth = AuthOptions::new(bytes(o.key, o.key_len, operation)?);
        auth.scheme = match o.scheme {
            CARRICK_SCHEME_MULTIPROCESSING => Scheme::Multiprocessing,
            CARRICK_SCHEME_COURSE => Scheme::Course,
            other => {
                return Err(Error::with_detail(
                    Kind::Invalid,
                    operation,
                    format!("scheme {other}; it is 0 or 1"),
                ));
            }
        };
        auth.policy =
            Policy { digest: digest(o.digest, operation)?, min_digest: digest(o.min_digest, operation)? };
        auth.handshake_timeout =
            u64::try_from(o.handshake_timeout_ns).map_or(Duration::MAX, Duration::from_nanos);
        Ok(auth)
    }
}

pub(crate) fn role(number: i32, operation: &'static str) -> Result<Role> {
    match number {
        CARRICK_ROLE_SERVER => Ok(Role::Server),
        CARRICK_ROLE_CLIENT => Ok(Role::Client),
        _ => Err(Error::with_detail(Kind::Invalid, operation, format!("role {number}; it is 0 or 1"))),
    }
}

/// Fills the options with the defaults.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_auth_options_init(out_options: *mut carrick_auth_options) -> carrick_status {
    fill(out_options, "out_options", "init options", || Ok(carrick_auth_options::defaults()))
}
