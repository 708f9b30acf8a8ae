//! Who gets what: platforms, priorities, fairness, moves.

use super::*;
use crate::execution::options::UnknownProperties;

#[test]
fn a_runner_gets_what_it_satisfies_the_important_first_then_the_oldest() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=windows");
    submit(&mut queue, 2, "os=linux network=on");
    submit(&mut queue, 3, "os=linux");
    queue.submit(id(4), asking(4, "os=linux"), -5, 0).expect("submits");
    let got: Vec<Option<u128>> = (0..4).map(|_| give(&mut queue, "linux", 0)).collect();
    assert_eq!(got, [Some(4), Some(2), Some(3), None]);
    assert_eq!(give(&mut queue, "windows", 0), Some(1));
    assert_eq!(queue.snapshot(0).executing, 4);
}

#[test]
fn a_runner_helps_where_it_can_when_its_own_platform_has_nothing() {
    let platform = |name: &str, offers: &str| ConfiguredPlatform { name: name.into(), properties: set(offers) };
    let platforms = vec![platform("small", "os=linux max-cores=2"), platform("large", "os=linux max-cores=64")];
    let mut queue = Queue::new(&ExecutionOptions { platforms, ..options() });
    let large = "os=linux max-cores=64";
    queue.set_runners(vec![runner("large", large)], 0);
    submit(&mut queue, 1, "os=linux cores=1");
    submit(&mut queue, 2, "os=linux cores=8");
    let snapshot = queue.snapshot(0);
    let depths: Vec<(&str, u64)> = snapshot.platforms.iter().map(|one| (one.name.as_str(), one.queued)).collect();
    assert_eq!(depths, [("small", 1), ("large", 1)], "each in the first that satisfies it");
    assert_eq!(snapshot.platforms[1].runners.len(), 1, "at home where all that is promised is offered");
    let take = |queue: &mut Queue| queue.claim(&claim("large", large, ""), 0).map(|held| held.id.as_u128());
    assert_eq!(take(&mut queue), Some(2), "its own first");
    assert_eq!(take(&mut queue), Some(1));
}

#[test]
fn what_nobody_can_run_fails_soon_and_shows_requested_against_offered() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=darwin gpu=yes");
    assert_eq!(queue.snapshot(0).unmatched[0].mismatches.len(), 2);
    queue.tick(UNMATCHED_MS - 1, 10);
    assert!(endings(&mut queue).is_empty());
    queue.tick(UNMATCHED_MS, 10);
    let (_, code, message) = failure(&mut queue);
    assert_eq!(code, Code::FAILED_PRECONDITION);
    for part in ["gpu=yes, os=darwin", "os=darwin is asked for, linux is offered", "no gpu is offered", "os=windows"] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn a_runner_that_comes_in_time_gets_what_nobody_could_run() {
    let mut queue = Queue::new(&options());
    submit(&mut queue, 1, "os=linux");
    queue.set_runners(vec![KnownRunner { online: false, ..runner("linux", "os=linux") }], 5);
    queue.tick(10 * UNMATCHED_MS, 10);
    assert!(endings(&mut queue).is_empty(), "a runner that is not online is known");
    let entry = queue.get(id(1)).expect("waits");
    assert!(queue.state(entry).message.contains("online"));
    // Its runner is gone for good: the wait begins anew.
    queue.set_runners(vec![], 200);
    queue.tick(200 + UNMATCHED_MS - 1, 10);
    assert!(endings(&mut queue).is_empty());
    queue.tick(200 + UNMATCHED_MS, 10);
    assert!(failure(&mut queue).2.contains("no runner for actions is registered"));
}

#[test]
fn unknown_properties_may_be_ignored() {
    let mut queue = Queue::new(&ExecutionOptions { unknown_properties: UnknownProperties::Ignore, ..options() });
    queue.set_runners(vec![runner("linux", "os=linux")], 0);
    submit(&mut queue, 1, "os=linux container-image=docker://x");
    submit(&mut queue, 2, "os=windows");
    assert_eq!(give(&mut queue, "linux", 0), Some(1));
    assert_eq!(give(&mut queue, "linux", 0), None, "a name that is known is matched");
}

#[test]
fn a_huge_invocation_does_not_starve_a_small_one_that_asks_for_something_else() {
    let mut queue = queue();
    let of =
        |number: u128, asks: &str, invocation: &str| Spec { invocation_id: invocation.into(), ..asking(number, asks) };
    for number in 0..1_000 {
        queue.submit(id(number), of(number, "os=linux", "huge"), 0, 0).expect("submits");
    }
    for _ in 0..10 {
        give(&mut queue, "linux", 0).expect("there is plenty");
    }
    queue.submit(id(5_000), of(5_000, "", "small"), 0, 0).expect("submits");
    let next: Vec<u128> = (0..2).filter_map(|_| give(&mut queue, "linux", 0)).collect();
    assert!(next.contains(&5_000), "{next:?}");
}

#[test]
fn a_moved_execution_is_run_by_the_platform_it_was_moved_to() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=darwin");
    assert!(matches!(queue.move_to(id(1), "os=plan9", 0), Err(Error::NotFound(_))));
    queue.move_to(id(1), "os=windows", 0).expect("moves");
    queue.tick(10 * UNMATCHED_MS, 10);
    assert_eq!(give(&mut queue, "linux", 0), None);
    assert_eq!(give(&mut queue, "windows", 0), Some(1));
    assert!(matches!(queue.move_to(id(1), "os=linux", 0), Err(Error::Precondition(_))), "it does not wait any more");
}

#[test]
fn an_administrators_priority_stays() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    submit(&mut queue, 2, "os=linux");
    queue.reprioritize(id(2), -9, 0).expect("reprioritizes");
    queue.join(id(2), 3, 0).expect("joins");
    queue.join(id(1), 7, 0).expect("joins");
    assert_eq!(queue.get(id(2)).expect("waits").standing.priority, -9);
    assert_eq!(give(&mut queue, "linux", 0), Some(2));
}

#[test]
fn so_many_executions_and_no_more() {
    let mut queue = Queue::new(&ExecutionOptions { executions_max: 2, ..options() });
    submit(&mut queue, 1, "");
    submit(&mut queue, 2, "");
    assert!(matches!(queue.submit(id(3), asking(3, ""), 0, 0), Err(Error::Exhausted(_))));
}

#[test]
fn what_a_transition_costs_does_not_depend_on_how_many_wait() {
    fn rounds(waiting: u128) -> std::time::Duration {
        let mut queue = queue();
        for number in 0..waiting {
            submit(&mut queue, number, "os=linux");
        }
        queue.take_news();
        let begun = std::time::Instant::now();
        for number in waiting..waiting + 5_000 {
            submit(&mut queue, number, "os=linux");
            let got = give(&mut queue, "linux", 0).expect("there is plenty");
            queue.finish(id(got), &Word::default(), done(), 0).expect("finishes");
            queue.tick(1, 10);
        }
        begun.elapsed()
    }
    rounds(100);
    let (few, many) = (rounds(100), rounds(100_000));
    // Trees get deeper and memory is further away; a walk over the queue would be a thousand times as slow.
    assert!(many < few * 12, "{few:?} with 100 waiting, {many:?} with 100 000");
}
