//! What a build of Bazel 4.2.3 tells (recorded, without the client's environment), and shapes that it does not show.

use buffa_types::google::protobuf::Any;
use millrace_proto::build_event_stream as bes;
use millrace_proto::build_events::build_event as lifecycle;
use millrace_proto::instance_name::InstanceName;
use serde_json::json;

use super::*;

/// Keep going: one target does not build, one test is flaky and fails, one passes.
const RECORDED: &str = include_str!("tests/bazel_4_2_3.jsonl");

fn stream() -> StreamKey {
    StreamKey {
        instance: InstanceName::parse("team/app").unwrap(),
        build_id: "build".into(),
        invocation_id: "invocation".into(),
        component: component::TOOL,
    }
}

fn bazel(event: &bes::BuildEvent) -> wire::BuildEvent {
    let any = Any::pack(event, "type.googleapis.com/build_event_stream.BuildEvent");
    wire::BuildEvent { event: Some(Event::BazelEvent(Box::new(any))), ..Default::default() }
}

fn of_json(event: serde_json::Value) -> wire::BuildEvent {
    bazel(&serde_json::from_value(event).expect("an event of Bazel"))
}

fn fold(events: impl IntoIterator<Item = wire::BuildEvent>) -> (Fold, String) {
    let mut fold = Fold::new(&stream(), 1_000, 60_000);
    let mut printed = Vec::new();
    for event in events {
        printed.extend(fold.apply(component::TOOL, &event, event.encode_to_vec().len(), 2_000));
    }
    (fold, String::from_utf8(printed).unwrap())
}

fn recorded() -> Vec<wire::BuildEvent> {
    RECORDED.lines().map(|line| of_json(serde_json::from_str(line).unwrap())).collect()
}

fn target<'f>(fold: &'f Fold, label: &str) -> &'f api::InvocationTarget {
    fold.targets.values().find(|target| target.label == label).unwrap_or_else(|| panic!("{label}"))
}

#[test]
fn a_recorded_build_becomes_a_document() {
    let (fold, printed) = fold(recorded());
    let doc = &fold.doc;
    assert_eq!(doc.status, api::InvocationStatus::INVOCATION_STATUS_FAILED);
    assert_eq!((doc.exit_code, doc.exit_code_name.as_str()), (Some(1), "BUILD_FAILURE"));
    assert_eq!((doc.command.as_str(), &doc.patterns[..]), ("test", &["//...".to_owned()][..]));
    assert_eq!((doc.user.as_str(), doc.host.as_str(), doc.tool.as_str()), ("dev", "builder", "bazel"));
    assert_eq!(doc.workspace_directory, "/home/dev/ws");
    assert_eq!(doc.message, "//:breaks: local spawn failed for Genrule");
    assert_eq!(doc.command_line.first().map(String::as_str), Some("bazel"));
    assert!(doc.command_line.contains(&"test".into()) && doc.command_line.contains(&"--keep_going".into()));
    assert!(!doc.command_line.iter().any(|word| word.contains("rc_source")), "{:?}", doc.command_line);
    assert!(doc.explicit_options.contains(&"--keep_going".into()), "{:?}", doc.explicit_options);
    assert_eq!((doc.metadata[0].key.as_str(), doc.metadata[0].value.as_str()), ("ROLE", "CI"));
    assert_eq!(doc.configurations[0].mnemonic, "k8-fastbuild");
    assert!(doc.started_at.seconds > 1_700_000_000 && doc.finished_at.seconds >= doc.started_at.seconds);
    assert_eq!(doc.log_id, "b.invocation");
    assert!(printed.contains("why it broke") && printed.contains("//:fails_test"), "{printed}");
    assert!(!doc.complete, "the end of the stream is another event");
    assert_eq!(doc.truncated, Vec::<String>::new());
}

