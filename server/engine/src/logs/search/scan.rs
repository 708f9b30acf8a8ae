//! Searches whole lines that are in memory: finds, counts, and lists so many. It knows nothing of where they come from.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memrchr};

use super::pattern::Pattern;
use super::pieces::split_at;
use super::visible::{utf16_len, visible};
use crate::logs::head::is_joined;
use crate::logs::{LINE_MAX_BYTES, LINE_WORD_BYTES, LogLines, flags, line_words};

/// How many matches of a line are listed by their columns.
pub const SEARCH_COLUMNS_MAX: usize = 100;

/// What a search is after.
#[derive(Debug)]
pub struct Wanted {
    /// The pattern.
    pub pattern: Pattern,
    /// The lines themselves are asked for, too.
    pub with_text: bool,
    /// Only lines of this time or later, in Unix milliseconds.
    pub since_ms: i64,
    /// With so many bytes of hits a scan comes back before the end of its lines.
    pub found_bytes: usize,
    /// So many more lines are to be listed.
    pub list_left: AtomicU64,
    /// Nobody waits for it any more.
    pub stopped: AtomicBool,
    /// Who waits for it took nothing for too long.
    pub untaken: AtomicBool,
}

/// A line with the pattern in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchHit {
    /// The line; of one that was split, its first piece.
    pub line: u64,
    /// Where the pattern begins and ends in the line as it is shown, in UTF-16 code units; the first
    /// [`SEARCH_COLUMNS_MAX`].
    pub columns: Vec<(u32, u32)>,
    /// The line without its end if it was asked for; at most its first [`LINE_MAX_BYTES`].
    pub text: Bytes,
    /// It is longer than that.
    pub text_cut: bool,
    /// When it was printed, in Unix milliseconds.
    pub time_ms: i64,
    /// From standard error.
    pub stderr: bool,
}

impl SearchHit {
    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.columns[..]) + self.text.len()
    }
}

/// What was found in some lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of lines.
    pub hits: Vec<SearchHit>,
    /// How many lines have it, listed or not.
    pub matching_lines: u64,
    /// How often it was found.
    pub matches: u64,
}

impl Found {
    /// And what was found in lines after these.
    pub fn add(&mut self, later: Self) {
        self.hits.extend(later.hits);
        self.matching_lines += later.matching_lines;
        self.matches += later.matches;
    }
}

/// Searches lines of which the last is whole. Those that were split are searched as one. Answers with the lines that it
/// has not come to, too: there are some when it has found a lot.
pub fn scan_lines(wanted: &Wanted, lines: LogLines) -> (Found, LogLines) {
    let words = lines.words.as_chunks::<LINE_WORD_BYTES>().0;
    let word_of = |line: usize| words.get(line).map_or(0, |word| u64::from_le_bytes(*word));
    let first = lines.place.line;
    let (found, left) = if line_words(&lines.words).any(is_joined) {
        let (text, begins) = whole_lines(&lines);
        let piece = |line: usize| begins.get(line).copied().unwrap_or_default();
        let (found, left) = scan(wanted, &text, |line| (first + piece(line) as u64, word_of(piece(line))));
        (found, left.map(piece))
    } else {
        scan(wanted, &lines.data, |line| (first + line as u64, word_of(line)))
    };
    let rest = left.map_or_else(LogLines::default, |line| split_at(lines, line).1);
    (found, rest)
}

/// Lines with those put together that were split, and the numbers of their first pieces.
fn whole_lines(lines: &LogLines) -> (Vec<u8>, Vec<usize>) {
    let (mut text, mut begins) = (Vec::with_capacity(lines.data.len()), Vec::new());
    let (mut from, mut goes_on) = (0, false);
    for (line, (end, word)) in memchr_iter(b'\n', &lines.data).zip(line_words(&lines.words)).enumerate() {
        if !goes_on {
            begins.push(line);
        }
        goes_on = is_joined(word);
        text.extend_from_slice(&lines.data[from..end + usize::from(!goes_on)]);
        from = end + 1;
    }
    (text, begins)
}

/// Searches one line, with its end; `number` and `word` are those of its first piece.
pub fn scan_line(wanted: &Wanted, number: u64, word: u64, line: &[u8]) -> Found {
    scan(wanted, line, |_| (number, word)).0
}

/// What is found, and the line it has not come to.
fn scan(wanted: &Wanted, raw: &[u8], about: impl Fn(usize) -> (u64, u64)) -> (Found, Option<usize>) {
    let visible = visible(raw);
    let mut scan = Scan {
        wanted,
        raw: if matches!(visible, Cow::Borrowed(_)) { None } else { Some(Raw { text: raw, line: 0, at: 0 }) },
        visible: &visible,
        about,
        list_max: usize::try_from(wanted.list_left.load(Ordering::Relaxed)).unwrap_or(usize::MAX),
        found: Found::default(),
        found_bytes: 0,
        counted: (0, 0),
        current: None,
        columns: Vec::new(),
        left: None,
    };
    wanted.pattern.each(&visible, |from, to| scan.matched(from, to));
    scan.end_line();
    (scan.found, scan.left)
}

