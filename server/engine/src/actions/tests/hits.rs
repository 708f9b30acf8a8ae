//! When a stored result is a hit, and what is in the answer.

use std::sync::Arc;

use super::*;
use crate::actions::activity::ActionEvent;

#[tokio::test]
async fn a_result_whose_outputs_are_here_is_a_hit_without_a_read_of_any_blob() {
    let scene = scene();
    let (out, log) = (scene.put("out").await, scene.put("log").await);
    let action = action("a");
    assert_eq!(scene.get(&action).await, None);
    let result = ActionResult {
        output_files: vec![output("a.o", &out)],
        stdout_digest: wire(&log).into(),
        exit_code: 3,
        ..Default::default()
    };
    scene.update(&action, result).await.expect("stores");
    let asked = scene.meter.asked.load(Relaxed);
    let found = scene.get(&action).await.expect("a hit");
    assert_eq!((found.exit_code, &*found.output_files[0].path), (3, "a.o"));
    assert!(found.execution_metadata.is_set(), "clients rely on it");
    assert_eq!(scene.opened(), 0);
    assert_eq!(scene.meter.asked.load(Relaxed) - asked, 2, "each blob is looked for once");
    let other = InstanceName::parse("other").expect("a name");
    let elsewhere = scene.cache.get(&other, &action, &Inline::default(), Origin::default()).await.expect("answers");
    assert_eq!(elsewhere, None, "instances see nothing of each other");
}

#[tokio::test]
async fn a_missing_blob_makes_it_a_miss_until_it_is_back() {
    let scene = scene();
    let blobs = [scene.put("file").await, scene.put("stdout").await, scene.put("stderr").await];
    let result = ActionResult {
        output_files: vec![output("f", &blobs[0]), output("empty", &Digest::empty(SHA256))],
        stdout_digest: wire(&blobs[1]).into(),
        stderr_digest: wire(&blobs[2]).into(),
        ..Default::default()
    };
    let action = action("a");
    scene.update(&action, result).await.expect("stores");
    for (digest, content) in blobs.iter().zip(["file", "stdout", "stderr"]) {
        assert!(scene.get(&action).await.is_some());
        scene.drop_blob(digest).await;
        assert!(scene.get(&action).await.is_none(), "{content} is missing");
        scene.put(content).await;
    }
    assert!(scene.get(&action).await.is_some(), "healed by an upload alone");
}

#[tokio::test]
async fn trees_and_what_they_name_are_looked_for_and_read_once() {
    let scene = scene();
    let (top, deep) = (scene.put("top").await, scene.put("deep").await);
    let below = directory(vec![file("deep", &deep)], vec![]);
    let root = directory(vec![file("top", &top)], vec![child("d", &digest_of(&below))]);
    // Its Directories are in the Tree and nowhere else.
    let tree = scene.put_message(&tree(root, vec![below])).await;
    let action = action("a");
    let result = ActionResult { output_directories: vec![tree_output("o", &tree)], ..Default::default() };
    scene.update(&action, result).await.expect("stores");
    assert!(scene.get(&action).await.is_some());
    let opened = scene.opened();
    assert!(scene.get(&action).await.is_some());
    assert_eq!(scene.opened(), opened, "what is in a Tree never changes");
    for (digest, content) in [(top, "top"), (deep, "deep")] {
        scene.drop_blob(&digest).await;
        assert!(scene.get(&action).await.is_none(), "{content} is missing");
        scene.put(content).await;
    }
    assert!(scene.get(&action).await.is_some());
    scene.drop_blob(&tree).await;
    assert!(scene.get(&action).await.is_none(), "the Tree itself, though it is remembered what is in it");
}

#[tokio::test]
async fn root_directories_and_all_below_them_are_looked_for() {
    let scene = scene();
    let deep = scene.put("deep").await;
    let below = directory(vec![file("deep", &deep)], vec![]);
    let below_digest = scene.put_message(&below).await;
    let root = directory(vec![], vec![child("a", &below_digest), child("b", &below_digest)]);
    let root = scene.put_message(&root).await;
    let output = OutputDirectory { path: "o".into(), root_directory_digest: wire(&root).into(), ..Default::default() };
    let action = action("a");
    scene
        .update(&action, ActionResult { output_directories: vec![output], ..Default::default() })
        .await
        .expect("stores");
    assert!(scene.get(&action).await.is_some());
    for (digest, content) in [(deep, Bytes::from("deep")), (below_digest, below.encode_to_vec().into())] {
        scene.drop_blob(&digest).await;
        assert!(scene.get(&action).await.is_none());
        scene.put(content).await;
        assert!(scene.get(&action).await.is_some());
    }
    scene.drop_blob(&root).await;
    assert!(scene.get(&action).await.is_none());
}

