//! The remote cache's instances, its callers, and its three protocols.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use millrace_server::auth::Role;
use millrace_server::config::RawCacheConfig;
use serde_json::{Value, json};
use tonic::Code;

use crate::app::{Options, TestApp, within};
use crate::cas_client::{Remote, digest, put, result};

#[tokio::test]
async fn instances_see_nothing_of_each_other() {
    let test = TestApp::open().await;
    let names = ["", "main", "main/part", "other"];
    let remotes: Vec<Remote> = names.iter().map(|name| Remote::within(&test, name)).collect();
    for (number, remote) in remotes.iter().enumerate() {
        let content = format!("the blob of {number}");
        let blob = if number % 2 == 0 {
            remote.put_one(content.as_bytes()).await
        } else {
            remote.upload(content.as_bytes()).await
        };
        let action = digest(b"the same action in each");
        let answer = remote.action(&action).await.expect_err("nobody's result");
        assert_eq!(answer.code(), Code::NotFound);
        remote.update_action(&action, result(&[("f", &blob)])).await.expect("stored");
        for (index, other) in remotes.iter().enumerate() {
            let here = index == number;
            assert_eq!(other.has(&blob).await, here, "{:?} in {:?}", names[number], names[index]);
            assert_eq!(other.read(&other.read_name(&blob)).await.is_ok(), here);
            let read = other.read_batch(std::slice::from_ref(&blob), &[]).await.expect("a status");
            assert_eq!(read[0].0, if here { 0 } else { Code::NotFound as i32 });
        }
        // Writing the same bytes elsewhere needs the bytes; removing an instance's name does not open it.
        let stored = remote.action(&action).await.expect("a hit");
        assert_eq!(stored.output_files[0].digest, Some(blob));
    }
    test.close().await;
}

#[tokio::test]
async fn a_token_of_one_project_is_good_for_its_instance_only() {
    let test = TestApp::with_tokens().await;
    let all = Remote::within(&test, "theirs");
    let blob = all.put_one(b"theirs").await;
    let action = digest(b"action");
    all.update_action(&action, re::ActionResult::default()).await.expect("stored");
    let token = test.token_for(Role::CacheWrite, "mine").await;
    let mine = Remote::with(&test, &token, "mine");
    mine.put_one(b"mine").await;
    for name in ["theirs", "", "mine/more", "min"] {
        let foreign = Remote::with(&test, &token, name);
        let refusals = [
            ("missing", foreign.missing(&[]).await.map(drop)),
            ("read", foreign.read(&foreign.read_name(&blob)).await.map(drop)),
            ("batch", foreign.read_batch(std::slice::from_ref(&blob), &[]).await.map(drop)),
            ("put", foreign.update(vec![put(b"x")]).await.map(drop)),
            ("write", foreign.write(&foreign.write_name(&digest(b"x")), b"x").await.map(drop)),
            ("status", foreign.status(&foreign.write_name(&digest(b"x"))).await.map(drop)),
            ("tree", foreign.tree(&blob, 0, "").await.map(drop)),
            ("action", foreign.action(&action).await.map(drop)),
            ("update", foreign.update_action(&action, re::ActionResult::default()).await.map(drop)),
            ("capabilities", foreign.capabilities().await.map(drop)),
        ];
        for (call, refused) in refusals {
            let status = refused.expect_err(call);
            assert_eq!(status.code(), Code::NotFound, "{call} in {name:?}: {status}");
            assert_eq!(status.message(), format!("instance {name:?} not found"), "{call}");
        }
    }
    test.close().await;
}

#[tokio::test]
async fn a_setting_says_which_instances_there_are() {
    let cache = RawCacheConfig { instances: Some(vec!["a".into(), "b/c".into()]), ..Default::default() };
    let test = TestApp::start(Options { cache, ..Options::default() }).await;
    for name in ["a", "b/c"] {
        Remote::within(&test, name).put_one(b"x").await;
    }
    for name in ["", "b", "a/b"] {
        let status = Remote::within(&test, name).missing(&[]).await.expect_err(name);
        assert_eq!(status.code(), Code::NotFound, "{name}: {status}");
    }
    test.close().await;
}

#[tokio::test]
async fn reading_needs_a_role_and_writing_another() {
    let test = TestApp::with_tokens().await;
    let reader = Remote::with(&test, &test.token(Role::CacheRead).await, "");
    assert!(reader.missing(&[digest(b"x")]).await.is_ok());
    for refused in [
        reader.update(vec![put(b"x")]).await.map(drop),
        reader.write(&reader.write_name(&digest(b"x")), b"x").await.map(drop),
        reader.update_action(&digest(b"x"), re::ActionResult::default()).await.map(drop),
    ] {
        let status = refused.expect_err("a reader does not write");
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        assert!(status.message().contains("cache-write"), "{status}");
    }
    test.close().await;
}

