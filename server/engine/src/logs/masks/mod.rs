//! The second net for secrets (a runner's own masks are the first): values that whoever writes must not leave in a log.
//! Each byte of one becomes a `*`, so that offsets, sizes and row numbers stay what the writer thinks they are.
//!
//! Every way into a log goes through here: [`super::RowBatch`] covers rows and records whole, before they are split; bytes
//! of a stream are covered together with what is stored before them ([`stream`]), so that a value is found wherever
//! its writer cuts it. What is repeated is the same as what is stored if it differs in covered bytes only.

mod file;
mod stream;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub use file::mask_file_values;
use millrace_proto::mask_set::{MaskSet, NotMasked};
pub(super) use stream::{cut, ripe};

/// How long bytes wait that come after the last line end, for they may be the beginning of a masked value, in milliseconds.
pub const MASK_HOLD_MS: u64 = 2_000;

/// What stands for each byte of a masked value.
const COVER: u8 = b'*';

/// The values that are masked in all logs of a server.
#[derive(Default)]
pub struct LogMasks {
    /// Some values were given once: what is stored may be covered.
    used: AtomicBool,
    // Held for reading and replacing the Arc only.
    set: RwLock<Arc<MaskSet>>,
}

impl LogMasks {
    /// These values, and none of those before, are masked from now on; says why some can't be.
    pub fn replace<'v>(&self, values: impl IntoIterator<Item = &'v str>) -> Vec<NotMasked> {
        let (set, refused) = MaskSet::new(values);
        let some = !set.is_empty();
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        if some {
            self.used.store(true, Ordering::Release);
        }
        refused
    }

    /// The masks as they are now; none as long as there never were any, which costs nothing to find out.
    pub fn current(&self) -> Option<Arc<MaskSet>> {
        self.used.load(Ordering::Acquire).then(|| Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The bytes with all masked values covered.
pub(super) fn covered<'b>(set: Option<&MaskSet>, bytes: &'b [u8]) -> Cow<'b, [u8]> {
    let found = set.map(|set| set.find(bytes)).unwrap_or_default();
    if found.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let mut bytes = bytes.to_vec();
    for value in found {
        bytes[value].fill(COVER);
    }
    Cow::Owned(bytes)
}

/// How many bytes from the beginning on are the same, or may have been before they were covered.
pub(super) fn same_bytes(one: &[u8], other: &[u8], masked: bool) -> usize {
    let both = one.iter().zip(other);
    if masked {
        both.take_while(|(one, other)| one == other || **one == COVER || **other == COVER).count()
    } else {
        both.take_while(|(one, other)| one == other).count()
    }
}
