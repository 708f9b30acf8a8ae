//! The queue by itself.

mod clients;
mod matching;
mod runners;

use super::*;
use crate::execution::options::ConfiguredPlatform;
use crate::execution::runner::{ActionClaim, KnownRunner};
use crate::testing::execution_store::spec;
use millrace_proto::platform_properties::Property;

const GRACE_MS: i64 = 1_000;
const LEASE_MS: i64 = 100;
const UNMATCHED_MS: i64 = 10;

fn options() -> ExecutionOptions {
    ExecutionOptions {
        client_grace_ms: GRACE_MS,
        lease_ms: LEASE_MS,
        unmatched_wait_ms: UNMATCHED_MS,
        lost_max: 2,
        ..Default::default()
    }
}

fn set(text: &str) -> Properties {
    Properties::new(text.split_whitespace().map(|one| Property::parse(one).expect("a property")))
}

fn runner(name: &str, offers: &str) -> KnownRunner {
    KnownRunner {
        uuid: format!("{name}-uuid"),
        name: name.into(),
        properties: set(offers),
        online: true,
        draining: false,
        slots: 1,
    }
}

fn claim(name: &str, offers: &str, request: &str) -> ActionClaim {
    ActionClaim {
        runner_uuid: format!("{name}-uuid"),
        runner_name: name.into(),
        properties: set(offers),
        request_id: request.into(),
        ..Default::default()
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An execution that asks for these.
fn asking(number: u128, asks: &str) -> Spec {
    Spec { properties: set(asks), queued_ms: number as i64, ..spec(&number.to_string()) }
}

/// A queue with these runners, named "linux" and "windows" after their only property.
fn queue() -> Queue {
    let mut queue = Queue::new(&options());
    queue.set_runners(vec![runner("linux", "os=linux"), runner("windows", "os=windows")], 0);
    queue
}

fn submit(queue: &mut Queue, number: u128, asks: &str) {
    queue.submit(id(number), asking(number, asks), 0, 0).expect("submits");
}

fn give(queue: &mut Queue, name: &str, now_ms: i64) -> Option<u128> {
    queue.claim(&claim(name, &format!("os={name}"), ""), now_ms).map(|held| held.id.as_u128())
}

fn word(runner: &'static str, epoch: u64) -> Word<'static> {
    Word { runner_uuid: Some(runner), epoch: Some(epoch), ..Default::default() }
}

fn done() -> Ending {
    Ending::Reported(Arc::default())
}

/// How the executions ended since this was last asked.
fn endings(queue: &mut Queue) -> Vec<(u128, Ending)> {
    let ended = queue.take_news().ended;
    ended.into_iter().map(|ended| (ended.entry.id.as_u128(), ended.ending)).collect()
}

fn failure(queue: &mut Queue) -> (u128, Code, String) {
    let mut ended = endings(queue);
    assert_eq!(ended.len(), 1, "{ended:?}");
    match ended.remove(0) {
        (id, Ending::Failed(code, message)) => (id, code, message),
        (id, ending) => panic!("{id} did not fail: {ending:?}"),
    }
}
