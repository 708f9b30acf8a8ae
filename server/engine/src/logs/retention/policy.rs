//! What is to go, and why: a pure function of what there is.
//!
//! Age is looked at unit by unit. Count and size are of a project: the totals say how much is too much ([`Tally::excess`]),
//! and the oldest ends go first ([`Excess::choose`]). What goes on counts as the newest and is never chosen.

use std::collections::HashMap;

use super::LogKind;
use crate::logs::project::ProjectHash;

/// How long what is kept. Zero is without limit everywhere but in `abandoned_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So long after their end, in milliseconds.
    pub age_ms: u64,
    /// The newest so many runs, builds and streams of each project, of each of the three.
    pub count: u64,
    /// So many bytes of the disk for the logs of each project.
    pub max_bytes: u64,
    /// A record of a named log: so long, in milliseconds.
    pub records_age_ms: u64,
    /// A named log: so many bytes.
    pub records_max_bytes: u64,
    /// A log that nobody ends counts as ended so long after its last line, in milliseconds.
    pub abandoned_ms: u64,
}

/// Why logs went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// They were old.
    Age,
    /// Their project has enough newer ones.
    Count,
    /// Their project took too much of the disk.
    Size,
    /// What they were of is no longer known.
    Forgotten,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Age, Self::Count, Self::Size, Self::Forgotten];

    /// Its word, in metrics and events.
    pub fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Count => "count",
            Self::Size => "size",
            Self::Forgotten => "forgotten",
        }
    }
}

/// A unit of logs, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is.
    pub project: ProjectHash,
    /// What it is of.
    pub kind: LogKind,
    /// When it ended, in Unix milliseconds; None: it goes on.
    pub ended_ms: Option<i64>,
    /// What it takes on the disk.
    pub stored_bytes: u64,
}

impl Retention {
    /// Whether something that ended then is older than it may get.
    pub fn is_too_old(&self, ended_ms: i64, now_ms: i64) -> bool {
        self.age_ms > 0 && is_past(ended_ms, self.age_ms, now_ms)
    }

    /// Whether a log whose last line is of then counts as ended.
    pub fn is_abandoned(&self, last_ms: i64, now_ms: i64) -> bool {
        is_past(last_ms, self.abandoned_ms, now_ms)
    }
}

/// Whether so much time has passed since then. A clock that was set back makes nothing old.
fn is_past(then_ms: i64, age_ms: u64, now_ms: i64) -> bool {
    now_ms.checked_sub(then_ms).and_then(|passed| u64::try_from(passed).ok()).is_some_and(|passed| passed >= age_ms)
}

/// How much there is of each kind in each project.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    units: HashMap<(ProjectHash, LogKind), u64>,
    bytes: HashMap<ProjectHash, u64>,
}

impl Tally {
    /// Counts a unit. Named logs have limits of their own and are not counted.
    pub fn add(&mut self, kept: &Kept) {
        if kept.kind != LogKind::Records {
            *self.units.entry((kept.project, kept.kind)).or_default() += 1;
            *self.bytes.entry(kept.project).or_default() += kept.stored_bytes;
        }
    }

    /// Counts a unit no longer.
    pub fn subtract(&mut self, kept: &Kept) {
        if let Some(units) = self.units.get_mut(&(kept.project, kept.kind)) {
            *units = units.saturating_sub(1);
        }
        if let Some(bytes) = self.bytes.get_mut(&kept.project) {
            *bytes = bytes.saturating_sub(kept.stored_bytes);
        }
    }

    /// How much is too much.
    pub fn excess(&self, retention: &Retention) -> Excess {
        let over = |is: u64, most: u64| if most == 0 { 0 } else { is.saturating_sub(most) };
        let units = self.units.iter().map(|(key, units)| (*key, over(*units, retention.count)));
        let bytes = self.bytes.iter().map(|(project, bytes)| (*project, over(*bytes, retention.max_bytes)));
        Excess {
            units: units.filter(|(_, over)| *over > 0).collect(),
            bytes: bytes.filter(|(_, over)| *over > 0).collect(),
        }
    }
}

