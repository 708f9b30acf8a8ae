//! How far a log has been read: what comes twice is left out, what is missing is told, and the pieces of a line that was
//! split for its length are kept until the line is whole. Knows nothing of connections.

use bytes::{Buf, BytesMut};
use millrace_proto::millrace::v1::{FollowData, Log, follow_request::Start};

use super::{
    line::{LINE_META_BYTES, goes_on},
    tail::Tail,
};

/// A line of which so much has come is shown as far as it goes, and what follows as lines that go on.
const UNENDED_MAX_BYTES: usize = 1024 * 1024;

/// How far a log has been read.
#[derive(Debug)]
pub struct Position {
    start: Start,
    /// The byte to go on at, once known.
    next: Option<u64>,
    /// The length of the log at first.
    goal: Option<u64>,
    /// Pieces of a line that is not whole yet.
    unended: Option<FollowData>,
}

impl Position {
    /// Nothing was read yet.
    pub fn at(start: Start) -> Self {
        Self { start, next: None, goal: None, unended: None }
    }

    /// Where to go on.
    pub fn request(&self) -> Start {
        self.next.map_or_else(|| self.start.clone(), Start::Offset)
    }

    /// Whether all that was there at first has come.
    pub fn is_at_goal(&self) -> bool {
        self.goal.zip(self.next).is_some_and(|(goal, next)| next >= goal)
    }

    /// A connection stands, and begins at this byte.
    pub fn hello(&mut self, log: Log, offset: u64) -> Vec<Tail> {
        self.goal.get_or_insert(log.size_bytes);
        let mut tails = vec![Tail::Hello(log)];
        match (self.next, &self.start) {
            (None, Start::Offset(asked)) if *asked < offset => {
                self.next = Some(*asked);
                tails.extend(self.gap(offset, "retention has removed it".to_owned()));
            }
            _ => _ = self.next.get_or_insert(offset),
        }
        tails
    }

    /// Lines came.
    pub fn data(&mut self, mut data: FollowData) -> Vec<Tail> {
        let mut tails = Vec::new();
        if let Some(next) = self.next {
            if data.offset > next {
                tails.extend(self.gap(data.offset, "the server left it out".to_owned()));
            } else if data.offset < next {
                drop_lines_before(&mut data, next);
            }
        }
        self.next = Some(data.offset + data.data.len() as u64);
        if data.data.is_empty() {
            return tails;
        }
        if let Some(before) = self.unended.take() {
            data = joined(&before, &data);
        }
        self.unended = split_unended(&mut data);
        tails.extend(Some(data).filter(|data| !data.data.is_empty()).map(Tail::Lines));
        if self.unended.as_ref().is_some_and(|unended| unended.data.len() >= UNENDED_MAX_BYTES) {
            tails.extend(self.rest());
        }
        tails
    }

    /// Some of the log is gone.
    pub fn gap(&mut self, offset: u64, reason: String) -> Vec<Tail> {
        let asked = if let Start::Offset(asked) = self.start { asked } else { offset };
        let bytes = offset.saturating_sub(self.next.unwrap_or(asked));
        self.next = Some(offset);
        self.rest().into_iter().chain([Tail::Gap { bytes, reason }]).collect()
    }

    /// The pieces of a line that does not become whole.
    pub fn rest(&mut self) -> Option<Tail> {
        self.unended.take().map(Tail::Lines)
    }
}

/// Removes the whole lines that lie before a byte of the log.
fn drop_lines_before(data: &mut FollowData, next: u64) {
    let known = usize::try_from(next - data.offset).unwrap_or(usize::MAX).min(data.data.len());
    let lines = memchr::memchr_iter(b'\n', &data.data[..known]).count();
    data.data.advance(known);
    data.line_meta.advance((lines * LINE_META_BYTES).min(data.line_meta.len()));
    data.first_line += lines as u64;
    data.offset += known as u64;
}

/// Cuts the pieces off that go on after the last line.
fn split_unended(data: &mut FollowData) -> Option<FollowData> {
    let words = data.line_meta.as_chunks::<LINE_META_BYTES>().0;
    let pieces = words.iter().rev().take_while(|word| goes_on(u64::from_le_bytes(**word))).count();
    let lines = memchr::memchr_iter(b'\n', &data.data).count();
    if pieces == 0 || lines != words.len() {
        return None;
    }
    let whole = lines - pieces;
    let ends = memchr::memchr_iter(b'\n', &data.data);
    let at = if whole == 0 { 0 } else { ends.take(whole).last().map_or(0, |end| end + 1) };
    Some(FollowData {
        offset: data.offset + at as u64,
        first_line: data.first_line + whole as u64,
        data: data.data.split_off(at),
        line_meta: data.line_meta.split_off(whole * LINE_META_BYTES),
        ..Default::default()
    })
}

fn joined(before: &FollowData, after: &FollowData) -> FollowData {
    let both = |a: &[u8], b: &[u8]| {
        let mut all = BytesMut::with_capacity(a.len() + b.len());
        all.extend_from_slice(a);
        all.extend_from_slice(b);
        all.freeze()
    };
    FollowData {
        data: both(&before.data, &after.data),
        line_meta: both(&before.line_meta, &after.line_meta),
        ..before.clone()
    }
}

#[cfg(test)]
pub mod tests;
