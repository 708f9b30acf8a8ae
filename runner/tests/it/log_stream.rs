//! The log on its way: nothing lost, nothing twice, nothing secret, whatever the network does.

use std::fmt::Write;

use crate::fake_server::Heard;
use crate::fixture::{Fixture, sh, task};

#[tokio::test(flavor = "multi_thread")]
async fn masks_hold_over_chunks_lines_and_outputs() {
    let fixture = Fixture::start().await;
    let mut job = task([sh("printf 'to'; sleep 0.2; printf 'psec'; sleep 0.2; echo 'ret!'
        echo LINE-ONE and LINE-TWO; sleep 0.1; echo LINE-ONE >&2; sleep 0.1
        echo ::add-mask::added-later; echo now added-later
        echo secret=topsecret >> $GITHUB_OUTPUT; echo topsecret >> $GITHUB_STEP_SUMMARY; exit 0")]);
    job.masks = vec!["topsecret".to_owned(), "LINE-ONE\nLINE-TWO".to_owned()];
    job.actions[0].id = Some("s".to_owned());
    job.outputs.insert("leak".to_owned(), "${{ steps.s.outputs.secret }}".to_owned());
    job.outputs.insert("fine".to_owned(), "x".to_owned());
    let finished = fixture.run(&job).await;
    assert_eq!(finished.state, "success");
    let texts = fixture.server.texts(&job.tx_uuid, 0);
    assert_eq!(texts[0], "***!");
    assert!(texts[1..].contains(&"*** and ***".to_owned()) && texts.contains(&"now ***".to_owned()), "{texts:?}");
    assert_eq!(finished.outputs.keys().collect::<Vec<_>>(), ["fine"]);
    assert!(finished.message.contains("output `leak` was left out"), "{}", finished.message);
    let everything = {
        let heard = fixture.server.heard();
        format!("{:?}{:?}", heard.logs, heard.updates)
    };
    for secret in ["topsecret", "LINE-ONE", "LINE-TWO"] {
        assert!(!everything.contains(secret), "{secret} went out");
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_become_rows() {
    let fixture = Fixture::start().await;
    let job = task([sh("echo ::group::Build; echo in; echo ::endgroup::; echo ::debug::d; echo ::notice title=T::n
        echo ::stop-commands::tok; echo ::group::raw; echo ::tok::; echo ::warning file=f::w; echo ::other::x")]);
    assert_eq!(fixture.run(&job).await.state, "success");
    let rows = fixture.server.heard().logs[&(job.tx_uuid.clone(), 0)].rows.clone();
    let texts = rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>();
    let end = [
        "##[group]Build",
        "in",
        "##[endgroup]",
        "##[debug]d",
        "##[notice]T: n",
        "::stop-commands::tok",
        "::group::raw",
        "::tok::",
        "##[warning]w (f)",
        "::other::x",
    ];
    assert_eq!(texts[texts.len() - end.len()..], end);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_line_comes_at_once() {
    let fixture = Fixture::start().await;
    let job = task([sh("echo ready; while [ ! -e go ]; do sleep 0.02; done; echo done")]);
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, "ready").await;
    std::fs::write(fixture.work().join(&job.tx_uuid).join("go"), "").expect("writes");
    fixture.server.row(&job.tx_uuid, "done").await;
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_make_no_gap_and_no_duplicate() {
    let fixture = Fixture::start().await;
    fixture.server.set(|heard| {
        heard.lose_log_answers = 3;
        heard.refuse_log_calls = 2;
    });
    let job = task([sh("for i in $(seq 500); do echo line $i; done")]);
    assert_eq!(fixture.run(&job).await.state, "success");
    let expected = (1..=500).map(|i| format!("line {i}")).collect::<Vec<_>>();
    assert_eq!(fixture.server.texts(&job.tx_uuid, 0), expected);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_restarts_in_the_middle() {
    let mut fixture = Fixture::start().await;
    let job = task([sh("echo before; while [ ! -e go ]; do sleep 0.02; done; seq 2000; echo after")]);
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, "before").await;
    fixture.server.stop().await;
    std::fs::write(fixture.work().join(&job.tx_uuid).join("go"), "").expect("writes");
    fixture.server.start_again().await;
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    let mut expected = vec!["before".to_owned()];
    expected.extend((1..=2000).map(|i| i.to_string()));
    expected.push("after".to_owned());
    assert_eq!(fixture.server.texts(&job.tx_uuid, 0), expected);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_at_the_same_place_stop_the_task() {
    let fixture = Fixture::start().await;
    fixture.server.set(|heard| heard.other_bytes = true);
    let job = task([sh("echo x; sleep 600")]);
    let finished = fixture.run(&job).await;
    assert_eq!(finished.state, "failure");
    assert!(finished.message.contains("other bytes"), "{}", finished.message);
    fixture.finish().await;
}

/// The longest line of a log.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// In pieces that are marked, also with a server that takes some of them only when it has seen more, or a whole batch more.
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_line_is_split_and_marked() {
    for keep_pieces in [0, 1, 5] {
        let fixture = Fixture::start().await;
        fixture.server.set(|heard| heard.keep_pieces = keep_pieces);
        let job =
            task([sh("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end; head -c 70000 /dev/zero | tr '\\0' y")]);
        assert_eq!(fixture.run(&job).await.state, "success");
        let rows = fixture.server.rows(&job.tx_uuid, 0);
        let end = rows.iter().position(|row| row.text == "end").expect("the line after it");
        let (last, parts) = rows[..end].split_last().expect("pieces");
        assert!(parts.len() >= 10_000_000 / LINE_MAX_BYTES && parts.iter().all(|part| part.goes_on), "{keep_pieces}");
        assert!(!last.goes_on && rows.iter().all(|row| row.text.len() <= LINE_MAX_BYTES));
        assert_eq!(rows[..end].iter().map(|row| row.text.len()).sum::<usize>(), 10_000_000);
        let after: Vec<(usize, bool)> = rows[end..].iter().map(|row| (row.text.len(), row.goes_on)).collect();
        assert_eq!(after, [(3, false), (LINE_MAX_BYTES, true), (70_000 - LINE_MAX_BYTES, false)]);
        fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_line_is_not_sent_again_and_again() {
    let fixture = Fixture::start().await;
    fixture.server.set(|heard| heard.keep_pieces = 1);
    let job =
        task([sh("head -c 200000 /dev/zero | tr '\\0' x; while [ ! -e go ]; do sleep 0.02; done; echo; echo done")]);
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, &"x".repeat(LINE_MAX_BYTES)).await;
    // By the next heartbeat all that there is was sent; until the one after it, it would be sent many times again.
    let seen = fixture.server.heard().updates.len();
    let calls = |beats| move |heard: &Heard| (heard.updates.len() >= seen + beats).then_some(heard.log_calls);
    let before = fixture.server.wait_for("a heartbeat", calls(2)).await;
    assert_eq!(fixture.server.wait_for("another one", calls(3)).await, before);
    std::fs::write(fixture.work().join(&job.tx_uuid).join("go"), "").expect("writes");
    fixture.server.row(&job.tx_uuid, "done").await;
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    fixture.finish().await;
}

/// What comes from elsewhere while a line is open stands where it came, and does not become a part of it.
#[tokio::test(flavor = "multi_thread")]
async fn other_rows_end_an_open_line() {
    let fixture = Fixture::start().await;
    let job = task([sh("head -c 140000 /dev/zero | tr '\\0' x; while [ ! -e go ]; do sleep 0.02; done
        echo broken >&2; while [ ! -e on ]; do sleep 0.02; done; head -c 140000 /dev/zero | tr '\\0' y; echo")]);
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, &"x".repeat(LINE_MAX_BYTES)).await;
    std::fs::write(fixture.work().join(&job.tx_uuid).join("go"), "").expect("writes");
    fixture.server.row(&job.tx_uuid, "broken").await;
    std::fs::write(fixture.work().join(&job.tx_uuid).join("on"), "").expect("writes");
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    let rows = fixture.server.rows(&job.tx_uuid, 0);
    let at = rows.iter().position(|row| row.stderr).expect("it is there");
    assert_eq!((rows[at].text.as_str(), rows[at].goes_on), ("broken", false));
    assert_eq!((rows[at - 1].text.as_str(), rows[at - 1].goes_on, rows[at - 1].stderr), ("", false, false));
    assert!(rows[..at - 1].iter().all(|row| row.goes_on) && rows[at + 1].goes_on);
    let printed: String = rows.iter().filter(|row| !row.stderr).map(|row| row.text.as_str()).collect();
    assert_eq!(printed, "x".repeat(140_000) + &"y".repeat(140_000));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_thousand_lines() {
    let fixture = Fixture::start().await;
    let job = task([sh("seq 200000")]);
    let started = std::time::Instant::now();
    assert_eq!(fixture.run(&job).await.state, "success");
    let took = started.elapsed();
    let mut expected = String::new();
    for number in 1..=200_000 {
        writeln!(expected, "{number}").expect("writes");
    }
    let found = fixture.server.texts(&job.tx_uuid, 0).join("\n");
    assert!(found == expected.trim_end(), "the rows differ");
    let calls = fixture.server.heard().log_calls;
    println!("200 000 lines in {took:?}, {calls} calls");
    assert!(took.as_secs() < 20, "{took:?}");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_waits_for_a_slow_server() {
    let fixture = Fixture::start().await;
    fixture.server.set(|heard| heard.hold_log_calls = true);
    // 40 MB, and the file says how far it came.
    let job = task([sh("i=0; while [ $i -lt 40 ]; do head -c 1000000 /dev/zero | tr '\\0' x; echo; i=$((i+1))
        echo $i > progress; done")]);
    fixture.server.give(&job);
    let progress = fixture.work().join(&job.tx_uuid).join("progress");
    let read = || std::fs::read_to_string(&progress).ok().and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
    // It stops somewhere: the same number for a while.
    let (mut last, mut same) = (0, 0);
    while same < 15 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = read();
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
    }
    assert!((4..20).contains(&last), "{last} MB were taken in while nothing could be sent");
    fixture.server.set(|heard| heard.hold_log_calls = false);
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    let sum = fixture.server.texts(&job.tx_uuid, 0).iter().map(String::len).sum::<usize>();
    assert_eq!(sum, 40_000_000);
    fixture.finish().await;
}