#[test]
fn targets_and_tests_are_told_apart_and_counted() {
    let (fold, _) = fold(recorded());
    let counts = fold.doc.targets.as_option().unwrap();
    assert_eq!(counts.configured, fold.targets.len() as i64);
    assert_eq!((counts.failed, counts.skipped, counts.built), (1, 0, counts.configured - 1));
    let tests = fold.doc.tests.as_option().unwrap();
    assert_eq!((tests.total, tests.passed, tests.failed), (2, 1, 1));

    let breaks = target(&fold, "//:breaks");
    assert_eq!(breaks.status, api::TargetStatus::TARGET_STATUS_FAILED_TO_BUILD);
    assert_eq!((breaks.kind.as_str(), breaks.message.as_str()), ("genrule rule", "local spawn failed for Genrule"));
    let failed = target(&fold, "//:fails_test");
    assert_eq!(failed.status, api::TargetStatus::TARGET_STATUS_FAILED);
    assert_eq!((failed.kind.as_str(), failed.test_size.as_str()), ("sh_test rule", "MEDIUM"));
    let attempts = &failed.test.as_option().unwrap().attempts;
    assert_eq!(attempts.iter().map(|one| one.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(attempts[0].outputs[0].name, "test.log");
    assert_eq!(attempts[0].strategy, "local");
    let passed = target(&fold, "//:greeting_test");
    assert_eq!(passed.status, api::TargetStatus::TARGET_STATUS_PASSED);
    assert!(passed.outputs_total >= 1 && passed.outputs[0].uri.starts_with("file:///"), "{:?}", passed.outputs);
    let tree = target(&fold, "//:tree");
    assert!(tree.outputs_total >= 1, "{tree:?}");
}

#[test]
fn failed_actions_figures_and_times_are_shown() {
    let (fold, _) = fold(recorded());
    let action = &fold.doc.failed_actions[0];
    assert_eq!((action.label.as_str(), action.mnemonic.as_str(), action.exit_code), ("//:breaks", "Genrule", 1));
    assert_eq!(action.stderr.name, "stderr");
    assert!(action.command_line[2].contains("exit 3"));
    let cache = fold.doc.cache.as_option().unwrap();
    assert_eq!((cache.actions_created, cache.actions_executed), (108, 56));
    let runners: Vec<_> = cache.runners.iter().map(|runner| (runner.name.as_str(), runner.count)).collect();
    assert_eq!(runners, [("internal", 11), ("local", 45)]);
    let timing = fold.doc.timing.as_option().unwrap();
    assert_eq!((timing.wall_ms, timing.cpu_ms, timing.critical_path_ms), (7869, 6230, 1330));
    assert_eq!(timing.critical_path[0].description, "action 'Testing //:fails_test'");
    assert!(fold.doc.tool_logs.iter().any(|log| log.name == "command.profile.gz"));
}

#[test]
fn the_same_events_fold_to_the_same_and_lists_show_less() {
    let (mut one, mut other) = (fold(recorded()).0, fold(recorded()).0);
    assert_eq!(one.row(), other.row());
    let (changed, again) = (one.take_changed(), other.take_changed());
    assert_eq!(changed, again);
    assert_eq!(changed.iter().filter(|row| row.rank == 0).count(), 2);
    assert_eq!(one.take_changed(), []);
    let row = one.row();
    assert!(row.search.contains("//...") && row.search.contains("builder"));
    let short = api::Invocation::decode_from_slice(&row.summary).unwrap();
    assert!(short.failed_actions.is_empty() && short.command_line.is_empty());
    assert_eq!(short.message, one.doc.message);
}

#[test]
fn newer_bazels_say_more() {
    let configuration = json!({"id": "c"});
    let (fold, _) = fold([
        of_json(json!({"id": {"targetConfigured": {"label": "//:t"}}, "configured": {"targetKind": "go_test rule"},
            "children": [{"targetCompleted": {"label": "//:t", "configuration": configuration}}]})),
        of_json(json!({"id": {"namedSet": {"id": "1"}}, "namedSetOfFiles": {"files": [{"name": "a",
            "uri": format!("bytestream://host:8080/team/app/blobs/{}/7", "ab".repeat(32))}]}})),
        of_json(json!({"id": {"namedSet": {"id": "0"}}, "namedSetOfFiles": {"fileSets": [{"id": "1"}, {"id": "0"}]}})),
        of_json(json!({"id": {"targetCompleted": {"label": "//:t", "configuration": configuration}},
            "completed": {"success": true, "outputGroup": [{"name": "default", "fileSets": [{"id": "0"}]}]}})),
        of_json(json!({"id": {"testResult": {"label": "//:t", "configuration": configuration, "attempt": 1}},
            "testResult": {"status": "PASSED", "testAttemptDuration": "1.5s",
            "executionInfo": {"cachedRemotely": true}}})),
        of_json(json!({"id": {"testSummary": {"label": "//:t", "configuration": configuration}},
            "testSummary": {"overallStatus": "PASSED", "totalRunDuration": "1.5s", "runCount": 1}})),
        of_json(json!({"id": {"buildMetrics": {}}, "buildMetrics": {
            "actionSummary": {"actionsExecuted": "5", "runnerCount": [{"name": "total", "count": 5},
                {"name": "remote cache hit", "count": 4}], "actionCacheStatistics": {"hits": 3, "misses": 2},
                "actionData": [{"mnemonic": "A", "actionsExecuted": "1"}, {"mnemonic": "B", "actionsExecuted": "4"}]},
            "timingMetrics": {"wallTimeInMs": "9", "criticalPathTime": "0.250s"}}})),
        of_json(json!({"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": "INTERRUPTED", "code": 8},
            "failureDetail": {"message": "interrupted"}}})),
    ]);
    let target = target(&fold, "//:t");
    assert_eq!((target.outputs_total, target.outputs[0].size_bytes), (1, 7));
    assert_eq!(
        (target.outputs[0].instance.as_str(), target.outputs[0].digest_function.as_str()),
        ("team/app", "sha256")
    );
    assert_eq!(target.test.as_option().unwrap().duration_ms, 1_500);
    let tests = fold.doc.tests.as_option().unwrap();
    assert_eq!((tests.total, tests.passed, tests.cached), (1, 1, 1));
    let cache = fold.doc.cache.as_option().unwrap();
    assert_eq!((cache.remote_cache_hits, cache.local_cache_hits, cache.local_cache_misses), (4, 3, 2));
    assert_eq!(fold.doc.mnemonics[0].mnemonic, "B");
    assert_eq!(fold.doc.timing.as_option().unwrap().critical_path_ms, 250);
    assert_eq!(fold.doc.status, api::InvocationStatus::INVOCATION_STATUS_INTERRUPTED);
    assert_eq!(fold.doc.message, "interrupted");
}