#[tokio::test]
async fn trees_that_are_no_use_are_misses() {
    let scene = scene();
    let content = scene.put("content").await;
    let mut malformed = Vec::new();
    for name in ["", ".", "..", "a/b", "a\0b"] {
        malformed.push(tree(directory(vec![file(name, &content)], vec![]), vec![]));
    }
    malformed.push(tree(directory(vec![file("a", &content), file("a", &content)], vec![]), vec![]));
    malformed
        .push(tree(directory(vec![], vec![]), vec![directory(vec![file("a", &content)], vec![child("a", &content)])]));
    // A Directory that is named and not among the Tree's own: who unpacks the Tree misses it.
    malformed.push(tree(directory(vec![], vec![child("sub", &content)]), vec![]));
    let mut bad_digest = file("a", &content);
    bad_digest.digest =
        reapi::Digest { hash: content.hex().to_uppercase(), size_bytes: 7, ..Default::default() }.into();
    malformed.push(tree(directory(vec![bad_digest], vec![]), vec![]));
    let mut trees = vec![scene.put("\u{1}no message").await];
    for one in &malformed {
        trees.push(scene.put_message(one).await);
    }
    for (index, digest) in trees.iter().enumerate() {
        let action = action(&index.to_string());
        let result = ActionResult { output_directories: vec![tree_output("o", digest)], ..Default::default() };
        scene.update(&action, result).await.expect("stores");
        assert!(scene.get(&action).await.is_none(), "{index}");
    }
    // Children that are not sorted can be made into files as well as others.
    let unsorted = tree(directory(vec![file("b", &content), file("a", &content)], vec![]), vec![]);
    let unsorted = scene.put_message(&unsorted).await;
    let result = ActionResult { output_directories: vec![tree_output("o", &unsorted)], ..Default::default() };
    scene.update(&action("unsorted"), result).await.expect("stores");
    assert!(scene.get(&action("unsorted")).await.is_some());
}

#[tokio::test]
async fn contents_are_put_into_the_answer_as_asked_and_as_far_as_they_fit() {
    let scene = scene();
    let (stdout, stderr, small) = (scene.put("out").await, scene.put("err").await, scene.put("small").await);
    let large = scene.put(vec![7; INLINE_MAX_BYTES as usize]).await;
    let result = ActionResult {
        output_files: vec![output("large", &large), output("small", &small), output("other", &small)],
        stdout_digest: wire(&stdout).into(),
        stderr_digest: wire(&stderr).into(),
        ..Default::default()
    };
    let action = action("a");
    scene.update(&action, result).await.expect("stores");
    let ask = async |stdout, stderr, files: &[&str]| {
        let output_files = files.iter().map(|path| (*path).to_owned()).collect();
        let inline = Inline { stdout, stderr, output_files };
        let found = scene.cache.get(&scene.main, &action, &inline, Origin::default()).await.expect("answers");
        let found = found.expect("a hit");
        let contents = found.output_files.iter().map(|file| file.contents.len()).collect::<Vec<_>>();
        (found.stdout_raw, found.stderr_raw, contents)
    };
    assert_eq!(ask(false, false, &[]).await, (Bytes::new(), Bytes::new(), vec![0, 0, 0]));
    assert_eq!(ask(true, false, &[]).await, ("out".into(), Bytes::new(), vec![0, 0, 0]));
    assert_eq!(ask(false, true, &["small", "none"]).await, (Bytes::new(), "err".into(), vec![0, 5, 0]));
    assert_eq!(ask(true, true, &["large", "small"]).await, ("out".into(), "err".into(), vec![0, 5, 0]), "too much");
    assert_eq!(ask(false, false, &["large", "small"]).await.2, [INLINE_MAX_BYTES as usize, 0, 0], "the first fits");
}

#[tokio::test]
async fn hits_misses_and_updates_are_counted_with_what_they_saved() {
    let scene = scene();
    let time = |seconds| buffa_types::google::protobuf::Timestamp { seconds, ..Default::default() };
    let metadata = reapi::ExecutedActionMetadata {
        worker_start_timestamp: time(100).into(),
        worker_completed_timestamp: time(200).into(),
        execution_start_timestamp: time(110).into(),
        execution_completed_timestamp: time(112).into(),
        ..Default::default()
    };
    let result = ActionResult { execution_metadata: metadata.into(), exit_code: 1, ..Default::default() };
    let action = action("a");
    let said = Origin { mnemonic: "Genrule".into(), target: "//x".into() };
    scene.get(&action).await;
    scene.update(&action, result).await.expect("stores");
    scene.cache.get(&scene.main, &action, &Inline::default(), said).await.expect("answers").expect("a hit");
    let counts = scene.activity.steps(Some("main"), 120, 1).await.expect("steps")[0].counts;
    assert_eq!((counts.action_misses, counts.action_updates, counts.action_hits, counts.saved_ms), (1, 1, 1, 2_000));
    let latest = scene.activity.latest(|_| true, 10);
    assert_eq!(latest.len(), 1);
    let last = &latest[0];
    assert_eq!((last.digest, last.event, last.exit_code, last.executed_ms), (action, ActionEvent::Hit, 1, 2_000));
    assert_eq!((&*last.mnemonic, &*last.target), ("Genrule", "//x"));
}

#[tokio::test]
async fn a_hash_alone_finds_the_same_result() {
    let scene = scene();
    let action = action("a");
    let by_hash = Digest::new(SHA256, action.hash(), 0).expect("a digest");
    let stored = Bytes::from(ActionResult { exit_code: 9, ..Default::default() }.encode_to_vec());
    scene.cache.update_bytes(&scene.main, &by_hash, stored.clone(), Origin::default()).await.expect("stores");
    assert_eq!(scene.get(&action).await.expect("a hit").exit_code, 9);
    let bytes = scene.cache.get_bytes(&scene.main, &action, Origin::default()).await.expect("answers");
    assert_eq!(bytes, Some(stored), "as it came");
    let blake3 = Digest::new(DigestFunction::Blake3, action.hash(), 0).expect("a digest");
    assert_eq!(scene.get(&blake3).await, None, "the function is part of the name");
}

#[tokio::test]
async fn many_at_once_are_all_answered() {
    let scene = Arc::new(scene());
    let out = scene.put("out").await;
    let tasks = (0..64).map(|index| {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            let action = action(&format!("{}", index % 8));
            let result = ActionResult { output_files: vec![output("o", &out)], ..Default::default() };
            scene.update(&action, result).await.expect("stores");
            assert!(scene.get(&action).await.is_some());
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.expect("joins");
    }
}
