//! What every [`EventOutbox`] must do.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::events::{EventKind, EventOutbox, NewEvent, lost};

/// Runs the suite; `open` makes an empty outbox.
pub async fn run<F: Future<Output = Arc<dyn EventOutbox>>>(open: impl Fn() -> F) {
    rows_come_back_in_order(&*open().await).await;
    numbers_are_not_given_twice(&*open().await).await;
    what_is_kept_stays(&*open().await).await;
    what_is_too_much_is_counted(&*open().await).await;
    what_was_told_is_not_too_much(&*open().await).await;
    a_commit_wakes(&*open().await).await;
}

/// An event of a project.
pub fn event(project: &str, subject: &str) -> NewEvent {
    NewEvent::new(EventKind::RunCreated, project, subject, 5, &subject)
}

fn events(names: &[&str]) -> Vec<NewEvent> {
    names.iter().map(|name| event("mill/a", name)).collect()
}

async fn rows_come_back_in_order(outbox: &dyn EventOutbox) {
    assert_eq!((outbox.read(0, 10).await.expect("reads"), outbox.newest().await.expect("reads")), (vec![], None));
    outbox.put(vec![]).await.expect("puts nothing");
    assert_eq!(outbox.newest().await.expect("reads"), None);
    for names in [&["a", "b"] as &[&str], &["c\n\"d\""], &["e", "f", "g"]] {
        outbox.put(events(names)).await.expect("puts");
    }
    outbox.put(vec![event("", "of none")]).await.expect("puts");
    let rows = outbox.read(0, u32::MAX).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((&rows[0].events, &rows[1].events), (&events(&["a", "b"]), &events(&["c\n\"d\""])));
    assert_eq!((&rows[2].events, &rows[3].events), (&events(&["e", "f", "g"]), &vec![event("", "of none")]));
    assert_eq!(outbox.newest().await.expect("reads"), Some(4));
    let ids = async |after, most| {
        let rows = outbox.read(after, most).await.expect("reads");
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(0, 1).await, [1], "one at least");
    assert_eq!(ids(0, 2).await, [1]);
    assert_eq!(ids(0, 3).await, [1, 2]);
    assert_eq!(ids(2, 3).await, [3]);
    assert!(ids(4, 3).await.is_empty());
    assert_eq!(ids(1, 100).await, [2, 3, 4]);
}

async fn numbers_are_not_given_twice(outbox: &dyn EventOutbox) {
    for name in ["a", "b", "c"] {
        outbox.put(events(&[name])).await.expect("puts");
    }
    outbox.remove(2, &BTreeSet::new()).await.expect("removes");
    assert_eq!(left(outbox).await, 1);
    outbox.remove(3, &BTreeSet::new()).await.expect("removes");
    outbox.remove(3, &BTreeSet::new()).await.expect("removes nothing");
    assert_eq!(left(outbox).await, 0);
    outbox.put(events(&["d"])).await.expect("puts");
    assert_eq!((outbox.newest().await.expect("reads"), left(outbox).await), (Some(4), 1));
    let rows = outbox.read(3, 10).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [4]);
}

async fn what_is_kept_stays(outbox: &dyn EventOutbox) {
    for name in ["a", "b", "c", "d"] {
        outbox.put(events(&[name])).await.expect("puts");
    }
    let left = async || {
        let rows = outbox.read(0, u32::MAX).await.expect("reads");
        rows.into_iter().filter(|row| !row.events.is_empty()).map(|row| row.id).collect::<Vec<_>>()
    };
    outbox.remove(4, &BTreeSet::from([2, 4])).await.expect("removes");
    assert_eq!(left().await, [2, 4], "the last one, too");
    outbox.put(events(&["e"])).await.expect("puts");
    outbox.remove(5, &BTreeSet::from([4])).await.expect("removes");
    assert_eq!((left().await, outbox.newest().await.expect("reads")), (vec![4], Some(5)));
    outbox.remove(5, &BTreeSet::new()).await.expect("removes");
    assert!(left().await.is_empty());
    outbox.put(events(&["f"])).await.expect("puts");
    assert_eq!(left().await, [6]);
}

async fn what_was_told_is_not_too_much(outbox: &dyn EventOutbox) {
    for name in ["a", "b", "c", "d"] {
        outbox.put(events(&[name])).await.expect("puts");
    }
    assert_eq!(outbox.shorten(2, 2, 9).await.expect("looks"), None);
    assert_eq!(outbox.shorten(2, 1, 9).await.expect("shortens"), Some(2));
    let rows = outbox.read(0, 100).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!((&rows[1].events, &rows[2].events), (&events(&["b"]), &vec![lost("", 2, 9)]));
}

async fn left(outbox: &dyn EventOutbox) -> usize {
    outbox.read(0, u32::MAX).await.expect("reads").iter().map(|row| row.events.len()).sum()
}

async fn what_is_too_much_is_counted(outbox: &dyn EventOutbox) {
    assert_eq!(outbox.shorten(0, 0, 9).await.expect("looks"), None);
    for names in [&["a", "b"] as &[&str], &["c"], &["d", "e", "f"], &["g"]] {
        outbox.put(events(names)).await.expect("puts");
    }
    assert_eq!(outbox.shorten(0, 7, 9).await.expect("looks"), None);
    // Two rows go, so that there is room for the event that stands in the place of the second.
    assert_eq!(outbox.shorten(0, 5, 9).await.expect("shortens"), Some(3));
    let rows = outbox.read(0, 100).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(rows[0].events, [lost("", 3, 9)]);
    assert_eq!(outbox.shorten(0, 5, 9).await.expect("looks"), None);
    // What was lost before is counted, too.
    assert_eq!(outbox.shorten(0, 4, 10).await.expect("shortens"), Some(6));
    let rows = outbox.read(0, 100).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [3, 4]);
    assert_eq!((&rows[0].events, &rows[1].events), (&vec![lost("", 6, 10)], &events(&["g"])));
}

async fn a_commit_wakes(outbox: &dyn EventOutbox) {
    let news = outbox.news();
    outbox.put(events(&["a"])).await.expect("puts");
    // The hint is kept for who looks later.
    news.notified().await;
}