#[test]
fn what_does_not_come_is_said() {
    let (fold, _) = fold([
        of_json(json!({"id": {"pattern": {"pattern": ["//nope:x"]}},
            "aborted": {"reason": "LOADING_FAILURE", "description": "no such package"}})),
        of_json(json!({"id": {"targetCompleted": {"label": "//:a"}}, "aborted": {"reason": "USER_INTERRUPTED"}})),
        of_json(json!({"id": {"targetCompleted": {"label": "//:b"}}, "aborted": {"reason": "ANALYSIS_FAILURE"}})),
        of_json(json!({"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": "X", "code": 1}}})),
    ]);
    assert_eq!(fold.doc.patterns, ["//nope:x"]);
    assert_eq!(fold.doc.aborted[0].reason, "LOADING_FAILURE");
    assert_eq!(fold.doc.message, "no such package");
    let counts = fold.doc.targets.as_option().unwrap();
    assert_eq!((counts.configured, counts.skipped, counts.failed), (2, 1, 1));
}

#[test]
fn an_end_by_lifecycle_alone_is_an_end_and_silence_is_none() {
    let status = wire::BuildStatus {
        result: wire::build_status::Result::COMMAND_FAILED.into(),
        error_message: "why".into(),
        ..Default::default()
    };
    let ended = lifecycle::InvocationAttemptFinished { invocation_status: status.into(), ..Default::default() };
    let event = |event: Event| wire::BuildEvent { event: Some(event), ..Default::default() };
    let (done, _) = fold([event(Event::InvocationAttemptFinished(Box::new(ended)))]);
    assert_eq!(done.doc.status, api::InvocationStatus::INVOCATION_STATUS_FAILED);
    assert_eq!((done.doc.message.as_str(), done.is_complete()), ("why", true));

    let (mut silent, _) = fold([]);
    silent.disconnect();
    assert_eq!(silent.doc.status, api::InvocationStatus::INVOCATION_STATUS_DISCONNECTED);
    let back = of_json(json!({"id": {"started": {}}, "started": {"command": "build"}}));
    silent.apply(component::TOOL, &back, 1, 3_000);
    assert_eq!(
        (silent.doc.status.as_known(), silent.is_complete()),
        (Some(api::InvocationStatus::INVOCATION_STATUS_RUNNING), false)
    );
    let finished = event(Event::ComponentStreamFinished(Box::default()));
    silent.apply(component::WORKER, &finished, 1, 3_000);
    assert!(!silent.is_complete(), "another component's end");
    silent.apply(component::TOOL, &finished, 1, 3_000);
    assert!(silent.is_complete());
}

#[test]
fn garbage_is_counted_and_noted() {
    let any = Any {
        type_url: "type.googleapis.com/build_event_stream.BuildEvent".into(),
        value: vec![0xFF; 9].into(),
        ..Default::default()
    };
    let garbage = wire::BuildEvent { event: Some(Event::BazelEvent(Box::new(any))), ..Default::default() };
    let (fold, printed) = fold([garbage, wire::BuildEvent::default()]);
    assert_eq!((fold.doc.events, printed.as_str()), (2, ""));
    assert_eq!(fold.doc.truncated.len(), 1);
}

#[test]
fn what_is_too_much_is_cut_and_said() {
    let many = |index: usize| {
        let words: Vec<String> = (0..2_000).map(|word| format!("//{index}:{word}")).collect();
        of_json(json!({"id": {"pattern": {"pattern": words}}, "expanded": {}}))
    };
    let action = json!({"id": {"actionCompleted": {"label": "x".repeat(10_000)}}, "action": {}});
    let actions = (0..200).map(|_| of_json(action.clone()));
    let (fold, _) = fold([many(0), many(1)].into_iter().chain(actions));
    assert_eq!((fold.doc.patterns.len(), fold.doc.failed_actions.len()), (200, 100));
    assert!(fold.doc.failed_actions[0].label.len() < 5_000);
    assert_eq!(fold.doc.truncated.len(), 2, "{:?}", fold.doc.truncated);
    assert!(fold.row().document.len() < 600_000);
}
