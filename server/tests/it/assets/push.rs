//! Push, and Fetch of what was pushed.

use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use millrace_server::auth::Role;
use tonic::Code;

use super::{blob, code, fetch, fetch_directory, push, qualifiers, server};
use crate::app::{TestApp, within};
use crate::cas_client::{Remote, digest};

fn request(uri: &str, content: &[u8]) -> asset::PushBlobRequest {
    asset::PushBlobRequest { uris: vec![uri.into()], blob_digest: Some(digest(content)), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn point_33_pushed_assets_are_found_by_any_of_their_names() {
    let test = server().await;
    let remote = Remote::of(&test);
    let missing = push(test.wire(), request("urn:x:1", b"one")).await.expect_err("not uploaded");
    assert_eq!(missing.code(), Code::FailedPrecondition);
    remote.put(&[b"one", b"two", b"kept with it"]).await;
    let mut first = request("urn:x:1", b"one");
    first.uris.push("https://example.org/never-dialled".into());
    first.qualifiers = qualifiers(&[("whatever", "it is"), ("vcs.commit", "abc")]);
    first.references_blobs = vec![digest(b"kept with it")];
    push(test.wire(), first.clone()).await.expect("pushed");
    let found = fetch(
        test.wire(),
        blob(&["urn:unknown", "https://example.org/never-dialled"], &[("vcs.commit", "abc"), ("whatever", "it is")]),
    );
    let found = found.await.expect("found");
    assert_eq!((found.blob_digest, code(found.status.as_ref())), (Some(digest(b"one")), Code::Ok));
    first.blob_digest = Some(digest(b"two"));
    push(test.wire(), first.clone()).await.expect("pushed again");
    let pairs = [("vcs.commit", "abc"), ("whatever", "it is")];
    let found = fetch(test.wire(), blob(&["urn:x:1"], &pairs)).await.expect("found");
    assert_eq!(found.blob_digest, Some(digest(b"two")));
    let plain = fetch(test.wire(), blob(&["urn:x:1"], &[])).await.expect_err("other qualifiers, another asset");
    assert_eq!(plain.code(), Code::NotFound);
    first.expire_at = Some(bazel_remote_apis::google::protobuf::Timestamp { seconds: 1, nanos: 0 });
    push(test.wire(), first).await.expect("pushed with an end");
    let expired = fetch(test.wire(), blob(&["urn:x:1"], &[("vcs.commit", "abc"), ("whatever", "it is")])).await;
    assert_eq!(expired.expect_err("expired").code(), Code::InvalidArgument);
    let empty = push(test.wire(), asset::PushBlobRequest::default()).await.expect_err("nothing");
    assert_eq!(empty.code(), Code::InvalidArgument);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_33_pushed_directories_need_all_that_is_below_them() {
    use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
    use prost::Message;
    let test = server().await;
    let remote = Remote::of(&test);
    let file = re::FileNode { name: "f".into(), digest: Some(digest(b"file")), ..Default::default() };
    let directory = re::Directory { files: vec![file], ..Default::default() }.encode_to_vec();
    remote.put_one(&directory).await;
    let request = asset::PushDirectoryRequest {
        uris: vec!["urn:dir".into()],
        root_directory_digest: Some(digest(&directory)),
        ..Default::default()
    };
    let mut client = asset::push_client::PushClient::new(test.wire());
    let refused = within("PushDirectory", client.push_directory(request.clone())).await.expect_err("no file");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    remote.put_one(b"file").await;
    within("PushDirectory", client.push_directory(request)).await.expect("pushed");
    let found = fetch_directory(&test, "urn:dir", &[]).await.expect("found");
    assert_eq!(found.root_directory_digest, Some(digest(&directory)));
    let blob = fetch(test.wire(), blob(&["urn:dir"], &[])).await.expect_err("it is no blob");
    assert_eq!(blob.code(), Code::NotFound);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushing_needs_its_role() {
    let test = TestApp::with_tokens().await;
    let reader = test.token(Role::CacheRead).await;
    let denied = push(test.wire_with(Some(&reader)), request("urn:x", b"")).await.expect_err("a reader");
    assert_eq!(denied.code(), Code::PermissionDenied);
    test.close().await;
}
