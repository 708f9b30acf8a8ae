//! Masked values in streams of bytes, which come in pieces that end anywhere.

use bytes::{Bytes, BytesMut};
use millrace_proto::mask_set::MaskSet;

use super::COVER;
use crate::logs::live::LiveLog;
use crate::logs::room::Inner;
use crate::logs::{LogError, LogHead};

impl Inner {
    /// What of `bytes`, which begin at `offset` of the stream, is new: all but the first `again`. Values are covered,
    /// also those that begin in what is stored already.
    pub(in crate::logs) async fn covered_bytes(
        &self,
        live: &LiveLog,
        head: &LogHead,
        offset: u64,
        bytes: Bytes,
        again: usize,
    ) -> Result<Bytes, LogError> {
        let fresh = bytes.slice(again..);
        let Some(set) = self.masks.current().filter(|set| !set.is_empty() && !fresh.is_empty()) else {
            return Ok(fresh);
        };
        let most = set.longest().saturating_sub(1).saturating_sub(again) as u64;
        // Not before what retention has left.
        let from = offset.saturating_sub(most).max(head.first.stream_offset()).min(offset);
        let before = if from < offset {
            self.store.read_bytes(&live.id, from, (offset - from) as usize).await?
        } else {
            Bytes::new()
        };
        Ok(cover_after(&set, &before, &bytes, again))
    }
}

/// The bytes but the first `again`, their values covered; `before` stands before them.
fn cover_after(set: &MaskSet, before: &[u8], bytes: &Bytes, again: usize) -> Bytes {
    let known = before.len() + again;
    let joined;
    let whole = if before.is_empty() {
        &bytes[..]
    } else {
        joined = [before, bytes].concat();
        &joined
    };
    let found = set.find(whole);
    if found.last().is_none_or(|last| last.end <= known) {
        return bytes.slice(again..);
    }
    let mut covered = BytesMut::from(&bytes[again..]);
    for value in found.into_iter().filter(|value| value.end > known) {
        covered[value.start.saturating_sub(known)..value.end - known].fill(COVER);
    }
    covered.freeze()
}

/// How many of the bytes that wait may go now. As many as a masked value may have begun with go later, whether they look
/// like the beginning of one or not: or else who writes could find a value out, letter by letter, by what goes when.
pub(in crate::logs) fn ripe(set: Option<&MaskSet>, pending: &[u8]) -> usize {
    let held = set.map_or(0, |set| set.longest().saturating_sub(1));
    match pending.len().saturating_sub(held) {
        0 => 0,
        wish => cut(set, pending, wish),
    }
}

/// How many of the first `wish` bytes to append, more being there, so that no value is torn if that can be.
pub(in crate::logs) fn cut(set: Option<&MaskSet>, pending: &[u8], wish: usize) -> usize {
    match set.map(|set| set.cut(pending, wish)) {
        None | Some(0) => wish,
        Some(cut) => cut,
    }
}
