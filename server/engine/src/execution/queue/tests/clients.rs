//! Clients: merging, leaving, giving up.

use super::*;

#[test]
fn the_most_important_of_those_who_ask_decides() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    submit(&mut queue, 2, "os=linux");
    let spec = asking(2, "os=linux");
    assert_eq!(queue.mergeable(&spec.instance, &spec.action), Some(id(2)));
    assert_eq!(queue.join(id(2), -3, 0).expect("joins"), 1);
    assert_eq!(queue.join(id(2), 9, 0).expect("joins"), 2);
    assert_eq!(queue.get(id(2)).expect("waits").standing.priority, -3);
    queue.cancel_operation(id(2), 1, "", 0);
    assert_eq!(queue.get(id(2)).expect("waits").standing.priority, 0, "of those who are left");
    queue.join(id(2), -1, 0).expect("joins");
    assert_eq!(give(&mut queue, "linux", 0), Some(2));
}

#[test]
fn do_not_cache_is_not_merged() {
    let mut queue = queue();
    let spec = Spec { do_not_cache: true, ..asking(1, "") };
    queue.submit(id(1), spec.clone(), 0, 0).expect("submits");
    assert_eq!(queue.mergeable(&spec.instance, &spec.action), None);
}

#[test]
fn the_last_one_who_gives_up_cancels_what_waits_at_once() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    queue.join(id(1), 0, 0).expect("joins");
    assert!(queue.cancel_operation(id(1), 0, "given up", 0));
    assert!(endings(&mut queue).is_empty());
    assert!(queue.cancel_operation(id(1), 0, "given up", 0), "again is the same");
    assert!(queue.cancel_operation(id(1), 1, "given up", 0));
    let (_, code, message) = failure(&mut queue);
    assert_eq!((code, message.as_str()), (Code::CANCELLED, "given up"));
    assert_eq!(give(&mut queue, "linux", 0), None);
    assert!(!queue.cancel_operation(id(1), 1, "given up", 0));
}

#[test]
fn a_cancelled_execution_that_runs_is_told_to_its_runner_and_joined_by_nobody() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    give(&mut queue, "linux", 0);
    queue.cancel(id(1), "stopped", 0);
    let spec = asking(1, "os=linux");
    assert_eq!(queue.mergeable(&spec.instance, &spec.action), None);
    assert!(queue.heard(id(1), &word("linux-uuid", 1), 10).expect("is heard").cancelled);
    // One who asks for the same now has an execution of its own; the old one's end does not touch it.
    submit(&mut queue, 2, "os=linux");
    queue.merging.insert((spec.instance.clone(), spec.action), id(2));
    queue.finish(id(1), &word("linux-uuid", 1), done(), 20).expect("finishes");
    assert_eq!(queue.mergeable(&spec.instance, &spec.action), Some(id(2)));
}

#[test]
fn a_cancelled_execution_whose_runner_is_lost_or_does_not_stop_ends_all_the_same() {
    let mut queue = queue();
    for number in [1, 2] {
        submit(&mut queue, number, "os=linux");
        give(&mut queue, "linux", 0);
        queue.cancel(id(number), "stopped", 0);
    }
    for now in (0..STOP_WAIT_MS).step_by(50) {
        queue.heard(id(2), &word("linux-uuid", 1), now).expect("is heard");
        queue.tick(now, 10);
    }
    let (number, code, message) = failure(&mut queue);
    assert_eq!((number, code), (1, Code::CANCELLED));
    assert!(message.contains("did not answer"), "{message}");
    queue.tick(STOP_WAIT_MS, 10);
    let (number, code, message) = failure(&mut queue);
    assert_eq!((number, code), (2, Code::CANCELLED));
    assert!(message.contains("did not stop"), "{message}");
}

#[test]
fn a_client_that_stays_away_too_long_is_a_client_that_gave_up() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    queue.unwatch(id(1), 0, 10);
    queue.tick(10 + GRACE_MS - 1, 10);
    queue.watch(id(1), 0);
    queue.tick(10 * GRACE_MS, 10);
    assert!(endings(&mut queue).is_empty(), "it came back in time");
    queue.unwatch(id(1), 0, 10 * GRACE_MS);
    queue.join(id(1), 0, 10 * GRACE_MS).expect("joins");
    queue.tick(11 * GRACE_MS, 10);
    let entry = queue.get(id(1)).expect("another one waits for it");
    assert!(entry.standing.operations[0].cancelled && !entry.standing.operations[1].cancelled);
    queue.unwatch(id(1), 1, 12 * GRACE_MS);
    queue.tick(13 * GRACE_MS, 10);
    assert_eq!(failure(&mut queue).1, Code::CANCELLED);
}

#[test]
fn an_operation_that_is_forgotten_goes_on() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    assert!(queue.forget_operation(id(1), 0));
    assert!(!queue.forget_operation(id(1), 1));
    assert_eq!(give(&mut queue, "linux", 0), Some(1));
    let entry = queue.get(id(1)).expect("runs");
    assert!(queue.state(entry).operations.is_empty());
}
