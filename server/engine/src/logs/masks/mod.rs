//! The second net for secrets (a runner's own masks are the first): values that whoever writes must not leave in a log.
//! Each byte of one becomes a `*`, so that offsets, sizes and row numbers stay what the writer thinks they are.
//!
//! Every way into a log goes through here: [`super::RowBatch`] covers rows and records whole, before they are split, and
//! rows of one line together ([`rows`]); bytes of a stream are covered together with what is stored before them
//! ([`stream`]), so that a value is found wherever its writer cuts it. What is repeated is the same as what is stored
//! if it differs in covered bytes only.
//!
//! Some values are those of the whole server, others of one task: these are masked in its logs only, and forgotten with it.

mod file;
mod messages;
mod rows;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

pub use file::{MaskFileValue, mask_file_values};
pub use messages::MessageMasks;
use millrace_proto::mask_set::{MaskSet, Refused};
pub(super) use rows::Masks;
pub(super) use stream::{cut, ripe};

use super::LogId;

/// How long bytes wait that come after the last line end, for they may be the beginning of a masked value, in milliseconds.
pub const MASK_HOLD_MS: u64 = 2_000;

/// What stands for each byte of a masked value.
const COVER: u8 = b'*';

/// The values that are masked in all logs of a server, and those of its tasks.
#[derive(Default)]
pub struct LogMasks {
    /// Some values were given once: what is stored may be covered.
    used: AtomicBool,
    // Held for reading and replacing the Arc only.
    set: RwLock<Arc<MaskSet>>,
    /// By task. Held for one look or change.
    tasks: RwLock<HashMap<String, Arc<MaskSet>>>,
}

impl LogMasks {
    /// These values, and none of those before, are masked from now on; says why some can't be, or not wholly.
    pub fn replace<'v>(&self, values: impl IntoIterator<Item = &'v str>) -> Vec<Refused> {
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

    /// The values of a task are masked in its logs from now on: those whose id is `task`, a dot and one more part. Says why
    /// some can't be, or not wholly.
    pub fn begin_task<'v>(&self, task: &str, values: impl IntoIterator<Item = &'v str>) -> Vec<Refused> {
        let (set, refused) = MaskSet::new(values);
        if !set.is_empty() {
            self.tasks().insert(task.to_owned(), Arc::new(set));
            self.used.store(true, Ordering::Release);
        }
        refused
    }

    /// A task is over, and so are its logs: its values are forgotten.
    pub fn end_task(&self, task: &str) {
        // Most servers have none.
        if self.used.load(Ordering::Acquire) {
            self.tasks().remove(task);
        }
    }

    /// The tasks that have values of their own.
    pub fn task_ids(&self) -> Vec<String> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// What is masked in the log of a task.
    pub(super) fn of_log(&self, id: &LogId) -> Masks {
        let Some(all) = self.current() else { return Masks::default() };
        let task = id
            .as_str()
            .rsplit_once('.')
            .and_then(|(task, _)| self.tasks.read().unwrap_or_else(PoisonError::into_inner).get(task).map(Arc::clone));
        Masks::of([Some(all), task].into_iter().flatten())
    }

    /// What is masked in all logs.
    pub(super) fn of_server(&self) -> Masks {
        Masks::of(self.current())
    }

    fn tasks(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<MaskSet>>> {
        self.tasks.write().unwrap_or_else(PoisonError::into_inner)
    }
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
