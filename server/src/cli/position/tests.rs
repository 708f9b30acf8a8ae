//! Of the position alone; and what other tests say with.

use super::*;

pub fn data(offset: u64, first_line: u64, text: &str) -> FollowData {
    let lines = text.matches('\n').count();
    FollowData {
        offset,
        first_line,
        data: text.as_bytes().to_vec().into(),
        line_meta: (0..lines).flat_map(|at| ((first_line + at as u64) << 16).to_le_bytes()).collect::<Vec<_>>().into(),
        ..Default::default()
    }
}

pub fn texts(tails: Vec<Tail>) -> Vec<String> {
    tails
        .into_iter()
        .map(|tail| match tail {
            Tail::Lines(data) => String::from_utf8_lossy(&data.data).into_owned(),
            Tail::Gap { bytes, .. } => format!("gap {bytes}"),
            Tail::Found(hits) => hits.iter().fold("found".to_owned(), |text, hit| format!("{text} {}", hit.line)),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn resumes_at_the_byte_it_came_to() {
    let mut position = Position::at(Start::Offset(0));
    assert_eq!(texts(position.data(data(0, 0, "one\ntwo\n"))), ["one\ntwo\n"]);
    assert_eq!(position.request(), Start::Offset(8));
}

#[test]
fn the_last_lines_are_asked_for_until_some_came() {
    let mut position = Position::at(Start::LastLines(2));
    assert_eq!(position.request(), Start::LastLines(2));
    position.data(data(100, 9, "x\n"));
    assert_eq!(position.request(), Start::Offset(102));
}

#[test]
fn only_what_is_new_begins_at_the_end_even_when_nothing_comes() {
    let mut position = Position::at(Start::LastLines(0));
    position.hello(Log { size_bytes: 50, ..Default::default() }, 50);
    assert_eq!(position.request(), Start::Offset(50));
    assert!(position.is_at_goal());
    position.hello(Log { size_bytes: 80, ..Default::default() }, 50);
    assert_eq!(position.request(), Start::Offset(50), "what came while away is not skipped");
}

#[test]
fn what_came_before_is_not_shown_twice() {
    let mut position = Position::at(Start::Offset(0));
    position.data(data(0, 0, "one\ntwo\n"));
    let tails = position.data(data(4, 1, "two\nthree\n"));
    let Some(Tail::Lines(new)) = tails.first() else { panic!("{tails:?}") };
    assert_eq!((&new.data[..], new.first_line, new.offset), (&b"three\n"[..], 2, 8));
    assert_eq!(new.line_meta[..], (2_u64 << 16).to_le_bytes());
    assert!(position.data(data(8, 2, "three\n")).is_empty());
}

#[test]
fn a_hole_is_told_whoever_notices_it() {
    let mut position = Position::at(Start::Offset(0));
    assert_eq!(texts(position.gap(10, "retention".to_owned())), ["gap 10"]);
    assert_eq!(texts(position.data(data(10, 2, "a\n"))), ["a\n"]);
    assert_eq!(texts(position.data(data(20, 5, "b\n"))), ["gap 8", "b\n"]);
}

#[test]
fn a_beginning_that_is_gone_is_told() {
    let mut position = Position::at(Start::Offset(0));
    assert_eq!(texts(position.hello(Log::default(), 30))[1..], ["gap 30"]);
    assert_eq!(texts(position.data(data(30, 3, "a\n"))), ["a\n"]);
}

#[test]
fn pieces_wait_until_their_line_is_whole() {
    let pieces = |offset, first_line, text: &str, joined: &[bool]| {
        let words = joined.iter().flat_map(|joined| (u64::from(*joined) << 3).to_le_bytes()).collect::<Vec<_>>();
        FollowData { line_meta: words.into(), ..data(offset, first_line, text) }
    };
    let mut position = Position::at(Start::Offset(0));
    assert_eq!(texts(position.data(pieces(0, 0, "a\nb\n", &[false, true]))), ["a\n"]);
    assert!(position.data(pieces(4, 2, "c\n", &[true])).is_empty());
    assert_eq!(position.request(), Start::Offset(6), "what waits is not asked for again");
    let tails = position.data(pieces(6, 3, "d\ne\n", &[false, true]));
    let Some(Tail::Lines(whole)) = tails.first() else { panic!("{tails:?}") };
    assert_eq!((&whole.data[..], whole.first_line, whole.offset, whole.line_meta.len()), (&b"b\nc\nd\n"[..], 1, 2, 24));
    assert_eq!(texts(position.rest().into_iter().collect()), ["e\n"], "what stays as it is");
    let long = "x".repeat(UNENDED_MAX_BYTES);
    assert_eq!(texts(position.data(pieces(10, 5, &format!("{long}\n"), &[true])))[0].len(), UNENDED_MAX_BYTES + 1);
}
