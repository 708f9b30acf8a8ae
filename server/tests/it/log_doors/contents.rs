//! What is written: rows that are awkward in one way each, and what readers have to make of them.

/// Lines are split there.
const LINE_BYTES: usize = 64 * 1024;

/// Some rows.
pub struct Content {
    /// In words.
    pub name: &'static str,
    /// The rows, without line ends; two at least.
    pub rows: Vec<Vec<u8>>,
    /// The last one has a line end, too.
    pub ended: bool,
}

/// What comes out.
#[derive(Clone)]
pub struct Expected {
    /// For those who read bytes.
    pub bytes: Vec<u8>,
    /// For those who read records.
    pub records: Vec<Vec<u8>>,
}

impl Content {
    /// It can be told in text.
    pub fn is_text(&self) -> bool {
        self.rows.iter().all(|row| std::str::from_utf8(row).is_ok())
    }

    /// Some rows as bytes.
    pub fn bytes(&self, rows: std::ops::Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend(&self.rows[row]);
            if self.ended || row + 1 < self.rows.len() {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    /// What comes out when rows were written.
    pub fn as_rows(&self) -> Expected {
        Expected { bytes: self.bytes(0..self.rows.len()), records: self.rows.clone() }
    }

    /// What comes out when bytes were written: each line is a record.
    pub fn as_bytes(&self) -> Expected {
        let bytes = self.bytes(0..self.rows.len());
        let records = lines(&bytes).into_iter().map(<[u8]>::to_vec).collect();
        Expected { bytes, records }
    }
}

impl Expected {
    /// Without their ends, split where the server splits them.
    pub fn pieces(&self) -> Vec<&[u8]> {
        fn split(line: &[u8]) -> Vec<&[u8]> {
            if line.is_empty() { vec![line] } else { line.chunks(LINE_BYTES).collect() }
        }
        lines(&self.bytes).into_iter().flat_map(split).collect()
    }
}

/// Lines without their ends.
pub fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    match bytes.strip_suffix(b"\n").unwrap_or(bytes) {
        [] if bytes.is_empty() => Vec::new(),
        lines => lines.split(|byte| *byte == b'\n').collect(),
    }
}

/// All of them.
pub fn contents() -> Vec<Content> {
    let of = |name, rows: &[&[u8]]| Content { name, rows: rows.iter().map(|row| row.to_vec()).collect(), ended: true };
    let many = (0..10_000).map(|number| format!("row {number} of ten thousand, as {}", "x".repeat(number % 80)));
    vec![
        of("plain lines", &[b"one", b"two", b"three"]),
        of("empty lines", &[b"", b"", b"between", b"", b""]),
        of("lines that end in CR LF", &[b"one\r", b"two\r", b"\r"]),
        of("NUL", &[b"a\0b", b"\0", b"c"]),
        of("bytes that are no UTF-8", &[b"\xff\xfe", b"caf\xe9", b"\x80\x80"]),
        of("a row with line ends in it", &[b"one", b"two\n\nthree\nfour", b"five"]),
        of("a line of 200 KiB", &[b"before", &vec![b'L'; 200 * 1024], b"after"]),
        of("colours", &[b"\x1b[31mred\x1b[0m and \x1b[1;38;5;200mpink", b"\x1b[0m", b"##[error]\x1b[31mno\x1b[0m"]),
        Content { rows: many.map(String::into_bytes).collect(), ..of("ten thousand lines", &[]) },
        Content { ended: false, ..of("no line end at its end", &[b"one", b"two", b"three"]) },
    ]
}
