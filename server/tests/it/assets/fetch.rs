//! FetchBlob from a web server that is not always kind.

use millrace_server::auth::Role;
use tonic::Code;

use super::upstream::{Reply, Upstream, ok, reply};
use super::{blob, checksum, code, fetch, server, server_with};
use crate::app::{Options, TestApp};
use crate::cas_client::{Remote, digest, noise};
use millrace_server::config::{RawAssetConfig, RawCacheConfig};

#[tokio::test(flavor = "multi_thread")]
async fn point_33_a_blob_is_fetched_once_and_is_what_its_checksum_says() {
    let test = server().await;
    let content = noise(3_000_000, 33);
    let body = content.clone();
    let upstream = Upstream::start(move |_| ok(&body)).await;
    let url = upstream.url("/a.tar.gz");
    let found = fetch(test.wire(), blob(&[&url], &[])).await.expect("fetched");
    assert_eq!((code(found.status.as_ref()), found.blob_digest.clone()), (Code::Ok, Some(digest(&content))));
    assert_eq!((found.uri, found.digest_function), (url.clone(), 1));
    let remote = Remote::of(&test);
    assert_eq!(remote.read(&remote.read_name(&digest(&content))).await.expect("readable"), content);
    fetch(test.wire(), blob(&[&url], &[])).await.expect("from the cache");
    assert_eq!(upstream.seen().len(), 1);
    // The right checksum among wrong ones; then only wrong ones.
    let both = format!("{} {}", checksum(b"x"), checksum(&content));
    let other = upstream.url("/b");
    let found = fetch(test.wire(), blob(&[&other], &[("checksum.sri", &both)])).await.expect("fetched");
    assert_eq!((code(found.status.as_ref()), upstream.seen().len()), (Code::Ok, 1), "the content is here already");
    let wrong = fetch(test.wire(), blob(&[&other], &[("checksum.sri", &checksum(b"x"))])).await.expect("an answer");
    assert_eq!(code(wrong.status.as_ref()), Code::Aborted);
    let message = wrong.status.expect("a status").message;
    assert!(message.contains(&checksum(&content)) && wrong.blob_digest.is_none(), "{message}");
    // Another function, and what is too old.
    let blake3 = bazel_remote_apis::build::bazel::remote::asset::v1::FetchBlobRequest {
        digest_function: 9,
        ..blob(&[&url], &[])
    };
    let found = fetch(test.wire(), blake3).await.expect("fetched");
    assert_eq!((found.digest_function, found.blob_digest.expect("a digest").size_bytes), (9, 3_000_000));
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_33_requests_that_cannot_be_are_invalid() {
    let test = server().await;
    let upstream = Upstream::start(|_| ok(b"x")).await;
    let url = upstream.url("/x");
    let empty = fetch(test.wire(), blob(&[], &[])).await.expect_err("no URI");
    assert_eq!(empty.code(), Code::InvalidArgument);
    let twice = fetch(test.wire(), blob(&[&url], &[("a", "1"), ("a", "2")])).await.expect_err("twice");
    assert!(twice.code() == Code::InvalidArgument && twice.message().contains("unique"), "{twice}");
    let unknown = fetch(test.wire(), blob(&[&url], &[("a.b", "1"), ("vcs.branch", "x")])).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::InvalidArgument);
    // Over Connect, whose errors carry their details in the body.
    let body = serde_json::json!({"uris": [url], "qualifiers": [{"name": "a.b"}, {"name": "vcs.branch"}]});
    let call = format!("{}/build.bazel.remote.asset.v1.Fetch/FetchBlob", test.url);
    let answer = reqwest::Client::new().post(call).json(&body).send().await.expect("an answer");
    let error: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(error["details"][0]["type"], "google.rpc.BadRequest", "{error}");
    let value = error["details"][0]["value"].as_str().expect("a value");
    let value = base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, value).expect("base64");
    let details = String::from_utf8_lossy(&value).into_owned();
    for part in ["qualifiers.name", "\"a.b\" not supported", "\"vcs.branch\" not supported"] {
        assert!(details.contains(part), "{details:?}");
    }
    for pair in [
        ("checksum.sri", "md5-x"),
        ("http_header:Host", "x"),
        ("http_header_url:9:X", "x"),
        ("resource_type", "application/x-git"),
        ("bazel.auth_headers", "x"),
    ] {
        let refused = fetch(test.wire(), blob(&[&url], &[pair])).await.expect_err(pair.0);
        assert_eq!(refused.code(), Code::InvalidArgument, "{pair:?}");
    }
    for uri in ["urn:fdc:x:2020:y", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "x"] {
        let missed = fetch(test.wire(), blob(&[uri], &[])).await.expect_err("nothing to dial");
        assert_eq!(missed.code(), Code::NotFound, "{uri}");
    }
    assert!(upstream.seen().is_empty());
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_and_mirrors_come_next() {
    let test = server().await;
    let content = noise(100_000, 1);
    let body = content.clone();
    let upstream = Upstream::start(move |request| match (request.target.as_str(), request.before) {
        ("/flaky", 0) => reply("503 Service Unavailable", &[], b""),
        ("/flaky", 1) => reply("429 Too Many Requests", &[("retry-after", "0")], b""),
        // It promises more than it sends.
        ("/flaky", 2) => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort".to_vec()),
        ("/flaky" | "/good", _) => ok(&body),
        ("/secret", _) => reply("403 Forbidden", &[], b""),
        _ => reply("404 Not Found", &[], b""),
    })
    .await;
    let found = fetch(test.wire(), blob(&[&upstream.url("/flaky")], &[])).await.expect("fetched");
    assert_eq!((found.blob_digest, upstream.seen().len()), (Some(digest(&content)), 4));
    let (none, good) = (upstream.url("/none"), upstream.url("/good"));
    let found = fetch(test.wire(), blob(&[&none, &good], &[])).await.expect("fetched");
    assert_eq!((found.uri, upstream.seen().len()), (good, 6));
    let failed = fetch(test.wire(), blob(&[&none, &upstream.url("/secret")], &[])).await.expect("an answer");
    assert_eq!(code(failed.status.as_ref()), Code::PermissionDenied);
    let message = failed.status.expect("a status").message;
    assert!(message.contains("HTTP 404") && message.contains("HTTP 403"), "{message}");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_without_secrets_to_others() {
    let test = server().await;
    let other = Upstream::start(|_| ok(b"from the other")).await;
    let away = other.url("/end");
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/away" => reply("302 Found", &[("location", &away)], b""),
        "/near" => reply("301 Moved Permanently", &[("location", "end?q=1")], b""),
        "/inside" => reply("302 Found", &[("location", "http://169.254.169.254/latest/meta-data")], b""),
        "/file" => reply("302 Found", &[("location", "file:///etc/passwd")], b""),
        "/loop" => reply("307 Temporary Redirect", &[("location", "/loop")], b""),
        _ => ok(b"here"),
    })
    .await;
    let secret = [("http_header:Authorization", "Bearer s"), ("http_header:X-Token", "t")];
    fetch(test.wire(), blob(&[&upstream.url("/near")], &secret)).await.expect("fetched");
    let seen = upstream.seen();
    assert_eq!((seen[1].target.as_str(), seen[1].headers["authorization"].as_str()), ("/end?q=1", "Bearer s"));
    let found = fetch(test.wire(), blob(&[&upstream.url("/away")], &secret)).await.expect("fetched");
    assert_eq!(found.blob_digest, Some(digest(b"from the other")));
    let headers = &other.seen()[0].headers;
    assert!(!headers.contains_key("authorization") && !headers.contains_key("x-token"), "{headers:?}");
    for (path, expected) in [("/inside", Code::PermissionDenied), ("/file", Code::Aborted), ("/loop", Code::Aborted)] {
        let failed = fetch(test.wire(), blob(&[&upstream.url(path)], &[])).await.expect("an answer");
        assert_eq!(code(failed.status.as_ref()), expected, "{path}: {:?}", failed.status);
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_private_is_dialled_unless_configured() {
    let test = server_with(RawAssetConfig::default()).await;
    let upstream = Upstream::start(|_| ok(b"x")).await;
    let port = upstream.address.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "[::1]", "10.1.2.3"] {
        let failed = fetch(test.wire(), blob(&[&format!("http://{host}:{port}/x")], &[])).await.expect("an answer");
        let status = failed.status.expect("a status");
        assert_eq!(Code::from_i32(status.code), Code::PermissionDenied, "{host}: {}", status.message);
        assert!(status.message.contains("--asset-allow"), "{}", status.message);
    }
    assert!(upstream.seen().is_empty());
    test.close().await;
    let test = server_with(RawAssetConfig { no_asset_downloads: true, ..Default::default() }).await;
    let missed = fetch(test.wire(), blob(&[&upstream.url("/x")], &[])).await.expect_err("off");
    assert_eq!(missed.code(), Code::NotFound);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_too_slow_is_given_up() {
    let max = RawAssetConfig {
        asset_allow: Some("127.0.0.0/8".into()),
        asset_max: Some("10kB".into()),
        ..RawAssetConfig::default()
    };
    let test = server_with(max).await;
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/said" => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10001\r\n\r\n".to_vec()),
        "/unsaid" => Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 10_001]].concat()),
        _ => Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nslow".to_vec()),
    })
    .await;
    for path in ["/said", "/unsaid"] {
        let failed = fetch(test.wire(), blob(&[&upstream.url(path)], &[])).await.expect("an answer");
        assert_eq!(code(failed.status.as_ref()), Code::ResourceExhausted, "{path}: {:?}", failed.status);
    }
    let mut slow = blob(&[&upstream.url("/slow")], &[]);
    slow.timeout = Some(bazel_remote_apis::google::protobuf::Duration { seconds: 0, nanos: 50_000_000 });
    let (one, two) = tokio::join!(fetch(test.wire(), slow.clone()), fetch(test.wire(), slow));
    assert_eq!(code(one.expect("an answer").status.as_ref()), Code::DeadlineExceeded);
    assert_eq!(code(two.expect("an answer").status.as_ref()), Code::DeadlineExceeded);
    assert_eq!(upstream.seen().iter().filter(|request| request.target == "/slow").count(), 1);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_projects_count() {
    let assets = RawAssetConfig { asset_allow: Some("127.0.0.1".into()), ..RawAssetConfig::default() };
    let cache = RawCacheConfig { assets, ..Default::default() };
    let test = TestApp::start(Options { open: false, cache, ..Options::default() }).await;
    let upstream = Upstream::start(|_| ok(b"content")).await;
    let request = || blob(&[&upstream.url("/x")], &[]);
    let nobody = fetch(test.wire_with(None), request()).await.expect_err("nobody");
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let (reader, writer) = (test.token(Role::CacheRead).await, test.token(Role::CacheWrite).await);
    let denied = fetch(test.wire_with(Some(&reader)), request()).await.expect_err("may not fill the cache");
    assert!(denied.code() == Code::PermissionDenied && denied.message().contains("cache-write"), "{denied}");
    fetch(test.wire_with(Some(&writer)), request()).await.expect("fetched");
    fetch(test.wire_with(Some(&reader)), request()).await.expect("from the cache");
    let bound = test.token_for(Role::CacheRead, "other").await;
    let foreign = fetch(test.wire_with(Some(&bound)), request()).await.expect_err("another project's");
    assert_eq!(foreign.code(), Code::NotFound);
    test.close().await;
}
