//! The room's own words in a log: lines that are marked as such, after whatever the writer has left.

use bytes::{BufMut, BytesMut};

use super::rows::word;
use super::{LogAppend, LogHead, MarkKind, flags};

impl LogAppend {
    /// Adds a line of the room's own to what is appended to a log that has come as far as `head`. A line of the writer's
    /// that has no end yet gets one first.
    pub(super) fn with_notice(mut self, head: &LogHead, notice: &str, now_ms: i64) -> Self {
        let (mut text, mut words) = (BytesMut::from(&self.text[..]), BytesMut::from(&self.words[..]));
        let before = text.len();
        if head.after(&self).unended {
            text.put_u8(b'\n');
            words.put_u64_le(word(now_ms, flags::ROOM | flags::CONTINUATION));
        }
        let mark = MarkKind::of_text(notice.as_bytes()).map_or(0, MarkKind::bits);
        text.put_slice(notice.as_bytes());
        text.put_u8(b'\n');
        words.put_u64_le(word(now_ms, flags::ROOM | mark));
        self.room_bytes += (text.len() - before) as u64;
        (self.text, self.words) = (text.freeze(), words.freeze());
        self
    }
}

/// What a log says that takes no more.
pub(super) fn full(max_bytes: u64) -> String {
    format!("##[warning]This log has reached its limit of {max_bytes} bytes. What follows was not kept.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::line_words;

    #[test]
    fn a_line_without_an_end_gets_one() {
        let flags_of =
            |append: &LogAppend| -> Vec<u64> { line_words(&append.words).map(|word| word & 0xFFFF).collect() };
        let warning = flags::ROOM | MarkKind::Warning.bits();
        let plain = LogAppend::default().with_notice(&LogHead::default(), "##[warning]x", 5);
        assert_eq!((&plain.text[..], plain.room_bytes, flags_of(&plain)), (&b"##[warning]x\n"[..], 13, vec![warning]));
        let open = LogHead { unended: true, bytes: 2, lines: 1, joined_lines: 1, ..LogHead::default() };
        let ended = LogAppend::default().with_notice(&open, "x", 5);
        let end = flags::ROOM | flags::CONTINUATION;
        assert_eq!((&ended.text[..], ended.room_bytes, flags_of(&ended)), (&b"\nx\n"[..], 3, vec![end, flags::ROOM]));
        let head = open.after(&ended);
        assert_eq!((head.written_bytes(), head.stream_bytes(), head.unended, head.rows), (1, 4, false, 0));
    }
}
