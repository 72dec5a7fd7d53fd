// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keyed digests (HMAC, RFC 2104) and the keys for them.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use hmac::{Hmac, KeyInit, Mac as _, SimpleHmac};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! digests {
    ($($(#[$doc:meta])* $variant:ident: $name:literal, $held:ident<$hash:ty>, $size:literal, $block:literal, $strength:literal;)+) => {
        /// A digest algorithm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Digest {
            $($(#[$doc])* $variant,)+
        }

        impl Digest {
            /// Every digest.
            pub const ALL: &'static [Digest] = &[$(Digest::$variant,)+];

            /// The name Python's `hashlib` uses.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The length of a digest in bytes.
            #[must_use]
            pub const fn size(self) -> usize {
                match self { $(Self::$variant => $size,)+ }
            }

            /// The length of the algorithm's block in bytes.
            #[must_use]
            pub const fn block_size(self) -> usize {
                match self { $(Self::$variant => $block,)+ }
            }

            /// A rank for `min_digest`: an algorithm of a lower rank is the weaker one.
            pub(crate) const fn strength(self) -> u8 {
                match self { $(Self::$variant => $strength,)+ }
            }
        }

        // The states of large digests are boxed: a Mac is moved and copied more often than it is made, and
        // most are of the small ones.
        #[derive(Clone)]
        enum State {
            $($variant($held<$hash>),)+
        }

        impl State {
            fn new(digest: Digest, key: &[u8]) -> Result<Self> {
                let refused = |_| Error::new(Kind::Invalid, "make HMAC");
                Ok(match digest {
                    $(Digest::$variant => Self::$variant(<$hash>::new_from_slice(key).map_err(refused)?.into()),)+
                })
            }

            fn update(&mut self, data: &[u8]) {
                match self { $(Self::$variant(h) => h.update(data),)+ }
            }

            fn finish(self) -> Tag {
                match self { $(Self::$variant(h) => Tag::new(h.finalize().into_bytes().as_slice()),)+ }
            }
        }
    };
}

/// A state that is held as it is.
type Plain<T> = T;

digests! {
    /// MD5: broken, for peers up to Python 3.11 only.
    Md5: "md5", Plain<Hmac<md5::Md5>>, 16, 64, 0;
    /// SHA-1: weak, for the `hmac` module only; no handshake uses it.
    Sha1: "sha1", Plain<Hmac<sha1::Sha1>>, 20, 64, 1;
    /// SHA-256.
    Sha256: "sha256", Plain<Hmac<sha2::Sha256>>, 32, 64, 2;
    /// SHA-384.
    Sha384: "sha384", Box<Hmac<sha2::Sha384>>, 48, 128, 3;
    /// SHA-512.
    Sha512: "sha512", Box<Hmac<sha2::Sha512>>, 64, 128, 4;
    /// SHA3-256.
    Sha3_256: "sha3_256", Box<SimpleHmac<sha3::Sha3_256>>, 32, 136, 2;
    /// SHA3-384.
    Sha3_384: "sha3_384", Box<SimpleHmac<sha3::Sha3_384>>, 48, 104, 3;
}

impl Digest {
    /// Whether `multiprocessing` knows this digest in a handshake.
    pub(crate) const fn in_multiprocessing(self) -> bool {
        !matches!(self, Self::Sha1 | Self::Sha512)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|d| d.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|d| d.name()).collect();
            Error::with_detail(
                Kind::UnknownDigest,
                "choose digest",
                format!("'{name}'; known are {}", known.join(", ")),
            )
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A secret key. It is wiped from memory when dropped and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key(Box<[u8]>);

impl Key {
    /// A copy of `bytes` as a key. Any length will do; 32 random bytes are a good one.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The result of an HMAC: 16 to 64 bytes.
#[derive(Clone, Copy)]
pub struct Tag {
    bytes: [u8; 64],
    len: u8,
}

impl Tag {
    fn new(digest: &[u8]) -> Self {
        let mut tag = Self { bytes: [0; 64], len: 0 };
        for (to, from) in tag.bytes.iter_mut().zip(digest) {
            *to = *from;
            tag.len += 1;
        }
        tag
    }

    /// The bytes of the tag.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether `other` is this tag, compared in a time that does not depend on the bytes.
    #[must_use]
    pub fn verify(&self, other: &[u8]) -> bool {
        constant_time_eq(self.bytes(), other)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({} bytes)", self.len)
    }
}

/// Whether `a` and `b` are equal, in a time that depends on their lengths only.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// An HMAC being computed.
///
/// # Example
/// ```
/// use carrick::auth::{Digest, Mac};
/// let mut mac = Mac::new(Digest::Sha256, b"key")?;
/// mac.update(b"message");
/// assert_eq!(mac.finish().bytes().len(), 32);
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Clone)]
pub struct Mac {
    digest: Digest,
    state: State,
}

impl Mac {
    /// Starts an HMAC with `key`.
    ///
    /// # Errors
    /// None today: every length of key will do.
    pub fn new(digest: Digest, key: &[u8]) -> Result<Self> {
        Ok(Self { digest, state: State::new(digest, key)? })
    }

    /// Which digest this is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Adds to the message.
    pub fn update(&mut self, data: &[u8]) {
        self.state.update(data);
    }

    /// The tag of the message.
    #[must_use]
    pub fn finish(self) -> Tag {
        self.state.finish()
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({})", self.digest)
    }
}

/// The HMAC of one message.
///
/// # Errors
/// As [`Mac::new`].
pub fn mac(digest: Digest, key: &[u8], message: &[u8]) -> Result<Tag> {
    let mut mac = Mac::new(digest, key)?;
    mac.update(message);
    Ok(mac.finish())
}
