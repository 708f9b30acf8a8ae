//! Bytes in chunks to lines. A line that is longer than a row becomes several rows, which say so, cut where no masked
//! value is torn. Knows nothing of what lines mean.

use super::mask::{MASK, MaskSet};

/// The longest row: the longest line of a log.
pub const ROW_MAX_BYTES: usize = 64 * 1024;

/// The most bytes of a character beyond its first.
const CHAR_REST_MAX_BYTES: usize = 3;

/// What comes out of [`Lines`].
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line as it was printed, without its end.
    Whole(Vec<u8>),
    /// A part of a line over [`ROW_MAX_BYTES`], already masked; more of it comes.
    Part(Vec<u8>),
    /// The last part of such a line.
    End(Vec<u8>),
}

/// Collects one stream.
#[derive(Default)]
pub struct Lines {
    pending: Vec<u8>,
    in_long_line: bool,
    /// So many bytes at the beginning of `pending` are of a masked value that went out already, as [`MASK`].
    masked: usize,
}

impl Lines {
    /// Takes a chunk and gives the lines that it completes.
    pub fn push(&mut self, mut chunk: &[u8], masks: &MaskSet, out: &mut Vec<Line>) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(&chunk[..end]);
            chunk = &chunk[end + 1..];
            self.split(masks, out);
            if self.pending.len() > self.masked && self.pending.last() == Some(&b'\r') {
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
        if self.in_long_line {
            out.push(Line::End(masks.apply_after(&line, self.masked).into_owned()));
        } else {
            out.push(Line::Whole(line));
        }
        (self.in_long_line, self.masked) = (false, 0);
    }

    fn split(&mut self, masks: &MaskSet, out: &mut Vec<Line>) {
        // What went out as a mask takes nothing of the row.
        while self.pending.len() > self.masked + ROW_MAX_BYTES {
            let cut = masks.cut(&self.pending, self.masked + ROW_MAX_BYTES);
            if cut <= self.masked {
                if self.mask_run(masks, out) {
                    continue;
                }
                // Only if a form were longer than a row: what comes tells.
                return;
            }
            let rest = self.pending.split_off(self.between_characters(cut));
            let part = std::mem::replace(&mut self.pending, rest);
            out.push(Line::Part(masks.apply_after(&part, self.masked).into_owned()));
            (self.in_long_line, self.masked) = (true, 0);
        }
    }

    /// A place for the cut where no character is torn, if this is text.
    fn between_characters(&self, cut: usize) -> usize {
        let is_start = |at: &usize| self.pending.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80);
        (cut.saturating_sub(CHAR_REST_MAX_BYTES).max(self.masked + 1)..=cut).rev().find(is_start).unwrap_or(cut)
    }

    /// Masked values overlap for longer than a row: all of them become one [`MASK`]. As much of them stays as one that
    /// overlaps them, too, may have begun with. False if there is no more to mask yet.
    fn mask_run(&mut self, masks: &MaskSet, out: &mut Vec<Line>) -> bool {
        // Others may be whole within what went out.
        let reached = masks.find(&self.pending).into_iter().filter(|run| run.start <= self.masked);
        let Some(end) = reached.map(|run| run.end).max().filter(|end| *end > self.masked) else { return false };
        if self.masked == 0 {
            out.push(Line::Part(MASK.into()));
        }
        self.masked = end.min(masks.longest().saturating_sub(1));
        self.pending.drain(..end - self.masked);
        self.in_long_line = true;
        true
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
        for (at, line) in found[..found.len() - 1].iter().enumerate() {
            let part = match line {
                Line::Part(part) if at + 2 < found.len() => part,
                Line::End(part) if at + 2 == found.len() => part,
                _ => panic!("piece {at} is not marked as it must be"),
            };
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

    /// Neither at their end nor in the middle is anything of values seen that overlap or touch for longer than a row.
    #[test]
    fn a_run_of_values_is_masked() {
        let masks = Masks::default();
        masks.add("aXa").expect("masked");
        masks.add("hunter2").expect("masked");
        for (value, count) in [("aX", 4 * ROW_MAX_BYTES), ("hunter2", ROW_MAX_BYTES)] {
            let text = format!("a{}ahunter2 end", value.repeat(count));
            for size in [1_000, 65_535, 100_001, text.len()] {
                let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                let shown = joined(&chunks, &masks);
                let rest = shown.replace("***", "");
                let expected = if value == "aX" { "a end" } else { "aa end" };
                assert_eq!(rest, expected, "{value} by {size}");
            }
        }
    }

    /// A value may be whole within what went out as a mask while a longer one goes on.
    #[test]
    fn values_in_values_are_masked() {
        let masks = Masks::default();
        for value in ["xVVVV-CCC", "VVVV", "CCCC"] {
            masks.add(value).expect("masked");
        }
        let first = "C".repeat(ROW_MAX_BYTES + 64) + "xVVVV-CCC";
        let more = "C".repeat(ROW_MAX_BYTES + 5_000) + " end";
        let shown = joined(&[first.as_bytes(), more.as_bytes()], &masks);
        assert_eq!(shown.replace("***", ""), " end");
    }

    #[test]
    fn a_line_that_just_fills_its_rows_has_an_end() {
        for text in ["x".repeat(ROW_MAX_BYTES + 1) + "\n", "x".repeat(ROW_MAX_BYTES) + "\r\n"] {
            let found = lines(&[text.as_bytes()], &Masks::default());
            assert!(matches!(&found[..], [Line::Part(_), Line::End(_)]), "{}", text.len());
        }
        let bytes = vec![0x80; 2 * ROW_MAX_BYTES];
        let found = lines(&[&bytes, b"\n"], &Masks::default());
        assert!(matches!(&found[..], [Line::Part(_), Line::End(_)]), "no text: cut anywhere");
    }

    fn joined(chunks: &[&[u8]], masks: &Masks) -> String {
        let mut joined = Vec::new();
        for line in lines(chunks, masks) {
            match line {
                Line::Part(part) | Line::End(part) => joined.extend_from_slice(&part),
                // What the writer masks.
                Line::Whole(line) => joined.extend_from_slice(&masks.current().apply(&line)),
            }
        }
        String::from_utf8(joined).expect("text")
    }
}
