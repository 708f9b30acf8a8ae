//! What every [`InvocationStore`] must do.

use std::sync::Arc;

use millrace_proto::instance_name::InstanceName;

use crate::error::Error;
use crate::invocations::{
    EventPosition, InvocationChange, InvocationFilter, InvocationPosition, InvocationRow, InvocationStore, StoredEvent,
    StoredStream, StreamKey, TargetFilter, TargetPosition, TargetRow,
};

/// Runs the suite; `open` makes an empty store.
pub async fn run<F: Future<Output = Arc<dyn InvocationStore>>>(open: impl Fn() -> F) {
    a_change_is_kept_as_a_whole(&*open().await).await;
    a_stream_has_no_holes(&*open().await).await;
    invocations_are_listed_and_found(&*open().await).await;
    targets_are_listed_in_order(&*open().await).await;
    events_are_read_in_order(&*open().await).await;
    the_silent_and_the_old_are_found_and_forgotten(&*open().await).await;
}

fn stream(build_id: &str, invocation_id: &str, component: i32) -> StreamKey {
    let instance = InstanceName::parse("a").expect("a name");
    StreamKey { instance, build_id: build_id.into(), invocation_id: invocation_id.into(), component }
}

fn row(id: &str, created_ms: i64) -> InvocationRow {
    InvocationRow {
        id: id.into(),
        instance: "a".into(),
        build_id: format!("build-{id}"),
        status: 1,
        complete: false,
        created_ms,
        updated_ms: created_ms + 5,
        timeout_ms: 10,
        user: "ada".into(),
        search: format!("{id} //pkg:all ada"),
        events_bytes: 3,
        summary: b"short".to_vec(),
        document: b"whole".to_vec(),
    }
}

fn change(stream: StreamKey, sequences: std::ops::RangeInclusive<i64>, row: Option<InvocationRow>) -> InvocationChange {
    let position = StoredStream { last_sequence: *sequences.end(), finished: false };
    let events =
        sequences.map(|sequence| StoredEvent { sequence, event: format!("{sequence}").into_bytes() }).collect();
    let now_ms = row.as_ref().map_or(0, |row| row.updated_ms);
    InvocationChange { stream, position, events, now_ms, row, targets: Vec::new(), told: Vec::new() }
}

async fn make(store: &dyn InvocationStore, row: InvocationRow) {
    store.commit(change(stream(&row.build_id, &row.id, 3), 1..=1, Some(row))).await.expect("is stored");
}

