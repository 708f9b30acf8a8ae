//! Standard output, buffered by whoever writes and flushed at the end of each batch, and whether it takes colour.
//! Unlike `println!` it does not panic when the reader has gone.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde_json::Value;

/// Standard output.
pub struct Output {
    writer: BufWriter<Stdout>,
    colour: bool,
}

impl Output {
    /// The process's own.
    pub fn stdout() -> Self {
        Self { writer: BufWriter::new(io::stdout()), colour: stdout_takes_colour() }
    }

    /// Whether escape sequences for colour are welcome.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// A line of text.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        self.writer.write_all(b"\n")
    }

    /// A line of JSON.
    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, value)?;
        self.writer.write_all(b"\n")
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Shows what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Whether standard output is a terminal that shows progress displays.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn stdout_takes_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout_is_terminal() && !refused
}

/// Something to say that is no output: a warning, a hint. Nothing can be done when nobody hears it.
pub fn say(text: &str) {
    _ = writeln!(io::stderr(), "{text}");
}
