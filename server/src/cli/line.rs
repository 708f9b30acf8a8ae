//! One line of a log with what the server knows about it, and the way from the wire's packed form to it.

use millrace_proto::millrace::v1::FollowData;

/// The bytes of what is known of a line.
pub const LINE_META_BYTES: usize = 8;
const META_STDERR: u64 = 1;
const META_CONTINUED: u64 = 1 << 1;

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 0.
    pub number: u64,
    /// Unix milliseconds; 0 when not known.
    pub time_millis: i64,
    /// It came by standard error.
    pub stderr: bool,
    /// It goes on the line before, which was split for its length.
    pub continued: bool,
    /// The bytes, with the line end if there is one.
    pub bytes: &'a [u8],
}

/// The lines of a follow message.
pub fn lines_of(data: &FollowData) -> impl Iterator<Item = Line<'_>> {
    lines(data.first_line, &data.data, &data.line_meta)
}

fn lines<'a>(first: u64, data: &'a [u8], meta: &'a [u8]) -> impl Iterator<Item = Line<'a>> {
    data.split_inclusive(|byte| *byte == b'\n').enumerate().map(move |(at, bytes)| {
        let word = meta
            .get(at * LINE_META_BYTES..(at + 1) * LINE_META_BYTES)
            .and_then(|word| word.try_into().ok())
            .map_or(0, u64::from_le_bytes);
        Line {
            number: first + at as u64,
            time_millis: (word >> 16) as i64,
            stderr: word & META_STDERR != 0,
            continued: word & META_CONTINUED != 0,
            bytes,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_meta_are_matched_by_line() {
        let words = [(1000_u64 << 16), (2000_u64 << 16) | META_STDERR, (2000_u64 << 16) | META_CONTINUED];
        let data = FollowData {
            first_line: 7,
            data: b"a\n\nlast"[..].into(),
            line_meta: words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>().into(),
            ..Default::default()
        };
        let lines: Vec<_> = lines_of(&data).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[0].number, lines[0].time_millis, lines[0].bytes), (7, 1000, &b"a\n"[..]));
        assert_eq!((lines[1].stderr, lines[1].bytes), (true, &b"\n"[..]));
        assert_eq!((lines[2].continued, lines[2].stderr, lines[2].bytes), (true, false, &b"last"[..]));
    }

    #[test]
    fn missing_meta_is_no_reason_to_drop_a_line() {
        let data = FollowData { data: b"a\nb\n"[..].into(), ..Default::default() };
        assert_eq!(lines_of(&data).map(|line| line.time_millis).collect::<Vec<_>>(), [0, 0]);
    }
}
