//! Writes a sealed log from the plain files of one.

use std::io::{self, Write};

use millrace_engine::logs::{LogHead, LogId, LogLines, line_ms, line_words};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::super::read::LogReader;
use super::index::{FrameEntry, Index, WORDS_FRAME, seek_table, skippable_header};
use super::{FRAME_MAX_BYTES, FRAME_MAX_LINES, ZSTD_LEVEL, damaged, words};

/// Writes all of a complete log; returns how long the file is. A piece is closed before it gets longer than `frame_bytes` (a
/// single line may be). `Interrupted` as soon as `go_on` says no.
pub fn write_sealed(
    id: &LogId,
    log: &LogReader<'_>,
    out: &mut impl Write,
    frame_bytes: usize,
    go_on: impl Fn() -> bool,
) -> io::Result<u64> {
    let head = log.head;
    let mut writer = Writer::new(out)?;
    let mut place = head.first;
    while place.line < head.lines {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let lines = log.lines(place, FRAME_MAX_LINES as u64, frame_bytes.min(FRAME_MAX_BYTES))?;
        if lines.lines() == 0 {
            return Err(damaged("its files are shorter than they should be"));
        }
        place = lines.end();
        writer.piece(&lines)?;
    }
    if place != head.end() {
        return Err(damaged(&format!("its lines end at {place:?} and should end at {:?}", head.end())));
    }
    let marks = log.marks_on_disk()?;
    writer.finish(id, head, marks)
}

struct Writer<'a, W> {
    out: &'a mut W,
    packer: Compressor<'static>,
    /// How much was written.
    at: u64,
    frames: Vec<FrameEntry>,
    seek: Vec<(u32, u32)>,
}

impl<'a, W: Write> Writer<'a, W> {
    fn new(out: &'a mut W) -> io::Result<Self> {
        let mut packer = Compressor::new(ZSTD_LEVEL)?;
        packer.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { out, packer, at: 0, frames: Vec::new(), seek: Vec::new() })
    }

    fn piece(&mut self, lines: &LogLines) -> io::Result<()> {
        if lines.data.len() > FRAME_MAX_BYTES {
            let line = lines.place.line;
            return Err(damaged(&format!("line {line} is longer than a sealed log can hold, {FRAME_MAX_BYTES} bytes")));
        }
        let text = self.packer.compress(&lines.data)?;
        let words = self.packer.compress(&words::encode(&lines.words))?;
        let (text_packed, words_packed) = (length(text.len())?, length(words.len())?);
        let first_ms = line_words(&lines.words).next().map_or(0, line_ms);
        self.frames.push(FrameEntry { place: lines.place, at: self.at, text_packed, words_packed, first_ms });
        self.put(&text, length(lines.data.len())?)?;
        let frame = [&skippable_header(WORDS_FRAME, words.len()), &words[..]].concat();
        self.put(&frame, 0)
    }

    fn finish(mut self, id: &LogId, head: LogHead, marks: Vec<u64>) -> io::Result<u64> {
        let index = Index { id: id.clone(), head, marks, frames: std::mem::take(&mut self.frames) };
        self.put(&index.encode()?, 0)?;
        let table = seek_table(&self.seek);
        self.out.write_all(&table)?;
        self.out.flush()?;
        Ok(self.at + table.len() as u64)
    }

    fn put(&mut self, frame: &[u8], raw: u32) -> io::Result<()> {
        self.out.write_all(frame)?;
        self.seek.push((length(frame.len())?, raw));
        self.at += frame.len() as u64;
        Ok(())
    }
}

fn length(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(|_| damaged("a line is longer than 4 GiB"))
}
