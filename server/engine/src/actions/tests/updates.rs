//! What is taken as a result, and what is not.

use super::*;

#[tokio::test]
async fn neither_the_action_nor_the_outputs_need_be_here() {
    let scene = scene();
    let later = Digest::of(SHA256, b"later");
    let result = ActionResult { output_files: vec![output("o", &later)], ..Default::default() };
    let stored = scene.update(&action("a"), result).await.expect("stores");
    assert!(stored.execution_metadata.is_set());
    assert!(scene.get(&action("a")).await.is_none());
    scene.put("later").await;
    assert!(scene.get(&action("a")).await.is_some());
}

#[tokio::test]
async fn outputs_have_to_be_here_where_that_is_wanted() {
    let scene = scene_with(ActionCacheOptions { check_outputs_on_update: true }, BlobLimits::default());
    let out = Digest::of(SHA256, b"out");
    let result = ActionResult { output_files: vec![output("o", &out)], ..Default::default() };
    assert!(matches!(scene.update(&action("a"), result.clone()).await, Err(Error::Precondition(_))));
    scene.put("out").await;
    scene.update(&action("a"), result).await.expect("stores");
    assert!(scene.get(&action("a")).await.is_some());
}

#[tokio::test]
async fn digests_that_are_none_are_refused_by_the_name_of_their_field() {
    let scene = scene();
    let good = wire(&Digest::of(SHA256, b"x"));
    let bad = |change: fn(&mut reapi::Digest)| {
        let mut digest = good.clone();
        change(&mut digest);
        digest
    };
    let bads = [
        bad(|digest| digest.hash = digest.hash.to_uppercase()),
        bad(|digest| digest.hash.truncate(40)),
        bad(|digest| digest.hash.replace_range(0..1, "g")),
        bad(|digest| digest.size_bytes = -1),
    ];
    for bad in bads {
        let mut file = output("dir/f", &Digest::empty(SHA256));
        file.digest = bad.clone().into();
        let with_directory = |tree: bool| {
            let mut directory = OutputDirectory { path: "d".into(), ..Default::default() };
            *(if tree { &mut directory.tree_digest } else { &mut directory.root_directory_digest }) =
                bad.clone().into();
            ActionResult { output_directories: vec![directory], ..Default::default() }
        };
        let results = [
            ("output_files.digest", ActionResult { output_files: vec![file], ..Default::default() }),
            ("stdout_digest", ActionResult { stdout_digest: bad.clone().into(), ..Default::default() }),
            ("stderr_digest", ActionResult { stderr_digest: bad.clone().into(), ..Default::default() }),
            ("output_directories.tree_digest", with_directory(true)),
            ("output_directories.root_directory_digest", with_directory(false)),
        ];
        for (field, result) in results {
            let error = scene.update(&action("a"), result).await.expect_err("refused");
            assert!(
                matches!(&error, Error::Invalid { field: named, .. } if *named == format!("action_result.{field}")),
                "{error}"
            );
        }
    }
    let nothing = OutputDirectory { path: "d".into(), ..Default::default() };
    for result in [
        ActionResult {
            output_files: vec![OutputFile { path: "f".into(), ..Default::default() }],
            ..Default::default()
        },
        ActionResult { output_directories: vec![nothing], ..Default::default() },
    ] {
        assert!(matches!(scene.update(&action("a"), result).await, Err(Error::Invalid { .. })), "no digest at all");
    }
    assert!(scene.get(&action("a")).await.is_none(), "nothing was left");
    let empty = ActionResult { stdout_digest: reapi::Digest::default().into(), ..Default::default() };
    scene.update(&action("b"), empty).await.expect("an empty digest of no output is one left out");
    assert!(scene.get(&action("b")).await.is_some());
}

