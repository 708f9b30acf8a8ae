//! Bytes in chunks to lines. A line that is longer than a row becomes several rows, cut where no masked value is
//! torn. Knows nothing of what lines mean.

use super::mask::MaskSet;

/// The longest row: as much as a call to the server has. The server splits it further, and marks where.
pub const ROW_MAX_BYTES: usize = 256 * 1024;

/// What comes out of [`Lines`].
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line as it was printed, without its end.
    Whole(Vec<u8>),
    /// A part of a line over [`ROW_MAX_BYTES`], already masked.
    Part(Vec<u8>),
}

/// Collects one stream.
#[derive(Default)]
pub struct Lines {
    pending: Vec<u8>,
    in_long_line: bool,
}

impl Lines {
    /// Takes a chunk and gives the lines that it completes.
    pub fn push(&mut self, mut chunk: &[u8], masks: &MaskSet, out: &mut Vec<Line>) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(&chunk[..end]);
            chunk = &chunk[end + 1..];
            self.split(masks, out);
            if self.pending.last() == Some(&b'\r') {
                self.pending.pop();
            }
            self.end_line(masks, out);
        }
        self.pending.extend_from_slice(chunk);
        self.split(masks, out);
    }

    /// The last line, when it has no end.
    pub fn finish(&mut self, masks: &MaskSet, out: &mut Vec<Line>) {
        if !self.pending.is_empty() {
            self.end_line(masks, out);
        }
    }

    fn end_line(&mut self, masks: &MaskSet, out: &mut Vec<Line>) {
        let line = std::mem::take(&mut self.pending);
        if !self.in_long_line {
            out.push(Line::Whole(line));
        } else if !line.is_empty() {
            out.push(Line::Part(masks.apply(&line).into_owned()));
        }
        self.in_long_line = false;
    }

    fn split(&mut self, masks: &MaskSet, out: &mut Vec<Line>) {
        while self.pending.len() > ROW_MAX_BYTES {
            let mut cut = masks.cut(&self.pending, ROW_MAX_BYTES);
            while cut > 0 && self.pending.get(cut).is_some_and(|byte| byte & 0xC0 == 0x80) {
                cut -= 1;
            }
            if cut == 0 {
                // A masked value longer than a row, or bytes that are no text: wait for more, but not for ever.
                if self.pending.len() < 4 * ROW_MAX_BYTES {
                    return;
                }
                cut = ROW_MAX_BYTES;
            }
            let rest = self.pending.split_off(cut);
            let part = std::mem::replace(&mut self.pending, rest);
            out.push(Line::Part(masks.apply(&part).into_owned()));
            self.in_long_line = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mask::Masks;
    use super::*;

    fn lines(chunks: &[&[u8]], masks: &Masks) -> Vec<Line> {
        let (mut lines, mut out, set) = (Lines::default(), Vec::new(), masks.current());
        for chunk in chunks {
            lines.push(chunk, &set, &mut out);
        }
        lines.finish(&set, &mut out);
        out
    }

    #[test]
    fn lines_over_chunks() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        let found = lines(&[b"on", b"e\r\ntw", b"o\n\nend"], &Masks::default());
        assert_eq!(found, [whole("one"), whole("two"), whole(""), whole("end")]);
        assert_eq!(lines(&[b"a\n"], &Masks::default()), [whole("a")]);
    }

    #[test]
    fn a_huge_line_is_split_and_loses_nothing() {
        let text = "ä".repeat(3 * ROW_MAX_BYTES / 2);
        let found = lines(&[b"x", text.as_bytes(), b"\nnext\n"], &Masks::default());
        let mut joined = Vec::new();
        for line in &found[..found.len() - 1] {
            let Line::Part(part) = line else { panic!("{line:?}") };
            assert!(part.len() <= ROW_MAX_BYTES && std::str::from_utf8(part).is_ok());
            joined.extend_from_slice(part);
        }
        assert_eq!(joined, format!("x{text}").into_bytes());
        assert_eq!(found.last(), Some(&Line::Whole(b"next".to_vec())));
    }

    /// In whatever form, wherever in it the row ends, and at whatever byte the chunks are cut.
    #[test]
    fn a_value_across_the_split_is_masked() {
        let masks = Masks::default();
        masks.add("top/secret").expect("masked");
        for form in ["top/secret", "dG9wL3NlY3JldA==", "746f702f736563726574", "top%2Fsecret", "top\\/secret"] {
            for shift in 0..=form.len() {
                let start = "a".repeat(ROW_MAX_BYTES - shift);
                let text = format!("{start}{form}{}", "b".repeat(ROW_MAX_BYTES));
                // Byte by byte around the border, too.
                let (head, tail) = text.as_bytes().split_at(ROW_MAX_BYTES - 24);
                let mut chunks = vec![head];
                chunks.extend(tail[..60].chunks(1));
                chunks.push(&tail[60..]);
                assert_eq!(joined(&chunks, &masks), text.replace(form, "***"), "{form} {shift}");
            }
            let text = format!("{}{form}{}", "a".repeat(ROW_MAX_BYTES - 5), "b".repeat(10));
            for cut in ROW_MAX_BYTES - 6..text.len() {
                let (head, tail) = text.as_bytes().split_at(cut);
                assert_eq!(joined(&[head, tail], &masks), text.replace(form, "***"), "{form} cut at {cut}");
            }
        }
    }

    fn joined(chunks: &[&[u8]], masks: &Masks) -> String {
        let mut joined = Vec::new();
        for line in lines(chunks, masks) {
            match line {
                Line::Part(part) => joined.extend_from_slice(&part),
                // What the writer masks.
                Line::Whole(line) => joined.extend_from_slice(&masks.current().apply(&line)),
            }
        }
        String::from_utf8(joined).expect("text")
    }
}
