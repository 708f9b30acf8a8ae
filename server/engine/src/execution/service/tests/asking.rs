//! What can be asked for, and what is refused: nothing of that is queued.

use buffa::MessageField;

use super::*;

async fn invalid(scene: &Scene, field: &str, change: impl FnOnce(&mut Action, &mut Command)) {
    let action = scene.action(change).await;
    match scene.execute(action).await.map(|watch| watch.state()) {
        Err(Error::Invalid { field: found, message }) => assert_eq!(found, field, "{message}"),
        other => panic!("{field}: {other:?}"),
    }
    assert_eq!(scene.store.commits(), 0);
}

#[tokio::test]
async fn a_timeout_above_the_limit_is_refused_and_names_it() {
    let scene = scene().await;
    let with = |seconds, nanos| {
        move |action: &mut Action, _: &mut Command| {
            let timeout = buffa_types::google::protobuf::Duration { seconds, nanos, ..Default::default() };
            action.timeout = timeout.into();
        }
    };
    let action = scene.action(with(3_600, 1)).await;
    let Err(error) = scene.execute(action).await else { panic!("it is too long") };
    assert_eq!(error.to_string(), "action.timeout: 3600001 ms; the limit of this server is 3600000 ms");
    invalid(&scene, "action.timeout", with(-1, 0)).await;
    invalid(&scene, "action.timeout", with(i64::MAX, 999_999_999)).await;
    let exact = scene.action(with(3_600, 0)).await;
    let _watch = scene.execute(exact).await.expect("is taken");
    assert_eq!(scene.claim("").await.expect("a lease").timeout_ms, 3_600_000);
    let none = scene.action(with(0, 0)).await;
    let _watch = scene.execute(none).await.expect("is taken");
    assert_eq!(scene.claim("").await.expect("a lease").timeout_ms, 1_200_000);
}

#[tokio::test]
async fn commands_that_cannot_be_run_are_refused() {
    let scene = scene().await;
    invalid(&scene, "command.arguments", |_, command| command.arguments.clear()).await;
    invalid(&scene, "command.arguments", |_, command| command.arguments[0].clear()).await;
    invalid(&scene, "command.output_paths", |_, command| command.output_paths = vec!["/abs".into()]).await;
    invalid(&scene, "command.output_paths", |_, command| {
        command.working_directory = "a".into();
        command.output_paths = vec!["b".into(), "../../x".into()];
    })
    .await;
    invalid(&scene, "command.output_files", |_, command| command.output_files = vec!["../x".into()]).await;
    invalid(&scene, "command.output_directories", |_, command| command.output_directories = vec!["/".into()]).await;
    invalid(&scene, "command.working_directory", |_, command| command.working_directory = "/tmp".into()).await;
    invalid(&scene, "command.working_directory", |_, command| command.working_directory = "a/../..".into()).await;
    invalid(&scene, "command.environment_variables", |_, command| {
        let name = "A=B".to_owned();
        command.environment_variables = vec![reapi::command::EnvironmentVariable { name, ..Default::default() }];
    })
    .await;
    invalid(&scene, "action.input_root_digest", |action, _| action.input_root_digest = MessageField::default()).await;
    invalid(&scene, "action.command_digest", |action, _| {
        action.command_digest = reapi::Digest { hash: "xyz".into(), ..Default::default() }.into();
    })
    .await;
    // `..` that stays inside is fine, and the old fields are not looked at beside the new one.
    let fine = scene
        .action(|_, command| {
            command.working_directory = "a/b/c".into();
            command.output_paths = vec!["../../../install".into(), String::new()];
            command.output_files = vec!["/ignored".into()];
        })
        .await;
    scene.execute(fine).await.expect("is taken");
}