fn ids(rows: &[InvocationRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

async fn a_change_is_kept_as_a_whole(store: &dyn InvocationStore) {
    let of = stream("build-x", "x", 3);
    assert_eq!(store.invocation("x").await.expect("reads"), None);
    assert_eq!(store.stream(&of).await.expect("reads"), StoredStream::default());
    store.commit(change(of.clone(), 1..=2, Some(row("x", 7)))).await.expect("is stored");
    assert_eq!(store.invocation("x").await.expect("reads"), Some(row("x", 7)));
    let changed = InvocationRow {
        status: 2,
        complete: true,
        updated_ms: 99,
        timeout_ms: 11,
        user: "bob".into(),
        search: "bob".into(),
        events_bytes: 8,
        summary: b"s".to_vec(),
        document: b"d".to_vec(),
        ..row("x", 7)
    };
    let mut last = change(of.clone(), 3..=3, Some(changed.clone()));
    last.position.finished = true;
    store.commit(last).await.expect("is stored");
    assert_eq!(store.invocation("x").await.expect("reads"), Some(changed));
    assert_eq!(store.stream(&of).await.expect("reads"), StoredStream { last_sequence: 3, finished: true });
    assert_eq!(store.stream(&stream("build-x", "x", 1)).await.expect("reads"), StoredStream::default(), "its own");
    store.update(row("x", 7), Vec::new()).await.expect("is stored");
    assert_eq!(store.invocation("x").await.expect("reads"), Some(row("x", 7)));
    store.update(row("y", 7), Vec::new()).await.expect("does nothing");
    assert_eq!(store.invocation("y").await.expect("reads"), None);
}

async fn a_stream_has_no_holes(store: &dyn InvocationStore) {
    let of = stream("b", "x", 3);
    store.commit(change(of.clone(), 1..=2, None)).await.expect("is stored");
    for sequences in [1..=1, 2..=3, 4..=4] {
        let refused = store.commit(change(of.clone(), sequences, Some(row("x", 1)))).await;
        assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    }
    assert_eq!(store.invocation("x").await.expect("reads"), None, "nothing of what was refused");
    store.commit(change(of.clone(), 3..=1_200, None)).await.expect("many at once");
    assert_eq!(store.stream(&of).await.expect("reads").last_sequence, 1_200);
}

async fn invocations_are_listed_and_found(store: &dyn InvocationStore) {
    for (id, created_ms) in [("old", 1), ("b", 5), ("a", 5), ("new", 9)] {
        make(store, row(id, created_ms)).await;
    }
    make(store, InvocationRow { instance: "other".into(), status: 2, user: "bob".into(), ..row("theirs", 20) }).await;
    let list = async |filter: InvocationFilter| {
        let rows = store.list_invocations(InvocationFilter { limit: 10, ..filter }).await.expect("lists");
        ids(&rows).join(" ")
    };
    let all = InvocationFilter::default;
    assert_eq!(list(all()).await, "theirs new b a old");
    assert_eq!(list(InvocationFilter { instance: Some("a".into()), ..all() }).await, "new b a old");
    assert_eq!(list(InvocationFilter { statuses: vec![2, 3], ..all() }).await, "theirs");
    assert_eq!(list(InvocationFilter { user: "bob".into(), ..all() }).await, "theirs");
    assert_eq!(list(InvocationFilter { text: "new //pkg".into(), ..all() }).await, "new");
    let after = InvocationPosition { created_ms: 5, id: "b".into() };
    let page = InvocationFilter { after: Some(after), instance: Some("a".into()), limit: 1, ..all() };
    let page = store.list_invocations(page).await.expect("lists");
    assert_eq!((ids(&page), page[0].summary.as_slice(), page[0].document.len()), (vec!["a"], &b"short"[..], 0));
}

async fn targets_are_listed_in_order(store: &dyn InvocationStore) {
    let target = |label: &str, rank: i32, status: i32| TargetRow {
        label: label.into(),
        configuration: "c".into(),
        aspect: String::new(),
        rank,
        status,
        has_test: status == 5,
        document: label.as_bytes().to_vec(),
    };
    let mut first = change(stream("b", "x", 3), 1..=1, Some(row("x", 1)));
    first.targets = vec![target("//:z", 1, 1), target("//:B", 1, 5), target("//:a", 1, 1)];
    store.commit(first).await.expect("is stored");
    let mut second = change(stream("b", "x", 3), 2..=2, Some(row("x", 1)));
    second.targets = vec![target("//:z", 0, 3)];
    store.commit(second).await.expect("is stored");
    let list = async |filter: TargetFilter| {
        let page = store.targets("x", TargetFilter { limit: 2, ..filter }).await.expect("lists");
        let labels: Vec<_> = page.targets.iter().map(|row| row.label.clone()).collect();
        (labels.join(" "), page.total)
    };
    assert_eq!(list(TargetFilter::default()).await, ("//:z //:B".into(), 3), "a failure first");
    let after = TargetPosition { rank: 1, label: "//:B".into(), configuration: "c".into(), aspect: String::new() };
    assert_eq!(list(TargetFilter { after: Some(after), ..TargetFilter::default() }).await, ("//:a".into(), 3));
    assert_eq!(list(TargetFilter { tests_only: true, ..TargetFilter::default() }).await, ("//:B".into(), 1));
    assert_eq!(list(TargetFilter { statuses: vec![3], ..TargetFilter::default() }).await, ("//:z".into(), 1));
    assert_eq!(list(TargetFilter { text: ":b".into(), ..TargetFilter::default() }).await, ("//:B".into(), 1));
    assert_eq!(store.targets("y", TargetFilter { limit: 9, ..TargetFilter::default() }).await.expect("lists").total, 0);
}

async fn events_are_read_in_order(store: &dyn InvocationStore) {
    store.commit(change(stream("b", "x", 3), 1..=3, None)).await.expect("is stored");
    store.commit(change(stream("b", "x", 1), 1..=1, None)).await.expect("is stored");
    store.commit(change(stream("b", "", 1), 1..=1, None)).await.expect("is stored");
    store.commit(change(stream("b", "y", 3), 1..=1, None)).await.expect("is stored");
    store.commit(change(stream("c", "x", 3), 1..=1, None)).await.expect("is stored");
    let page = async |after: EventPosition, limit: u32, max_bytes: usize| {
        let page = store.events("a", "b", "x", after, limit, max_bytes).await.expect("reads");
        page.into_iter()
            .map(|(place, event)| (place.invocation_id, place.component, place.sequence, event.len()))
            .collect::<Vec<_>>()
    };
    let all = [
        (String::new(), 1, 1, 1),
        ("x".to_owned(), 1, 1, 1),
        ("x".to_owned(), 3, 1, 1),
        ("x".to_owned(), 3, 2, 1),
        ("x".to_owned(), 3, 3, 1),
    ];
    assert_eq!(page(EventPosition::default(), 10, 100).await, all);
    let after = EventPosition { invocation_id: "x".into(), component: 3, sequence: 1 };
    assert_eq!(page(after, 1, 100).await, all[3..4]);
    assert_eq!(page(EventPosition::default(), 10, 2).await, all[..2], "no more bytes");
    assert_eq!(page(EventPosition::default(), 10, 0).await, all[..1], "but one");
}

async fn the_silent_and_the_old_are_found_and_forgotten(store: &dyn InvocationStore) {
    make(store, row("old", 100)).await;
    make(store, InvocationRow { complete: true, ..row("done", 200) }).await;
    make(store, InvocationRow { build_id: "build-old".into(), ..row("again", 300) }).await;
    store.commit(change(stream("build-old", "", 1), 1..=1, None)).await.expect("is stored");
    assert_eq!(store.silent(114, 10).await.expect("looks"), Vec::<String>::new());
    assert_eq!(store.silent(115, 10).await.expect("looks"), ["old"]);
    assert_eq!(store.silent(9_999, 10).await.expect("looks"), ["old", "again"]);
    assert_eq!(store.outdated(106, 10, 10).await.expect("looks"), ["old"]);
    let mut too_many = store.outdated(0, 1, 10).await.expect("looks");
    too_many.sort();
    assert_eq!(too_many, ["done", "old"]);
    store.forget("old").await.expect("forgets");
    store.forget("old").await.expect("again");
    assert_eq!(store.invocation("old").await.expect("reads"), None);
    let left = async |id: &str| {
        let events = store.events("a", "build-old", id, EventPosition::default(), 10, 1_000).await.expect("reads");
        events.len()
    };
    assert_eq!((left("old").await, left("again").await), (1, 2), "the build has another attempt");
    store.forget_builds(1_000).await.expect("forgets");
    assert_eq!(left("again").await, 2, "not while it has one");
    store.forget("again").await.expect("forgets");
    assert_eq!(left("again").await, 0);
    store.commit(change(stream("alone", "", 1), 1..=1, None)).await.expect("is stored");
    store.forget_builds(0).await.expect("forgets");
    assert_eq!(store.stream(&stream("alone", "", 1)).await.expect("reads").last_sequence, 1);
    store.forget_builds(1).await.expect("forgets");
    assert_eq!(store.stream(&stream("alone", "", 1)).await.expect("reads").last_sequence, 0);
}
