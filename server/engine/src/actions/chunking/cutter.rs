//! Finds where a stream of bytes is to be cut, by FastCDC in its version of 2020, and hashes the pieces. Client and server
//! cut in the same places: sizes, normalization and gear table are part of the protocol.

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{FastCDC, Normalization};
use millrace_proto::digest::{Digest, DigestFunction};

use crate::error::{Error, Result};

/// The average chunk, in bytes: to be told to clients, who cut in the same places.
pub const CHUNK_AVERAGE_BYTES: usize = 512 * 1024;
/// The smallest chunk but for a blob's last, in bytes. A blob that is no longer is one chunk.
pub const CHUNK_MIN_BYTES: usize = CHUNK_AVERAGE_BYTES / 4;
/// The largest chunk, in bytes.
pub const CHUNK_MAX_BYTES: usize = CHUNK_AVERAGE_BYTES * 4;
/// How many bytes are collected before they are cut.
pub const CUT_AT_ONCE_BYTES: usize = 4 * CHUNK_MAX_BYTES;

/// Bytes that are to be cut.
pub struct Cutter {
    function: DigestFunction,
    held: BytesMut,
}

impl Cutter {
    /// Has nothing yet.
    pub fn new(function: DigestFunction) -> Self {
        Self { function, held: BytesMut::new() }
    }

    /// The blob goes on with these bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// How many bytes are not cut yet.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The chunks that are sure by now; at the blob's end: the rest. Cutting and hashing take a core: they are done where
    /// they keep no other request waiting.
    pub async fn cut(&mut self, at_end: bool) -> Result<Vec<(Digest, Bytes)>> {
        let (function, held) = (self.function, std::mem::take(&mut self.held).freeze());
        let work = move || cut(function, held, at_end);
        let (chunks, rest) = tokio::task::spawn_blocking(work).await.map_err(Error::internal)?;
        self.held = BytesMut::with_capacity(CUT_AT_ONCE_BYTES);
        self.held.extend_from_slice(&rest);
        Ok(chunks)
    }
}

/// The chunks, and what can't be cut before more is known: where a chunk ends depends on as many bytes as the largest has.
fn cut(function: DigestFunction, mut held: Bytes, at_end: bool) -> (Vec<(Digest, Bytes)>, Bytes) {
    let all = held.clone();
    let places =
        FastCDC::with_level(&all, CHUNK_MIN_BYTES, CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, Normalization::Level2);
    let mut chunks = Vec::new();
    while held.len() >= CHUNK_MAX_BYTES || (at_end && !held.is_empty()) {
        let start = all.len() - held.len();
        let (_, end) = places.cut(start, held.len());
        let chunk = held.split_to(end - start);
        chunks.push((Digest::of(function, &chunk), chunk));
    }
    (chunks, held)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same bytes on every machine.
    fn noise(len: usize, mut seed: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes.extend_from_slice(&seed.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    fn lengths(chunks: &[(Digest, Bytes)]) -> Vec<usize> {
        chunks.iter().map(|(_, chunk)| chunk.len()).collect()
    }

    /// A second writing of the paper's algorithm, byte by byte, with its masks for 512 KiB and normalization 2 (21 and 17
    /// bits spread): the crate must cut where this does. The gear table is the crate's: it is part of the protocol.
    fn cut_plainly(bytes: &[u8]) -> Vec<usize> {
        let (gear, _) = fastcdc::v2020::get_gear_with_seed(0);
        let (small, large) = fastcdc::v2020::select_masks(CHUNK_AVERAGE_BYTES, Normalization::Level2);
        assert_eq!((small.count_ones(), large.count_ones()), (21, 17), "19 bits of the average, two more and two less");
        let (mut lengths, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let end = rest.len().min(CHUNK_MAX_BYTES);
            let (mut hash, mut at) = (0_u64, CHUNK_MIN_BYTES.min(end));
            while at < end {
                hash = (hash << 1).wrapping_add(gear[usize::from(rest[at])]);
                let mask = if at < CHUNK_AVERAGE_BYTES { small } else { large };
                if hash & mask == 0 {
                    break;
                }
                at += 1;
            }
            lengths.push(at);
            rest = &rest[at..];
        }
        lengths
    }

    #[test]
    fn cuts_where_the_paper_says() {
        for (len, seed) in [(20_000_000, 1), (9_999_999, 2), (CHUNK_MAX_BYTES, 3), (CHUNK_MIN_BYTES + 1, 4)] {
            let bytes = noise(len, seed);
            let (chunks, rest) = cut(DigestFunction::Sha256, bytes.clone().into(), true);
            assert!(rest.is_empty());
            assert_eq!(lengths(&chunks), cut_plainly(&bytes), "{len}");
        }
    }

    #[test]
    fn chunks_have_the_sizes_they_should() {
        let bytes = noise(64_000_000, 7);
        let (chunks, _) = cut(DigestFunction::Blake3, bytes.clone().into(), true);
        let lengths = lengths(&chunks);
        let (last, others) = lengths.split_last().unwrap();
        assert!(others.iter().all(|len| (CHUNK_MIN_BYTES..=CHUNK_MAX_BYTES).contains(len)), "{lengths:?}");
        assert!((1..=CHUNK_MAX_BYTES).contains(last));
        let average = bytes.len() / chunks.len();
        assert!((CHUNK_AVERAGE_BYTES / 2..CHUNK_AVERAGE_BYTES * 2).contains(&average), "{average}");
        // Where nothing says where to cut, the largest is taken.
        let (zeros, _) = cut(DigestFunction::Sha256, vec![0; 5_000_000].into(), true);
        assert_eq!(self::lengths(&zeros), [CHUNK_MAX_BYTES, CHUNK_MAX_BYTES, 5_000_000 - 2 * CHUNK_MAX_BYTES]);
    }

    #[test]
    fn a_change_changes_few_chunks() {
        let before = noise(16_000_000, 9);
        let mut after = before.clone();
        after.splice(5_000_000..5_000_000, *b"something new");
        let digests = |bytes: Vec<u8>| -> std::collections::HashSet<Digest> {
            cut(DigestFunction::Sha256, bytes.into(), true).0.into_iter().map(|(digest, _)| digest).collect()
        };
        let (before, after) = (digests(before), digests(after));
        assert!(before.difference(&after).count() <= 3, "of {}", before.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn how_the_bytes_come_does_not_matter(len in 1_usize..12_000_000, piece in 100_000_usize..3_000_000, seed in 1_u64..) {
            let bytes = noise(len, seed);
            let whole = cut(DigestFunction::Blake3, bytes.clone().into(), true).0;
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let pieces = runtime.block_on(async {
                let (mut cutter, mut chunks) = (Cutter::new(DigestFunction::Blake3), Vec::new());
                for piece in bytes.chunks(piece) {
                    cutter.push(piece);
                    chunks.extend(cutter.cut(false).await.unwrap());
                }
                chunks.extend(cutter.cut(true).await.unwrap());
                chunks
            });
            prop_assert_eq!(lengths(&whole), lengths(&pieces));
            prop_assert!(whole == pieces, "the same bytes");
        }
    }
}
