//! Which rows of a call are stored: the rules of index and acknowledgement, as a function of numbers only.

use super::LogHead;

/// What to do with a call that sends rows from some index on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppendPlan {
    /// So many rows at the beginning of the call are stored already, readable, and must be the same.
    pub compare: usize,
    /// So many rows at the beginning of the call were acknowledged before.
    pub skip: usize,
    /// Rows come after the end of the log.
    pub after_end: bool,
    /// There is something to write.
    pub write: bool,
    /// The log ends with this call.
    pub complete: bool,
}

impl AppendPlan {
    /// Plans a call with `len` rows from `index` on for a log that has come as far as `head`.
    pub fn new(head: &LogHead, index: u64, len: usize, no_more: bool) -> Self {
        let ack = head.rows;
        let nothing = Self { compare: 0, skip: len, after_end: false, write: false, complete: false };
        if index > ack {
            return nothing; // A gap: the answer tells the writer where to go on.
        }
        let skip = usize::try_from(ack - index).map_or(len, |known| known.min(len));
        let compare = usize::try_from(head.stored_rows().saturating_sub(index)).map_or(skip, |kept| kept.min(skip));
        let new_rows = len > skip;
        let reaches_end = ack - index <= len as u64;
        let complete = no_more && reaches_end && !head.complete;
        Self { compare, skip, after_end: new_rows && head.complete, write: new_rows || complete, complete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let open = LogHead { rows: 10, ..LogHead::default() };
        let full = LogHead { rows: 10, dropped_rows: 4, ..LogHead::default() };
        let ended = LogHead { rows: 10, complete: true, ..LogHead::default() };
        // (head, index, len, no_more) -> (compare, skip, after_end, write, complete)
        for ((head, index, len, no_more), (compare, skip, after_end, write, complete)) in [
            ((open, 10, 3, false), (0, 0, false, true, false)),  // the next rows
            ((open, 10, 3, true), (0, 0, false, true, true)),    // the last rows
            ((open, 8, 5, true), (2, 2, false, true, true)),     // overlap
            ((open, 8, 2, false), (2, 2, false, false, false)),  // duplicate
            ((open, 8, 2, true), (2, 2, false, true, true)),     // duplicate that brings the end
            ((open, 3, 2, true), (2, 2, false, false, false)),   // old duplicate: its end is not the end
            ((open, 11, 5, true), (0, 5, false, false, false)),  // gap
            ((open, 10, 0, false), (0, 0, false, false, false)), // nothing
            ((open, 10, 0, true), (0, 0, false, true, true)),    // only the end
            ((open, 9, 0, true), (0, 0, false, false, false)),   // an end that is not here
            ((open, u64::MAX, 5, true), (0, 5, false, false, false)),
            ((full, 4, 7, false), (2, 6, false, true, false)), // rows 6 to 9 were dropped: nothing to compare with
            ((full, 7, 2, false), (0, 2, false, false, false)),
            ((ended, 10, 1, false), (0, 0, true, true, false)), // after the end
            ((ended, 8, 3, true), (2, 2, true, true, false)),
            ((ended, 10, 0, true), (0, 0, false, false, false)), // the end again
            ((ended, 8, 2, true), (2, 2, false, false, false)),
        ] {
            assert_eq!(
                AppendPlan::new(&head, index, len, no_more),
                AppendPlan { compare, skip, after_end, write, complete },
                "index {index}, {len} rows, no_more {no_more}"
            );
        }
    }
}