#[tokio::test]
async fn what_is_no_action_command_or_directory_is_refused() {
    let scene = scene().await;
    let garbage = scene.put(&b"\xff\xff\xff"[..]).await;
    assert!(matches!(scene.execute(garbage).await.err(), Some(Error::Invalid { field: "action", .. })));
    invalid(&scene, "command", |action, _| action.command_digest = wire(&garbage).into()).await;
    invalid(&scene, "action.input_root_digest", |action, _| action.input_root_digest = wire(&garbage).into()).await;
    let evil = Directory { files: vec![FileNode { name: "../x".into(), ..Default::default() }], ..Default::default() };
    let evil = scene.put(evil.encode_to_vec()).await;
    invalid(&scene, "action.input_root_digest", |action, _| action.input_root_digest = wire(&evil).into()).await;
}

#[tokio::test]
async fn all_that_is_missing_of_the_whole_tree_is_named() {
    let scene = scene().await;
    let absent = |text: &str| Digest::of(SHA256, text.as_bytes());
    let missing = |asked: Result<Watch>| match asked.err() {
        Some(Error::MissingBlobs(mut digests)) => {
            digests.sort_unstable();
            digests
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(scene.execute(absent("action")).await), [absent("action")]);

    let here = scene.put("here").await;
    let file =
        |name: &str, digest: &Digest| FileNode { name: name.into(), digest: wire(digest).into(), ..Default::default() };
    let child = |name: &str, digest: &Digest| DirectoryNode {
        name: name.into(),
        digest: wire(digest).into(),
        ..Default::default()
    };
    let deep = Directory { files: vec![file("a", &absent("deep file")), file("b", &here)], ..Default::default() };
    let deep = scene.put(deep.encode_to_vec()).await;
    let root = Directory {
        files: vec![file("x", &absent("file"))],
        directories: vec![child("deep", &deep), child("gone", &absent("directory"))],
        ..Default::default()
    };
    let root = scene.put(root.encode_to_vec()).await;
    let command = absent("command");
    let action = scene
        .action(|action, _| {
            action.input_root_digest = wire(&root).into();
            action.command_digest = wire(&command).into();
        })
        .await;
    let mut all = ["file", "deep file", "directory", "command"].map(absent);
    all.sort_unstable();
    assert_eq!(missing(scene.execute(action).await), all);
    assert_eq!(missing(scene.execute(action).await), all, "and again");
    assert_eq!(scene.store.commits(), 0);

    let whole = Directory { directories: vec![child("deep", &deep)], ..Default::default() };
    let whole = scene.put(whole.encode_to_vec()).await;
    let action = scene.action(|action, _| action.input_root_digest = wire(&whole).into()).await;
    assert_eq!(missing(scene.execute(action).await), [absent("deep file")]);
    assert_eq!(missing(scene.execute(action).await), [absent("deep file")], "the tree is known now");
    scene.put("deep file").await;
    scene.execute(action).await.expect("is whole now");
}

#[tokio::test]
async fn the_actions_platform_beats_the_commands() {
    let scene = scene().await;
    let platform = |value: &str| reapi::Platform {
        properties: vec![reapi::platform::Property { name: "os".into(), value: value.into(), ..Default::default() }],
        ..Default::default()
    };
    let action = scene
        .action(|action, command| {
            action.platform = platform("linux").into();
            command.platform = platform("windows").into();
        })
        .await;
    let _watch = scene.execute(action).await.expect("is taken");
    assert_eq!(scene.claim("").await.expect("matches").properties, linux());
    let action = scene.action(|_, command| command.platform = platform("windows").into()).await;
    let mut watch = scene.execute(action).await.expect("is taken");
    assert!(scene.claim("").await.is_none());
    scene.pass(scene.options.unmatched_wait_ms);
    scene.execution.tick().await.expect("ticks");
    let state = end(&mut watch).await;
    assert_eq!(code(&state), Code::FAILED_PRECONDITION as i32);
    let message = &state.response.as_ref().expect("is done").message;
    assert!(message.contains("os=windows is asked for, linux is offered"), "{message}");
}
