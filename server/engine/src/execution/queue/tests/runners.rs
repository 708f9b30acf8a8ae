//! Leases: epochs, ends, losses, what is given back.

use super::*;
use crate::execution::state::Stage;

#[test]
fn the_same_request_gets_the_same_execution() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    submit(&mut queue, 2, "os=linux");
    let ask = claim("linux", "os=linux", "r1");
    let first = queue.claim(&ask, 0).expect("one");
    let again = queue.claim(&ask, 50).expect("the same");
    assert_eq!((again.id, first.repeated, again.repeated), (first.id, false, true));
    assert_eq!(queue.peek(&ask), Some((i32::MIN, i64::MIN)));
    let draining = ActionClaim { draining: true, ..ask.clone() };
    assert_eq!(queue.claim(&draining, 0).map(|held| held.id), Some(first.id));
    let other = ActionClaim { draining: true, ..claim("linux", "os=linux", "r2") };
    assert_eq!(queue.claim(&other, 0), None, "who drains gets nothing new");
}

#[test]
fn only_the_holder_of_the_lease_is_heard() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    let denied = |queue: &mut Queue, word: &Word<'_>| {
        assert!(matches!(queue.heard(id(1), word, 0), Err(Error::Denied(_))), "{word:?}");
        assert!(matches!(queue.finish(id(1), word, done(), 0), Err(Error::Denied(_))), "{word:?}");
    };
    denied(&mut queue, &Word::default());
    give(&mut queue, "linux", 0);
    denied(&mut queue, &word("windows-uuid", 1));
    denied(&mut queue, &word("linux-uuid", 2));
    let answer = queue.heard(id(1), &word("linux-uuid", 1), 0).expect("is heard");
    assert!(!answer.cancelled);
    queue.finish(id(1), &word("linux-uuid", 1), done(), 0).expect("finishes");
    assert_eq!(endings(&mut queue).len(), 1);
    denied(&mut queue, &word("linux-uuid", 1));
}

#[test]
fn stages_only_go_on() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    give(&mut queue, "linux", 5);
    let mut say = |stage, now| {
        let word = Word { stage: Some(stage), ..word("linux-uuid", 1) };
        queue.heard(id(1), &word, now).expect("is heard");
        let entry = queue.get(id(1)).expect("runs");
        (entry.stage, entry.standing.started_ms)
    };
    assert_eq!(say(Stage::InputFetch, 6), (Stage::InputFetch, None));
    assert_eq!(say(Stage::Executing, 7), (Stage::Executing, Some(7)));
    assert_eq!(say(Stage::OutputUpload, 8), (Stage::OutputUpload, Some(7)));
    assert_eq!(say(Stage::Executing, 9), (Stage::OutputUpload, Some(7)), "words may overtake each other");
    assert_eq!(say(Stage::Done, 9).0, Stage::OutputUpload, "without a response it is not done");
}

#[test]
fn a_lost_runners_execution_goes_first_to_another_and_its_word_counts_no_more() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    submit(&mut queue, 2, "os=linux");
    give(&mut queue, "linux", 0);
    queue.heard(id(1), &word("linux-uuid", 1), 60).expect("keeps the lease");
    queue.tick(LEASE_MS, 10);
    assert_eq!(queue.get(id(1)).expect("is held").stage, Stage::InputFetch);
    queue.tick(60 + LEASE_MS, 10);
    assert_eq!(queue.get(id(1)).expect("waits").stage, Stage::Queued);
    assert_eq!(give(&mut queue, "linux", 200), Some(1), "it has waited already");
    assert!(matches!(queue.finish(id(1), &word("linux-uuid", 1), done(), 201), Err(Error::Denied(_))), "a stale epoch");
    queue.finish(id(1), &word("linux-uuid", 2), done(), 202).expect("finishes");
}

#[test]
fn what_too_many_runners_lose_fails_and_says_which() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    for lost in 0..3 {
        assert!(endings(&mut queue).is_empty(), "lost {lost} times");
        assert_eq!(give(&mut queue, "linux", lost * 1_000), Some(1));
        if lost == 1 {
            queue.runner_removed("linux-uuid", lost * 1_000 + 1);
        } else {
            queue.tick(lost * 1_000 + LEASE_MS, 10);
        }
    }
    let (_, code, message) = failure(&mut queue);
    assert_eq!(code, Code::ABORTED);
    assert!(message.contains("3 runners") && message.contains("linux, linux, linux"), "{message}");
    assert_eq!((queue.snapshot(0).queued, queue.snapshot(0).executing), (0, 0));
}

#[test]
fn what_is_given_back_goes_to_another_runner_if_there_is_one() {
    let mut queue = queue();
    queue.set_runners(vec![runner("one", "os=linux"), runner("two", "os=linux")], 0);
    submit(&mut queue, 1, "os=linux");
    submit(&mut queue, 2, "os=linux");
    let ask = |name: &str| claim(name, "os=linux", "");
    assert_eq!(queue.claim(&ask("one"), 0).map(|held| held.id), Some(id(1)));
    queue.take_news();
    queue.give_back(id(1), &word("one-uuid", 1), done(), 0).expect("gives back");
    let offers = queue.take_news().offers;
    assert_eq!(offers[0].avoid, ["one-uuid"]);
    assert_eq!(queue.claim(&ask("one"), 0).map(|held| held.id), Some(id(2)), "it looks past it");
    assert_eq!(queue.claim(&ask("one"), 0), None);
    // The other goes away: better the same again than none.
    queue.set_runners(vec![runner("one", "os=linux"), KnownRunner { online: false, ..runner("two", "os=linux") }], 0);
    assert_eq!(queue.claim(&ask("one"), 0).map(|held| held.id), Some(id(1)));
    assert_eq!(queue.get(id(1)).expect("is held").standing.lost, Vec::<String>::new());
}

#[test]
fn what_is_given_back_too_often_ends_with_the_last_word() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    let why = Ending::Failed(Code::UNAVAILABLE, "the disk is full".into());
    for epoch in 1..=u64::from(GIVE_BACK_MAX) + 1 {
        assert!(endings(&mut queue).is_empty());
        give(&mut queue, "linux", 0);
        queue.give_back(id(1), &word("linux-uuid", epoch), why.clone(), 0).expect("gives back");
    }
    assert_eq!(endings(&mut queue), [(1, why)]);
}

#[test]
fn after_a_restart_queued_stays_queued_and_held_stays_held() {
    let mut queue = queue();
    submit(&mut queue, 1, "os=linux");
    submit(&mut queue, 2, "os=linux");
    let ask = claim("linux", "os=linux", "r1");
    queue.claim(&ask, 0).expect("one");
    let mut next = Queue::new(&options());
    for number in [1, 2] {
        let entry = queue.get(id(number)).expect("is there");
        next.restore(entry.id, (*entry.spec).clone(), entry.standing.clone(), 50_000);
    }
    next.set_runners(vec![runner("linux", "os=linux")], 50_000);
    next.tick(50_000 + LEASE_MS - 1, 10);
    assert!(next.claim(&ask, 50_000).is_some_and(|held| held.repeated && held.id == id(1)));
    assert_eq!(next.mergeable(&asking(2, "").instance, &asking(2, "").action), Some(id(2)));
    next.finish(id(1), &word("linux-uuid", 1), done(), 50_001).expect("the word of before counts");
    assert_eq!(give(&mut next, "linux", 50_002), Some(2));
}
