//! curl: what a person types to look into the cache. JSON by Connect, blobs and action results by plain HTTP.

use std::path::Path;

use millrace_proto::digest::{Digest, DigestFunction};
use serde_json::{Value, json};

use super::tool::{command, on_path, succeeded};
use crate::app::TestApp;

const REAPI: &str = "build.bazel.remote.execution.v2";
const BLOB_BYTES: usize = 3_000_000;

/// Runs curl; the status and the body.
async fn curl(folder: &Path, arguments: &[&str]) -> (u16, String) {
    let mut curl = command(&on_path("curl"));
    curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}"]).args(arguments).current_dir(folder);
    let out = succeeded(&mut curl).await.out;
    let (body, status) = out.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// A Connect call with a JSON body.
async fn post(test: &TestApp, method: &str, message: &Value) -> (u16, Value) {
    let url = format!("{}/{REAPI}.{method}", test.url);
    let message = message.to_string();
    let arguments = ["--header", "content-type: application/json", "--data", &message, &url];
    let (status, body) = curl(test.scratch(), &arguments).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

/// A Connect call with GET, as the address bar of a browser could make.
async fn get(test: &TestApp, method: &str, message: &Value) -> (u16, Value) {
    let url = format!("{}/{REAPI}.{method}?encoding=json", test.url);
    let message = format!("message={message}");
    let (status, body) = curl(test.scratch(), &["--get", "--data-urlencode", &message, &url]).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

fn digest(bytes: &[u8]) -> Value {
    let digest = Digest::of(DigestFunction::Sha256, bytes);
    json!({ "hash": digest.hex(), "sizeBytes": digest.size().to_string() })
}

#[tokio::test]
async fn curl_gets_an_action_result_as_json() {
    let test = TestApp::open().await;
    let action = digest(b"an action");
    let wanted = json!({ "instanceName": "team/app", "actionDigest": action });
    let (status, miss) = get(&test, "ActionCache/GetActionResult", &wanted).await;
    assert_eq!((status, &miss["code"]), (404, &json!("not_found")), "{miss}");

    let result =
        json!({ "exitCode": 2, "stdoutRaw": "c2FpZA==", "outputSymlinks": [{ "path": "link", "target": "../up" }] });
    let update = json!({ "instanceName": "team/app", "actionDigest": action, "actionResult": result });
    let (status, answer) = post(&test, "ActionCache/UpdateActionResult", &update).await;
    assert_eq!(status, 200, "{answer}");

    let (status, hit) = get(&test, "ActionCache/GetActionResult", &wanted).await;
    assert_eq!(status, 200, "{hit}");
    for field in ["exitCode", "stdoutRaw", "outputSymlinks"] {
        assert_eq!(hit[field], result[field], "{field}: {hit}");
    }
    assert!(hit.get("executionMetadata").is_some(), "{hit}");
    let (status, posted) = post(&test, "ActionCache/GetActionResult", &wanted).await;
    assert_eq!((status, posted), (200, hit));
    test.close().await;
}

#[tokio::test]
async fn curl_asks_for_missing_blobs_in_json() {
    let test = TestApp::open().await;
    let (here, absent) = (digest(b"here"), digest(b"absent"));
    let batch = json!({ "instanceName": "p", "requests": [{ "digest": here, "data": "aGVyZQ==" }] });
    let (status, stored) = post(&test, "ContentAddressableStorage/BatchUpdateBlobs", &batch).await;
    assert_eq!((status, &stored["responses"][0]["digest"]), (200, &here), "{stored}");
    let request = json!({ "instanceName": "p", "blobDigests": [here, absent, digest(b"")] });
    let expected = json!({ "missingBlobDigests": [absent] });
    assert_eq!(post(&test, "ContentAddressableStorage/FindMissingBlobs", &request).await, (200, expected.clone()));
    assert_eq!(get(&test, "ContentAddressableStorage/FindMissingBlobs", &request).await, (200, expected));
    let read = json!({ "instanceName": "p", "digests": [here] });
    let (status, read) = post(&test, "ContentAddressableStorage/BatchReadBlobs", &read).await;
    assert_eq!((status, &read["responses"][0]["data"]), (200, &json!("aGVyZQ==")), "{read}");
    let (status, capabilities) = get(&test, "Capabilities/GetCapabilities", &json!({ "instanceName": "p" })).await;
    assert_eq!(status, 200, "{capabilities}");
    assert!(
        capabilities["cacheCapabilities"]["digestFunctions"]
            .as_array()
            .is_some_and(|all| all.contains(&json!("SHA256")))
    );
    let wrong = json!({ "instanceName": "p", "blobDigests": [{ "hash": "xyz", "sizeBytes": "1" }] });
    let (status, refusal) = post(&test, "ContentAddressableStorage/FindMissingBlobs", &wrong).await;
    assert_eq!((status, &refusal["code"]), (400, &json!("invalid_argument")), "{refusal}");
    assert!(refusal["message"].as_str().is_some_and(|message| message.contains("hash")), "{refusal}");
    test.close().await;
}

#[tokio::test]
async fn curl_puts_and_gets_blobs() {
    let test = TestApp::open().await;
    let bytes: Vec<u8> = (0..BLOB_BYTES).map(|at| ((at * at) >> 7) as u8).collect();
    std::fs::write(test.scratch().join("up"), &bytes).expect("written");
    let hash = Digest::of(DigestFunction::Sha256, &bytes).hex();
    let url = format!("{}/team/app/cas/{hash}", test.url);
    let folder = test.scratch();
    assert_eq!(curl(folder, &[&url]).await.0, 404);
    // A file of this size goes with `Expect: 100-continue`.
    let (status, body) = curl(folder, &["--upload-file", "up", &url]).await;
    assert!(matches!(status, 200 | 201 | 204), "{status}: {body}");
    assert_eq!(curl(folder, &["--output", "down", &url]).await.0, 200);
    assert!(std::fs::read(folder.join("down")).expect("downloaded") == bytes, "other bytes came back");
    // A download that was cut off goes on.
    std::fs::write(folder.join("half"), &bytes[..BLOB_BYTES / 2]).expect("written");
    assert_eq!(curl(folder, &["--continue-at", "-", "--output", "half", &url]).await.0, 206);
    assert!(std::fs::read(folder.join("half")).expect("downloaded") == bytes, "the second half is another");
    // What is there already is not sent again.
    assert_eq!(curl(folder, &["--etag-save", "etag", "--output", "down", &url]).await.0, 200);
    assert_eq!(curl(folder, &["--etag-compare", "etag", "--output", "none", &url]).await.0, 304);
    let (status, head) = curl(folder, &["--head", &url]).await;
    assert!(status == 200 && head.to_lowercase().contains(&format!("content-length: {BLOB_BYTES}")), "{head}");
    let other = url.replace("team/app", "team/other");
    assert_eq!(curl(folder, &[&other]).await.0, 404, "another instance has none of it");
    let lie = format!("{}/team/app/cas/{}", test.url, Digest::of(DigestFunction::Sha256, b"else").hex());
    let (status, body) = curl(folder, &["--upload-file", "up", &lie]).await;
    assert!(status == 400 && body.contains("hash"), "{status}: {body}");
    assert_eq!(curl(folder, &[&lie]).await.0, 404, "nothing of it is left");
    test.close().await;
}
