//! One record of a pack: a header, then the bytes.
//!
//! ```text
//! 0 magic  4 u32 crc of 8..44  8 u32 crc of the bytes  12 u32 how many bytes  16 u64 size of the blob, decoded
//! 24 fingerprint  40 u8 kind  41 u8 encoding  42 0 0
//! ```
//! The place of a record is its time: later in the pack, or in a pack with a higher number, is newer.

use bytes::Bytes;
use millrace_engine::blobs::Encoding;

use super::fingerprint::Fingerprint;

/// The length of a header.
pub const HEADER_BYTES: usize = 44;
/// How a header begins, to find the next one behind a damaged one.
pub const MAGIC: [u8; 4] = *b"MRb1";

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Here is a blob.
    Blob = 1,
    /// Here is an entry's value.
    Entry = 2,
    /// What was here before is gone.
    Gone = 3,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it says.
    pub kind: Kind,
    /// Of what.
    pub fingerprint: Fingerprint,
    /// How the bytes are encoded.
    pub encoding: Encoding,
    /// The decoded size.
    pub size: u64,
    /// How many bytes follow.
    pub stored_len: u32,
    /// Their crc.
    pub data_crc: u32,
}

/// A record on its way to a pack.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its header.
    pub header: Header,
    /// Its bytes.
    pub data: Bytes,
}

impl Record {
    /// A record with these bytes.
    pub fn new(kind: Kind, fingerprint: Fingerprint, encoding: Encoding, size: u64, data: Bytes) -> Self {
        let (stored_len, data_crc) = (data.len() as u32, crc32fast::hash(&data));
        Self { header: Header { kind, fingerprint, encoding, size, stored_len, data_crc }, data }
    }

    /// A record that says that something is gone.
    pub fn gone(fingerprint: Fingerprint) -> Self {
        Self::new(Kind::Gone, fingerprint, Encoding::Identity, 0, Bytes::new())
    }
}

impl Header {
    /// The length of the record in its pack.
    pub fn record_len(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.stored_len)
    }

    /// As it stands in the file.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.data_crc.to_le_bytes());
        out[12..16].copy_from_slice(&self.stored_len.to_le_bytes());
        out[16..24].copy_from_slice(&self.size.to_le_bytes());
        out[24..40].copy_from_slice(&self.fingerprint.to_bytes());
        out[40] = self.kind as u8;
        out[41] = encoding_number(self.encoding);
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at the beginning of `bytes`; none if there is no good one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..4] != MAGIC || crc32fast::hash(&bytes[8..]) != number(4) {
            return None;
        }
        Some(Self {
            kind: match bytes[40] {
                1 => Kind::Blob,
                2 => Kind::Entry,
                3 => Kind::Gone,
                _ => return None,
            },
            fingerprint: Fingerprint::from_bytes(*bytes[24..].first_chunk()?),
            encoding: encoding_of_number(bytes[41])?,
            size: u64::from_le_bytes(*bytes[16..].first_chunk()?),
            stored_len: number(12),
            data_crc: number(8),
        })
    }
}

fn encoding_number(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Identity => 0,
        Encoding::Zstd => 1,
    }
}

fn encoding_of_number(number: u8) -> Option<Encoding> {
    match number {
        0 => Some(Encoding::Identity),
        1 => Some(Encoding::Zstd),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back_and_notices_damage() {
        let data = Bytes::from_static(b"some bytes");
        let header = Record::new(Kind::Entry, Fingerprint(1, u64::MAX), Encoding::Zstd, 1 << 40, data).header;
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        for at in 0..HEADER_BYTES {
            let mut bad = bytes;
            bad[at] ^= 0x10;
            assert_eq!(Header::decode(&bad), None, "byte {at}");
            assert_eq!(Header::decode(&bytes[..at]), None, "cut at {at}");
        }
    }
}
