//! The first bytes of a log's `lines` file: whose it is and how far it has come.

use millrace_engine::logs::{LogHead, LogId};

/// The words of the lines begin here.
pub const HEADER_BYTES: u64 = 512;

const MAGIC: &[u8; 8] = b"MRLOG01\n";
const SIZE: usize = HEADER_BYTES as usize;
const CRC_AT: usize = SIZE - 4;
/// How many lines are joined, and whether the last one is. Logs from before there were such lines have 0 here.
const JOINED_AT: usize = 64;
const ID_AT: usize = 72;

/// Writes a header.
pub fn encode(id: &LogId, head: &LogHead) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SIZE);
    bytes.extend_from_slice(MAGIC);
    for number in numbers(head) {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.push(u8::from(head.complete));
    bytes.push(id.as_str().len() as u8);
    bytes.resize(JOINED_AT, 0);
    bytes.extend_from_slice(&joined_number(head).to_le_bytes());
    bytes.extend_from_slice(id.as_str().as_bytes());
    bytes.resize(CRC_AT, 0);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a header; none if these bytes are not one.
pub fn decode(bytes: &[u8]) -> Option<(LogId, LogHead)> {
    let bytes = bytes.get(..SIZE)?;
    let crc = u32::from_le_bytes(bytes[CRC_AT..].try_into().ok()?);
    if !bytes.starts_with(MAGIC) || crc32fast::hash(&bytes[..CRC_AT]) != crc {
        return None;
    }
    let mut head = head_of(&bytes[8..56])?;
    head.complete = bytes[56] != 0;
    set_joined(&mut head, *bytes[JOINED_AT..].first_chunk()?);
    let id = std::str::from_utf8(bytes.get(ID_AT..ID_AT + usize::from(bytes[57]))?).ok()?;
    Some((LogId::parse(id).ok()?, head))
}

/// The joined lines of a head as one number; the lowest bit: the last line is one.
pub fn joined_number(head: &LogHead) -> u64 {
    head.joined_lines << 1 | u64::from(head.unended)
}

/// Puts that number, in little-endian bytes, into a head.
pub fn set_joined(head: &mut LogHead, number: [u8; 8]) {
    let number = u64::from_le_bytes(number);
    (head.joined_lines, head.unended) = (number >> 1, number & 1 != 0);
}

/// The numbers of a head (whether it is complete and what is joined are none of them) in the order of all our formats.
pub fn numbers(head: &LogHead) -> [u64; 6] {
    let first_error_line = head.first_error_line.unwrap_or(u64::MAX);
    [head.bytes, head.lines, head.rows, head.dropped_rows, head.marks, first_error_line]
}

/// A head of its six numbers.
pub fn head_of(bytes: &[u8]) -> Option<LogHead> {
    let [bytes, lines, rows, dropped_rows, marks, first_error_line] = *bytes.as_chunks::<8>().0.first_chunk::<6>()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back_and_notices_damage() {
        let id = LogId::parse(&"i".repeat(200)).unwrap();
        let head = LogHead {
            bytes: 1,
            lines: 2,
            rows: 3,
            dropped_rows: 4,
            marks: 5,
            first_error_line: Some(6),
            complete: true,
            joined_lines: 7,
            unended: true,
        };
        let mut bytes = encode(&id, &head);
        assert_eq!(bytes.len(), SIZE);
        assert_eq!(decode(&bytes), Some((id, head)));
        for at in 0..SIZE {
            bytes[at] ^= 1;
            assert_eq!(decode(&bytes), None);
            bytes[at] ^= 1;
        }
        assert_eq!(decode(&bytes[..511]), None);
    }
}
