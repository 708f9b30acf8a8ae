//! GetTree's pages, and trees that are made to do harm.

use super::*;

/// All Directories in the order they come, page by page.
async fn all(scene: &Scene, root: &Digest, page_size: i32) -> Vec<Vec<Digest>> {
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let page = scene.trees.page(&scene.main, root, page_size, &token).await.expect("a page");
        pages.push(page.directories.iter().map(digest_of).collect());
        token = page.next_page_token;
        if token.is_empty() {
            return pages;
        }
    }
}

/// A root with children, each with a file of its own.
async fn wide(scene: &Scene, width: usize) -> (Digest, Vec<Digest>) {
    let (mut nodes, mut digests) = (Vec::new(), Vec::new());
    for index in 0..width {
        let content = Digest::of(SHA256, &index.to_be_bytes());
        let digest = scene.put_message(&directory(vec![file("f", &content)], vec![])).await;
        nodes.push(child(&format!("{index:05}"), &digest));
        digests.push(digest);
    }
    (scene.put_message(&directory(vec![], nodes)).await, digests)
}

#[tokio::test]
async fn a_tree_comes_in_pages_each_directory_once() {
    let scene = scene();
    let (root, children) = wide(&scene, 25).await;
    let expected: Vec<Digest> = [root].into_iter().chain(children).collect();
    for page_size in [1, 7, 26, 500, 0] {
        let pages = all(&scene, &root, page_size).await;
        assert_eq!(pages.concat(), expected, "{page_size}");
        let full = if page_size == 0 { 26 } else { page_size as usize };
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == full));
        assert!(pages.iter().all(|page| !page.is_empty()));
        let mut stream = scene.trees.pages(&scene.main, &root, page_size, "").await.expect("pages");
        let mut streamed = Vec::new();
        while let Some(page) = stream.next().await.expect("a page") {
            streamed.push(page.directories.iter().map(digest_of).collect::<Vec<_>>());
        }
        assert_eq!(streamed, pages, "one walk gives the same");
    }
}

#[tokio::test]
async fn a_root_that_is_missing_is_not_found_and_children_are_left_out() {
    let scene = scene();
    let (root, children) = wide(&scene, 3).await;
    scene.drop_blob(&children[1]).await;
    assert_eq!(all(&scene, &root, 0).await, [vec![root, children[0], children[2]]]);
    scene.drop_blob(&root).await;
    let missing = scene.trees.page(&scene.main, &root, 0, "").await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let empty = Digest::empty(SHA256);
    assert_eq!(all(&scene, &empty, 0).await, [vec![empty]], "the empty Directory is the empty blob");
}

#[tokio::test]
async fn exponential_sharing_costs_one_visit_a_directory() {
    let scene = scene();
    let content = scene.put("content").await;
    let mut digest = scene.put_message(&directory(vec![file("f", &content)], vec![])).await;
    for _ in 0..64 {
        digest = scene.put_message(&directory(vec![], vec![child("a", &digest), child("b", &digest)])).await;
    }
    assert_eq!(all(&scene, &digest, 0).await.concat().len(), 65, "and not 2 to the power of 64");
    let output =
        OutputDirectory { path: "o".into(), root_directory_digest: wire(&digest).into(), ..Default::default() };
    let result = ActionResult { output_directories: vec![output], ..Default::default() };
    scene.update(&action("a"), result).await.expect("stores");
    assert!(scene.get(&action("a")).await.is_some());
}

#[tokio::test]
async fn a_tree_that_is_too_deep_is_refused() {
    let scene = scene();
    let mut digest = scene.put_message(&directory(vec![], vec![])).await;
    for depth in 0..=TREE_DEPTH_MAX {
        // A name of its own for each, or all would be one.
        digest = scene.put_message(&directory(vec![], vec![child(&depth.to_string(), &digest)])).await;
    }
    let mut pages = scene.trees.pages(&scene.main, &digest, 0, "").await.expect("begins");
    let error = pages.next().await.expect_err("refused");
    assert!(matches!(&error, Error::Exhausted(message) if message.contains("deeper than 4096")), "{error}");
}

