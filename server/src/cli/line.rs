//! One line of a log with what the server knows about it, and the way from the wire's packed form to it. The pieces of a
//! line that was split for its length are one line here.

use std::borrow::Cow;

use millrace_proto::millrace::v1::FollowData;

/// The bytes of what is known of a line.
pub const LINE_META_BYTES: usize = 8;
const META_STDERR: u64 = 1;
const META_CONTINUED: u64 = 1 << 1;
const META_JOINED: u64 = 1 << 3;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 0; that of its first piece.
    pub number: u64,
    /// Unix milliseconds; 0 when not known.
    pub time_millis: i64,
    /// It came by standard error.
    pub stderr: bool,
    /// It goes on the line before, which was split for its length.
    pub continued: bool,
    /// The bytes, with the line end if there is one.
    pub bytes: Cow<'a, [u8]>,
}

/// Whether what is known of a line says that its end is the server's own: the next one is of the same line.
pub fn goes_on(word: u64) -> bool {
    word & META_JOINED != 0
}

/// The lines of a follow message.
pub fn lines_of(data: &FollowData) -> impl Iterator<Item = Line<'_>> {
    let mut pieces = pieces(data.first_line, &data.data, &data.line_meta).peekable();
    std::iter::from_fn(move || {
        let (mut line, mut word) = pieces.next()?;
        while goes_on(word)
            && let Some((more, next)) = pieces.next()
        {
            let bytes = line.bytes.to_mut();
            bytes.truncate(bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len));
            bytes.extend_from_slice(&more.bytes);
            word = next;
        }
        Some(line)
    })
}

/// The bytes as they were printed: without line ends of the server's own.
pub fn printed_bytes(data: &FollowData) -> Cow<'_, [u8]> {
    let words = data.line_meta.as_chunks::<LINE_META_BYTES>().0;
    if !words.iter().any(|word| goes_on(u64::from_le_bytes(*word))) {
        return Cow::Borrowed(&data.data);
    }
    let mut bytes = Vec::with_capacity(data.data.len());
    for (line, word) in pieces(0, &data.data, &data.line_meta) {
        let end = if goes_on(word) { line.bytes.strip_suffix(b"\n") } else { None };
        bytes.extend_from_slice(end.unwrap_or(&line.bytes));
    }
    Cow::Owned(bytes)
}

fn pieces<'a>(first: u64, data: &'a [u8], meta: &'a [u8]) -> impl Iterator<Item = (Line<'a>, u64)> {
    data.split_inclusive(|byte| *byte == b'\n').enumerate().map(move |(at, bytes)| {
        let word = meta
            .get(at * LINE_META_BYTES..(at + 1) * LINE_META_BYTES)
            .and_then(|word| word.try_into().ok())
            .map_or(0, u64::from_le_bytes);
        let line = Line {
            number: first + at as u64,
            time_millis: (word >> 16) as i64,
            stderr: word & META_STDERR != 0,
            continued: word & META_CONTINUED != 0,
            bytes: bytes.into(),
        };
        (line, word)
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
        assert_eq!((lines[0].number, lines[0].time_millis, lines[0].bytes.clone()), (7, 1000, b"a\n"[..].into()));
        assert_eq!((lines[1].stderr, lines[1].bytes.clone()), (true, b"\n"[..].into()));
        assert_eq!((lines[2].continued, lines[2].stderr, lines[2].bytes.clone()), (true, false, b"last"[..].into()));
    }

    #[test]
    fn pieces_of_a_line_are_one_line() {
        let words = [META_JOINED, META_CONTINUED | META_JOINED, META_CONTINUED, 0, META_JOINED];
        let data = FollowData {
            data: b"aa\nbb\ncc\nd\ne\n"[..].into(),
            line_meta: words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>().into(),
            ..Default::default()
        };
        let lines: Vec<_> = lines_of(&data).map(|line| (line.number, line.bytes.into_owned())).collect();
        assert_eq!(lines, [(0, b"aabbcc\n".to_vec()), (3, b"d\n".to_vec()), (4, b"e\n".to_vec())]);
        assert_eq!(printed_bytes(&data)[..], b"aabbcc\nd\ne"[..]);
    }

    #[test]
    fn missing_meta_is_no_reason_to_drop_a_line() {
        let data = FollowData { data: b"a\nb\n"[..].into(), ..Default::default() };
        assert_eq!(lines_of(&data).map(|line| line.time_millis).collect::<Vec<_>>(), [0, 0]);
    }
}
