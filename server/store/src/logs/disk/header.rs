//! The first bytes of a log's `lines` file: whose it is and how far it has come.
//!
//! ```text
//! 0 magic  8 the fourteen numbers of the head  120 u8 complete  121 u8 id length  128 id ...  508 u32 crc
//! ```

use millrace_engine::logs::{LogHead, LogId, LogPlace};

/// The words of the lines begin here.
pub const HEADER_BYTES: u64 = 512;

const MAGIC: &[u8; 8] = b"MRLOG02\n";
const SIZE: usize = HEADER_BYTES as usize;
const CRC_AT: usize = SIZE - 4;
const FLAGS_AT: usize = 8 + NUMBERS * 8;
const ID_AT: usize = 128;

/// How many numbers a head is, besides whether it is complete.
pub const NUMBERS: usize = 14;
/// The first of them: those of the formats from before there was retention.
pub const OLD_NUMBERS: usize = 6;

/// The header of such a log: its index has other entries, and some numbers are missing.
const OLD_MAGIC: &[u8; 8] = b"MRLOG01\n";
const OLD_JOINED_AT: usize = 64;
const OLD_ID_AT: usize = 72;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose it is.
    pub id: LogId,
    /// How far it has come.
    pub head: LogHead,
    /// The log is from before there was retention: it has to be counted and indexed again.
    pub old: bool,
}

/// Writes a header.
pub fn encode(id: &LogId, head: &LogHead) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SIZE);
    bytes.extend_from_slice(MAGIC);
    bytes.extend(numbers(head).into_iter().flat_map(u64::to_le_bytes));
    bytes.push(u8::from(head.complete));
    bytes.push(id.as_str().len() as u8);
    bytes.resize(ID_AT, 0);
    sealed(bytes, id)
}

/// Writes a header as it was before there was retention.
pub fn encode_old(id: &LogId, head: &LogHead) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SIZE);
    bytes.extend_from_slice(OLD_MAGIC);
    let numbers = numbers(head);
    bytes.extend(numbers[..OLD_NUMBERS].iter().flat_map(|number| number.to_le_bytes()));
    bytes.push(u8::from(head.complete));
    bytes.push(id.as_str().len() as u8);
    bytes.resize(OLD_JOINED_AT, 0);
    bytes.extend_from_slice(&numbers[OLD_NUMBERS].to_le_bytes());
    sealed(bytes, id)
}

fn sealed(mut bytes: Vec<u8>, id: &LogId) -> Vec<u8> {
    bytes.extend_from_slice(id.as_str().as_bytes());
    bytes.resize(CRC_AT, 0);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a header; none if these bytes are not one.
pub fn decode(bytes: &[u8]) -> Option<Header> {
    let bytes = bytes.get(..SIZE)?;
    let crc = u32::from_le_bytes(bytes[CRC_AT..].try_into().ok()?);
    if crc32fast::hash(&bytes[..CRC_AT]) != crc {
        return None;
    }
    let old = bytes.starts_with(OLD_MAGIC);
    if !old && !bytes.starts_with(MAGIC) {
        return None;
    }
    let (flags_at, id_at) = if old { (8 + OLD_NUMBERS * 8, OLD_ID_AT) } else { (FLAGS_AT, ID_AT) };
    let mut head = if old {
        let mut head = head_of_old(&bytes[8..])?;
        set_joined(&mut head, u64::from_le_bytes(*bytes[OLD_JOINED_AT..].first_chunk()?));
        head
    } else {
        head_of(&bytes[8..])?
    };
    head.complete = bytes[flags_at] != 0;
    let id = std::str::from_utf8(bytes.get(id_at..id_at + usize::from(bytes[flags_at + 1]))?).ok()?;
    Some(Header { id: LogId::parse(id).ok()?, head, old })
}

/// The numbers of a head (whether it is complete is none of them) in the order of all our formats.
pub fn numbers(head: &LogHead) -> [u64; NUMBERS] {
    let first_error_line = head.first_error_line.unwrap_or(u64::MAX);
    let joined = head.joined_lines << 1 | u64::from(head.unended);
    let LogPlace { line, offset, joined: first_joined, row } = head.first;
    [
        head.bytes,
        head.lines,
        head.rows,
        head.dropped_rows,
        head.marks,
        first_error_line,
        joined,
        line,
        offset,
        first_joined,
        row,
        head.room_bytes,
        head.dropped_bytes,
        head.last_ms as u64,
    ]
}

/// A head of all its numbers.
pub fn head_of(bytes: &[u8]) -> Option<LogHead> {
    let mut head = head_of_old(bytes)?;
    let all: &[[u8; 8]; NUMBERS] = bytes.as_chunks::<8>().0.first_chunk()?;
    let [joined, line, offset, first_joined, row, room_bytes, dropped_bytes, last_ms] =
        *all[OLD_NUMBERS..].first_chunk()?;
    let number = u64::from_le_bytes;
    set_joined(&mut head, number(joined));
    head.first =
        LogPlace { line: number(line), offset: number(offset), joined: number(first_joined), row: number(row) };
    head.room_bytes = number(room_bytes);
    head.dropped_bytes = number(dropped_bytes);
    head.last_ms = i64::from_le_bytes(last_ms);
    Some(head)
}

/// A head of its first six numbers.
pub fn head_of_old(bytes: &[u8]) -> Option<LogHead> {
    let [bytes, lines, rows, dropped_rows, marks, first_error_line] = *bytes.as_chunks::<8>().0.first_chunk()?;
    let number = u64::from_le_bytes;
    Some(LogHead {
        bytes: number(bytes),
        lines: number(lines),
        rows: number(rows),
        dropped_rows: number(dropped_rows),
        marks: number(marks),
        first_error_line: Some(number(first_error_line)).filter(|line| *line != u64::MAX),
        ..LogHead::default()
    })
}

/// The joined lines of a head as one number; the lowest bit: the last line is one.
pub fn set_joined(head: &mut LogHead, number: u64) {
    (head.joined_lines, head.unended) = (number >> 1, number & 1 != 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back_and_notices_damage() {
        let id = LogId::parse(&"i".repeat(200)).unwrap();
        let mut head = LogHead {
            bytes: 1,
            lines: 2,
            rows: 3,
            dropped_rows: 4,
            marks: 5,
            first_error_line: Some(6),
            complete: true,
            joined_lines: 7,
            unended: true,
            ..LogHead::default()
        };
        check(&id, head, true, encode_old(&id, &head));
        head.first = LogPlace { line: 8, offset: 9, joined: 10, row: 11 };
        (head.room_bytes, head.dropped_bytes, head.last_ms) = (12, 13, -14);
        check(&id, head, false, encode(&id, &head));
    }

    fn check(id: &LogId, head: LogHead, old: bool, mut bytes: Vec<u8>) {
        assert_eq!(bytes.len(), SIZE);
        assert_eq!(decode(&bytes), Some(Header { id: id.clone(), head, old }));
        for at in 0..SIZE {
            bytes[at] ^= 1;
            assert_eq!(decode(&bytes), None);
            bytes[at] ^= 1;
        }
        assert_eq!(decode(&bytes[..511]), None);
    }
}
