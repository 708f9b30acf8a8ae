//! What every [`ExecutionStore`] must do.

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::{Properties, Property};
use uuid::Uuid;

use crate::execution::Spec;
use crate::execution::store::{
    ActiveRecord, Change, ExecutionStore, FinishedQuery, FinishedRecord, LeaseRecord, OperationRecord, Standing,
};

/// Runs the suite; `open` makes an empty store.
pub async fn run<F: Future<Output = Arc<dyn ExecutionStore>>>(open: impl Fn() -> F) {
    what_was_committed_is_loaded(&*open().await).await;
    every_field_comes_back(&*open().await).await;
    what_ended_is_history(&*open().await).await;
    history_is_listed_newest_first(&*open().await).await;
    what_is_old_is_forgotten(&*open().await).await;
    bundles_of_any_size_are_taken(&*open().await).await;
}

/// A spec of no particular action.
pub fn spec(text: &str) -> Spec {
    let digest = |text: &str| Digest::of(DigestFunction::Sha256, text.as_bytes());
    Spec {
        instance: InstanceName::default(),
        action: digest(text),
        command: digest("command"),
        properties: Properties::default(),
        timeout_ms: 1_000,
        do_not_cache: false,
        invocation_id: String::new(),
        target: String::new(),
        mnemonic: String::new(),
        command_line: String::new(),
        queued_ms: 5,
    }
}

/// A record of a queued execution.
pub fn queued(number: u128) -> ActiveRecord {
    let standing = Standing { operations: vec![OperationRecord::default()], ..Default::default() };
    ActiveRecord { id: Uuid::from_u128(number), spec: spec(&number.to_string()), standing }
}

/// A record of a finished one.
pub fn finished(number: u128, finished_ms: i64) -> FinishedRecord {
    let ActiveRecord { id, spec, standing } = queued(number);
    FinishedRecord { id, spec, standing, finished_ms, status_code: 0, response: Bytes::from_static(b"\0response") }
}

async fn what_was_committed_is_loaded(store: &dyn ExecutionStore) {
    assert_eq!(store.load().await.expect("loads"), []);
    store.commit(vec![]).await.expect("commits nothing");
    let (first, second) = (queued(1), queued(2));
    let inserts = [&second, &first].map(|record| Change::Insert(Box::new(record.clone())));
    store.commit(inserts.into()).await.expect("commits");
    assert_eq!(store.load().await.expect("loads"), [first.clone(), second.clone()], "in the order of their ids");
    let held = Standing { epoch: 1, lease: Some(LeaseRecord::default()), ..first.standing.clone() };
    store.commit(vec![Change::Update(first.id, Box::new(held.clone()))]).await.expect("commits");
    // Not seen to have been committed, it comes again.
    store.commit(vec![Change::Insert(Box::new(second.clone()))]).await.expect("commits again");
    assert_eq!(store.load().await.expect("loads"), [ActiveRecord { standing: held, ..first }, second]);
}

async fn every_field_comes_back(store: &dyn ExecutionStore) {
    let record = ActiveRecord {
        id: Uuid::from_u128(u128::MAX - 7),
        spec: Spec {
            instance: InstanceName::parse("a/b").expect("a name"),
            action: Digest::of(DigestFunction::Blake3, b"action"),
            command: Digest::of(DigestFunction::Blake3, b"command"),
            properties: Properties::new([Property { name: "a \"quoted\"".into(), value: "ü\n".into() }]),
            timeout_ms: u64::MAX >> 1,
            do_not_cache: true,
            invocation_id: "invocation".into(),
            target: "//target".into(),
            mnemonic: "Mnemonic".into(),
            command_line: "cc -c 'x'".into(),
            queued_ms: 1 << 50,
        },
        standing: Standing {
            operations: vec![
                OperationRecord { number: 0, priority: -7, cancelled: true, deleted: false },
                OperationRecord { number: 1, priority: i32::MAX, cancelled: false, deleted: true },
            ],
            priority: i32::MIN,
            priority_given: true,
            moved_to: Some("there".into()),
            epoch: 1 << 40,
            lease: Some(LeaseRecord {
                runner_uuid: "uuid".into(),
                runner_name: "name".into(),
                request_id: "request".into(),
            }),
            last_runner: Some(("a".into(), "b".into())),
            lost: vec!["x".into(), "y".into()],
            given_back: 3,
            claimed_ms: Some(1),
            started_ms: Some(2),
            cancelled: Some("why".into()),
            input_fetched_bytes: 1 << 45,
            input_cached_bytes: 1 << 46,
        },
    };
    store.commit(vec![Change::Insert(Box::new(record.clone()))]).await.expect("commits");
    assert_eq!(store.load().await.expect("loads"), std::slice::from_ref(&record));
    let ended = FinishedRecord {
        id: record.id,
        spec: record.spec,
        standing: record.standing,
        finished_ms: 9,
        status_code: 14,
        response: Bytes::from(vec![0, 255, 1]),
    };
    store.commit(vec![Change::Finish(Box::new(ended.clone()))]).await.expect("commits");
    assert_eq!(store.finished(ended.id).await.expect("reads"), Some(ended));
}