#[tokio::test]
async fn bad_directories_are_refused() {
    let scene = scene();
    let content = scene.put("content").await;
    let garbage = scene.put("\u{1}no message").await;
    let bad = directory(vec![file("..", &content)], vec![]);
    let bad = scene.put_message(&bad).await;
    let twice = directory(vec![file("a", &content)], vec![child("a", &content)]);
    let twice = scene.put_message(&twice).await;
    for digest in [garbage, bad, twice] {
        let above = scene.put_message(&directory(vec![], vec![child("a", &digest)])).await;
        for root in [digest, above] {
            let error = scene.trees.page(&scene.main, &root, 0, "").await.expect_err("refused");
            assert!(matches!(error, Error::Invalid { field: "root_digest", .. }), "{error}");
        }
    }
    let limits = BlobLimits { batch_max_bytes: 10_000, ..BlobLimits::default() };
    let small = scene_with(ActionCacheOptions::default(), limits);
    let huge = Digest::new(SHA256, content.hash(), 10_001).expect("a digest");
    let error = small.trees.page(&small.main, &huge, 0, "").await.expect_err("refused");
    assert!(matches!(error, Error::Exhausted(_)), "{error}");
}

#[tokio::test]
async fn a_page_stays_below_the_limit_of_a_message() {
    let scene =
        scene_with(ActionCacheOptions::default(), BlobLimits { batch_max_bytes: 3_000, ..BlobLimits::default() });
    let (root, _) = wide(&scene, 30).await;
    let mut token = String::new();
    let mut seen = 0;
    loop {
        let page = scene.trees.page(&scene.main, &root, 0, &token).await.expect("a page");
        let bytes: usize = page.directories.iter().map(|directory| directory.encode_to_vec().len()).sum();
        assert!(bytes <= 3_000, "{bytes}");
        seen += page.directories.len();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 31);
}

#[tokio::test]
async fn tokens_are_checked() {
    let scene = scene();
    let (root, children) = wide(&scene, 5).await;
    let (other, _) = wide(&scene, 6).await;
    let page = async |root: &Digest, size, token: &str| scene.trees.page(&scene.main, root, size, token).await;
    let token = page(&root, 2, "").await.expect("a page").next_page_token;
    for bad in ["x", "****", "AAAA", &token[1..], &format!("{token}AA"), &"A".repeat(token.len())] {
        let error = page(&root, 2, bad).await.expect_err("refused");
        assert!(matches!(error, Error::Invalid { field: "page_token", .. }), "{bad}: {error}");
    }
    assert!(matches!(page(&other, 2, &token).await, Err(Error::Invalid { field: "page_token", .. })), "another tree");
    assert!(matches!(page(&root, -1, "").await, Err(Error::Invalid { field: "page_size", .. })));
    let next = page(&root, 3, &token).await.expect("another size is fine");
    assert_eq!(next.directories.len(), 3);
    scene.drop_blob(&children[0]).await;
    assert!(
        matches!(page(&root, 2, &token).await, Err(Error::Invalid { field: "page_token", .. })),
        "the tree changed"
    );
}

#[tokio::test]
async fn directories_come_as_they_are_kept() {
    let scene = scene();
    let property = reapi::NodeProperty { name: "SubtreeReadOnly".into(), value: "true".into(), ..Default::default() };
    let properties = reapi::NodeProperties { properties: vec![property], ..Default::default() };
    let mut bytes = Directory { node_properties: properties.into(), ..Default::default() }.encode_to_vec();
    bytes.extend_from_slice(&[0xa2, 0x1f, 3, b'n', b'e', b'w']);
    let root = scene.put(bytes.clone()).await;
    let page = scene.trees.page(&scene.main, &root, 500, "").await.expect("a page");
    assert_eq!(page.directories[0].encode_to_vec(), bytes);
    assert_eq!(page.directories[0].node_properties.properties[0].name, "SubtreeReadOnly");
}