#[tokio::test]
async fn the_same_calls_in_grpc_web() {
    let test = TestApp::open().await;
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let web = tonic_web::GrpcWebClientService::new(http);
    let origin: http::Uri = test.url.parse().expect("an address");
    let mut cas = re::content_addressable_storage_client::ContentAddressableStorageClient::with_origin(
        web.clone(),
        origin.clone(),
    );
    let blob = digest(b"by gRPC-Web");
    let request = re::BatchUpdateBlobsRequest { requests: vec![put(b"by gRPC-Web")], ..Default::default() };
    within("an upload", cas.batch_update_blobs(request)).await.expect("taken");
    let mut bytes = bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient::with_origin(
        web.clone(),
        origin.clone(),
    );
    let request = bazel_remote_apis::google::bytestream::ReadRequest {
        resource_name: format!("blobs/{}/{}", blob.hash, blob.size_bytes),
        ..Default::default()
    };
    let mut stream = bytes.read(request).await.expect("a stream").into_inner();
    let first = within("the blob", stream.message()).await.expect("a message").expect("one");
    assert_eq!(first.data, b"by gRPC-Web");
    let mut actions = re::action_cache_client::ActionCacheClient::with_origin(web.clone(), origin.clone());
    let request = re::GetActionResultRequest { action_digest: Some(blob), ..Default::default() };
    assert_eq!(actions.get_action_result(request).await.expect_err("a miss").code(), Code::NotFound);
    let mut capabilities = re::capabilities_client::CapabilitiesClient::with_origin(web, origin);
    let said = capabilities.get_capabilities(re::GetCapabilitiesRequest::default()).await.expect("capabilities");
    assert!(said.into_inner().cache_capabilities.is_some());
    test.close().await;
}

async fn post(test: &TestApp, method: &str, message: Value) -> (u16, Value) {
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let request = client.post(format!("{}/{method}", test.url)).header("content-type", "application/json");
    let answer = within(method, request.body(message.to_string()).send()).await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON"))
}

#[tokio::test]
async fn the_same_calls_as_json_with_curl() {
    const RE: &str = "build.bazel.remote.execution.v2";
    let test = TestApp::open().await;
    let blob = digest(b"by JSON");
    let shown = json!({ "hash": blob.hash, "sizeBytes": blob.size_bytes.to_string() });
    let upload = json!({ "requests": [{ "digest": shown, "data": STANDARD.encode(b"by JSON") }] });
    let (status, answer) = post(&test, &format!("{RE}.ContentAddressableStorage/BatchUpdateBlobs"), upload).await;
    assert_eq!((status, &answer["responses"][0]["digest"]), (200, &shown), "{answer}");
    let (_, answer) =
        post(&test, &format!("{RE}.ContentAddressableStorage/FindMissingBlobs"), json!({ "blobDigests": [shown] }))
            .await;
    assert_eq!(answer, json!({}), "nothing is missing");
    let (_, answer) =
        post(&test, &format!("{RE}.ContentAddressableStorage/BatchReadBlobs"), json!({ "digests": [shown] })).await;
    assert_eq!(answer["responses"][0]["data"], STANDARD.encode(b"by JSON"));
    let result = json!({ "exitCode": 5, "outputFiles": [{ "path": "f", "digest": shown }] });
    let action = digest(b"an action");
    let action = json!({ "hash": action.hash, "sizeBytes": action.size_bytes.to_string() });
    let update = json!({ "actionDigest": action, "actionResult": result });
    let (status, answer) = post(&test, &format!("{RE}.ActionCache/UpdateActionResult"), update).await;
    assert_eq!((status, &answer["exitCode"]), (200, &json!(5)), "{answer}");
    let (status, answer) =
        post(&test, &format!("{RE}.ActionCache/GetActionResult"), json!({ "actionDigest": action })).await;
    assert_eq!((status, &answer["outputFiles"][0]["digest"]), (200, &shown), "{answer}");
    let (status, answer) = post(&test, &format!("{RE}.Capabilities/GetCapabilities"), json!({})).await;
    assert_eq!((status, &answer["highApiVersion"]["major"]), (200, &json!(2)), "{answer}");
    let name = json!({ "resourceName": format!("uploads/x/blobs/{}/{}", blob.hash, blob.size_bytes) });
    let (status, answer) = post(&test, "google.bytestream.ByteStream/QueryWriteStatus", name).await;
    assert_eq!((status, &answer["complete"]), (200, &json!(true)), "{answer}");
    test.close().await;
}
