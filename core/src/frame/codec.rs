// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frame heads: encoding and decoding lengths.
#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};

/// The cap of a format unless another is set: 64 MiB.
pub const DEFAULT_CAP: u64 = 64 << 20;

/// The order of a length's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Most significant byte first, as networks have it.
    Big,
    /// Least significant byte first.
    Little,
}

impl ByteOrder {
    /// The order of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
}

/// How lengths are written, and how long a body may be.
///
/// # Example
/// ```
/// use carrick::frame::{ByteOrder, Format};
/// let format = Format::custom(2, ByteOrder::Little, false)?.with_cap(1000);
/// assert_eq!(format.encode(3)?.bytes(), [3, 0]);
/// assert!(format.encode(1001).is_err());
/// # Ok::<(), carrick::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    width: u8,
    order: ByteOrder,
    signed: bool,
    /// -1 announces an unsigned length of 8 bytes.
    escape: bool,
    cap: u64,
}

/// An encoded length: at most 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; Format::HEAD_MAX],
    len: u8,
}

impl Head {
    /// The bytes to send before the body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The state of a head after the first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadProgress {
    /// The head is longer than what is there: it has at least this many bytes.
    Needs(usize),
    /// The head is complete.
    Complete {
        /// The bytes of the head.
        head: usize,
        /// The bytes of the body after it.
        body: u64,
    },
}

impl Format {
    /// The longest head of any format, in bytes.
    pub const HEAD_MAX: usize = 12;

    /// The format of `multiprocessing.connection`.
    pub const MULTIPROCESSING: Self =
        Self { width: 4, order: ByteOrder::Big, signed: true, escape: true, cap: DEFAULT_CAP };

    /// `struct.pack('i', n)`: 4 bytes in this machine's order, signed.
    pub const COURSE: Self =
        Self { width: 4, order: ByteOrder::NATIVE, signed: true, escape: false, cap: DEFAULT_CAP };

