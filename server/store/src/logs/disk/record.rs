//! One record of the journal: what happens to one log, and how far that log had come before.
//!
//! ```text
//! 0 u32 length  4 u32 crc  8 u8 kind  9 u8 complete  10 u8 id length  12 u32 text length  16 u32 words length
//! 24 the six numbers of the head before  72 u64 dropped rows  80 id, text, words
//! ```
//! An append to a log with joined lines is a kind of its own, with their number (8 bytes) before the id.
//! The crc begins with the crc of the record before, so what an earlier life of the file left behind never fits.

use bytes::Bytes;
use millrace_engine::logs::{LogAppend, LogHead, LogId};

use super::header;

const FIXED_BYTES: usize = 80;
const KIND_APPEND: u8 = 1;
const KIND_DELETE: u8 = 2;
const KIND_APPEND_JOINED: u8 = 3;
const JOINED_BYTES: usize = 8;

/// What happens to one log.
#[derive(Clone, Debug)]
pub struct Record {
    /// The log.
    pub id: LogId,
    /// How far it had come before.
    pub before: LogHead,
    /// What happens.
    pub change: Change,
}

/// What happens to a log.
#[derive(Clone, Debug)]
pub enum Change {
    /// It gets more lines, or its end.
    Append(LogAppend),
    /// It is removed.
    Delete,
}

impl Change {
    /// How many bytes it brings.
    pub fn len(&self) -> usize {
        let (text, words) = self.payload();
        text.len() + words.len()
    }

    fn payload(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Append(append) => (&append.text, &append.words),
            Self::Delete => (&[], &[]),
        }
    }
}

impl Record {
    /// Its length in the journal.
    pub fn encoded_len(&self) -> usize {
        FIXED_BYTES + self.joined().map_or(0, |_| JOINED_BYTES) + self.id.as_str().len() + self.change.len()
    }

    /// What an append to a log with joined lines has to say of them.
    fn joined(&self) -> Option<u64> {
        let says = matches!(self.change, Change::Append(_)) && self.before.joined_lines > 0;
        says.then(|| header::joined_number(&self.before))
    }

    /// Writes it; returns its crc, for the next one.
    pub fn encode(&self, chain: u32, out: &mut Vec<u8>) -> u32 {
        let (text, words) = self.change.payload();
        let (kind, complete, dropped_rows) = match &self.change {
            Change::Append(append) => {
                let kind = if self.joined().is_some() { KIND_APPEND_JOINED } else { KIND_APPEND };
                (kind, append.complete, append.dropped_rows)
            }
            Change::Delete => (KIND_DELETE, false, 0),
        };
        let start = out.len();
        out.extend_from_slice(&(self.encoded_len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[kind, u8::from(complete), self.id.as_str().len() as u8, 0]);
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(&(words.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for number in header::numbers(&self.before).into_iter().chain([dropped_rows]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend(self.joined().into_iter().flat_map(u64::to_le_bytes));
        out.extend_from_slice(self.id.as_str().as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(words);
        let crc = crc_of(chain, &out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads the record at the beginning of `bytes`; returns it with its length and crc, none if there is no whole one.
    pub fn decode(chain: u32, bytes: &Bytes) -> Option<(Self, usize, u32)> {
        let fixed = bytes.get(..FIXED_BYTES)?;
        let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let len = number(0) as usize;
        let (text_len, words_len) = (number(12) as usize, number(16) as usize);
        let joined_len = if fixed[8] == KIND_APPEND_JOINED { JOINED_BYTES } else { 0 };
        let id_start = FIXED_BYTES + joined_len;
        let id_end = id_start + usize::from(fixed[10]);
        if len > bytes.len() || len != id_end + text_len + words_len || crc_of(chain, &bytes[..len]) != number(4) {
            return None;
        }
        let id = LogId::parse(std::str::from_utf8(&bytes[id_start..id_end]).ok()?).ok()?;
        let mut before = header::head_of(&fixed[24..72])?;
        if joined_len > 0 {
            header::set_joined(&mut before, *bytes[FIXED_BYTES..].first_chunk()?);
        }
        let change = match fixed[8] {
            KIND_APPEND | KIND_APPEND_JOINED => Change::Append(LogAppend {
                at_lines: before.lines,
                text: bytes.slice(id_end..id_end + text_len),
                words: bytes.slice(id_end + text_len..len),
                dropped_rows: u64::from_le_bytes(fixed[72..80].try_into().ok()?),
                complete: fixed[9] != 0,
            }),
            KIND_DELETE => Change::Delete,
            _ => return None,
        };
        Some((Self { id, before, change }, len, number(4)))
    }
}

fn crc_of(chain: u32, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chain.to_le_bytes());
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back_and_notices_damage() {
        let head = LogHead { bytes: 1, lines: 2, rows: 3, dropped_rows: 1, marks: 5, ..LogHead::default() };
        check(head);
        check(LogHead { joined_lines: 2, unended: true, ..head });
    }

    fn check(head: LogHead) {
        let append = LogAppend {
            at_lines: 2,
            text: Bytes::from_static(b"x\ny\n"),
            words: Bytes::from_static(&[9; 16]),
            dropped_rows: 7,
            complete: true,
        };
        let record = Record { id: LogId::parse("a.b").unwrap(), before: head, change: Change::Append(append) };
        let mut out = vec![1, 2, 3];
        let crc = record.encode(77, &mut out);
        let bytes = Bytes::from(out.split_off(3));
        let (back, len, back_crc) = Record::decode(77, &bytes).unwrap();
        assert_eq!((len, back_crc, format!("{back:?}")), (bytes.len(), crc, format!("{record:?}")));
        assert!(Record::decode(78, &bytes).is_none(), "another chain");
        for at in 0..bytes.len() {
            let mut bad = bytes.to_vec();
            bad[at] ^= 0x10;
            assert!(Record::decode(77, &bad.into()).is_none(), "byte {at}");
            assert!(Record::decode(77, &bytes.slice(..at)).is_none(), "cut at {at}");
        }
    }
}