struct Scan<'a, A> {
    wanted: &'a Wanted,
    visible: &'a [u8],
    /// The lines with their escape sequences, where there are some.
    raw: Option<Raw<'a>>,
    /// The number and word of a line, by its place in the text.
    about: A,
    list_max: usize,
    found: Found,
    /// What its hits take.
    found_bytes: usize,
    /// A line's place in the text, and where it begins.
    counted: (usize, usize),
    current: Option<Current>,
    /// Of the current line.
    columns: Vec<(usize, usize)>,
    /// The line it stopped before, by its place in the text.
    left: Option<usize>,
}

/// The line of the last match.
struct Current {
    begin: usize,
    /// Its line end.
    end: usize,
    /// Its place in the text, if anybody asks for it.
    line: usize,
    too_old: bool,
}

impl<A: Fn(usize) -> (u64, u64)> Scan<'_, A> {
    fn matched(&mut self, from: usize, to: usize) -> ControlFlow<()> {
        if from >= self.visible.len() {
            return ControlFlow::Break(());
        }
        if self.current.as_ref().is_none_or(|current| from > current.end) {
            self.end_line();
            if self.wanted.stopped.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            if self.found_bytes >= self.wanted.found_bytes {
                let (line, begin) = self.counted;
                self.left = Some(line + memchr_iter(b'\n', &self.visible[begin..from]).count());
                return ControlFlow::Break(());
            }
            self.begin_line(from);
        }
        let Some(current) = self.current.as_ref().filter(|current| !current.too_old) else {
            return ControlFlow::Continue(());
        };
        self.found.matches += 1;
        if self.columns.len() < SEARCH_COLUMNS_MAX && self.lists() {
            self.columns.push((from - current.begin, to - current.begin));
        }
        ControlFlow::Continue(())
    }

    fn begin_line(&mut self, at: usize) {
        let (line, from) = self.counted;
        let begin = memrchr(b'\n', &self.visible[from..at]).map_or(from, |end| from + end + 1);
        let end = memchr(b'\n', &self.visible[at..]).map_or(self.visible.len(), |end| at + end);
        let mut current = Current { begin, end, line, too_old: false };
        if self.lists() || self.wanted.since_ms > 0 {
            current.line += memchr_iter(b'\n', &self.visible[from..begin]).count();
            self.counted = (current.line, begin);
            current.too_old = time_of((self.about)(current.line).1) < self.wanted.since_ms;
        }
        self.current = Some(current);
    }

    fn end_line(&mut self) {
        let Some(current) = self.current.take().filter(|current| !current.too_old) else { return };
        self.found.matching_lines += 1;
        if !self.lists() {
            return;
        }
        let shown = &self.visible[current.begin..current.end];
        let (number, word) = (self.about)(current.line);
        let mut hit = SearchHit {
            line: number,
            columns: columns(shown, &self.columns),
            time_ms: time_of(word),
            stderr: word & flags::STDERR != 0,
            ..SearchHit::default()
        };
        self.columns.clear();
        if self.wanted.with_text {
            let text = self.raw.as_mut().map_or(shown, |raw| raw.line(current.line));
            hit.text = Bytes::copy_from_slice(&text[..text.len().min(LINE_MAX_BYTES)]);
            hit.text_cut = text.len() > LINE_MAX_BYTES;
        }
        self.found_bytes += hit.bytes();
        self.found.hits.push(hit);
    }

    fn lists(&self) -> bool {
        self.found.hits.len() < self.list_max
    }
}

/// Goes through lines from the first to the last.
struct Raw<'a> {
    text: &'a [u8],
    line: usize,
    at: usize,
}

impl<'a> Raw<'a> {
    /// This line without its end; not before the one that was asked for last.
    fn line(&mut self, line: usize) -> &'a [u8] {
        if let Some(skipped) = line.checked_sub(self.line + 1)
            && let Some(end) = memchr_iter(b'\n', &self.text[self.at..]).nth(skipped)
        {
            self.at += end + 1;
            self.line = line;
        }
        let rest = &self.text[self.at..];
        &rest[..memchr(b'\n', rest).unwrap_or(rest.len())]
    }
}

fn columns(line: &[u8], found: &[(usize, usize)]) -> Vec<(u32, u32)> {
    if line.is_ascii() {
        return found.iter().map(|(from, to)| (*from as u32, *to as u32)).collect();
    }
    let (mut at, mut units) = (0, 0);
    let mut count = |to: usize| {
        units += utf16_len(&line[at..to]);
        at = to;
        units as u32
    };
    found.iter().map(|(from, to)| (count(*from), count(*to))).collect()
}

fn time_of(word: u64) -> i64 {
    (word >> flags::TIME_SHIFT) as i64
}