/// How much is too much, of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    units: HashMap<(ProjectHash, LogKind), u64>,
    bytes: HashMap<ProjectHash, u64>,
}

impl Excess {
    /// What is too many.
    pub fn of_units(self) -> Self {
        Self { bytes: HashMap::new(), ..self }
    }

    /// What is too large.
    pub fn of_bytes(self) -> Self {
        Self { units: HashMap::new(), ..self }
    }

    /// Nothing is too much.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty() && self.bytes.is_empty()
    }

    /// Whether something of this project and kind may have to go.
    pub fn concerns(&self, project: ProjectHash, kind: LogKind) -> bool {
        kind != LogKind::Records && (self.bytes.contains_key(&project) || self.units.contains_key(&(project, kind)))
    }

    /// Which of these go, and why. They come in the order of their ends, the oldest first; what goes on is passed over.
    pub fn choose<'a>(mut self, kept: impl Iterator<Item = &'a Kept> + Clone) -> Vec<Option<Reason>> {
        let mut chosen = Vec::new();
        // Those that are too many first: what they free does not have to be freed again.
        for one in kept.clone() {
            let too_many = self.units.get_mut(&(one.project, one.kind)).filter(|left| **left > 0);
            let reason = match (one.ended_ms, too_many) {
                (Some(_), Some(left)) => {
                    *left -= 1;
                    self.free(one);
                    Some(Reason::Count)
                }
                _ => None,
            };
            chosen.push(reason);
        }
        for (one, reason) in kept.zip(&mut chosen) {
            let too_large = self.bytes.get(&one.project).is_some_and(|left| *left > 0) && one.kind != LogKind::Records;
            if reason.is_none() && one.ended_ms.is_some() && too_large {
                self.free(one);
                *reason = Some(Reason::Size);
            }
        }
        chosen
    }

    fn free(&mut self, one: &Kept) {
        if let Some(left) = self.bytes.get_mut(&one.project) {
            *left = left.saturating_sub(one.stored_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keep(age_ms: u64, count: u64, max_bytes: u64) -> Retention {
        Retention { age_ms, count, max_bytes, records_age_ms: 0, records_max_bytes: 0, abandoned_ms: 60_000 }
    }

    fn one(project: &str, kind: LogKind, ended_ms: i64, stored_bytes: u64) -> Kept {
        let ended_ms = (ended_ms > 0).then_some(ended_ms);
        Kept { project: ProjectHash::of(project), kind, ended_ms, stored_bytes }
    }

    fn choose(retention: &Retention, kept: &[Kept]) -> Vec<Option<Reason>> {
        let mut tally = Tally::default();
        for one in kept {
            tally.add(one);
        }
        tally.excess(retention).choose(kept.iter())
    }

    #[test]
    fn the_table() {
        use LogKind::{Build, Job, Records, Stream};
        use Reason::{Count, Size};
        let (count, size) = (Some(Count), Some(Size));
        for (retention, kept, chosen) in [
            (keep(5, 0, 0), vec![one("a", Job, 1, 100)], vec![None]), // Age is not looked at here.
            (
                keep(0, 1, 0),
                vec![one("a", Job, 1, 9), one("a", Job, 2, 9), one("a", Job, 3, 9)],
                vec![count, count, None],
            ),
            (keep(0, 1, 0), vec![one("a", Job, 1, 9), one("b", Job, 2, 9), one("a", Build, 3, 9)], vec![None; 3]),
            (keep(0, 1, 0), vec![one("a", Stream, 1, 9), one("a", Stream, 0, 9)], vec![count, None]),
            (keep(0, 1, 0), vec![one("a", Stream, 0, 9), one("a", Stream, 0, 9)], vec![None; 2]),
            (
                keep(0, 0, 20),
                vec![one("a", Job, 1, 9), one("a", Build, 2, 9), one("a", Job, 3, 9)],
                vec![size, None, None],
            ),
            (keep(0, 0, 20), vec![one("a", Job, 1, 9), one("b", Build, 2, 9), one("a", Job, 3, 9)], vec![None; 3]),
            (
                keep(0, 0, 20),
                vec![one("a", Job, 1, 5), one("a", Job, 2, 5), one("a", Job, 0, 50)],
                vec![size, size, None],
            ),
            (keep(0, 0, 20), vec![one("a", Records, 1, 50), one("a", Job, 2, 5)], vec![None; 2]),
            // The run that is too many frees enough: the older stream stays.
            (
                keep(0, 1, 20),
                vec![one("a", Stream, 1, 9), one("a", Job, 2, 9), one("a", Job, 3, 9)],
                vec![None, count, None],
            ),
        ] {
            assert_eq!(choose(&retention, &kept), chosen, "{retention:?} {kept:?}");
        }
    }

    #[test]
    fn age_is_time_since_the_end() {
        let retention = keep(1_000, 0, 0);
        assert!(retention.is_too_old(5_000, 6_000) && !retention.is_too_old(5_001, 6_000));
        assert!(!retention.is_too_old(7_000, 6_000), "the clock was set back");
        assert!(retention.is_too_old(i64::MIN + 6_001, 6_000) && !retention.is_too_old(i64::MIN, 6_000));
        assert!(!keep(0, 0, 0).is_too_old(0, i64::MAX), "for ever");
        assert!(retention.is_abandoned(0, 60_000) && !retention.is_abandoned(1, 60_000));
    }

    fn any_kept() -> impl Strategy<Value = Vec<Kept>> {
        let kind = prop::sample::select(&LogKind::ALL[..]);
        let one = (0..3_u8, kind, 0..40_i64, 0..100_u64)
            .prop_map(|(project, kind, ended, bytes)| one(&project.to_string(), kind, ended, bytes));
        proptest::collection::vec(one, 0..40).prop_map(|mut kept| {
            kept.sort_by_key(|one| one.ended_ms.unwrap_or(i64::MAX));
            kept
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// Afterwards the limits hold as far as they can, nothing went without need, and the oldest went.
        #[test]
        fn no_more_and_no_less_than_the_oldest(kept in any_kept(), count in 0..6_u64, max_bytes in 0..600_u64) {
            let retention = keep(0, count, max_bytes);
            let chosen = choose(&retention, &kept);
            let both: Vec<(&Kept, Option<Reason>)> = kept.iter().zip(chosen).collect();
            for (one, reason) in &both {
                prop_assert!(reason.is_none() || (one.ended_ms.is_some() && one.kind != LogKind::Records));
            }
            for project in ["0", "1", "2"].map(ProjectHash::of) {
                let of = || both.iter().filter(|(one, _)| one.project == project && one.kind != LogKind::Records);
                for kind in [LogKind::Job, LogKind::Stream, LogKind::Build] {
                    let of_kind: Vec<_> = of().filter(|(one, _)| one.kind == kind).collect();
                    let too_many = if count == 0 { 0 } else { of_kind.len().saturating_sub(count as usize) };
                    let ended = of_kind.iter().filter(|(one, _)| one.ended_ms.is_some());
                    let gone: Vec<bool> = ended.map(|(_, reason)| *reason == Some(Reason::Count)).collect();
                    let wanted: Vec<bool> = (0..gone.len()).map(|place| place < too_many).collect();
                    prop_assert_eq!(gone, wanted, "the oldest, as many as are too many");
                }
                let left: u64 = of().filter(|(_, reason)| reason.is_none()).map(|(one, _)| one.stored_bytes).sum();
                let fits = max_bytes == 0 || left <= max_bytes;
                let rest = of().filter(|(one, reason)| one.ended_ms.is_some() && reason.is_none()).count();
                prop_assert!(fits || rest == 0, "too large, and there is more that could go");
                if let Some((last, _)) = of().rfind(|(_, reason)| *reason == Some(Reason::Size)) {
                    prop_assert!(max_bytes > 0 && left + last.stored_bytes > max_bytes, "one too many went for size");
                    let place = both.iter().position(|(one, _)| std::ptr::eq(*one, *last)).unwrap_or_default();
                    let older_stays = both[..place].iter().any(|(one, reason)| {
                        one.project == project && one.kind != LogKind::Records && one.ended_ms.is_some() && reason.is_none()
                    });
                    prop_assert!(!older_stays, "an older one stayed");
                }
            }
        }
    }
}
