//! Cuts bytes into lines and their words. Knows nothing of logs.

use bytes::{BufMut, Bytes, BytesMut};

use crate::logs::rows::{piece_len, word};
use crate::logs::{LINE_MAX_BYTES, LINE_WORD_BYTES, MarkKind, flags};

/// The lines of these bytes; `continues`: they go on in a line that has no end yet.
pub fn lines(bytes: &[u8], mut continues: bool, now_ms: i64) -> (Bytes, Bytes) {
    let count = memchr::memchr_iter(b'\n', bytes).count() + bytes.len() / LINE_MAX_BYTES + 1;
    let mut text = BytesMut::with_capacity(bytes.len() + bytes.len() / LINE_MAX_BYTES + 1);
    let mut words = BytesMut::with_capacity(count * LINE_WORD_BYTES);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (mut rest, ended) = line.strip_suffix(b"\n").map_or((line, false), |line| (line, true));
        loop {
            let (piece, more) = rest.split_at(piece_len(rest));
            let begins =
                if continues { flags::CONTINUATION } else { MarkKind::of_text(piece).map_or(0, MarkKind::bits) };
            continues = !(ended && more.is_empty());
            let ends = if continues { flags::JOINED } else { 0 };
            text.put_slice(piece);
            text.put_u8(b'\n');
            words.put_u64_le(word(now_ms, begins | ends));
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
    }
    (text.freeze(), words.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{LogLines, LogPlace, line_words};

    fn cut(bytes: &[u8], continues: bool) -> (Bytes, Vec<u64>) {
        let (data, words) = lines(bytes, continues, 5);
        let flags = line_words(&words).map(|word| word & 0xFFFF).collect();
        let lines = LogLines { place: LogPlace::default(), data: data.clone(), words };
        assert_eq!(lines.stream_bytes(), bytes, "what comes out is what went in");
        assert_eq!(memchr::memchr_iter(b'\n', &data).count() as u64, lines.lines());
        (data, flags)
    }

    #[test]
    fn an_end_that_is_not_the_writers_is_marked() {
        let (rest, joined) = (flags::CONTINUATION, flags::JOINED);
        assert_eq!(cut(b"", true), (Bytes::new(), vec![]));
        assert_eq!(cut(b"a\nb", false), ("a\nb\n".into(), vec![0, joined]));
        assert_eq!(cut(b"\n", true), ("\n".into(), vec![rest]));
        assert_eq!(cut(b"c\n\r\0\xFF\n", true).1, [rest, 0]);
        assert_eq!(cut(b".", true).1, [rest | joined]);
        assert_eq!(cut(b"##[error]x\n##[error]", true).1, [rest, 3 << flags::MARK_SHIFT | joined]);
        let long = vec![b'x'; 2 * LINE_MAX_BYTES + 1];
        assert_eq!(cut(&long, false).1, [joined, rest | joined, rest | joined]);
        let exact = [&long[..LINE_MAX_BYTES], b"\n"].concat();
        assert_eq!(cut(&exact, false).1, [0]);
    }
}