    /// A format with lengths of `width` bytes: 1, 2, 4 or 8.
    ///
    /// # Errors
    /// `Invalid` for another width.
    pub fn custom(width: u8, order: ByteOrder, signed: bool) -> Result<Self> {
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(Error::with_detail(
                Kind::Invalid,
                "make frame format",
                format!("width {width}; a length is 1, 2, 4 or 8 bytes wide"),
            ));
        }
        Ok(Self { width, order, signed, escape: false, cap: DEFAULT_CAP })
    }

    /// The same format with another cap, in bytes of body. `u64::MAX` is no cap.
    #[must_use]
    pub const fn with_cap(self, cap: u64) -> Self {
        Self { cap, ..self }
    }

    /// The cap: the longest body that is sent or received.
    #[must_use]
    pub const fn cap(&self) -> u64 {
        self.cap
    }

    /// The longest body whose length can be written, whatever the cap.
    #[must_use]
    pub const fn longest(&self) -> u64 {
        if self.escape { u64::MAX } else { self.longest_plain() }
    }

    /// The longest body whose length is written without an escape.
    const fn longest_plain(&self) -> u64 {
        let bits = self.width as u32 * 8 - self.signed as u32;
        if bits == 64 { u64::MAX } else { (1 << bits) - 1 }
    }

    /// The head of a frame with a body of `length` bytes.
    ///
    /// # Errors
    /// `FrameTooLarge` for a body over the cap, or too long for the format to say.
    pub fn encode(&self, length: u64) -> Result<Head> {
        const OPERATION: &str = "send frame";
        self.admit(OPERATION, length)?;
        if length > self.longest() {
            return Err(Error::with_detail(
                Kind::FrameTooLarge,
                OPERATION,
                format!(
                    "{length} bytes; a length of {} bytes can say at most {}: use a wider format",
                    self.width,
                    self.longest()
                ),
            ));
        }
        let mut bytes = [0; Self::HEAD_MAX];
        if self.escape && length > 0x7fff_ffff {
            bytes[..4].copy_from_slice(&[0xff; 4]);
            bytes[4..].copy_from_slice(&length.to_be_bytes());
            return Ok(Head { bytes, len: 12 });
        }
        let digits = match self.order {
            ByteOrder::Big => (length << self.unused()).to_be_bytes(),
            ByteOrder::Little => length.to_le_bytes(),
        };
        // Those beyond the width are zero: the length fits.
        bytes[..8].copy_from_slice(&digits);
        Ok(Head { bytes, len: self.width })
    }

    /// Reads a head from the first bytes of a frame.
    ///
    /// # Errors
    /// `BadFrame` for a negative length (other than the -1 that announces a long one), `FrameTooLarge`
    /// for a length over the cap.
    pub fn decode(&self, bytes: &[u8]) -> Result<HeadProgress> {
        let width = usize::from(self.width);
        let Some(digits) = bytes.get(..width) else { return Ok(HeadProgress::Needs(width)) };
        // A word at a time: this runs for every frame.
        let word = bytes.first_chunk().copied().unwrap_or_else(|| {
            let mut word = [0; 8];
            word[..width].copy_from_slice(digits);
            word
        });
        let unused = self.unused();
        let raw = match self.order {
            ByteOrder::Big => u64::from_be_bytes(word) >> unused,
            ByteOrder::Little => u64::from_le_bytes(word) << unused >> unused,
        };
        let signed = (raw << unused).cast_signed() >> unused;
        if !self.signed || signed >= 0 {
            self.admit("receive frame", raw)?;
            return Ok(HeadProgress::Complete { head: width, body: raw });
        }
        if !self.escape || signed != -1 {
            return Err(Error::with_detail(
                Kind::BadFrame,
                "receive frame",
                format!("negative length {signed}"),
            ));
        }
        let Some(long) = bytes.get(width..width + 8).and_then(|b| <[u8; 8]>::try_from(b).ok()) else {
            return Ok(HeadProgress::Needs(width + 8));
        };
        let body = u64::from_be_bytes(long);
        self.admit("receive frame", body)?;
        Ok(HeadProgress::Complete { head: width + 8, body })
    }

    /// The bits of a word of 64 that a length does not use.
    fn unused(&self) -> u32 {
        64 - 8 * u32::from(self.width)
    }

    /// The heads of ordinary frames, for where every nanosecond counts.
    pub(crate) fn quick(&self) -> QuickHeads {
        // A length up to here has no sign and no escape, and is under the cap.
        let most = self.longest_plain();
        QuickHeads {
            width: usize::from(self.width),
            unused: self.unused(),
            big: self.order == ByteOrder::Big,
            most: usize::try_from(most.min(self.cap)).unwrap_or(usize::MAX).min(isize::MAX.cast_unsigned()),
        }
    }

    fn admit(&self, operation: &'static str, length: u64) -> Result<()> {
        if length <= self.cap {
            return Ok(());
        }
        Err(Error::with_detail(
            Kind::FrameTooLarge,
            operation,
            format!("{length} bytes; the cap is {}: raise it on both ends or send less at a time", self.cap),
        ))
    }
}

/// Reads and writes the heads of ordinary frames a word at a time; what it refuses is the format's to judge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuickHeads {
    width: usize,
    unused: u32,
    big: bool,
    most: usize,
}

impl QuickHeads {
    /// The lengths of head and body of the frame at the start of `bytes`; `None` where it is not complete, wrong,
    /// or not ordinary.
    #[inline]
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let word = *bytes.first_chunk::<8>()?;
        let raw = if self.big {
            u64::from_be_bytes(word) >> self.unused
        } else {
            u64::from_le_bytes(word) << self.unused >> self.unused
        };
        let body = usize::try_from(raw).ok().filter(|body| *body <= self.most)?;
        (bytes.len() - self.width >= body).then_some((self.width, body))
    }

    /// Appends a frame to `output`; false where the length is not ordinary.
    #[inline]
    pub(crate) fn append(&self, body: &[u8], output: &mut Vec<u8>) -> bool {
        if body.len() > self.most {
            return false;
        }
        let length = body.len() as u64;
        let head = if self.big { (length << self.unused).to_be_bytes() } else { length.to_le_bytes() };
        output.reserve(head.len() + body.len());
        let start = output.len();
        // The whole word, for that is one store; what is too much of it makes way for the body.
        output.extend_from_slice(&head);
        output.truncate(start + self.width);
        output.extend_from_slice(body);
        true
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::MULTIPROCESSING
    }
}
