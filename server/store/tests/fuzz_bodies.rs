//! The bodies of the fuzz targets on seeded bytes: where there is no fuzzer they run all the same. See `fuzz/README.md`.

#[path = "../../../fuzz/bodies/mod.rs"]
mod bodies;

/// A plain generator (xorshift): the same bytes each time.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Any bytes, those of an alphabet, or those with much repetition.
    fn bytes(&mut self, alphabet: &[u8]) -> Vec<u8> {
        let length = (self.next() % 9).pow(3) as usize;
        match self.next() % 3 {
            0 => (0..length).map(|_| self.next() as u8).collect(),
            1 => (0..length).map(|_| alphabet[self.next() as usize % alphabet.len()]).collect(),
            _ => (0..length)
                .map(|_| {
                    if self.next().is_multiple_of(4) {
                        self.next() as u8
                    } else {
                        alphabet[self.next() as usize % alphabet.len()]
                    }
                })
                .collect(),
        }
    }
}

fn run(body: fn(&[u8]), cases: u64, alphabet: &[u8]) {
    body(&[]);
    for case in 1..=cases {
        let data = Seeded(case.wrapping_mul(0x9E37_79B9_7F4A_7C15)).bytes(alphabet);
        let ran = std::panic::catch_unwind(|| body(&data));
        assert!(ran.is_ok(), "case {case}: {}", data.escape_ascii());
    }
}

#[test]
fn log_rows() {
    run(bodies::log_rows::run, 300, b"\n\r#[error]\x70\x02\x00");
}

#[test]
fn stream_cuts() {
    run(bodies::stream_cuts::run, 300, b"\n\r\x00\x01ab");
}

#[test]
fn log_masks() {
    run(bodies::log_masks::run, 300, b"ab/+\x01\x05\x20\x70\x80\x8f\n");
}

#[test]
fn log_recovery() {
    run(bodies::log_recovery::run, 120, b"\n\x00\x01\x02\x05\xff");
}

#[test]
fn ansi() {
    run(bodies::ansi::run, 5_000, b"\x1b[]m;0\x07\\P\n\r\xc3\xa9(");
}
