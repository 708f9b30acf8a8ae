//! Executions that wait at one place: grouped by what they ask for, in a group by priority, within a priority fair among
//! invocations. Knows neither runners nor time.
//!
//! Fairness is start-time fair queueing: each execution gets a virtual start when it comes, one after the other for those
//! of one invocation, and the smallest goes first. Ten thousand of one invocation do not delay the first of another.
//! Every operation costs the logarithm of what waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use millrace_proto::platform_properties::Properties;
use uuid::Uuid;

/// How many invocations that wait for nothing may be remembered beyond those that do.
const IDLE_INVOCATIONS_MAX: usize = 1_024;

/// Where an execution stands in its group: priority, virtual start, arrival. The smallest goes first.
pub type Rank = (i32, u64, u64);

/// What is asked for, and whether an administrator has put it here whatever that is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupKey {
    /// What is asked for, as far as it is matched.
    pub requested: Properties,
    /// It need not be satisfied.
    pub forced: bool,
}

/// All that wait at one place.
#[derive(Debug, Default)]
pub struct Lanes {
    groups: IndexMap<GroupKey, Group>,
    turns: BTreeMap<i32, Turns>,
    arrivals: u64,
    count: usize,
}

/// Those that ask for the same.
#[derive(Debug, Default)]
pub struct Group {
    order: BTreeMap<Rank, Uuid>,
    ages: BTreeSet<(i64, Uuid)>,
}

/// Whose turn it is among the invocations of one priority.
#[derive(Debug, Default)]
struct Turns {
    now: u64,
    /// Where the last execution of each invocation ends.
    ends: HashMap<String, u64>,
    waiting: usize,
}

impl Lanes {
    /// Adds one at its turn, or with `first` before all others of its priority. Where it stands then.
    pub fn add(
        &mut self,
        key: &GroupKey,
        id: Uuid,
        priority: i32,
        invocation: &str,
        queued_ms: i64,
        first: bool,
    ) -> Rank {
        let turns = self.turns.entry(priority).or_default();
        turns.waiting += 1;
        let start = if first { 0 } else { turns.take(invocation) };
        self.arrivals += 1;
        let rank = (priority, start, self.arrivals);
        if !self.groups.contains_key(key) {
            self.groups.insert(key.clone(), Group::default());
        }
        if let Some(group) = self.groups.get_mut(key) {
            group.order.insert(rank, id);
            group.ages.insert((queued_ms, id));
        }
        self.count += 1;
        rank
    }

    /// Takes one out. `served`: it goes to a runner, and so its invocation's turn is over.
    pub fn remove(&mut self, key: &GroupKey, rank: Rank, id: Uuid, queued_ms: i64, served: bool) {
        let Some(group) = self.groups.get_mut(key) else { return };
        if group.order.remove(&rank).is_none() {
            return;
        }
        group.ages.remove(&(queued_ms, id));
        if group.order.is_empty() {
            self.groups.swap_remove(key);
        }
        self.count -= 1;
        if let Some(turns) = self.turns.get_mut(&rank.0) {
            turns.waiting -= 1;
            if served {
                turns.now = turns.now.max(rank.1);
            }
            if turns.waiting == 0 {
                self.turns.remove(&rank.0);
            }
        }
    }

    /// The first of those groups that `takes` takes. `skips` says of one that it is not for who asks; it is asked of
    /// at most `look_past` of a group.
    pub fn first(
        &self,
        takes: impl Fn(&GroupKey) -> bool,
        skips: impl Fn(Uuid) -> bool,
        look_past: usize,
    ) -> Option<(Rank, Uuid)> {
        let candidates = self.groups.iter().filter(|(key, _)| takes(key));
        candidates.filter_map(|(_, group)| group.first(&skips, look_past)).min()
    }

    /// The groups.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupKey, &Group)> {
        self.groups.iter()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Since when the oldest waits.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.groups.values().filter_map(Group::oldest_ms).min()
    }
}

impl Group {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Since when the oldest waits.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.ages.first().map(|(ms, _)| *ms)
    }

    /// All of it, in order.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.order.values().copied()
    }

    fn first(&self, skips: &impl Fn(Uuid) -> bool, look_past: usize) -> Option<(Rank, Uuid)> {
        self.order.iter().take(look_past + 1).find(|(_, id)| !skips(**id)).map(|(rank, id)| (*rank, *id))
    }
}

impl Turns {
    /// The start of an invocation's next one.
    fn take(&mut self, invocation: &str) -> u64 {
        if self.ends.len() > 2 * self.waiting + IDLE_INVOCATIONS_MAX {
            // A step on, so that those who wait for nothing are over, whoever was served last.
            self.now += 1;
            let now = self.now;
            self.ends.retain(|_, end| *end > now);
        }
        // Starts at 1: 0 is before all.
        let earliest = self.now.max(1);
        if let Some(end) = self.ends.get_mut(invocation) {
            let start = (*end).max(earliest);
            *end = start + 1;
            return start;
        }
        self.ends.insert(invocation.to_owned(), earliest + 1);
        earliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> GroupKey {
        GroupKey { requested: Properties::default(), forced: false }
    }

    fn pop(lanes: &mut Lanes) -> Option<Uuid> {
        let (rank, id) = lanes.first(|_| true, |_| false, 0)?;
        lanes.remove(&key(), rank, id, 0, true);
        Some(id)
    }

    #[test]
    fn a_late_small_invocation_waits_for_one_of_the_large_one_at_most() {
        let mut lanes = Lanes::default();
        let id = Uuid::from_u128;
        for n in 0..10_000 {
            lanes.add(&key(), id(n), 0, "large", 0, false);
        }
        for _ in 0..100 {
            pop(&mut lanes);
        }
        for n in 20_000..20_003 {
            lanes.add(&key(), id(n), 0, "small", 0, false);
        }
        let next: Vec<u128> = (0..7).filter_map(|_| pop(&mut lanes)).map(|id| id.as_u128()).collect();
        let small: Vec<usize> = (0..7).filter(|at| next[*at] >= 20_000).collect();
        assert_eq!(small.len(), 3, "{next:?}");
        assert!(small[0] <= 1 && small[2] <= 5, "{next:?}");
    }

    #[test]
    fn lower_priorities_go_first_and_what_was_lost_before_its_equals() {
        let mut lanes = Lanes::default();
        let id = Uuid::from_u128;
        lanes.add(&key(), id(1), 0, "a", 5, false);
        lanes.add(&key(), id(2), -1, "a", 6, false);
        lanes.add(&key(), id(3), 7, "a", 4, false);
        lanes.add(&key(), id(4), 0, "a", 7, true);
        assert_eq!(lanes.oldest_ms(), Some(4));
        assert_eq!(lanes.len(), 4);
        let order: Vec<Uuid> = std::iter::from_fn(|| pop(&mut lanes)).collect();
        assert_eq!(order, [id(2), id(4), id(1), id(3)]);
        assert_eq!((lanes.len(), lanes.turns.len(), lanes.groups().count()), (0, 0, 0));
    }

    #[test]
    fn invocations_that_wait_for_nothing_are_forgotten() {
        let mut lanes = Lanes::default();
        // One stays, so that the priority does.
        lanes.add(&key(), Uuid::nil(), 0, "stays", 0, false);
        for n in 1..50_000 {
            lanes.add(&key(), Uuid::from_u128(n), 0, &n.to_string(), 0, false);
            pop(&mut lanes);
        }
        assert!(lanes.turns[&0].ends.len() <= 2 * IDLE_INVOCATIONS_MAX, "{}", lanes.turns[&0].ends.len());
    }
}
