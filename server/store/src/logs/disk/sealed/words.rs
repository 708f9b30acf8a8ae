//! The words of many lines as columns, which compress well: all low bytes of the flags, all high bytes, then the times as
//! differences.

use millrace_engine::logs::{LINE_WORD_BYTES, flags, line_words};

/// The most bytes of a difference of times.
const DIFFERENCE_MAX_BYTES: usize = 10;

/// The most bytes that so many words become.
pub fn max_bytes(lines: usize) -> usize {
    lines * (2 + DIFFERENCE_MAX_BYTES)
}

/// The columns of these words.
pub fn encode(words: &[u8]) -> Vec<u8> {
    let lines = words.len() / LINE_WORD_BYTES;
    let mut columns = Vec::with_capacity(lines * 4);
    columns.extend(line_words(words).map(|word| word as u8));
    columns.extend(line_words(words).map(|word| (word >> 8) as u8));
    let mut last = 0;
    for word in line_words(words) {
        let time = (word >> flags::TIME_SHIFT) as i64;
        let difference = time.wrapping_sub(last);
        last = time;
        // Zigzag: small differences of either sign are small numbers.
        let mut rest = (difference << 1 ^ difference >> 63) as u64;
        while rest >= 0x80 {
            columns.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        columns.push(rest as u8);
    }
    columns
}

/// The words of these columns; none if they are not the columns of so many words.
pub fn decode(columns: &[u8], lines: usize) -> Option<Vec<u8>> {
    let (low, rest) = columns.split_at_checked(lines)?;
    let (high, mut rest) = rest.split_at_checked(lines)?;
    let mut words = Vec::with_capacity(lines * LINE_WORD_BYTES);
    let mut time = 0_i64;
    for (low, high) in low.iter().zip(high) {
        let mut number = 0_u64;
        for at in 0..DIFFERENCE_MAX_BYTES {
            let (byte, more) = rest.split_first()?;
            rest = more;
            number |= u64::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                break;
            }
        }
        time = time.wrapping_add((number >> 1) as i64 ^ -((number & 1) as i64));
        let word = (time as u64) << flags::TIME_SHIFT | u64::from(*high) << 8 | u64::from(*low);
        words.extend_from_slice(&word.to_le_bytes());
    }
    rest.is_empty().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back() {
        let words: Vec<u8> = [0, 1, u64::MAX, 5 << 16 | 0xF00F, 4 << 16, 1 << 63, 0]
            .iter()
            .flat_map(|word: &u64| word.to_le_bytes())
            .collect();
        for lines in 0..=7 {
            let columns = encode(&words[..lines * 8]);
            assert!(columns.len() <= max_bytes(lines));
            assert_eq!(decode(&columns, lines).unwrap(), words[..lines * 8]);
            assert_eq!(decode(&columns, lines + 1), None);
            assert!(lines == 0 || decode(&columns[..columns.len() - 1], lines).is_none());
        }
    }
}