#[tokio::test]
async fn too_much_is_refused_with_the_limit() {
    let scene = scene();
    let result = ActionResult { stdout_raw: vec![0; ACTION_RESULT_MAX_BYTES].into(), ..Default::default() };
    let error = scene.update(&action("a"), result).await.expect_err("refused").to_string();
    assert!(error.starts_with("action_result: ") && error.contains(&ACTION_RESULT_MAX_BYTES.to_string()), "{error}");
    let large = Digest::new(SHA256, action("x").hash(), TREE_MESSAGE_MAX_BYTES + 1).expect("a digest");
    let result = ActionResult { output_directories: vec![tree_output("o", &large)], ..Default::default() };
    let error = scene.update(&action("a"), result).await.expect_err("refused").to_string();
    assert!(error.contains(&TREE_MESSAGE_MAX_BYTES.to_string()), "{error}");
    let garbage = scene.cache.update_bytes(&scene.main, &action("a"), "\u{1}x".into(), Origin::default()).await;
    assert!(matches!(garbage, Err(Error::Invalid { field: "action_result", .. })), "{garbage:?}");
}

#[tokio::test]
async fn contents_that_came_with_a_result_are_kept_and_made_blobs() {
    let scene = scene();
    let (out, file_content) = (Digest::of(SHA256, b"out"), Digest::of(SHA256, b"content"));
    let mut file = output("f", &file_content);
    file.contents = "content".into();
    let result = ActionResult {
        stdout_raw: "out".into(),
        stdout_digest: wire(&out).into(),
        stderr_raw: "only here".into(),
        output_files: vec![file],
        ..Default::default()
    };
    scene.update(&action("a"), result.clone()).await.expect("stores");
    let found = scene.get(&action("a")).await.expect("a hit, though nothing was uploaded");
    assert_eq!((&found.stdout_raw[..], &found.stderr_raw[..]), (&b"out"[..], &b"only here"[..]));
    assert_eq!(found.output_files[0].contents, "content");
    assert_eq!(scene.room.find_missing(&scene.main, &[out, file_content]).await.expect("looks"), []);
    let lie = ActionResult { stdout_raw: "lie".into(), ..result };
    let error = scene.update(&action("b"), lie).await.expect_err("refused");
    assert!(matches!(error, Error::Invalid { field: "action_result.stdout_raw", .. }), "{error}");
}

#[tokio::test]
async fn what_came_is_kept_also_what_is_not_known_here() {
    let scene = scene();
    let out = scene.put("out").await;
    let property = reapi::NodeProperty { name: "SubtreeReadOnly".into(), value: "true".into(), ..Default::default() };
    let properties = reapi::NodeProperties {
        properties: vec![property],
        unix_mode: Some(buffa_types::google::protobuf::UInt32Value { value: 0o755, ..Default::default() }).into(),
        ..Default::default()
    };
    let mut file = output("f", &out);
    file.is_executable = true;
    file.node_properties = properties.into();
    let link = reapi::OutputSymlink { path: "l".into(), target: "../f".into(), ..Default::default() };
    let result = ActionResult { output_files: vec![file], output_symlinks: vec![link], ..Default::default() };
    // A field with the number 500, of a later version.
    let mut bytes = result.encode_to_vec();
    bytes.extend_from_slice(&[0xa2, 0x1f, 3, b'n', b'e', b'w']);
    let decoded = ActionResult::decode(&mut Bytes::from(bytes.clone())).expect("decodes");
    scene.update(&action("a"), decoded.clone()).await.expect("stores");
    let kept =
        scene.cache.get_bytes(&scene.main, &action("a"), Origin::default()).await.expect("answers").expect("a hit");
    assert_eq!(kept, bytes);
    let found = scene.get(&action("a")).await.expect("a hit");
    assert_eq!((&found.output_files, &found.output_symlinks), (&decoded.output_files, &decoded.output_symlinks));
    assert!(found.encode_to_vec().windows(6).any(|part| part == [0xa2, 0x1f, 3, b'n', b'e', b'w']));
    scene.update(&action("a"), ActionResult { exit_code: 2, ..Default::default() }).await.expect("replaces");
    assert_eq!(scene.get(&action("a")).await.expect("a hit").exit_code, 2);
}