async fn what_ended_is_history(store: &dyn ExecutionStore) {
    let inserts = (1..4).map(|number| Change::Insert(Box::new(queued(number))));
    store.commit(inserts.collect()).await.expect("commits");
    // One that was never inserted ends as well.
    let ends = [2, 9].map(|number| Change::Finish(Box::new(finished(number, 7))));
    store.commit(ends.into()).await.expect("commits");
    let left: Vec<u128> = store.load().await.expect("loads").iter().map(|record| record.id.as_u128()).collect();
    assert_eq!(left, [1, 3]);
    assert_eq!(store.finished(Uuid::from_u128(9)).await.expect("reads"), Some(finished(9, 7)));
    assert_eq!(store.finished(Uuid::from_u128(1)).await.expect("reads"), None);
    store.commit(vec![Change::Finish(Box::new(finished(9, 7)))]).await.expect("commits again");
    assert!(store.forget(Uuid::from_u128(9)).await.expect("forgets"));
    assert!(!store.forget(Uuid::from_u128(9)).await.expect("forgets no more"));
    assert_eq!(store.finished(Uuid::from_u128(9)).await.expect("reads"), None);
}

async fn numbers(store: &dyn ExecutionStore, query: FinishedQuery) -> Vec<u128> {
    store.list(query).await.expect("lists").iter().map(|record| record.id.as_u128()).collect()
}

async fn history_is_listed_newest_first(store: &dyn ExecutionStore) {
    let mut records: Vec<FinishedRecord> = (1..=6).map(|number| finished(number, 100 - number as i64)).collect();
    records[1].spec.instance = InstanceName::parse("a").expect("a name");
    records[3].spec.instance = InstanceName::parse("a").expect("a name");
    records[3].spec.invocation_id = "i".into();
    records[4].spec.invocation_id = "i".into();
    store.commit(records.into_iter().map(|record| Change::Finish(Box::new(record))).collect()).await.expect("commits");
    let all = FinishedQuery { limit: 10, ..Default::default() };
    assert_eq!(numbers(store, all.clone()).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(numbers(store, FinishedQuery { limit: 2, ..all.clone() }).await, [6, 5]);
    let before = Some(Uuid::from_u128(3));
    assert_eq!(numbers(store, FinishedQuery { before, ..all.clone() }).await, [2, 1]);
    assert_eq!(numbers(store, FinishedQuery { instance: Some("a".into()), ..all.clone() }).await, [4, 2]);
    assert_eq!(numbers(store, FinishedQuery { instance: Some(String::new()), ..all.clone() }).await, [6, 5, 3, 1]);
    assert_eq!(numbers(store, FinishedQuery { invocation_id: "i".into(), ..all.clone() }).await, [5, 4]);
    let action_hash = spec("3").action.hex();
    assert_eq!(numbers(store, FinishedQuery { action_hash, ..all }).await, [3]);
}

async fn what_is_old_is_forgotten(store: &dyn ExecutionStore) {
    let ends = (1..=8).map(|number| Change::Finish(Box::new(finished(number, number as i64 * 10))));
    store.commit(ends.collect()).await.expect("commits");
    let all = FinishedQuery { limit: 10, ..Default::default() };
    assert_eq!(store.prune(30, 100, 10).await.expect("prunes"), 2);
    assert_eq!(numbers(store, all.clone()).await, [8, 7, 6, 5, 4, 3]);
    assert_eq!(store.prune(0, 4, 1).await.expect("prunes"), 1, "no more than was asked for");
    assert_eq!(store.prune(0, 4, 10).await.expect("prunes"), 1);
    assert_eq!(numbers(store, all.clone()).await, [8, 7, 6, 5]);
    assert_eq!(store.prune(0, 4, 10).await.expect("prunes"), 0);
    assert_eq!(store.prune(i64::MAX, 0, 10).await.expect("prunes"), 4);
    assert_eq!(numbers(store, all).await, Vec::<u128>::new());
}

async fn bundles_of_any_size_are_taken(store: &dyn ExecutionStore) {
    const COUNT: u128 = 333;
    let inserts = (0..COUNT).map(|number| Change::Insert(Box::new(queued(number))));
    store.commit(inserts.collect()).await.expect("commits");
    let mixed = (0..COUNT).filter(|number| number % 3 != 0).map(|number| {
        if number % 3 == 1 {
            let standing = Standing { epoch: number as u64, ..queued(number).standing };
            Change::Update(Uuid::from_u128(number), Box::new(standing))
        } else {
            Change::Finish(Box::new(finished(number, 1)))
        }
    });
    store.commit(mixed.collect()).await.expect("commits");
    let left = store.load().await.expect("loads");
    assert_eq!(left.len() as u128, COUNT - COUNT / 3);
    for record in left {
        let number = record.id.as_u128();
        let epoch = if number % 3 == 1 { number as u64 } else { 0 };
        assert_eq!(record.standing.epoch, epoch, "execution {number}");
    }
    let limit = COUNT as u32;
    assert_eq!(numbers(store, FinishedQuery { limit, ..Default::default() }).await.len() as u128, COUNT / 3);
}
